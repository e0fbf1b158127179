"""YOLOv3: backbone, neck and head (Redmon 2018, arXiv 1804.02767)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise.errors import ConfigError, UnknownNameError
from poise.layers import BaseModule, Conv2d, ConvModule
from poise.layers.paths import check_maps
from poise.models.backbones.base import (
    BaseBackbone,
    check_out_indices,
    freeze,
    maps_behind,
    start_of,
)
from poise.models.detectors.dense import DenseBoxHead, best_of
from poise.models.detectors.region_proposals import per_anchor
from poise.registry import MODELS, TASK_UTILS

__all__ = ["Darknet", "YOLOV3Head", "YOLOV3Neck"]

Config = Mapping[str, Any]

BN: Config = {"type": "BN", "requires_grad": True}
BOX_CODER: Config = {"type": "mmdet.YOLOBBoxCoder"}
LEAKY: Config = {"type": "LeakyReLU", "negative_slope": 0.1}
NORMAL: Config = {"type": "Normal", "layer": "Conv2d", "std": 0.01}
ANCHORS: Config = {
    "type": "mmdet.YOLOAnchorGenerator",
    "base_sizes": [
        [(116, 90), (156, 198), (373, 326)],
        [(30, 61), (62, 45), (59, 119)],
        [(10, 13), (16, 30), (33, 23)],
    ],
    "strides": [32, 16, 8],
}
STEM_CHANNELS = 32


class _ResBlock(BaseModule):
    """Halve the channels, filter, and add the input: (B, C, H, W) -> the same."""

    def __init__(self, channels: int, **cfgs: Any) -> None:
        super().__init__()
        self.conv1 = ConvModule(channels, channels // 2, 1, **cfgs)
        self.conv2 = ConvModule(channels // 2, channels, 3, padding=1, **cfgs)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(self.conv1(x))


@MODELS.register_module(scope="mmdet")
class Darknet(BaseBackbone):
    """Darknet-53: (B, 3, H, W) -> maps at strides 1 to 32.

    Args:
        depth: 53.
        out_indices: layers whose maps are returned: 0 the stem, 1 to 5 the stages.
        frozen_stages: layers without training, the stem included; -1 for none.
        conv_cfg, norm_cfg, act_cfg: for all layers.
        pretrained: a file that weights start from, where `init_cfg` does not say it.

    Raises:
        UnknownNameError: no network of this depth.
    """

    #: depth -> blocks of each stage
    arch_settings: Mapping[int, tuple[int, ...]] = {53: (1, 2, 8, 8, 4)}

    def __init__(
        self,
        depth: int = 53,
        out_indices: Sequence[int] = (3, 4, 5),
        frozen_stages: int = -1,
        conv_cfg: Config | None = None,
        norm_cfg: Config = BN,
        act_cfg: Config = LEAKY,
        norm_eval: bool = True,
        pretrained: str | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(start_of(init_cfg, pretrained))
        if depth not in self.arch_settings:
            known = ", ".join(map(str, self.arch_settings))
            raise UnknownNameError(f"invalid depth {depth} for Darknet; there are {known}")
        blocks = self.arch_settings[depth]
        check_out_indices(out_indices, len(blocks) + 1)
        self.out_indices, self.norm_eval = out_indices, norm_eval
        self.frozen_stages = frozen_stages
        cfgs = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}
        self.conv1 = ConvModule(3, STEM_CHANNELS, 3, padding=1, **cfgs)
        self.cr_blocks = ["conv1"]
        width = STEM_CHANNELS
        for number, count in enumerate(blocks, start=1):
            stage = nn.Sequential()
            stage.add_module("conv", ConvModule(width, 2 * width, 3, stride=2, padding=1, **cfgs))
            width *= 2
            for i in range(count):
                stage.add_module(f"res{i}", _ResBlock(width, **cfgs))
            self.cr_blocks.append(f"conv_res_block{number}")
            self.add_module(self.cr_blocks[-1], stage)

    def _freeze_stages(self) -> None:
        freeze(getattr(self, name) for name in self.cr_blocks[: max(self.frozen_stages, 0)])

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> a map for each of `out_indices`."""
        return maps_behind([getattr(self, name) for name in self.cr_blocks], x, self.out_indices)


class _Block(BaseModule):
    """Five convolutions, narrow and wide in turn: (B, C, H, W) -> (B, C', H, W)."""

    def __init__(self, in_channels: int, out_channels: int, **cfgs: Any) -> None:
        super().__init__()
        wide = 2 * out_channels
        self.conv1 = ConvModule(in_channels, out_channels, 1, **cfgs)
        self.conv2 = ConvModule(out_channels, wide, 3, padding=1, **cfgs)
        self.conv3 = ConvModule(wide, out_channels, 1, **cfgs)
        self.conv4 = ConvModule(out_channels, wide, 3, padding=1, **cfgs)
        self.conv5 = ConvModule(wide, out_channels, 1, **cfgs)

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4, self.conv5):
            x = layer(x)
        return x


@MODELS.register_module(scope="mmdet")
class YOLOV3Neck(BaseModule):
    """Coarse maps beside finer ones: maps, finest first -> maps, coarsest first.

    Args:
        num_scales: maps.
        in_channels, out_channels: of each map, coarsest first.
        conv_cfg, norm_cfg, act_cfg: for all layers.

    Raises:
        ConfigError: lists of another length than `num_scales`.
    """

    def __init__(
        self,
        num_scales: int,
        in_channels: Sequence[int],
        out_channels: Sequence[int],
        conv_cfg: Config | None = None,
        norm_cfg: Config = BN,
        act_cfg: Config = LEAKY,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        if not num_scales == len(in_channels) == len(out_channels):
            raise ConfigError(
                "YOLOV3Neck: in_channels and out_channels should have num_scales="
                f"{num_scales} numbers, got {in_channels} and {out_channels}"
            )
        self.in_channels = in_channels
        cfgs = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}
        self.detect1 = _Block(in_channels[0], out_channels[0], **cfgs)
        for i in range(1, num_scales):
            width = out_channels[i]
            self.add_module(f"conv{i}", ConvModule(out_channels[i - 1], width, 1, **cfgs))
            self.add_module(f"detect{i + 1}", _Block(in_channels[i] + width, width, **cfgs))

    def forward(self, feats: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Maps (B, C, H, W), finest first -> (B, C', H, W), coarsest first."""
        check_maps(self, feats, len(self.in_channels))
        outs = [self.detect1(feats[-1])]
        for i, finer in enumerate(reversed(feats[:-1]), start=1):
            coarse = F.interpolate(getattr(self, f"conv{i}")(outs[-1]), scale_factor=2)
            outs.append(getattr(self, f"detect{i + 1}")(torch.cat((coarse, finer), 1)))
        return tuple(outs)


@MODELS.register_module(scope="mmdet")
class YOLOV3Head(DenseBoxHead):
    """Box, objectness and class logits of each anchor; for prediction.

    Args:
        num_classes: classes C.
        in_channels: channels of each map, coarsest first.
        out_channels: channels before the last convolution of each map.
        anchor_generator, bbox_coder: configs or objects.
        featmap_strides: of the maps, pixels.
        conv_cfg, norm_cfg, act_cfg: for all layers but the last.
        one_hot_smoother, loss_cls, loss_conf, loss_xy, loss_wh, train_cfg: kept for configs; they
            are about training.
        test_cfg: `conf_thr` (smallest objectness), `score_thr`, `nms_pre`, `min_bbox_size`, `nms`,
            `max_per_img`.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: Sequence[int],
        out_channels: Sequence[int] = (1024, 512, 256),
        anchor_generator: Any = ANCHORS,
        bbox_coder: Any = BOX_CODER,
        featmap_strides: Sequence[int] = (32, 16, 8),
        one_hot_smoother: float = 0.0,
        conv_cfg: Config | None = None,
        norm_cfg: Config = BN,
        act_cfg: Config = LEAKY,
        loss_cls: Any = None,
        loss_conf: Any = None,
        loss_xy: Any = None,
        loss_wh: Any = None,
        train_cfg: Config | None = None,
        test_cfg: Config | None = None,
    ) -> None:
        super().__init__(test_cfg=test_cfg, init_cfg=NORMAL)
        self.num_classes, self.featmap_strides = num_classes, featmap_strides
        self.prior_generator = TASK_UTILS.build(anchor_generator)
        self.bbox_coder = TASK_UTILS.build(bbox_coder)
        cfgs = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}
        #: channels of an anchor: box, objectness, classes
        self.num_attrib = 5 + num_classes
        anchors = self.prior_generator.num_base_priors
        shapes = list(zip(in_channels, out_channels, anchors, strict=True))
        self.convs_bridge = nn.ModuleList(
            ConvModule(i, o, 3, padding=1, **cfgs) for i, o, _ in shapes
        )
        self.convs_pred = nn.ModuleList(Conv2d(o, a * self.num_attrib, 1) for _, o, a in shapes)

    def forward(self, x: Sequence[Tensor]) -> tuple[tuple[Tensor, ...]]:
        """Maps (B, C', H, W), coarsest first -> a tuple with raw maps (B, A * (5 + C), H, W)."""
        levels = zip(self.convs_bridge, self.convs_pred, x, strict=True)
        return (tuple(last(bridge(level)) for bridge, last, level in levels),)

    def candidates(
        self, outputs: Any, metas: Sequence[Mapping[str, Any]]
    ) -> list[tuple[Tensor, Tensor, Tensor]]:
        """The surest `nms_pre` with a class above `score_thr`; a score is class times objectness.

        The thresholds are those of class and objectness alone, as in MMDetection.
        """
        (maps,) = outputs
        sizes = [level.shape[-2:] for level in maps]
        anchors = torch.cat(self.prior_generator.grid_priors(sizes, maps[0].dtype, maps[0].device))
        rows = [per_anchor(level, self.num_attrib) for level in maps]
        strides = torch.cat(
            [anchors.new_full((level.shape[1], 1), stride)
             for level, stride in zip(rows, self.featmap_strides, strict=True)]
        )  # fmt: skip
        raw = torch.cat(rows, dim=1)
        moves = torch.cat([raw[..., :2].sigmoid(), raw[..., 2:4]], dim=-1)
        boxes = self.bbox_coder.decode(anchors, moves, strides)
        objectness, scores = raw[..., 4].sigmoid(), raw[..., 5:].sigmoid()
        limits = self.test_cfg.get("score_thr", 0), self.test_cfg.get("nms_pre", -1)
        there = objectness >= self.test_cfg.get("conf_thr", -1)
        found = []
        for i in range(len(metas)):
            places = there[i].nonzero().squeeze(1)
            best, index, labels = best_of(scores[i, places], *limits)
            chosen = places[index]
            found.append((boxes[i, chosen], best * objectness[i, chosen], labels))
        return found
