"""One-stage pose head on YOLOX: each grid point predicts a person's box and keypoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from poise.errors import ConfigError
from poise.layers import BaseModule, ConvModule, bias_init_with_prob
from poise.metrics.functional import nms_torch
from poise.models.heads.base import BaseHead
from poise.models.heads.dense_targets import (
    DenseOutputs,
    DenseTargets,
    assign_targets,
    mean_over_devices,
)
from poise.registry import MODELS, TASK_UTILS
from poise.structures import InstanceData

__all__ = ["YOLOXPoseHead", "YOLOXPoseHeadModule", "conv_branch"]

#: norm and activation of YOLOX
YOLOX_NORM = {"type": "BN", "momentum": 0.03, "eps": 0.001}
YOLOX_ACT = {"type": "SiLU", "inplace": True}
#: probability that a point of an untrained network gives to a person
PRIOR_PROBABILITY = 0.01


def conv_branch(
    in_channels: int, out_channels: int, depth: int, groups: int = 1, **settings: Any
) -> nn.Sequential:
    """3x3 convolutions that keep the size; all but the first one have `groups` groups."""
    return nn.Sequential(
        *(
            ConvModule(
                in_channels if i == 0 else out_channels,
                out_channels,
                3,
                padding=1,
                groups=1 if i == 0 else groups,
                **settings,
            )
            for i in range(depth)
        )
    )


class YOLOXPoseHeadModule(BaseModule):
    """The layers of YOLOX-Pose: class, box and pose branches for each feature map.

    Args:
        num_keypoints: K.
        in_channels: channels of the feature maps before `widen_factor`, which scales an int.
        num_classes: number of classes.
        widen_factor: factor of all channels.
        feat_channels: channels of the branches before `widen_factor`.
        stacked_convs: convolutions of the class and box branch; the pose branch has twice
            as many.
        featmap_strides: one number a feature map.
        conv_bias: True, False or "auto".
        conv_cfg: convolution, or None.
        norm_cfg: norm.
        act_cfg: activation.
        init_cfg: how the weights start.
    """

    def __init__(
        self,
        num_keypoints: int,
        in_channels: int | Sequence[int],
        num_classes: int = 1,
        widen_factor: float = 1.0,
        feat_channels: int = 256,
        stacked_convs: int = 2,
        featmap_strides: Sequence[int] = (8, 16, 32),
        conv_bias: bool | str = "auto",
        conv_cfg: Any = None,
        norm_cfg: Mapping[str, Any] = YOLOX_NORM,
        act_cfg: Mapping[str, Any] = YOLOX_ACT,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.num_classes = num_classes
        self.num_keypoints = num_keypoints
        self.featmap_strides = featmap_strides
        self.feat_channels = channels = int(feat_channels * widen_factor)
        if not isinstance(in_channels, int):
            raise ConfigError(
                f"YOLOXPoseHeadModule takes maps of one width, got in_channels={in_channels}; give "
                "their common number of channels"
            )
        self.in_channels = int(in_channels * widen_factor)
        settings = {
            "conv_cfg": conv_cfg,
            "norm_cfg": norm_cfg,
            "act_cfg": act_cfg,
            "bias": conv_bias,
        }

        def branches(depth: int) -> nn.ModuleList:
            return nn.ModuleList(
                conv_branch(self.in_channels, channels, depth, **settings) for _ in featmap_strides
            )

        def outputs(count: int) -> nn.ModuleList:
            return nn.ModuleList(nn.Conv2d(channels, count, 1) for _ in featmap_strides)

        self.conv_cls = branches(stacked_convs)
        self.out_cls = outputs(num_classes)
        self.out_obj = outputs(1)
        self.conv_reg = branches(stacked_convs)
        self.out_bbox = outputs(4)
        self.conv_pose = branches(stacked_convs * 2)
        self.out_kpt = outputs(num_keypoints * 2)
        self.out_kpt_vis = outputs(num_keypoints)

    def init_weights(self) -> None:
        """Start with a small probability of a person everywhere."""
        super().init_weights()
        for layer in (*self.out_cls, *self.out_obj):
            nn.init.constant_(layer.bias, bias_init_with_prob(PRIOR_PROBABILITY))

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], ...]:
        """Class logits, objectness logits, boxes, keypoint offsets and visibility logits.

        Args:
            x: feature maps (B, C, H, W).

        Returns:
            Five lists with a map for each feature map.
        """
        classes = [conv(f) for conv, f in zip(self.conv_cls, x, strict=False)]
        boxes = [conv(f) for conv, f in zip(self.conv_reg, x, strict=False)]
        poses = [conv(f) for conv, f in zip(self.conv_pose, x, strict=False)]
        return (
            [out(f) for out, f in zip(self.out_cls, classes, strict=False)],
            [out(f) for out, f in zip(self.out_obj, boxes, strict=False)],
            [out(f) for out, f in zip(self.out_bbox, boxes, strict=False)],
            [out(f) for out, f in zip(self.out_kpt, poses, strict=False)],
            [out(f) for out, f in zip(self.out_kpt_vis, poses, strict=False)],
        )


def flatten(maps: Sequence[Tensor]) -> Tensor:
    """Maps (B, C, H, W) of all sizes as points (B, P, C).

    Raises:
        ConfigError: no maps; a head leaves some out where it does not train.
    """
    if not maps:
        raise ConfigError(
            "losses need all outputs, and this head makes them in training mode only; call "
            "model.train() first"
        )
    return torch.cat([m.flatten(2).transpose(1, 2) for m in maps], dim=1)


@MODELS.register_module()
class YOLOXPoseHead(BaseHead):
    """YOLOX's head with keypoints.

    Maji 2022, "YOLO-Pose", arXiv 2204.06806, on Ge 2021, "YOLOX", arXiv 2107.08430.

    Args:
        num_keypoints: K.
        head_module_cfg: arguments of `YOLOXPoseHeadModule`.
        featmap_strides: stride of each feature map in pixels.
        num_classes: number of classes.
        use_aux_loss: add the auxiliary losses.
        assigner: config or object.
        prior_generator: config or object.
        loss_cls: config or module, of the class.
        loss_obj: of the objectness.
        loss_bbox: of the box.
        loss_oks: of the keypoints.
        loss_vis: of the visibility.
        loss_bbox_aux: of the raw box outputs.
        loss_kpt_aux: of the raw keypoint offsets.
        overlaps_power: exponent of the similarities that are class targets.
    """

    #: the classes of points and codecs know nothing of these heads: they decode themselves
    decoder = None

    def __init__(
        self,
        num_keypoints: int,
        head_module_cfg: Mapping[str, Any] | None = None,
        featmap_strides: Sequence[int] = (8, 16, 32),
        num_classes: int = 1,
        use_aux_loss: bool = False,
        assigner: Any = None,
        prior_generator: Any = None,
        loss_cls: Any = None,
        loss_obj: Any = None,
        loss_bbox: Any = None,
        loss_oks: Any = None,
        loss_vis: Any = None,
        loss_bbox_aux: Any = None,
        loss_kpt_aux: Any = None,
        overlaps_power: float = 1.0,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.featmap_strides = featmap_strides
        self.use_aux_loss = use_aux_loss
        self.num_keypoints = num_keypoints
        self.overlaps_power = overlaps_power
        self.prior_generator = TASK_UTILS.build(prior_generator)
        if head_module_cfg is not None:
            self.head_module = YOLOXPoseHeadModule(**self._module_settings(head_module_cfg))
        self.assigner = TASK_UTILS.build(assigner)
        losses = {
            "loss_cls": loss_cls,
            "loss_obj": loss_obj,
            "loss_bbox": loss_bbox,
            "loss_oks": loss_oks,
            "loss_vis": loss_vis,
            "loss_bbox_aux": loss_bbox_aux,
            "loss_kpt_aux": loss_kpt_aux,
        }
        for name, loss in losses.items():
            if loss is not None:
                setattr(self, name, MODELS.build(loss))

    def _module_settings(self, cfg: Mapping[str, Any]) -> dict[str, Any]:
        """`cfg` with what the head itself was told; the head's words count."""
        return {
            **cfg,
            "featmap_strides": self.featmap_strides,
            "num_keypoints": self.num_keypoints,
        }

    def forward(self, feats: Sequence[Tensor]) -> tuple[list[Tensor], ...]:
        """Maps of `head_module`."""
        return self.head_module(feats)

    def priors(self, maps: Sequence[Tensor]) -> Tensor:
        """Points and strides (P, 4) of maps, input space."""
        points = self.prior_generator.grid_priors(
            [m.shape[2:] for m in maps],
            dtype=maps[0].dtype,
            device=maps[0].device,
            with_stride=True,
        )
        return torch.cat(points)

    # --------------------------------------------------------------------- loss

    def loss(
        self,
        feats: Sequence[Tensor],
        batch_data_samples: Sequence[Any],
        train_cfg: Mapping[str, Any] = {},
    ) -> dict[str, Tensor]:
        """Losses of objectness, box, keypoints, visibility and class, and `overlaps`.

        Without any person in the batch only `loss_obj` is there.
        """
        scores, objectness, boxes, offsets, visible = map(flatten, maps := self.forward(feats))
        priors = self.priors(maps[0])
        outputs = DenseOutputs(
            priors=priors,
            scores=scores,
            objectness=objectness,
            bboxes=self.decode_bbox(boxes, priors[:, :2], priors[:, -1]),
            keypoints=self.decode_kpt_reg(offsets, priors[:, :2], priors[:, -1]),
            visible=visible,
        )
        targets = assign_targets(self.assigner, outputs, batch_data_samples)
        total = mean_over_devices(scores.new_tensor(float(targets.count))).clamp(min=1.0)
        losses = {
            "loss_obj": self.loss_obj(
                objectness.reshape(-1, 1), targets.objectness, targets.objectness_weights
            )
            / total
        }
        if targets.count == 0:
            return losses
        positive = targets.positive
        losses["loss_bbox"] = (
            self.loss_bbox(outputs.bboxes.flatten(0, 1)[positive], targets.bboxes) / total
        )
        losses["loss_kpt"] = self.loss_oks(
            outputs.keypoints.flatten(0, 1)[positive],
            targets.keypoints,
            targets.visible,
            targets.areas,
        )
        losses["loss_vis"] = self.loss_vis(
            visible.flatten(0, 1)[positive], targets.visible, targets.visible_weights
        )
        losses["overlaps"] = targets.classes
        wanted = targets.classes.pow(self.overlaps_power).detach()
        losses["loss_cls"] = self.loss_cls(scores.flatten(0, 1)[positive], wanted) / total
        if self.use_aux_loss:
            raw = boxes.flatten(0, 1)[positive], offsets.flatten(0, 1)[positive]
            losses |= self._auxiliary_losses(*raw, targets, total)
        return losses

    def _auxiliary_losses(
        self, boxes: Tensor, offsets: Tensor | None, targets: DenseTargets, total: Tensor
    ) -> dict[str, Tensor]:
        """Losses of the raw outputs of positive points."""
        losses = {}
        if hasattr(self, "loss_bbox_aux"):
            losses["loss_bbox_aux"] = self.loss_bbox_aux(boxes, targets.relative_bboxes()) / total
        if offsets is not None and hasattr(self, "loss_kpt_aux"):
            losses["loss_kpt_aux"] = self.loss_kpt_aux(
                offsets.unflatten(-1, (self.num_keypoints, 2)),
                targets.relative_keypoints(),
                targets.visible / targets.visible.shape[-1],
            )
        return losses

    # --------------------------------------------------------------- prediction

    def predict(
        self,
        feats: Sequence[Tensor],
        batch_data_samples: Sequence[Any],
        test_cfg: Mapping[str, Any] = {},
    ) -> list[InstanceData]:
        """Predict the people of each picture, best first.

        Args:
            feats: feature maps.
            batch_data_samples: B samples.
            test_cfg: `score_thr` (smallest score), `nms_pre` (most candidates), `nms_thr`
                (largest overlap; 1 keeps all).

        Returns:
            B `InstanceData` of arrays: `keypoints` (N, K, 2) and `bboxes` (N, 4) in input
            space, `keypoint_scores`, `keypoints_visible`, `bbox_scores`, `scores`, `labels`.
        """
        scores, objectness, boxes, offsets, visible = map(flatten, maps := self.forward(feats))
        priors = self.priors(maps[0])
        boxes = self.decode_bbox(boxes, priors[:, :2], priors[:, -1])
        keypoints = self.decode_kpt_reg(offsets, priors[:, :2], priors[:, -1])
        scores = scores.sigmoid() * objectness.sigmoid()
        results = []
        for i, sample in enumerate(batch_data_samples):
            best, labels, kept = self.candidates(scores[i], boxes[i], test_cfg)
            results.append(
                self.people(
                    best,
                    labels,
                    boxes[i, kept],
                    keypoints[i, kept],
                    visible[i, kept].sigmoid(),
                    sample.metainfo["input_size"],
                )
            )
        return results

    @staticmethod
    def candidates(
        scores: Tensor, boxes: Tensor, test_cfg: Mapping[str, Any]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Points of one picture that are people, best first.

        Args:
            scores: (P, classes) probabilities.
            boxes: (P, 4) xyxy.
            test_cfg: `score_thr`, `nms_pre`, `nms_thr`.

        Returns:
            Scores (N,), classes (N,), indices (N,) of the points.
        """
        best, labels = scores.max(dim=1)
        kept = (best > test_cfg.get("score_thr", 0.01)).nonzero().squeeze(1)
        order = best[kept].sort(descending=True).indices[: test_cfg.get("nms_pre", 100000)]
        kept = kept[order]
        threshold = test_cfg.get("nms_thr", 1.0)
        if len(kept) and threshold < 1.0:
            kept = kept[nms_torch(boxes[kept], best[kept], threshold)]
        return best[kept], labels[kept], kept

    @staticmethod
    def people(
        scores: Tensor,
        labels: Tensor,
        bboxes: Tensor,
        keypoints: Tensor,
        visible: Tensor,
        input_size: Sequence[int],
    ) -> InstanceData:
        """Arrays of the people of one picture; boxes end at its (width, height)."""
        width, height = (float(side) for side in input_size)
        limit = bboxes.new_tensor([width, height, width, height])
        return InstanceData(
            scores=scores,
            labels=labels,
            bboxes=bboxes.clamp(min=0).minimum(limit),
            bbox_scores=scores,
            keypoints=keypoints,
            keypoint_scores=visible,
            keypoints_visible=visible,
        ).numpy()

    def decode_bbox(self, pred_bboxes: Tensor, priors: Tensor, stride: Tensor) -> Tensor:
        """Boxes xyxy of raw outputs.

        Args:
            pred_bboxes: (B, P, 4): offset of the centre and logarithm of the size, in strides.
            priors: (P, 2) points.
            stride: (P,).
        """
        stride = stride.unsqueeze(-1)
        center = pred_bboxes[..., :2] * stride + priors
        half = pred_bboxes[..., 2:].exp() * stride / 2
        return torch.cat([center - half, center + half], dim=-1)

    def decode_kpt_reg(self, pred_kpt_offsets: Tensor, priors: Tensor, stride: Tensor) -> Tensor:
        """Keypoints (B, P, K, 2) of offsets (B, P, 2 * K) in strides from points (P, 2)."""
        offsets = pred_kpt_offsets.unflatten(-1, (self.num_keypoints, 2))
        return offsets * stride.reshape(-1, 1, 1) + priors.unsqueeze(1)
