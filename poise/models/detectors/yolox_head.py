"""YOLOX's head: class, objectness and box in separate branches (Ge 2021, arXiv 2107.08430)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from poise.layers.csp import SWISH, YOLO_BN, conv_class
from poise.losses.detection import full_precision
from poise.models.backbones.csp import YOLO_INIT
from poise.models.detectors.dense import GRID, DenseBoxHead
from poise.models.detectors.targets import assign_boxes
from poise.models.heads.dense import (
    boxes_of,
    flatten,
    on_each,
    output_convs,
    points_of,
    raw_boxes_of,
    start_rare,
)
from poise.registry import MODELS, TASK_UTILS

__all__ = ["YOLOXHead"]

Config = Mapping[str, Any]

#: losses of a head whose config says nothing: of classes and objectness, boxes, raw boxes
SCORES: Config = {"type": "mmdet.CrossEntropyLoss", "use_sigmoid": True, "reduction": "sum"}
BOXES: Config = {
    "type": "mmdet.IoULoss",
    "mode": "square",
    "eps": 1e-16,
    "reduction": "sum",
    "loss_weight": 5.0,
}
RAW_BOXES: Config = {"type": "mmdet.L1Loss", "reduction": "sum"}


@MODELS.register_module(scope="mmdet")
class YOLOXHead(DenseBoxHead):
    """Class logits, a box and its objectness at every point; the best class names the box.

    Args:
        num_classes: classes C.
        in_channels: channels of all feature maps.
        feat_channels: channels of the branches.
        stacked_convs: 3x3 convolutions of each branch.
        strides: of the feature maps, pixels.
        use_depthwise: depthwise separable convolutions.
        dcn_on_last_conv: make the last convolution of each branch a deformable one.
        conv_bias: True, False or "auto".
        conv_cfg, norm_cfg, act_cfg: for all layers.
        loss_cls: of the classes at positive points; config or module, as all losses.
        loss_bbox: of the boxes.
        loss_obj: of whether an object is there.
        loss_l1: of the raw outputs for boxes, in the last epochs.
        train_cfg: `assigner`, an object or a config.
        test_cfg: `score_thr`, `nms`, `max_per_img`.

    Attributes:
        use_l1: whether `loss_l1` counts; `mmdet.YOLOXModeSwitchHook` sets it.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        feat_channels: int = 256,
        stacked_convs: int = 2,
        strides: Sequence[int] = (8, 16, 32),
        use_depthwise: bool = False,
        dcn_on_last_conv: bool = False,
        conv_bias: bool | str = "auto",
        conv_cfg: Config | None = None,
        norm_cfg: Config = YOLO_BN,
        act_cfg: Config = SWISH,
        loss_cls: Any = SCORES,
        loss_bbox: Any = BOXES,
        loss_obj: Any = SCORES,
        loss_l1: Any = RAW_BOXES,
        train_cfg: Config | None = None,
        test_cfg: Config | None = None,
        init_cfg: Any = YOLO_INIT,
    ) -> None:
        super().__init__(train_cfg, test_cfg, init_cfg)
        self.loss_cls, self.loss_bbox = MODELS.build(loss_cls), MODELS.build(loss_bbox)
        self.loss_obj, self.loss_l1 = MODELS.build(loss_obj), MODELS.build(loss_l1)
        self.use_l1 = False
        self.num_classes = num_classes
        self.in_channels, self.feat_channels = in_channels, feat_channels
        self.prior_generator = TASK_UTILS.build({**GRID, "strides": list(strides)})
        conv = conv_class(use_depthwise)
        plain = {"norm_cfg": norm_cfg, "act_cfg": act_cfg, "bias": conv_bias}

        def branch() -> nn.Sequential:
            layers = []
            for i in range(stacked_convs):
                deformable = dcn_on_last_conv and i == stacked_convs - 1
                kind = {"type": "DCNv2"} if deformable else conv_cfg
                width = feat_channels if i else in_channels
                layers.append(conv(width, feat_channels, 3, padding=1, conv_cfg=kind, **plain))
            return nn.Sequential(*layers)

        def outputs(channels: int) -> nn.ModuleList:
            return output_convs(feat_channels, channels, len(strides))

        self.multi_level_cls_convs = nn.ModuleList(branch() for _ in strides)
        self.multi_level_reg_convs = nn.ModuleList(branch() for _ in strides)
        self.multi_level_conv_cls = outputs(num_classes)
        self.multi_level_conv_reg = outputs(4)
        self.multi_level_conv_obj = outputs(1)

    def init_weights(self) -> None:
        """Start with a small probability of an object everywhere."""
        super().init_weights()
        start_rare((*self.multi_level_conv_cls, *self.multi_level_conv_obj))

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Raw maps.

        Args:
            x: feature maps (B, C', H, W), finest first.

        Returns:
            Class logits (B, C, H, W), boxes (B, 4, H, W: centre from the point and logarithm of
            the size, in strides), and objectness logits (B, 1, H, W), of each level.
        """
        sides = on_each(self.multi_level_reg_convs, x)
        return (
            on_each(self.multi_level_conv_cls, on_each(self.multi_level_cls_convs, x)),
            on_each(self.multi_level_conv_reg, sides),
            on_each(self.multi_level_conv_obj, sides),
        )

    def loss(self, x: Sequence[Tensor], batch_data_samples: Sequence[Any]) -> dict[str, Tensor]:
        """Losses of class, box, objectness and, at last, raw boxes, one a positive point.

        Args:
            x: feature maps (B, C', H, W), finest first.
            batch_data_samples: B samples; `gt_instances` has `bboxes` (N, 4) xyxy, input space,
                and `labels` (N,).
        """
        maps = self(x)
        points = points_of(self.prior_generator, maps[0], torch.float32)
        places, strides = points[:, :2], points[:, 2:]
        logits, raw, objectness = (full_precision(flatten(level)) for level in maps)
        boxes = boxes_of(raw, places, strides)
        scores = (logits.detach().sigmoid() * objectness.detach().sigmoid()).nan_to_num().sqrt()
        # boxes start at a cell's corner; whose point it is, its middle decides
        middles = torch.cat([places + strides / 2, strides], dim=-1)
        targets = assign_boxes(self.assigner, scores, boxes.detach(), middles, batch_data_samples)
        total, chosen = targets.count(), targets.chosen
        there = targets.positive.flatten().to(objectness.dtype)[:, None]
        losses = {
            "loss_cls": self.loss_cls(chosen(logits), targets.scores(self.num_classes)),
            "loss_bbox": self.loss_bbox(chosen(boxes), targets.bboxes),
            "loss_obj": self.loss_obj(objectness.flatten(0, 1), there),
        }
        if self.use_l1:
            wanted = raw_boxes_of(targets.bboxes, targets.points(points))
            losses["loss_l1"] = self.loss_l1(chosen(raw), wanted)
        return {name: loss / total for name, loss in losses.items()}

    def candidates(
        self, outputs: Any, metas: Sequence[Mapping[str, Any]]
    ) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Points whose best class times objectness reaches `score_thr`."""
        points = points_of(self.prior_generator, outputs[0])
        logits, raw, objectness = map(flatten, outputs)
        best, labels = logits.sigmoid().max(dim=-1)
        scores = best * objectness.sigmoid()[..., 0]
        boxes = boxes_of(raw, points[:, :2], points[:, 2:])
        chosen = scores >= self.test_cfg.get("score_thr", 0)
        return [(boxes[i, rows], scores[i, rows], labels[i, rows]) for i, rows in enumerate(chosen)]

    def to_image_space(self, boxes: Tensor, scale_factor: Sequence[float]) -> Tensor:
        """As of other heads, but rounded as MMDetection's YOLOX does."""
        return boxes / boxes.new_tensor(scale_factor).repeat(2)
