"""Models of whole pictures of any size (associative embedding, DEKR, CID, ED-Pose)."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from poise.errors import ConfigError
from poise.export.plans.description import describe
from poise.export.plans.one_stage import side_by_side
from poise.export.plans.plan import FromPixels, Plan, made_pixels
from poise.layers import max_pool2d
from poise.models.heads.cid import POOL_SIZES, smooth_heatmaps

__all__ = ["bottom_up_plan"]

#: (width, height) on which models of any size are tried.
_SMALL_PICTURE = (320, 256)
#: Axes of pictures and of maps.
_SIDES = {1: "height", 2: "width"}


class _Embedding(FromPixels):
    """Associative embedding: heatmaps and tags, as large as the picture if the model wants that."""

    outputs = ("heatmaps", "tags")

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """(B, H, W, 3) uint8 BGR -> heatmaps (B, K, h, w) and tags (B, L, h, w)."""
        cfg = self.model.test_cfg
        maps: tuple[Tensor, ...] = self.model.head.forward(self.features(pixels))
        if not cfg.get("restore_heatmap_size", False):
            return maps
        size, corners = pixels.shape[1:3], cfg.get("align_corners", False)
        return tuple(
            F.interpolate(m, size=size, mode="bilinear", align_corners=corners) for m in maps
        )


class _DEKR(FromPixels):
    """DEKR: heatmaps, the centre's last, and displacements."""

    outputs = ("heatmaps", "displacements")

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """(B, H, W, 3) uint8 BGR -> (B, K + 1, h, w) and (B, 2 K, h, w)."""
        found: tuple[Tensor, ...] = self.model.head.forward(self.features(pixels))
        return found


class _CID(FromPixels):
    """CID: as many people as the picture with the most of them has, and maps of each."""

    outputs = ("heatmaps", "scores")

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """(B, H, W, 3) uint8 BGR -> heatmaps (B, N, K, h, w) and scores (B, N)."""
        head, cfg = self.model.head, self.model.test_cfg
        feats = self.features(pixels)[-1]
        blur = cfg.get("blur_kernel_size", 3)
        roots = smooth_heatmaps(head.iia_module(feats)[:, -1:], blur)
        peaks = (roots * _is_peak(roots)).flatten(1)
        scores, index = peaks.topk(cfg.get("max_instances", 30), dim=1)
        count = (scores > cfg.get("score_threshold", 0.01)).sum(1).amax().clamp(min=1)
        scores, index = scores[:, :count], index[:, :count]
        width = feats.shape[3]
        coords = torch.stack((index % width, index // width), dim=2)
        rows = index.unsqueeze(1).expand(-1, feats.shape[1], -1)
        features = feats.flatten(2).gather(2, rows).transpose(1, 2)
        picture = torch.arange(feats.shape[0]).unsqueeze(1).expand_as(index)
        maps = head.gfd_module(
            feats, features.flatten(0, 1), coords.flatten(0, 1), picture.flatten()
        )
        return smooth_heatmaps(maps, blur).unflatten(0, index.shape), scores


class _EDPose(FromPixels):
    """ED-Pose: people as queries; a picture is as large as it is, without padding."""

    outputs = ("boxes", "scores", "keypoints")

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """(B, H, W, 3) uint8 BGR -> boxes (B, N, 4), scores (B, N, C), keypoints (B, N, 3 K)."""
        logits, boxes, keypoints = self.model.head.forward(self.features(pixels))
        return boxes, logits.sigmoid(), keypoints


def _is_peak(maps: Tensor) -> Tensor:
    """Where maps (B, 1, h, w) have a maximum of the window that suits their size."""
    windows = sorted({window for _, window in POOL_SIZES})
    tops = [max_pool2d(maps, window, 1, window // 2) == maps for window in windows]
    side = torch._shape_as_tensor(maps)[2:].float().mean()
    peaks = tops[0]
    for top, window in zip(tops, windows, strict=True):
        limit = next(least for least, size in POOL_SIZES if size == window)
        larger = side > limit
        peaks = (top & larger) | (peaks & ~larger)
    return peaks


def bottom_up_plan(model: Any) -> Plan:
    """How a bottom-up model is written.

    Input: whole pictures (B, H, W, 3) uint8 BGR of any size that the pipeline in the metadata
    gives. Outputs: what the head decodes, without the flip test.

    Raises:
        ConfigError: another head, a codec that is not named, or a test of several scales.
    """
    networks: dict[str, Any] = {
        "AssociativeEmbeddingHead": _Embedding,
        "DEKRHead": _DEKR,
        "CIDHead": _CID,
        "EDPoseHead": _EDPose,
    }
    head, name = model.head, type(model.head).__name__
    if name not in networks:
        raise ConfigError(
            f"whole-picture models are exported with the heads RTMOHead, YOLOXPoseHead, "
            f"{', '.join(networks)}, not {name}; run it with backend='torch'"
        )
    if model.test_cfg.get("multiscale_test", False):
        raise ConfigError("an exported file has one scale; set test_cfg.multiscale_test=False")
    settings = model.cfg.get("model", {}).get("head", {})
    codec = settings.get("data_decoder") or settings.get("decoder")
    if codec is None:
        raise ConfigError("the config has no model.head.decoder, so nobody could decode the file")
    network = networks[name](model).eval()
    outputs = networks[name].outputs
    # ED-Pose's codec knows no size
    sides = getattr(head.decoder, "input_size", _SMALL_PICTURE)
    width, height = (int(side) for side in sides)
    pixels = made_pixels(width, height)
    metadata = describe(
        model, "maps", head=name, codec=codec, test_cfg=dict(model.test_cfg), rescore=_rescore(head)
    )
    return Plan(
        network,
        pixels,
        metadata,
        outputs,
        free_axes=_SIDES,
        free_outputs=_free_outputs(name, outputs),
        others=(made_pixels(width + 64 * 2, height)[:1],),
        model=model,
        comparable=_COMPARABLE.get(name),
    )


def _free_outputs(head: str, outputs: tuple[str, ...]) -> dict[str, dict[int, str]]:
    """Axes of outputs that follow from the picture."""
    if head == "EDPoseHead":
        return {}
    if head == "CIDHead":
        people = {1: "people"}
        return {"heatmaps": people | {3: "map_height", 4: "map_width"}, outputs[1]: people}
    return {name: {2: "map_height", 3: "map_width"} for name in outputs}


def _common_people(found: Any, expected: Any) -> tuple[Any, Any]:
    """The better half of the people of both: the last ones are at the threshold."""
    count = max(min(found[1].shape[1], expected[1].shape[1]) // 2, 1)
    return [f[:, :count] for f in found], [e[:, :count] for e in expected]


#: Head -> how outputs whose rows may change places are put side by side.
_COMPARABLE = {"CIDHead": _common_people, "EDPoseHead": side_by_side}


def _rescore(head: Any) -> dict[str, Any] | None:
    """Weights of DEKR's network of poses as text, each with its shape; None where it has none."""
    network = getattr(head, "rescore_net", None)
    if network is None:
        return None
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    return {
        "norm_indexes": list(network.norm_indexes),
        "weights": {
            name: (list(w.shape), base64.b64encode(w.astype(np.float32).tobytes()).decode())
            for name, w in weights.items()
        },
    }
