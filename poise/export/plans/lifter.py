"""Lifters: 2D keypoints of one frame or several in, 3D keypoints out."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from poise.errors import ConfigError
from poise.export.plans.description import describe
from poise.export.plans.plan import Plan
from poise.models.flip import flip_sequences

__all__ = ["lifter_plan", "track_items"]

#: Frames of a clip on which a network of any length is tried.
_CLIP = 9


class _Lifter(nn.Module):
    """A lifter with its flip test."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        meta = {"flip_indices": model.dataset_meta.get("flip_indices"), "input_size": (1, 1)}
        self._samples = [SimpleNamespace(metainfo=meta)]

    def forward(self, keypoints: Tensor) -> Tensor:
        """Prepared keypoints (B, K * C, T) or (B, T, K, C) -> what the codec decodes."""
        model, cfg = self.model, self.model.test_cfg
        feats = model._pose_feats(keypoints)
        if cfg.get("flip_test", False):
            mirrored = flip_sequences(keypoints, self._samples[0].metainfo, cfg)
            feats = [feats, model._pose_feats(mirrored)]
        out: Tensor = model.head.test_outputs(feats, self._samples, cfg)
        return out


def lifter_plan(model: Any) -> Plan:
    """How a lifter is written.

    Input: keypoints as the codec prepares them, (B, K * C, T) or (B, T, K, C) float32, of which
    MotionBERT's T is free. Output: 3D keypoints (B, K, 3) or (B, T, K, 3), as the codec decodes
    them; the flip test, if the config asks for it, is part of the network.

    Raises:
        ConfigError: a head that is not one of the released lifters'.
    """
    from poise.inference.lifting.networks import Window
    from poise.models.heads import MotionRegressionHead, TemporalRegressionHead

    kinds = (TemporalRegressionHead, MotionRegressionHead)
    if type(model.head) not in kinds:
        raise ConfigError(
            f"lifters with the heads {', '.join(kind.__name__ for kind in kinds)} are exported, "
            f"not {type(model.head).__name__}"
        )
    codec = model.cfg.get("model", {}).get("head", {}).get("decoder")
    window = Window.of(model.cfg)
    inputs = _prepared(model, track_items(model.dataset_meta, window))
    metadata = describe(
        model, "lifter", codec=codec, head=type(model.head).__name__, window=window._asdict()
    )
    frames = {1: "frames"} if inputs.ndim == 4 and window.multiple_target else {}
    return Plan(
        _Lifter(model).eval(),
        inputs,
        metadata,
        ("poses",),
        input="keypoints",
        free_axes=frames,
        free_outputs={"poses": frames},
        others=(inputs[:1, :4], inputs[:1].repeat(1, 2, 1, 1)) if frames else (),
        model=model,
    )


def track_items(metainfo: Mapping[str, Any], window: Any) -> list[dict[str, Any]]:
    """Three people on made-up ways, as a lifter takes them."""
    from poise.inference.lifting.poses import lifter_item

    generator = torch.Generator().manual_seed(0)
    count = _CLIP if window.multiple_target else window.seq_len
    joints = int(metainfo["num_keypoints"])
    shape = (3, 1, joints, 2)
    poses = torch.rand(shape, generator=generator) * 300 + 300
    ways = torch.randn((3, count, 1, 2), generator=generator).cumsum(1) * 3
    tracks = (poses + ways).numpy()
    targets = count if window.multiple_target else 1
    return [lifter_item(t, metainfo, (1000, 1000), targets=targets) for t in tracks]


def _prepared(model: Any, items: list[dict[str, Any]]) -> Tensor:
    """(3, ...) inputs as the test pipeline makes them."""
    from poise.inference.networks.crops import read_test_pipeline

    pipeline = read_test_pipeline(model.cfg)
    return torch.stack([pipeline(item)["inputs"] for item in items]).float()
