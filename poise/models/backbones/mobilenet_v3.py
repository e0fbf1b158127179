"""MobileNetV3 (Howard 2019, arXiv 1905.02244)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from poise.errors import ConfigError, one_of
from poise.layers import ConvModule, InvertedResidual
from poise.models.backbones.base import (
    BaseBackbone,
    ShortForm,
    check_frozen_stages,
    freeze,
    maps_behind,
)
from poise.models.backbones.vipnas import SE_GATES
from poise.registry import MODELS

__all__ = ["MobileNetV3"]

Config = Mapping[str, Any]
STEM_CHANNELS = 16

#: kernel, middle channels, channels, squeeze and excitation, activation, stride
_SMALL = """
    3  16  16 1 ReLU   2
    3  72  24 0 ReLU   2
    3  88  24 0 ReLU   1
    5  96  40 1 HSwish 2
    5 240  40 1 HSwish 1
    5 240  40 1 HSwish 1
    5 120  48 1 HSwish 1
    5 144  48 1 HSwish 1
    5 288  96 1 HSwish 2
    5 576  96 1 HSwish 1
    5 576  96 1 HSwish 1
"""
_BIG = """
    3  16  16 0 ReLU   1
    3  64  24 0 ReLU   2
    3  72  24 0 ReLU   1
    5  72  40 1 ReLU   2
    5 120  40 1 ReLU   1
    5 120  40 1 ReLU   1
    3 240  80 0 HSwish 2
    3 200  80 0 HSwish 1
    3 184  80 0 HSwish 1
    3 184  80 0 HSwish 1
    3 480 112 1 HSwish 1
    3 672 112 1 HSwish 1
    5 672 160 1 HSwish 1
    5 672 160 1 HSwish 2
    5 960 160 1 HSwish 1
"""


def _rows(table: str) -> list[tuple[int, int, int, bool, str, int]]:
    """Lines of a table as values."""
    rows = []
    for line in table.strip().splitlines():
        kernel, middle, out, gates, act, stride = line.split()
        rows.append((int(kernel), int(middle), int(out), gates == "1", act, int(stride)))
    return rows


@MODELS.register_module()
class MobileNetV3(BaseBackbone):
    """Searched network of inverted residuals: (B, 3, H, W) -> maps at strides to 32.

    Args:
        arch: "small" or "big".
        conv_cfg, norm_cfg: for all layers.
        out_indices: blocks whose maps are returned; negative ones count from the end.
        frozen_stages: blocks without training, the stem included; -1 for none.

    Raises:
        ConfigError: no such network, block or stage.
    """

    arch_settings = {"small": _rows(_SMALL), "big": _rows(_BIG)}

    def __init__(
        self,
        arch: str = "small",
        conv_cfg: Config | None = None,
        norm_cfg: Config = {"type": "BN"},  # noqa: B006 (never changed)
        out_indices: Sequence[int] = (-1,),
        frozen_stages: int = -1,
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: Any = [  # noqa: B006 (never changed)
            {"type": "Kaiming", "layer": ["Conv2d"]},
            {"type": "Constant", "val": 1, "layer": ["_BatchNorm"]},
        ],
    ) -> None:
        super().__init__(init_cfg)
        rows = self.arch_settings[one_of(arch, self.arch_settings, "arch")]
        count = len(rows)
        if not all(-count <= i < count for i in out_indices):
            raise ConfigError(f"out_indices must be in range({-count}, {count}), got {out_indices}")
        check_frozen_stages(frozen_stages, count - 1)
        self.arch, self.frozen_stages, self.norm_eval = arch, frozen_stages, norm_eval
        self.out_indices = tuple(i % count for i in out_indices)
        cfgs = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg}
        self.conv1 = ConvModule(
            3, STEM_CHANNELS, 3, stride=2, padding=1, act_cfg={"type": "HSwish"}, **cfgs
        )
        self.layers = [f"layer{i + 1}" for i in range(count)]
        channels = STEM_CHANNELS
        for name, (kernel, middle, out, gates, act, stride) in zip(self.layers, rows, strict=True):
            se_cfg = {"channels": middle, "ratio": 4, "act_cfg": SE_GATES} if gates else None
            layer = InvertedResidual(
                channels,
                out,
                middle,
                kernel_size=kernel,
                stride=stride,
                se_cfg=se_cfg,
                act_cfg={"type": act},
                with_cp=with_cp,
                **cfgs,
            )
            self.add_module(name, layer)
            channels = out
        #: channels of the last block
        self.feat_dim = channels

    def _freeze_stages(self) -> None:
        if self.frozen_stages >= 0:
            freeze([self.conv1], evaluate=False)
        freeze(getattr(self, name) for name in self.layers[: max(self.frozen_stages, 0)])

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> a map for each of `out_indices`."""
        stages = [getattr(self, name) for name in self.layers]
        return maps_behind(stages, self.conv1(x), self.out_indices)

    small = ShortForm()
    large = ShortForm()
