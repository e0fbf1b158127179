"""RTMDet's head: convolutions shared by all levels, batch statistics of each level's own.

Lyu 2022, "RTMDet", arXiv 2212.07784, section 3.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from poise.errors import ConfigError
from poise.layers import normal_init
from poise.layers.csp import SILU, YOLO_BN, conv_class
from poise.losses.detection import full_precision
from poise.models.detectors.dense import (
    GIOU_BOXES,
    GRID,
    QUALITY_SCORES,
    DenseBoxHead,
)
from poise.models.detectors.targets import assign_boxes, in_pictures, quality_losses
from poise.models.heads.dense import flatten, points_of, start_rare
from poise.registry import MODELS, TASK_UTILS

__all__ = ["RTMDetSepBNHead"]

Config = Mapping[str, Any]

#: probabilities nearer to 0 or 1 than this have no finite logit in MMDetection
_NEAREST = 1e-5


@MODELS.register_module(scope="mmdet")
class RTMDetSepBNHead(DenseBoxHead):
    """Class scores and the distances to the sides of a box, at every point.

    Args:
        num_classes: classes C.
        in_channels: channels of all feature maps.
        share_conv: one set of 3x3 convolutions for all maps.
        use_depthwise: depthwise separable convolutions; they cannot be shared.
        norm_cfg, act_cfg, conv_cfg: for all layers.
        pred_kernel_size: of the last convolutions.
        exp_on_reg: distances are the exponential of the output.
        with_objectness: multiply scores with those of an objectness branch.
        stacked_convs: 3x3 convolutions of each branch.
        feat_channels: their channels.
        anchor_generator: config or object, of the points.
        bbox_coder: config or object, distances -> boxes.
        loss_cls: of the scores; config or module, as all losses.
        loss_bbox: of the boxes.
        loss_centerness, reg_decoded_bbox: kept for configs.
        train_cfg: `assigner`, an object or a config, and `pos_weight`, the factor of what
            positive points add to the loss of scores (1 where it is 0 or less).
        test_cfg: `score_thr`, `nms_pre`, `min_bbox_size`, `nms`, `max_per_img`.

    Raises:
        ConfigError: depthwise convolutions that should be shared.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        share_conv: bool = True,
        use_depthwise: bool = False,
        norm_cfg: Config = YOLO_BN,
        act_cfg: Config = SILU,
        pred_kernel_size: int = 1,
        exp_on_reg: bool = False,
        *,
        with_objectness: bool = True,
        stacked_convs: int = 4,
        feat_channels: int = 256,
        conv_cfg: Config | None = None,
        anchor_generator: Any = GRID,
        bbox_coder: Any = {"type": "mmdet.DistancePointBBoxCoder"},  # noqa: B006 (never changed)
        loss_cls: Any = QUALITY_SCORES,
        loss_bbox: Any = GIOU_BOXES,
        loss_centerness: Any = None,
        reg_decoded_bbox: bool = True,
        train_cfg: Config | None = None,
        test_cfg: Config | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(train_cfg, test_cfg, init_cfg)
        if share_conv and use_depthwise:
            raise ConfigError(
                "RTMDetSepBNHead cannot share depthwise convolutions between levels; set "
                "share_conv=False or use_depthwise=False"
            )
        self.num_classes = num_classes
        self.in_channels, self.feat_channels = in_channels, feat_channels
        self.with_objectness, self.exp_on_reg = with_objectness, exp_on_reg
        self.loss_cls, self.loss_bbox = MODELS.build(loss_cls), MODELS.build(loss_bbox)
        self.prior_generator = TASK_UTILS.build(anchor_generator)
        self.bbox_coder = TASK_UTILS.build(bbox_coder)
        levels = range(len(self.prior_generator.strides))
        conv = conv_class(use_depthwise)
        cfgs = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}

        def branch() -> nn.ModuleList:
            widths = [in_channels, *[feat_channels] * (stacked_convs - 1)][:stacked_convs]
            return nn.ModuleList(conv(w, feat_channels, 3, padding=1, **cfgs) for w in widths)

        def outputs(channels: int) -> nn.ModuleList:
            size, border = pred_kernel_size, pred_kernel_size // 2
            return nn.ModuleList(
                nn.Conv2d(feat_channels, channels, size, padding=border) for _ in levels
            )

        self.cls_convs = nn.ModuleList(branch() for _ in levels)
        self.reg_convs = nn.ModuleList(branch() for _ in levels)
        self.rtm_cls = outputs(num_classes)
        self.rtm_reg = outputs(4)
        if with_objectness:
            self.rtm_obj = outputs(1)
        if share_conv:
            for branches in (self.cls_convs, self.reg_convs):
                _share_convolutions(branches)

    def init_weights(self) -> None:
        """Start near zero, with a small probability of every class everywhere."""
        super().init_weights()
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                normal_init(module, std=0.01)
        start_rare((*self.rtm_cls, *(self.rtm_obj if self.with_objectness else ())))

    def forward(self, feats: Sequence[Tensor]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Raw maps.

        Args:
            feats: feature maps (B, C', H, W), finest first.

        Returns:
            Class logits (B, C, H, W) of each level, and distances (B, 4, H, W) to the left,
            upper, right and lower side in pixels of the input.
        """
        scores, distances = [], []
        for level, (x, stride) in enumerate(zip(feats, self.prior_generator.strides, strict=True)):
            classes = sides = x
            for to_classes, to_sides in zip(
                self.cls_convs[level],  # type: ignore[call-overload]
                self.reg_convs[level],
                strict=True,
            ):
                classes, sides = to_classes(classes), to_sides(sides)
            score = self.rtm_cls[level](classes)
            if self.with_objectness:
                score = _mean_logit(score, self.rtm_obj[level](sides))
            reach = self.rtm_reg[level](sides)
            distances.append((reach.exp() if self.exp_on_reg else reach) * stride[0])
            scores.append(score)
        return tuple(scores), tuple(distances)

    def loss(self, x: Sequence[Tensor], batch_data_samples: Sequence[Any]) -> dict[str, Tensor]:
        """Losses of scores (`loss_cls`) and boxes (`loss_bbox`), by the sum of overlaps.

        Args:
            x: feature maps (B, C', H, W), finest first.
            batch_data_samples: B samples; `gt_instances` has `bboxes` (N, 4) xyxy, input space,
                and `labels` (N,); points beyond `pad_shape` learn nothing.
        """
        maps, distances = self(x)
        points = points_of(self.prior_generator, maps, torch.float32)
        logits = full_precision(flatten(maps))
        boxes = self.bbox_coder.decode(points[:, :2], full_precision(flatten(distances)))
        valid = in_pictures(points, batch_data_samples)
        targets = assign_boxes(
            self.assigner, logits.detach(), boxes.detach(), points, batch_data_samples, valid
        )
        weights = valid.to(logits.dtype)
        if (factor := self.train_cfg.get("pos_weight", -1)) > 0:
            weights[targets.positive] = factor
        return quality_losses(self.loss_cls, self.loss_bbox, logits, boxes, targets, weights)

    def candidates(
        self, outputs: Any, metas: Sequence[Mapping[str, Any]]
    ) -> list[tuple[Tensor, Tensor, Tensor]]:
        """The best of each level, `nms_pre` at most, with a score above `score_thr`.

        A point may give several boxes, one for each class that it scores.
        """
        logits, distances = outputs
        sizes = [level.shape[-2:] for level in logits]
        points = self.prior_generator.grid_priors(sizes, logits[0].dtype, logits[0].device)
        scores = [flatten([level]).sigmoid() for level in logits]
        return self.best_of_levels(scores, points, [flatten([d]) for d in distances], metas)


def _share_convolutions(branches: nn.ModuleList) -> None:
    """Let all levels use the convolutions of the first one; norms stay their own."""
    first: Any = branches[0]
    for branch in branches[1:]:
        for own, shared in zip(branch, first, strict=True):  # type: ignore[call-overload]
            own.conv = shared.conv


def _mean_logit(scores: Tensor, objectness: Tensor) -> Tensor:
    """Logit of the geometric mean of two probabilities that are given as logits."""
    product = full_precision(scores).sigmoid() * full_precision(objectness).sigmoid()
    # a root of zero has no slope; what is cut off here is cut off below anyway
    mean = product.clamp(min=_NEAREST**2 / 2).sqrt()
    logit = torch.log(mean.clamp(min=_NEAREST) / (1 - mean).clamp(min=_NEAREST))
    return logit.to(scores.dtype)
