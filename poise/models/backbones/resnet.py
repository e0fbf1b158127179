"""ResNet and ResNet-D (He 2016, arXiv 1512.03385; He 2019, arXiv 1812.01187)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from poise.errors import ConfigError, UnknownNameError
from poise.layers import ConvModule, MaxPool2d, build_conv_layer, build_norm_layer
from poise.layers.residual import BasicBlock, Bottleneck, ResLayer, get_expansion, named_by
from poise.models.backbones.base import (
    KAIMING_INIT,
    BaseBackbone,
    check_entries,
    check_frozen_stages,
    check_out_indices,
    freeze,
    maps_behind,
    start_of,
    zero_last_norms,
)
from poise.registry import MODELS

__all__ = ["ResNet", "ResNetV1d"]

Config = Mapping[str, Any]

#: depth -> block, and how many of them each stage has
Depths = Mapping[int, tuple[type[nn.Module], tuple[int, ...]]]

#: arguments by which a family does something its own way
OWN_WAYS = ("block_options", "stages", "stem_kernel_size")


@MODELS.register_module()
class ResNet(BaseBackbone):
    """Residual network: (B, 3, H, W) -> maps at strides 4, 8, 16, 32.

    Args:
        depth: 18, 34, 50, 101 or 152.
        in_channels: channels of the picture.
        stem_channels: after the stem.
        base_channels: middle channels of the first stage.
        expansion: of the blocks; None takes the block's own.
        num_stages: 1 to 4.
        strides, dilations: of the first block of each stage; one number a stage.
        out_indices: stages whose maps are returned, from 0.
        style: where a bottleneck has its stride, "pytorch" or "caffe".
        deep_stem: three 3 x 3 convolutions instead of one 7 x 7.
        avg_down: average before the projections of shortcuts.
        frozen_stages: stages without training, stem included; -1 for none, 0 the stem.
        conv_cfg, norm_cfg: for all layers.
        zero_init_residual: let blocks start as identity.
        block_options: further arguments for every block.
        stages: what a family does its own way, a dict for each stage: `num_blocks`,
            `out_channels`, and arguments of its blocks. None follows `depth`.
        stem_kernel_size: of the plain stem.

    Raises:
        UnknownNameError: no network of this depth.
        ConfigError: stages, strides, dilations and indices do not fit together.

    Example:
        >>> ResNet(18, out_indices=(2, 3)).feat_dim
        512
    """

    #: depth -> block, blocks of each stage
    arch_settings: Depths = {
        18: (BasicBlock, (2, 2, 2, 2)),
        34: (BasicBlock, (3, 4, 6, 3)),
        50: (Bottleneck, (3, 4, 6, 3)),
        101: (Bottleneck, (3, 4, 23, 3)),
        152: (Bottleneck, (3, 8, 36, 3)),
    }

    def __init__(
        self,
        depth: int,
        in_channels: int = 3,
        stem_channels: int = 64,
        base_channels: int = 64,
        expansion: int | None = None,
        num_stages: int = 4,
        strides: Sequence[int] = (1, 2, 2, 2),
        dilations: Sequence[int] = (1, 1, 1, 1),
        out_indices: Sequence[int] = (3,),
        style: str = "pytorch",
        deep_stem: bool = False,
        avg_down: bool = False,
        frozen_stages: int = -1,
        conv_cfg: Config | None = None,
        norm_cfg: Config = {"type": "BN", "requires_grad": True},  # noqa: B006 (never changed)
        norm_eval: bool = False,
        with_cp: bool = False,
        zero_init_residual: bool = True,
        init_cfg: Any = KAIMING_INIT,
        *,
        block_options: Config | None = None,
        stages: Sequence[Config] | None = None,
        stem_kernel_size: int = 7,
    ) -> None:
        super().__init__(init_cfg)
        if depth not in self.arch_settings:
            known = ", ".join(map(str, self.arch_settings))
            raise UnknownNameError(
                f"invalid depth {depth} for {type(self).__name__}; there are {known}"
            )
        if not 1 <= num_stages <= 4:
            raise ConfigError(f"num_stages must be 1 to 4, got {num_stages}")
        lists = {"strides": strides, "dilations": dilations}
        check_entries(self, num_stages, "stages", lists)
        check_out_indices(out_indices, num_stages)
        check_frozen_stages(frozen_stages, num_stages)
        self.depth, self.num_stages = depth, num_stages
        self.out_indices, self.frozen_stages = out_indices, frozen_stages
        self.deep_stem, self.norm_eval = deep_stem, norm_eval
        self.conv_cfg, self.norm_cfg = conv_cfg, norm_cfg
        self.zero_init_residual = zero_init_residual
        self.block, blocks = self.arch_settings[depth]
        self.expansion = get_expansion(self.block, expansion)
        if stages is None:
            widths = [base_channels * self.expansion * 2**i for i in range(num_stages)]
            stages = [
                {"num_blocks": n, "out_channels": w, "expansion": self.expansion}
                for n, w in zip(blocks, widths, strict=False)
            ]
        self.stage_blocks = tuple(stage["num_blocks"] for stage in stages[:num_stages])
        self._make_stem_layer(in_channels, stem_channels, stem_kernel_size)
        self.res_layers: list[str] = []
        channels = stem_channels
        for i, stage in enumerate(stages[:num_stages]):
            layer = ResLayer(
                self.block,
                in_channels=channels,
                stride=strides[i],
                dilation=dilations[i],
                style=style,
                avg_down=avg_down,
                with_cp=with_cp,
                conv_cfg=conv_cfg,
                norm_cfg=norm_cfg,
                **(block_options or {}),
                **stage,
            )
            self.res_layers.append(f"layer{i + 1}")
            self.add_module(self.res_layers[-1], layer)
            channels = stage["out_channels"]
        #: channels of the last stage
        self.feat_dim = channels

    def _make_stem_layer(self, in_channels: int, stem_channels: int, kernel_size: int) -> None:
        """Create the layers down to stride 4."""
        if self.deep_stem:
            half = stem_channels // 2
            widths = [(in_channels, half, 2), (half, half, 1), (half, stem_channels, 1)]
            cfgs = {"conv_cfg": self.conv_cfg, "norm_cfg": self.norm_cfg}
            self.stem = nn.Sequential(
                *(ConvModule(i, o, 3, stride=s, padding=1, **cfgs) for i, o, s in widths)
            )
        else:
            shape = {"stride": 2, "padding": kernel_size // 2, "bias": False}
            self.conv1 = build_conv_layer(
                self.conv_cfg, in_channels, stem_channels, kernel_size, **shape
            )
            self.norm1_name, norm = build_norm_layer(self.norm_cfg, stem_channels, postfix=1)
            self.add_module(self.norm1_name, norm)
            self.relu = nn.ReLU(inplace=True)
        self.maxpool: nn.Module = MaxPool2d(kernel_size=3, stride=2, padding=1)

    norm1 = named_by("norm1_name", "Norm of the plain stem.")

    def _stem(self, x: Tensor) -> Tensor:
        x = self.stem(x) if self.deep_stem else self.relu(self.norm1(self.conv1(x)))
        return self.maxpool(x)

    def _freeze_stages(self) -> None:
        if self.frozen_stages >= 0:
            freeze([self.stem] if self.deep_stem else [self.conv1, self.norm1])
        freeze(getattr(self, name) for name in self.res_layers[: max(self.frozen_stages, 0)])

    def init_weights(self) -> None:
        """Apply `init_cfg`; with `zero_init_residual` let blocks start as identity."""
        super().init_weights()
        if self.zero_init_residual:
            zero_last_norms(self, {Bottleneck: "norm3", BasicBlock: "norm2"})

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> a map for each of `out_indices`, (B, C, H / stride, W / stride)."""
        stages = [getattr(self, name) for name in self.res_layers]
        return maps_behind(stages, self._stem(x), self.out_indices)


@MODELS.register_module()
class ResNetV1d(ResNet):
    """ResNet-D: deep stem, and averages in shortcuts. Arguments as `ResNet`."""

    def __init__(self, depth: int, **kwargs: Any) -> None:
        super().__init__(depth, deep_stem=True, avg_down=True, **kwargs)


@MODELS.register_module(name="ResNet", scope="mmdet")
class DetectionResNet(ResNet):
    """ResNet with the defaults of MMDetection: all four maps, batch norms at rest.

    Args:
        depth: 18, 34, 50, 101 or 152.
        in_channels, stem_channels, base_channels: as `ResNet`; the stem follows the base.
        **kwargs: as `ResNet`; and `pretrained`, a file that weights start from.

    Raises:
        ConfigError: `dcn` or `plugins`, which only MMDetection has.
    """

    def __init__(
        self,
        depth: int,
        in_channels: int = 3,
        stem_channels: int | None = None,
        base_channels: int = 64,
        **kwargs: Any,
    ) -> None:
        foreign = [n for n in ("dcn", "plugins") if kwargs.get(n)]
        if foreign:
            raise ConfigError(
                f"mmdet.ResNet has no {', '.join(foreign)} here; leave it out, or use mmpose.ResNet"
            )
        for name in ("dcn", "stage_with_dcn", "plugins"):
            kwargs.pop(name, None)
        kwargs = {"out_indices": (0, 1, 2, 3), "norm_eval": True, **kwargs}
        kwargs["init_cfg"] = start_of(kwargs.get("init_cfg"), kwargs.pop("pretrained", None))
        super().__init__(
            depth, in_channels, stem_channels or base_channels, base_channels, **kwargs
        )
        if kwargs.get("avg_down", False):
            self._name_shortcuts()

    def _make_stem_layer(self, in_channels: int, stem_channels: int, kernel_size: int) -> None:
        """Create the layers down to stride 4; a deep stem is one row of them."""
        super()._make_stem_layer(in_channels, stem_channels, kernel_size)
        if self.deep_stem:
            units: Any = self.stem
            self.stem = nn.Sequential(
                *(part for unit in units for part in (unit.conv, unit.norm, unit.activate))
            )

    def _name_shortcuts(self) -> None:
        """Number the layers of shortcuts as if each began with an average."""
        for name in self.res_layers:
            shortcut = getattr(self, name)[0].downsample
            if shortcut is not None and not isinstance(shortcut[0], nn.AvgPool2d):
                shortcut.insert(0, nn.Identity())
