"""NanoDet as a model that configs name, training fits to one's own things, and pictures pass.

It starts from the weights inside the package, so that some dozens of pictures and a CPU are
enough. Losses are those of Generalized Focal Loss (Li 2020, arXiv 2006.04388), points are assigned
as by RTMDet (Lyu 2022, arXiv 2212.07784, section 3.3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from poise.errors import ConfigError, DataError
from poise.losses.detection import full_precision
from poise.models.detectors.dense import (
    GIOU_BOXES,
    QUALITY_SCORES,
    DenseBoxHead,
    DistancePointBBoxCoder,
    best_of,
)
from poise.models.detectors.nanodet import (
    MAX_DISTANCE,
    STRIDES,
    NanoDet,
    cells_of,
    mean_distances,
)
from poise.models.detectors.single_stage import SingleStageDetector
from poise.models.detectors.targets import (
    assign_boxes,
    in_crowds,
    in_pictures,
    quality_losses,
)
from poise.models.heads.dense import flatten, points_of
from poise.models.renames import rename_old_keys
from poise.registry import MODELS, TASK_UTILS

__all__ = ["NanoDetHead", "NanoDetModel", "embedded_nanodet"]

Config = Mapping[str, Any]

#: classes of the weights inside the package, COCO's
EMBEDDED_CLASSES = 80
DISTANCES: Config = {"type": "mmdet.DistributionFocalLoss", "loss_weight": 0.25}
HEAD: Config = {"type": "poise.NanoDetHead"}
PREPROCESSOR: Config = {"type": "mmdet.DetDataPreprocessor", "pad_size_divisor": STRIDES[-1]}
TRAIN: Config = {"assigner": {"type": "mmdet.DynamicSoftLabelAssigner", "topk": 13}}
TEST: Config = {
    "score_thr": 0.05,
    "nms_pre": 1000,
    "nms": {"type": "nms", "iou_threshold": 0.6},
    "max_per_img": 100,
}


def embedded_nanodet() -> NanoDet:
    """The network with the weights inside the package: COCO's 80 classes.

    Raises:
        DataError: the weights are missing from the installation.
    """
    from poise.models.weights import load_checkpoint
    from poise.models.weights.first_values import NoFirstValues
    from poise.zoo import default_weights

    weights = default_weights("nanodet")
    if weights is None:
        raise DataError(
            "the weights of the embedded detector are missing from this installation "
            "(poise/zoo/embedded/nanodet.safetensors); reinstall poise"
        )
    with NoFirstValues():
        network = NanoDet()
    load_checkpoint(network, weights, strict=True)
    return network


@MODELS.register_module(scope="poise")
class NanoDetHead(DenseBoxHead):
    """What NanoDet's maps mean: losses and boxes; it has no layers of its own.

    Args:
        num_classes: classes C.
        loss_cls: of the scores; config or module, as all losses.
        loss_bbox: of the boxes.
        loss_dfl: of the distributions of distances.
        train_cfg: `assigner`, an object or a config.
        test_cfg: `score_thr`, `nms_pre`, `nms`, `max_per_img`.
    """

    def __init__(
        self,
        num_classes: int = EMBEDDED_CLASSES,
        *,
        loss_cls: Any = QUALITY_SCORES,
        loss_bbox: Any = GIOU_BOXES,
        loss_dfl: Any = DISTANCES,
        train_cfg: Config | None = TRAIN,
        test_cfg: Config | None = TEST,
    ) -> None:
        super().__init__(train_cfg, test_cfg)
        self.num_classes = num_classes
        self.prior_generator = TASK_UTILS.build(
            {"type": "mmpose.MlvlPointGenerator", "strides": list(STRIDES)}
        )
        self.bbox_coder = DistancePointBBoxCoder()
        self.loss_cls, self.loss_bbox = MODELS.build(loss_cls), MODELS.build(loss_bbox)
        self.loss_dfl = MODELS.build(loss_dfl)

    def forward(self, x: Sequence[Tensor]) -> Sequence[Tensor]:
        """The maps (B, C + 44, H, W), as they are."""
        return x

    def loss(self, x: Sequence[Tensor], batch_data_samples: Sequence[Any]) -> dict[str, Tensor]:
        """Losses of scores, boxes and distances, by the sum of overlaps.

        Args:
            x: maps (B, C + 44, H, W), finest first.
            batch_data_samples: B samples; `gt_instances` has `bboxes` (N, 4) xyxy, input space,
                and `labels` (N,). Points beyond `pad_shape`, and those in boxes of
                `ignored_instances` that no object has, learn nothing.
        """
        logits, distances, points = self.cells(x)
        boxes = self.boxes(distances, points)
        valid = in_pictures(points, batch_data_samples)
        targets = assign_boxes(
            self.assigner, logits.detach(), boxes.detach(), points, batch_data_samples, valid
        )
        unsure = in_crowds(points, batch_data_samples) & ~targets.positive
        weights = (valid & ~unsure).to(logits.dtype)
        losses = quality_losses(self.loss_cls, self.loss_bbox, logits, boxes, targets, weights)
        loss = self.loss_dfl(
            targets.chosen(distances).flatten(0, 1),
            _cells_to_sides(targets.bboxes, targets.points(points)).flatten(),
            weight=targets.overlaps.repeat_interleave(4),
            avg_factor=4.0,
        )
        return losses | {"loss_dfl": loss / targets.quality()}

    def cells(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Class logits (B, P, C), logits of distances (B, P, 4, 11), points and strides (P, 4)."""
        logits, distances = cells_of(full_precision(flatten(maps)))
        return logits, distances, points_of(self.prior_generator, maps, logits.dtype)

    def boxes(
        self, distances: Tensor, points: Tensor, max_shape: Sequence[int] | None = None
    ) -> Tensor:
        """Boxes (..., P, 4) xyxy, input space.

        Args:
            distances: (..., P, 4, 11) logits.
            points: (P, 4) points and strides.
            max_shape: (height, width) that boxes are cut at.
        """
        reach = mean_distances(distances) * points[:, 2:3]
        return self.bbox_coder.decode(points[:, :2], reach, max_shape=max_shape)

    def candidates(
        self, outputs: Any, metas: Sequence[Mapping[str, Any]]
    ) -> list[tuple[Tensor, Tensor, Tensor]]:
        """The best, `nms_pre` at most, with a score above `score_thr`."""
        logits, distances, points = self.cells(outputs)
        limits = self.test_cfg.get("score_thr", 0), self.test_cfg.get("nms_pre", -1)
        found = []
        for scores, own, meta in zip(logits.sigmoid(), distances, metas, strict=True):
            best, rows, labels = best_of(scores, *limits)
            found.append((self.boxes(own[rows], points[rows], meta["img_shape"]), best, labels))
        return found


def _cells_to_sides(boxes: Tensor, points: Tensor) -> Tensor:
    """Distances (M, 4) from points and strides (M, 4) to sides of boxes (M, 4), in cells."""
    place, stride = points[:, :2], points[:, 2:3]
    sides = torch.cat([place - boxes[:, :2], boxes[:, 2:] - place], dim=-1) / stride
    return sides.clamp(0, MAX_DISTANCE)


@MODELS.register_module(name="NanoDet", scope="poise")
class NanoDetModel(SingleStageDetector):
    """NanoDet-g for one's own classes: small, without a download, to train on a CPU.

    `init_weights` loads the weights inside the package. Their files, and those of `NanoDet`, load
    as well as its own.

    Args:
        num_classes: classes C.
        start_classes: COCO's classes that the classes start from, one for all or one for each;
            None: COCO's own where there are 80, else 0, "person", for all.
        embedded: False starts from random weights.
        bbox_head: config of the head, which gets `num_classes`.
        train_cfg, test_cfg: as `NanoDetHead`.
        data_preprocessor: config or module; it should not normalise, the network does.
        init_cfg: how weights start in place of the weights inside the package.

    Raises:
        ConfigError: `start_classes` of another number, or that COCO does not have.
    """

    _prefers_speed = True

    def __init__(
        self,
        num_classes: int = EMBEDDED_CLASSES,
        *,
        start_classes: int | Sequence[int] | None = None,
        embedded: bool = True,
        bbox_head: Any = HEAD,
        train_cfg: Config | None = TRAIN,
        test_cfg: Config | None = TEST,
        data_preprocessor: Any = PREPROCESSOR,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(
            NanoDet(num_classes),
            None,
            {**bbox_head, "num_classes": num_classes},
            train_cfg,
            test_cfg,
            data_preprocessor,
            init_cfg,
        )
        self.start_classes = _start_classes(start_classes, num_classes)
        self.embedded = embedded and init_cfg is None
        # the network alone has no other part
        rename_old_keys(
            self, [], always=[(r"(stem|stages|laterals|towers|outputs)\.", r"backbone.\1.")]
        )

    def init_weights(self) -> None:
        """Start from the weights inside the package, unless the config says otherwise."""
        first = not self.is_init
        super().init_weights()
        if not (first and self.embedded):
            return
        state = embedded_nanodet().state_dict()
        for name, rows in state.items():
            if name.startswith("outputs."):
                # whatever the classes are, distances are distances
                state[name] = torch.cat([rows[self.start_classes], rows[EMBEDDED_CLASSES:]])
        self.backbone.load_state_dict(state)

    def extract_feat(self, batch_inputs: Tensor) -> list[Tensor]:
        """Maps (B, C + 44, H, W) of BGR pictures (B, 3, H, W) 0..255, finest first."""
        maps: list[Tensor] = self.backbone.maps(batch_inputs)
        return maps


def _start_classes(chosen: int | Sequence[int] | None, count: int) -> list[int]:
    """Class of COCO that each of `count` classes starts from."""
    if chosen is None:
        return list(range(count)) if count == EMBEDDED_CLASSES else [0] * count
    classes = [chosen] * count if isinstance(chosen, int) else list(chosen)
    if len(classes) != count or not all(0 <= c < EMBEDDED_CLASSES for c in classes):
        raise ConfigError(
            f"NanoDet: start_classes should be one class of COCO's {EMBEDDED_CLASSES} (0 is "
            f"'person'), or one for each of {count} classes, got {chosen!r}"
        )
    return classes
