"""MoveNet's four output branches and their decoding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from poise.layers import Conv2d
from poise.models.heads.base import BaseHead, last_map
from poise.models.necks.movenet import SeparableConv
from poise.registry import MODELS

__all__ = ["MoveNetHead"]

#: branch -> channels per keypoint; the centre has one channel for all
_BRANCHES = {"heatmaps": 1, "centers": 0, "regressions": 2, "offsets": 2}
_HIDDEN = 96


@MODELS.register_module(scope="poise")
class MoveNetHead(BaseHead):
    """Keypoint heatmaps, person centre, regression from the centre, offsets inside cells.

    Args:
        in_channels: channels of the feature map.
        out_channels: number of keypoints K.
        decoder: `MoveNetLabel` codec, as a config dict or built.
        test_cfg: kept for configs; the estimator's counts.
    """

    instead = "train RTMPose: configs/lspet/ shows a config for data of your own"

    def __init__(
        self,
        in_channels: int = 24,
        out_channels: int = 17,
        *,
        decoder: Mapping[str, Any] | Any,
        test_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.test_cfg = dict(test_cfg or {})
        self.decoder = self.build_decoder(decoder)
        self.branches = nn.ModuleDict(
            {
                name: nn.Sequential(
                    SeparableConv(in_channels, _HIDDEN),
                    Conv2d(_HIDDEN, per_keypoint * out_channels or 1, 1),
                )
                for name, per_keypoint in _BRANCHES.items()
            }
        )

    def forward(self, feats: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Features -> heatmaps (B, K, h, w) and centers (B, 1, h, w) in 0..1, regressions and
        offsets (B, 2K, h, w) in cells.
        """
        x = last_map(feats)
        heatmaps, centers, regressions, offsets = (self.branches[name](x) for name in _BRANCHES)
        return heatmaps.sigmoid(), centers.sigmoid(), regressions, offsets
