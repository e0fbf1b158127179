"""Heads over anchors, and the first stage of the R-CNNs: places that may hold an object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poise.errors import ConfigError
from poise.layers import Conv2d, ConvModule
from poise.models.detectors.dense import DenseBoxHead, best_of
from poise.registry import MODELS, TASK_UTILS

__all__ = ["AnchorHead", "RPNHead"]

Config = Mapping[str, Any]

#: scores are probabilities of their own, not shares of one
SIGMOID: Config = {"type": "mmdet.CrossEntropyLoss", "use_sigmoid": True}
ANCHORS: Config = {
    "type": "mmdet.AnchorGenerator",
    "scales": [8, 16, 32],
    "ratios": [0.5, 1.0, 2.0],
    "strides": [4, 8, 16, 32, 64],
}
DELTAS: Config = {"type": "mmdet.DeltaXYWHBBoxCoder"}
NORMAL: Config = {"type": "Normal", "layer": "Conv2d", "std": 0.01}


class AnchorHead(DenseBoxHead):
    """A head that moves anchors; for prediction.

    Subclasses add layers, and give in `forward` class logits (B, A * C, H, W) and moves
    (B, A * 4, H, W) of each level.

    Args:
        num_classes: classes.
        use_sigmoid: each class has a probability of its own; else there is a class for nothing,
            the last one.
        anchor_generator, bbox_coder: configs or objects.
        test_cfg: `score_thr`, `nms_pre`, `min_bbox_size`, `nms`, `max_per_img`.

    Attributes:
        cls_out_channels: classes C, with the one for nothing.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        use_sigmoid: bool,
        anchor_generator: Any,
        bbox_coder: Any,
        test_cfg: Config | None,
        init_cfg: Any,
    ) -> None:
        super().__init__(test_cfg=test_cfg, init_cfg=init_cfg)
        self.num_classes, self.use_sigmoid_cls = num_classes, use_sigmoid
        self.cls_out_channels = num_classes if use_sigmoid else num_classes + 1
        self.prior_generator = TASK_UTILS.build(anchor_generator)
        self.bbox_coder = TASK_UTILS.build(bbox_coder)

    def anchors(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Anchors (P, 4) of each level, input space."""
        sizes = [level.shape[-2:] for level in maps]
        found: list[Tensor] = self.prior_generator.grid_priors(sizes, maps[0].dtype, maps[0].device)
        return found

    def scores(self, maps: Tensor) -> Tensor:
        """Probabilities (B, P, classes) of logits (B, A * C, H, W)."""
        logits = per_anchor(maps, self.cls_out_channels)
        return logits.sigmoid() if self.use_sigmoid_cls else logits.softmax(-1)[..., :-1]

    def candidates(
        self, outputs: Any, metas: Sequence[Mapping[str, Any]]
    ) -> list[tuple[Tensor, Tensor, Tensor]]:
        """The best of each level, `nms_pre` at most, with a score above `score_thr`."""
        logits, moves = outputs
        return self.best_of_levels(
            [self.scores(level) for level in logits],
            self.anchors(logits),
            [per_anchor(level, self.bbox_coder.encode_size) for level in moves],
            metas,
        )


def per_anchor(maps: Tensor, channels: int) -> Tensor:
    """Maps (B, A * C, H, W) as rows (B, H * W * A, C), as anchors are ordered."""
    return maps.permute(0, 2, 3, 1).flatten(1).unflatten(1, (-1, channels))


@MODELS.register_module(scope="mmdet")
class RPNHead(AnchorHead):
    """Region proposal network: a score of "something" and a move for each anchor (Ren 2015).

    Args:
        in_channels: channels of the feature maps.
        num_classes: 1.
        num_convs: 3x3 convolutions before the outputs.
        feat_channels: their channels.
        anchor_generator, bbox_coder: configs or objects.
        loss_cls: says by `use_sigmoid` what scores are.
        reg_decoded_bbox, loss_bbox, train_cfg: kept for configs; they are about training.
        test_cfg: `nms_pre`, `min_bbox_size`, `nms`, `max_per_img`.

    Raises:
        ConfigError: more classes.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int = 1,
        init_cfg: Any = NORMAL,
        num_convs: int = 1,
        feat_channels: int = 256,
        *,
        anchor_generator: Any = ANCHORS,
        bbox_coder: Any = DELTAS,
        reg_decoded_bbox: bool = False,
        loss_cls: Config = SIGMOID,
        loss_bbox: Any = None,
        train_cfg: Config | None = None,
        test_cfg: Config | None = None,
    ) -> None:
        if num_classes != 1:
            raise ConfigError(f"RPNHead finds things of one class, got num_classes={num_classes}")
        super().__init__(
            num_classes,
            use_sigmoid=loss_cls.get("use_sigmoid", False),
            anchor_generator=anchor_generator,
            bbox_coder=bbox_coder,
            test_cfg=test_cfg,
            init_cfg=init_cfg,
        )
        widths = [in_channels, *[feat_channels] * (num_convs - 1)]
        if num_convs > 1:
            self.rpn_conv: nn.Module = nn.Sequential(
                *(ConvModule(width, feat_channels, 3, padding=1) for width in widths)
            )
        else:
            self.rpn_conv = Conv2d(in_channels, feat_channels, 3, padding=1)
        anchors = self.prior_generator.num_base_priors[0]
        self.rpn_cls = Conv2d(feat_channels, anchors * self.cls_out_channels, 1)
        self.rpn_reg = Conv2d(feat_channels, anchors * self.bbox_coder.encode_size, 1)

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Raw maps.

        Args:
            x: feature maps (B, C', H, W), finest first.

        Returns:
            Logits (B, A * C, H, W) and moves (B, A * 4, H, W) of each level.
        """
        feats = [F.relu(self.rpn_conv(level)) for level in x]
        return [self.rpn_cls(level) for level in feats], [self.rpn_reg(level) for level in feats]

    def _best(self, scores: Tensor, level: int) -> tuple[Tensor, Tensor, Tensor]:
        """The best `nms_pre`; labels are the level, so that levels do not suppress one another."""
        most = self.test_cfg.get("nms_pre", -1)
        best, places, _ = best_of(scores, -1, most if most > 0 else -1)
        return best, places, torch.full_like(places, level)
