"""The head of Sapiens2's pose networks."""

from __future__ import annotations

from torch import nn

from poise.models.heads.heatmap import HeatmapHead
from poise.models.renames import rename_old_keys
from poise.registry import MODELS

__all__ = ["Sapiens2Head"]


def instance_norm_silu(channels: int) -> list[nn.Module]:
    """Each map by its own mean and spread, then SiLU."""
    # as groups of one channel, a form of InstanceNorm2d that files of ONNX can hold
    return [nn.GroupNorm(channels, channels, affine=False), nn.SiLU(inplace=True)]


@MODELS.register_module()
class Sapiens2Head(HeatmapHead):
    """Deconvolutions, convolutions and a last layer, each map normed by itself.

    Khirodkar 2026, arXiv 2604.21681. Arguments as `HeatmapHead`; released files call the last
    layer `conv_pose`.
    """

    finish = staticmethod(instance_norm_silu)

    def _rename_old_keys(self) -> None:
        rename_old_keys(self, [], always=[(r"conv_pose\.", "final_layer.")])
