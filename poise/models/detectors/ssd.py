"""SSDLite: further maps below a backbone, and anchors on all of them.

Liu 2016, "SSD", arXiv 1512.02325; Sandler 2018, "MobileNetV2", arXiv 1801.04381, section 6.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from poise.errors import ConfigError
from poise.layers import BaseModule, Conv2d, ConvModule
from poise.layers.csp import conv_class
from poise.models.detectors.region_proposals import DELTAS, AnchorHead
from poise.models.heads.dense import on_each
from poise.registry import MODELS

__all__ = ["SSDHead", "SSDNeck"]

Config = Mapping[str, Any]

RELU: Config = {"type": "ReLU"}
XAVIER: Config = {"type": "Xavier", "layer": "Conv2d", "distribution": "uniform"}
NECK_INIT: list[Config] = [XAVIER, {"type": "Constant", "val": 1, "layer": "BatchNorm2d"}]


@MODELS.register_module(scope="mmdet")
class SSDNeck(BaseModule):
    """Coarser and coarser maps after those of a backbone.

    Args:
        in_channels: channels of the backbone's maps, finest first.
        out_channels: channels of all maps; they begin with `in_channels`.
        level_strides, level_paddings: of the second convolution before each further map.
        l2_norm_scale: None; SSD300 and SSD512, which scale the first map, are not here.
        last_kernel_size: of the second convolution before the last map; 3 before others.
        use_depthwise: make the second convolutions depthwise separable.
        conv_cfg, norm_cfg, act_cfg: for all layers.

    Raises:
        ConfigError: channels, strides and paddings do not fit, or a scaled first map.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: Sequence[int],
        level_strides: Sequence[int],
        level_paddings: Sequence[int],
        l2_norm_scale: float | None = 20.0,
        last_kernel_size: int = 3,
        use_depthwise: bool = False,
        conv_cfg: Config | None = None,
        norm_cfg: Config | None = None,
        act_cfg: Config = RELU,
        init_cfg: Any = NECK_INIT,
    ) -> None:
        super().__init__(init_cfg)
        if l2_norm_scale:
            raise ConfigError(
                f"SSDNeck is that of SSDLite: expected l2_norm_scale=None, got {l2_norm_scale}"
            )
        begin = len(in_channels)
        more = len(out_channels) - begin
        if list(out_channels[:begin]) != list(in_channels) or not (
            more == len(level_strides) == len(level_paddings) > 0
        ):
            raise ConfigError(
                "SSDNeck: out_channels should begin with in_channels, and level_strides and "
                "level_paddings have a number for each further map; got "
                f"{in_channels=}, {out_channels=}, {level_strides=}, {level_paddings=}"
            )
        cfgs = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}
        conv = conv_class(use_depthwise)
        self.extra_layers = nn.ModuleList()
        before = in_channels[-1]
        for i, channels in enumerate(out_channels[begin:]):
            size = last_kernel_size if i == more - 1 else 3
            shape = {"stride": level_strides[i], "padding": level_paddings[i]}
            self.extra_layers.append(
                nn.Sequential(
                    ConvModule(before, channels // 2, 1, **cfgs),
                    conv(channels // 2, channels, size, **shape, **cfgs),
                )
            )
            before = channels

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Maps (B, C, H, W), finest first -> the same and further ones."""
        outs = list(inputs)
        for layer in self.extra_layers:
            outs.append(layer(outs[-1]))
        return tuple(outs)


@MODELS.register_module(scope="mmdet")
class SSDHead(AnchorHead):
    """Class logits and moves of anchors on every map; for prediction.

    Args:
        num_classes: classes; there is one more for nothing, the last one.
        in_channels: channels of each map.
        stacked_convs: 3x3 convolutions before the outputs.
        feat_channels: their channels.
        use_depthwise: depthwise separable convolutions.
        conv_cfg, norm_cfg, act_cfg: for all layers but the last.
        anchor_generator, bbox_coder: configs or objects.
        reg_decoded_bbox, train_cfg: kept for configs; they are about training.
        test_cfg: `score_thr`, `nms_pre`, `min_bbox_size`, `nms`, `max_per_img`.
    """

    def __init__(
        self,
        num_classes: int = 80,
        in_channels: Sequence[int] = (512, 1024, 512, 256, 256, 256),
        stacked_convs: int = 0,
        feat_channels: int = 256,
        use_depthwise: bool = False,
        conv_cfg: Config | None = None,
        norm_cfg: Config | None = None,
        act_cfg: Config | None = None,
        anchor_generator: Any = None,
        bbox_coder: Any = DELTAS,
        reg_decoded_bbox: bool = False,
        train_cfg: Config | None = None,
        test_cfg: Config | None = None,
        init_cfg: Any = XAVIER,
    ) -> None:
        if anchor_generator is None:
            raise ConfigError(
                "SSDHead needs anchor_generator=dict(type='SSDAnchorGenerator', ...) with the "
                "sizes of its anchors"
            )
        super().__init__(
            num_classes,
            use_sigmoid=False,
            anchor_generator=anchor_generator,
            bbox_coder=bbox_coder,
            test_cfg=test_cfg,
            init_cfg=init_cfg,
        )
        conv = conv_class(use_depthwise)
        cfgs = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}

        def branch(width: int, channels: int) -> nn.Sequential:
            layers: list[nn.Module] = []
            for _ in range(stacked_convs):
                layers.append(conv(width, feat_channels, 3, padding=1, **cfgs))
                width = feat_channels
            if use_depthwise:
                layers.append(ConvModule(width, width, 3, padding=1, groups=width, **cfgs))
            size = 1 if use_depthwise else 3
            return nn.Sequential(*layers, Conv2d(width, channels, size, padding=size // 2))

        levels = list(zip(in_channels, self.prior_generator.num_base_priors, strict=True))
        size = self.bbox_coder.encode_size
        self.cls_convs = nn.ModuleList(branch(c, a * self.cls_out_channels) for c, a in levels)
        self.reg_convs = nn.ModuleList(branch(c, a * size) for c, a in levels)

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Raw maps.

        Args:
            x: feature maps (B, C', H, W), finest first.

        Returns:
            Class logits (B, A * (C + 1), H, W) and moves (B, A * 4, H, W) of each level.
        """
        return on_each(self.cls_convs, x), on_each(self.reg_convs, x)
