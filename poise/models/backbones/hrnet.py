"""HRNet: branches of all resolutions side by side (Sun 2019, arXiv 1902.09212)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from poise.errors import one_of
from poise.layers import build_conv_layer, build_norm_layer
from poise.layers.residual import BasicBlock, Bottleneck, ResLayer, get_expansion, named_by
from poise.models.backbones.base import (
    NORMAL_INIT,
    BaseBackbone,
    check_frozen_stages,
    check_sides,
    freeze,
    zero_last_norms,
)
from poise.models.backbones.hr_module import HRModule, conv_norm, make_transition
from poise.registry import MODELS
from poise.zoo.parts.backbones import hrnet

__all__ = ["HRNet"]

Config = Mapping[str, Any]
BN: Config = {"type": "BN"}

#: three halvings from the finest branch to the coarsest
SMALLEST_MAP = 8
STEM_CHANNELS = 64


@MODELS.register_module()
class HRNet(BaseBackbone):
    """High-resolution network: (B, 3, H, W) -> one map at stride 4, or four.

    Args:
        extra: dict of `stage1` ... `stage4`, each with `num_modules`, `num_branches`, `block`
            ("BASIC" or "BOTTLENECK"), `num_blocks`, `num_channels`, the last perhaps with
            `multiscale_output`; and perhaps `upsample`. See `HRNet.w32` for one.
        in_channels: channels of the picture.
        conv_cfg, norm_cfg: for all layers.
        zero_init_residual: let blocks start as identity.
        frozen_stages: stages without training, stem included; -1 for none.

    Example:
        >>> import torch
        >>> [tuple(m.shape) for m in HRNet.w32()(torch.zeros(1, 3, 64, 64))]
        [(1, 32, 16, 16)]
    """

    blocks_dict: ClassVar[dict[str, type]] = {"BASIC": BasicBlock, "BOTTLENECK": Bottleneck}

    _module: ClassVar[type[HRModule]] = HRModule

    def __init__(
        self,
        extra: Config,
        in_channels: int = 3,
        conv_cfg: Config | None = None,
        norm_cfg: Config = BN,
        norm_eval: bool = False,
        with_cp: bool = False,
        zero_init_residual: bool = False,
        frozen_stages: int = -1,
        init_cfg: Any = NORMAL_INIT,
    ) -> None:
        super().__init__(init_cfg)
        check_frozen_stages(frozen_stages, 4)
        self.extra, self.norm_eval, self.frozen_stages = extra, norm_eval, frozen_stages
        self.zero_init_residual, self.with_cp = zero_init_residual, with_cp
        self.conv_cfg, self.norm_cfg = conv_cfg, norm_cfg
        self.upsample_cfg = extra.get("upsample", {"mode": "nearest", "align_corners": None})
        cfgs: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg}
        self._make_stem(in_channels)
        first = extra["stage1"]
        block = self._block(first)
        channels = [first["num_channels"][0] * get_expansion(block)]
        self.layer1 = ResLayer(
            block, first["num_blocks"][0], STEM_CHANNELS, channels[0], with_cp=with_cp, **cfgs
        )

        def step(before: int, after: int, stride: int, relu: bool) -> nn.Module:
            return conv_norm(before, after, stride=stride, relu=relu, **cfgs)

        for number in (2, 3, 4):
            stage = extra[f"stage{number}"]
            widths = [c * get_expansion(self._block(stage)) for c in stage["num_channels"]]
            self.add_module(f"transition{number - 1}", make_transition(channels, widths, step))
            last_only = number == 4 and not stage.get("multiscale_output", False)
            self.add_module(f"stage{number}", self._make_stage(stage, widths, not last_only))
            channels = widths

    def _make_stem(self, in_channels: int) -> None:
        """Two convolutions of stride 2."""
        for i, channels in enumerate((in_channels, STEM_CHANNELS), start=1):
            conv = build_conv_layer(
                self.conv_cfg, channels, STEM_CHANNELS, 3, stride=2, padding=1, bias=False
            )
            name, norm = build_norm_layer(self.norm_cfg, STEM_CHANNELS, postfix=i)
            self.add_module(f"conv{i}", conv)
            self.add_module(name, norm)
            setattr(self, f"norm{i}_name", name)
        self.relu = nn.ReLU(inplace=True)

    def _block(self, stage: Config) -> type:
        return self.blocks_dict[one_of(stage["block"], self.blocks_dict, "block")]

    def _make_stage(self, stage: Config, widths: list[int], multiscale: bool) -> nn.Sequential:
        """Modules of one stage; only its last one may return the finest branch alone."""
        count = stage["num_modules"]
        return nn.Sequential(
            *(
                self._make_module(stage, widths, i, multiscale or i < count - 1)
                for i in range(count)
            )
        )

    def _make_module(
        self, stage: Config, widths: list[int], index: int, multiscale: bool, **options: Any
    ) -> nn.Module:
        """Module number `index` of a stage; `options` are those of its class alone."""
        return self._module(
            stage["num_branches"],
            self._block(stage),
            stage["num_blocks"],
            widths,
            stage["num_channels"],
            multiscale,
            with_cp=self.with_cp,
            conv_cfg=self.conv_cfg,
            norm_cfg=self.norm_cfg,
            upsample_cfg=self.upsample_cfg,
            **options,
        )

    norm1 = named_by("norm1_name", "First norm of the stem.")
    norm2 = named_by("norm2_name", "Second norm of the stem.")

    def _freeze_stages(self) -> None:
        if self.frozen_stages >= 0:
            # the convolutions have no mode
            freeze([self.conv1, self.norm1, self.conv2, self.norm2])
        for i in range(1, self.frozen_stages + 1):
            parts = ["layer1" if i == 1 else f"stage{i}", f"transition{i}"]
            freeze(getattr(self, p) for p in parts if hasattr(self, p))

    def init_weights(self) -> None:
        """Apply `init_cfg`; with `zero_init_residual` let blocks start as identity."""
        super().init_weights()
        if self.zero_init_residual:
            zero_last_norms(self, {Bottleneck: "norm3", BasicBlock: "norm2"})

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> maps (B, C, H / 4, W / 4), then half of that and so on."""
        x = self.relu(self.norm1(self.conv1(x)))
        x = self.relu(self.norm2(self.conv2(x)))
        check_sides(self, x, SMALLEST_MAP, stride=4)
        maps = [self.layer1(x)]
        for number in (2, 3, 4):
            transition = getattr(self, f"transition{number - 1}")
            # a new branch starts from the smallest map there is
            inputs = [maps[i] if t is None else t(maps[-1]) for i, t in enumerate(transition)]
            maps = getattr(self, f"stage{number}")(inputs)
        return tuple(maps)

    @classmethod
    def width(cls, channels: int, *, multiscale_output: bool = False, **kwargs: Any) -> HRNet:
        """Network of the paper with `channels` in the finest branch.

        Args:
            channels: 18, 32 and 48 are the published ones.
            multiscale_output: return all four resolutions.
            **kwargs: as the constructor, without `extra`.
        """
        extra = hrnet(channels)["extra"]
        extra["stage4"]["multiscale_output"] = multiscale_output
        return cls(extra, **kwargs)

    @classmethod
    def w18(cls, **kwargs: Any) -> HRNet:
        """HRNet-W18; arguments as `width`."""
        return cls.width(18, **kwargs)

    @classmethod
    def w32(cls, **kwargs: Any) -> HRNet:
        """HRNet-W32, 28.5 million parameters; arguments as `width`."""
        return cls.width(32, **kwargs)

    @classmethod
    def w48(cls, **kwargs: Any) -> HRNet:
        """HRNet-W48, 63.6 million parameters; arguments as `width`."""
        return cls.width(48, **kwargs)
