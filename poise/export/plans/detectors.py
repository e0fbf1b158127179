"""Detectors (RTMDet, YOLOX, SSDLite, NanoDet): boxes and the scores of all classes everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from poise.errors import ConfigError
from poise.export.plans.description import VERSION, input_of, plain
from poise.export.plans.plan import FromPixels, Plan, made_pixels
from poise.models.detectors.region_proposals import per_anchor
from poise.models.heads.dense import boxes_of, flatten, points_of
from poise.structures.config_metainfo import class_names

__all__ = ["detector_plan"]

OUTPUTS = ("boxes", "scores")


class _Points(FromPixels):
    """A detector with one box a cell."""

    def levels(self, width: int, height: int) -> list[int]:
        """Boxes of each level of a picture, whose best are chosen apart from the others'."""
        strides = [stride[0] for stride in self.model.bbox_head.prior_generator.strides]
        return [(height // stride) * (width // stride) for stride in strides]


class _RTMDet(_Points):
    """RTMDet: distances from points."""

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """(B, H, W, 3) uint8 BGR -> boxes (B, P, 4) xyxy and scores (B, P, C)."""
        head = self.model.bbox_head
        logits, distances = head(self.features(pixels))
        sizes = [level.shape[-2:] for level in logits]
        priors = head.prior_generator.grid_priors(sizes, logits[0].dtype, logits[0].device)
        shape = tuple(pixels.shape[1:3])
        boxes = head.bbox_coder.decode(torch.cat(priors), flatten(distances), max_shape=shape)
        return boxes, flatten(logits).sigmoid()


class _NanoDet(_Points):
    """NanoDet: distributions of distances from points."""

    def levels(self, width: int, height: int) -> list[int]:
        """Its best are those of all levels together."""
        return [sum(super().levels(width, height))]

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """(B, H, W, 3) uint8 BGR -> boxes (B, P, 4) xyxy and scores (B, P, C)."""
        head = self.model.bbox_head
        logits, distances, points = head.cells(self.features(pixels))
        return head.boxes(distances, points, tuple(pixels.shape[1:3])), logits.sigmoid()


class _YOLOX(_Points):
    """YOLOX: offsets from points, and an objectness."""

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """(B, H, W, 3) uint8 BGR -> boxes (B, P, 4) xyxy and scores (B, P, C)."""
        head = self.model.bbox_head
        maps = head(self.features(pixels))
        points = points_of(head.prior_generator, maps[0])
        logits, raw, objectness = map(flatten, maps)
        boxes = boxes_of(raw, points[:, :2], points[:, 2:])
        return boxes, logits.sigmoid() * objectness.sigmoid()


class _SSD(FromPixels):
    """SSDLite: moves of anchors."""

    def levels(self, width: int, height: int) -> list[int]:
        """Anchors of each level; some strides do not divide the picture."""
        with torch.no_grad():
            logits, _ = self.model(self.inputs(torch.zeros(1, height, width, 3)))
        return [len(anchors) for anchors in self.model.bbox_head.anchors(logits)]

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """(B, H, W, 3) uint8 BGR -> boxes (B, P, 4) xyxy and scores (B, P, C)."""
        head = self.model.bbox_head
        logits, moves = head(self.features(pixels))
        raw = torch.cat([per_anchor(level, head.bbox_coder.encode_size) for level in moves], 1)
        anchors, shape = torch.cat(head.anchors(logits)), tuple(pixels.shape[1:3])
        boxes = head.bbox_coder.decode(anchors, raw, max_shape=shape)
        return boxes, torch.cat([head.scores(level) for level in logits], 1)


def detector_plan(model: Any) -> Plan:
    """How a detector is written.

    Input: whole pictures (B, H, W, 3) uint8 BGR, fitted into the input by the pipeline in the
    metadata. Outputs in input space, before the suppression of doubles, whose limits are in the
    metadata (`select`).

    Args:
        model: RTMDet, YOLOX, SSDLite or NanoDet with `cfg`.

    Raises:
        ConfigError: another head, or pictures of no fixed size.
    """
    from poise.inference.networks.crops import pipeline_config
    from poise.models.detectors import NanoDetHead, RTMDetSepBNHead, SSDHead, YOLOXHead

    head = model.last_head
    networks = {
        RTMDetSepBNHead: _RTMDet,
        YOLOXHead: _YOLOX,
        NanoDetHead: _NanoDet,
        SSDHead: _SSD,
    }
    if type(head) not in networks:
        raise ConfigError(
            f"detectors with the heads {', '.join(kind.__name__ for kind in networks)} are "
            f"exported, not {type(model).__name__} with {type(head).__name__}; run it with torch, "
            "or export RTMDet or YOLOX"
        )
    network: Any = networks[type(head)](model).eval()
    width, height, padding = input_of(model.cfg)
    metadata = {
        "version": VERSION,
        "kind": "boxes",
        "default_scope": model.cfg.get("default_scope"),
        "pipeline": pipeline_config(model.cfg),
        "input_size": (width, height),
        "padding": padding,
        "num_classes": head.num_classes,
        "classes": class_names(getattr(model, "dataset_meta", None)),
        "select": _select(head.test_cfg, several=not isinstance(network, _YOLOX)),
        "levels": network.levels(width, height),
    }
    return Plan(network, made_pixels(width, height), plain(metadata), OUTPUTS, model=model)


def _select(cfg: Mapping[str, Any], *, several: bool) -> dict[str, Any]:
    """Which boxes are found: as the heads' own `predict` says, in plain numbers.

    The keys: `score_threshold`, `several_labels` (a point may give a box for each class, and the
    threshold itself is too low), `best_of_level` (most candidates of a level, None: all),
    `smallest_side`, `iou_threshold` (None: no suppression), `class_agnostic`, `max_boxes`.
    """
    nms, before, most = cfg.get("nms"), cfg.get("nms_pre", -1), cfg.get("max_per_img", -1)
    if nms and nms.get("type", "nms") != "nms":
        raise ConfigError(f"test_cfg.nms: the type 'nms' is exported only, got {nms['type']!r}")
    return {
        "score_threshold": cfg.get("score_thr", 0),
        "several_labels": several,
        "best_of_level": before if several and before >= 0 else None,
        "smallest_side": cfg.get("min_bbox_size", -1),
        "iou_threshold": nms.get("iou_threshold", 0.5) if nms else None,
        "class_agnostic": bool(nms and nms.get("class_agnostic", False)),
        "max_boxes": most if most >= 0 else None,
    }
