"""CSPDarknet of YOLOX and CSPNeXt of RTMDet and RTMPose.

Ge 2021, arXiv 2107.08430; Lyu 2022, arXiv 2212.07784.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from poise.errors import one_of
from poise.layers import ConvModule
from poise.layers.csp import SILU, SWISH, YOLO_BN, CSPLayer, Focus, SPPBottleneck, conv_class
from poise.models.backbones.base import (
    BaseBackbone,
    ShortForm,
    check_frozen_stages,
    check_out_indices,
    freeze,
    maps_behind,
)
from poise.registry import MODELS

__all__ = ["YOLO_INIT", "CSPDarknet", "CSPNeXt", "YOLOXCSPDarknet"]

Config = Mapping[str, Any]
Arch = Sequence[Sequence[Any]]

#: how the convolutions of YOLO-like networks start
YOLO_INIT: Config = {
    "type": "Kaiming",
    "layer": "Conv2d",
    "a": math.sqrt(5),
    "distribution": "uniform",
    "mode": "fan_in",
    "nonlinearity": "leaky_relu",
}


def _archs(middle: int) -> dict[str, Arch]:
    """Stages of five and of six strides; `middle` blocks in the second and third."""
    start = [
        [64, 128, 3, True, False],
        [128, 256, middle, True, False],
        [256, 512, middle, True, False],
    ]
    return {
        "P5": [*start, [512, 1024, 3, False, True]],
        "P6": [*start, [512, 768, 3, True, False], [768, 1024, 3, False, True]],
    }


class _CSPBackbone(BaseBackbone):
    """Stem, then stages of a strided convolution, perhaps an SPP, and a CSP layer."""

    #: name -> stages of (in channels, out channels, blocks, add identity, use SPP)
    arch_settings: Mapping[str, Arch] = {}

    tiny = ShortForm()
    s = ShortForm()
    m = ShortForm()
    l = ShortForm()  # noqa: E741 (the size's name)
    x = ShortForm()

    def _build(
        self,
        arch: str,
        overwrite: Arch | None,
        stem: Callable[[float], nn.Module],
        *,
        factors: tuple[float, float],
        out_indices: Sequence[int],
        frozen_stages: int,
        spp_kernel_sizes: Sequence[int],
        use_depthwise: bool,
        cfgs: Mapping[str, Any],
        **csp_options: Any,
    ) -> None:
        """Add the stem and the stages.

        Args:
            arch: one of `arch_settings`.
            overwrite: rows that replace those of `arch`.
            stem: makes the first layers, of so many channels.
            factors: of blocks (deepen) and channels (widen).
            out_indices, frozen_stages: as of the constructors.
            spp_kernel_sizes: for the stage with SPP.
            use_depthwise: depthwise separable convolutions.
            cfgs: `conv_cfg`, `norm_cfg`, `act_cfg`.
            **csp_options: further arguments of the CSP layers.

        Raises:
            ConfigError: no such architecture.
        """
        settings = overwrite or self.arch_settings[one_of(arch, self.arch_settings, "arch")]
        check_out_indices(out_indices, len(settings) + 1)
        check_frozen_stages(frozen_stages, len(settings))
        self.out_indices, self.frozen_stages = out_indices, frozen_stages
        deepen, widen = factors
        self.stem = stem(settings[0][0] * widen)
        self.layers = ["stem"]
        for number, row in enumerate(settings, start=1):
            before, after, blocks, add_identity, use_spp = row
            before, after = int(before * widen), int(after * widen)
            conv = conv_class(use_depthwise)(before, after, 3, stride=2, padding=1, **cfgs)
            spp = [SPPBottleneck(after, after, spp_kernel_sizes, **cfgs)] if use_spp else []
            csp = CSPLayer(
                after,
                after,
                num_blocks=max(round(blocks * deepen), 1),
                add_identity=add_identity,
                use_depthwise=use_depthwise,
                **cfgs,
                **csp_options,
            )
            self.layers.append(f"stage{number}")
            self.add_module(self.layers[-1], nn.Sequential(conv, *spp, csp))

    def _freeze_stages(self) -> None:
        freeze(getattr(self, name) for name in self.layers[: self.frozen_stages + 1])

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> a map for each of `out_indices`; index i has stride 2^(i + 1)."""
        stages = [getattr(self, name) for name in self.layers]
        return maps_behind(stages, x, self.out_indices)


@MODELS.register_module()
@MODELS.register_module(scope="mmdet")
class CSPDarknet(_CSPBackbone):
    """Backbone of YOLOX: (B, 3, H, W) -> maps at strides 8, 16, 32.

    Args:
        arch: "P5", or "P6" with one stage more.
        deepen_factor, widen_factor: factors of blocks and channels.
        out_indices: layers whose maps are returned; 0 is the stem.
        frozen_stages: layers without training; -1 for none, 0 the stem.
        use_depthwise: depthwise separable convolutions.
        arch_ovewrite: rows that replace those of `arch` (spelled as in MMDetection).
        spp_kernal_sizes: windows of the SPP (spelled as in MMDetection).
        conv_cfg, norm_cfg, act_cfg: for all layers.
    """

    arch_settings = _archs(9)

    def __init__(
        self,
        arch: str = "P5",
        deepen_factor: float = 1.0,
        widen_factor: float = 1.0,
        out_indices: Sequence[int] = (2, 3, 4),
        frozen_stages: int = -1,
        use_depthwise: bool = False,
        arch_ovewrite: Arch | None = None,
        spp_kernal_sizes: Sequence[int] = (5, 9, 13),
        conv_cfg: Config | None = None,
        norm_cfg: Config = YOLO_BN,
        act_cfg: Config = SWISH,
        norm_eval: bool = False,
        init_cfg: Any = YOLO_INIT,
    ) -> None:
        super().__init__(init_cfg)
        self.norm_eval = norm_eval
        cfgs: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}
        self._build(
            arch,
            arch_ovewrite,
            lambda width: Focus(3, int(width), kernel_size=3, **cfgs),
            factors=(deepen_factor, widen_factor),
            out_indices=out_indices,
            frozen_stages=frozen_stages,
            spp_kernel_sizes=spp_kernal_sizes,
            use_depthwise=use_depthwise,
            cfgs=cfgs,
        )


@MODELS.register_module(scope="mmyolo")
class YOLOXCSPDarknet(CSPDarknet):
    """`CSPDarknet` as MMYOLO has it: its convolutions start as those of a `ConvModule`."""

    def __init__(self, arch: str = "P5", init_cfg: Any = None, **settings: Any) -> None:
        super().__init__(arch, init_cfg=init_cfg, **settings)


@MODELS.register_module()
@MODELS.register_module(scope="mmdet")
class CSPNeXt(_CSPBackbone):
    """Backbone of RTMDet and RTMPose: (B, 3, H, W) -> maps at strides 8, 16, 32.

    Args:
        arch, deepen_factor, widen_factor, out_indices, frozen_stages, use_depthwise: as
            `CSPDarknet`.
        expand_ratio: channels of each half of a CSP layer.
        arch_ovewrite: rows that replace those of `arch` (spelled as in MMDetection).
        spp_kernel_sizes: windows of the SPP.
        channel_attention: weigh channels at the end of each CSP layer.
        conv_cfg, norm_cfg, act_cfg: for all layers; the stem is always plain.

    Example:
        >>> import torch
        >>> [tuple(m.shape) for m in CSPNeXt.m(out_indices=(4,))(torch.zeros(1, 3, 64, 64))]
        [(1, 768, 2, 2)]
    """

    arch_settings = _archs(6)

    def __init__(
        self,
        arch: str = "P5",
        deepen_factor: float = 1.0,
        widen_factor: float = 1.0,
        out_indices: Sequence[int] = (2, 3, 4),
        frozen_stages: int = -1,
        use_depthwise: bool = False,
        expand_ratio: float = 0.5,
        arch_ovewrite: Arch | None = None,
        spp_kernel_sizes: Sequence[int] = (5, 9, 13),
        channel_attention: bool = True,
        conv_cfg: Config | None = None,
        norm_cfg: Config = YOLO_BN,
        act_cfg: Config = SILU,
        norm_eval: bool = False,
        init_cfg: Any = YOLO_INIT,
    ) -> None:
        super().__init__(init_cfg)
        self.norm_eval = norm_eval
        plain = {"norm_cfg": norm_cfg, "act_cfg": act_cfg}

        def stem(width: float) -> nn.Module:
            half = int(width // 2)
            return nn.Sequential(
                ConvModule(3, half, 3, stride=2, padding=1, **plain),
                ConvModule(half, half, 3, padding=1, **plain),
                ConvModule(half, int(width), 3, padding=1, **plain),
            )

        self._build(
            arch,
            arch_ovewrite,
            stem,
            factors=(deepen_factor, widen_factor),
            out_indices=out_indices,
            frozen_stages=frozen_stages,
            spp_kernel_sizes=spp_kernel_sizes,
            use_depthwise=use_depthwise,
            cfgs={"conv_cfg": conv_cfg, **plain},
            use_cspnext_block=True,
            expand_ratio=expand_ratio,
            channel_attention=channel_attention,
        )
