"""RTMO's head: YOLO's grid for people, coordinate classification for their keypoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.linalg import vector_norm

from poise._arrays import as_numpy
from poise.geometry.boxes import AREA_PER_BOX, bbox_area
from poise.layers import BaseModule
from poise.layers.csp import YOLO_BN
from poise.models.heads.dcc import DCC
from poise.models.heads.dense import (
    conv_branch,
    flatten,
    on_each,
    output_convs,
    points_of,
    start_rare,
)
from poise.models.heads.dense_targets import DenseTargets, assign_targets
from poise.models.heads.yolox_pose import YOLOX_ACT, YOLOXPoseHead
from poise.registry import MODELS
from poise.structures import InstanceData

__all__ = ["RTMOHead", "RTMOHeadModule"]

#: logit of an objectness that is 1: RTMO has no branch for it
CERTAIN = 1e4


class RTMOHeadModule(BaseModule):
    """The layers of RTMO: a class branch and a grouped pose branch for each feature map.

    Args:
        in_channels: channels of half a feature map before `widen_factor`.
        cls_feat_channels: channels of the class branch before `widen_factor`.
        stacked_convs: convolutions of the class branch; the pose branch has twice as many.
        num_groups: groups of the pose branch.
        channels_per_group: before `widen_factor`.
        pose_vec_channels: channels of a pose feature; -1 takes the branch's output.
        num_keypoints, num_classes, widen_factor, featmap_strides, conv_bias, conv_cfg, norm_cfg,
            act_cfg: as of `YOLOXPoseHeadModule`.
    """

    def __init__(
        self,
        num_keypoints: int,
        in_channels: int,
        num_classes: int = 1,
        widen_factor: float = 1.0,
        cls_feat_channels: int = 256,
        stacked_convs: int = 2,
        num_groups: int = 8,
        channels_per_group: int = 36,
        pose_vec_channels: int = -1,
        featmap_strides: Sequence[int] = (8, 16, 32),
        conv_bias: bool | str = "auto",
        conv_cfg: Any = None,
        norm_cfg: Mapping[str, Any] = YOLO_BN,
        act_cfg: Mapping[str, Any] = YOLOX_ACT,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.num_classes = num_classes
        self.num_keypoints = num_keypoints
        self.featmap_strides = featmap_strides
        self.pose_vec_channels = pose_vec_channels
        self.in_channels = int(in_channels * widen_factor)
        self.cls_feat_channels = int(cls_feat_channels * widen_factor)
        pose_channels = num_groups * int(widen_factor * channels_per_group)
        settings = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg, bias=conv_bias)

        def branches(channels: int, depth: int, groups: int = 1) -> nn.ModuleList:
            return nn.ModuleList(
                conv_branch(self.in_channels, channels, depth, groups, **settings)
                for _ in featmap_strides
            )

        def outputs(channels: int, count: int) -> nn.ModuleList:
            return output_convs(channels, count, len(featmap_strides))

        self.conv_cls = branches(self.cls_feat_channels, stacked_convs)
        self.out_cls = outputs(self.cls_feat_channels, num_classes)
        self.conv_pose = branches(pose_channels, stacked_convs * 2, num_groups)
        self.out_bbox = outputs(pose_channels, 4)
        self.out_kpt_reg = outputs(pose_channels, num_keypoints * 2)
        self.out_kpt_vis = outputs(pose_channels, num_keypoints)
        if pose_vec_channels > 0:
            self.out_pose = outputs(pose_channels, pose_vec_channels)

    def init_weights(self) -> None:
        """Start with a small probability of a person everywhere."""
        super().init_weights()
        start_rare(self.out_cls)

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], ...]:
        """Class logits, boxes, keypoint offsets, visibility logits and pose features.

        Offsets only choose the points that learn; outside training their list is empty.

        Args:
            x: feature maps (B, 2 * C, H, W): half for the classes, half for the poses.

        Returns:
            Five lists with a map for each feature map.
        """
        halves = [f.chunk(2, dim=1) for f in x]
        classes = on_each(self.conv_cls, [half for half, _ in halves])
        poses = on_each(self.conv_pose, [half for _, half in halves])
        return (
            on_each(self.out_cls, classes),
            on_each(self.out_bbox, poses),
            on_each(self.out_kpt_reg, poses) if self.training else [],
            on_each(self.out_kpt_vis, poses),
            on_each(self.out_pose, poses) if self.pose_vec_channels > 0 else poses,
        )


@MODELS.register_module()
class RTMOHead(YOLOXPoseHead):
    """One-stage pose head with a dynamic coordinate classifier.

    Lu 2023, "RTMO", arXiv 2312.07526.

    Args:
        num_keypoints, featmap_strides, num_classes, assigner, prior_generator, overlaps_power,
            loss_cls, loss_bbox, loss_vis, loss_bbox_aux: as of `YOLOXPoseHead`.
        head_module_cfg: arguments of `RTMOHeadModule`.
        use_aux_loss: add the auxiliary box loss.
        proxy_target_cc: let the offsets learn what the classifier predicts.
        bbox_padding: factor of the box that the bins span.
        dcc_cfg: arguments of `DCC`.
        loss_oks: of the offsets.
        loss_mle: of the classifier.
    """

    def __init__(
        self,
        num_keypoints: int,
        head_module_cfg: Mapping[str, Any],
        featmap_strides: Sequence[int] = (16, 32),
        num_classes: int = 1,
        use_aux_loss: bool = False,
        proxy_target_cc: bool = False,
        assigner: Any = None,
        prior_generator: Any = None,
        bbox_padding: float = 1.25,
        overlaps_power: float = 1.0,
        dcc_cfg: Mapping[str, Any] | None = None,
        loss_cls: Any = None,
        loss_bbox: Any = None,
        loss_oks: Any = None,
        loss_vis: Any = None,
        loss_mle: Any = None,
        loss_bbox_aux: Any = None,
    ) -> None:
        super().__init__(
            num_keypoints,
            None,
            featmap_strides,
            num_classes,
            use_aux_loss,
            assigner,
            prior_generator,
            loss_cls=loss_cls,
            loss_bbox=loss_bbox,
            loss_oks=loss_oks,
            loss_vis=loss_vis,
            loss_bbox_aux=loss_bbox_aux,
            overlaps_power=overlaps_power,
        )
        self.bbox_padding = bbox_padding
        self.proxy_target_cc = proxy_target_cc
        self.head_module = RTMOHeadModule(**self._module_settings(head_module_cfg))
        if dcc_cfg is not None:
            self.dcc = DCC(**{**dcc_cfg, "num_keypoints": num_keypoints})
        if loss_mle is not None:
            self.loss_mle = MODELS.build(loss_mle)

    def _centers_scales(self, bboxes: Tensor) -> Tensor:
        """(M, 4) centres and padded scales of boxes."""
        near, far = bboxes[..., :2], bboxes[..., 2:]
        return torch.cat([(near + far) * 0.5, (far - near) * self.bbox_padding], dim=-1)

    # --------------------------------------------------------------------- loss

    def loss(
        self,
        feats: Sequence[Tensor],
        batch_data_samples: Sequence[Any],
        train_cfg: Mapping[str, Any] = {},
    ) -> dict[str, Tensor]:
        """Losses of box, visibility, keypoints and class; `num_samples` and `overlaps`.

        Without any person in the batch only `loss_cls` is there.
        """
        scores, boxes, offsets, visible, poses = map(flatten, maps := self.forward(feats))
        certain = torch.full_like(scores[..., :1], CERTAIN)
        outputs = self._outputs(maps[0], scores, certain, boxes, offsets, visible)
        targets = assign_targets(self.assigner, outputs, batch_data_samples)
        total, chosen = targets.total(), targets.chosen
        losses: dict[str, Tensor] = {}
        wanted = targets.objectness
        if targets.count > 0:
            bboxes = chosen(outputs.bboxes)
            losses["loss_bbox"] = self.loss_bbox(bboxes, targets.bboxes) / total
            if self.use_aux_loss:
                losses |= self._auxiliary_losses(chosen(boxes), None, targets, total)
            losses["loss_vis"] = self.loss_vis(
                chosen(visible), targets.visible, targets.visible_weights
            )
            keypoint_losses, overlaps = self._keypoint_losses(
                chosen(poses), bboxes, chosen(outputs.keypoints), targets
            )
            losses |= keypoint_losses
            wanted[targets.positive] = overlaps.pow(self.overlaps_power).detach().to(wanted)
        losses["loss_cls"] = (
            self.loss_cls(scores.flatten(0, 1), wanted, targets.objectness_weights) / total
        )
        losses["num_samples"] = total
        if targets.count > 0:
            losses["overlaps"] = overlaps
        return losses

    def _keypoint_losses(
        self, poses: Tensor, bboxes: Tensor, regressed: Tensor, targets: DenseTargets
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Losses of classifier and offsets of M positive points, and their similarities."""
        losses: dict[str, Tensor] = {}
        classified = None
        if hasattr(self, "loss_mle") and self.loss_mle.loss_weight > 0:
            boxes = self._centers_scales(bboxes)
            classified, maps, sigmas = self.dcc.forward_train(poses, boxes, targets.priors[:, :2])
            wanted = self.dcc.generate_target_heatmap(
                targets.keypoints, boxes, sigmas, targets.areas
            )
            losses["loss_mle"] = self.loss_mle(maps, wanted, targets.visible)
        if not (self.proxy_target_cc and classified is not None):
            losses["loss_oks"] = self.loss_oks(
                regressed, targets.keypoints, targets.visible, targets.areas
            )
            return losses, targets.classes
        with torch.no_grad():
            # the offsets follow the classifier where it is nearer to the truth
            off, off_classified = (
                vector_norm(poses - targets.keypoints, dim=-1) for poses in (regressed, classified)
            )
            overlaps = self.assigner.oks_calculator(
                classified, targets.keypoints, targets.visible, targets.areas
            )
        losses["loss_oks"] = self.loss_oks(
            regressed,
            classified.detach(),
            targets.visible * (off > off_classified).float(),
            targets.areas,
        )
        return losses, overlaps.unsqueeze(1)

    # --------------------------------------------------------------- prediction

    def require_covariances(self) -> None:
        """The classifier tells, not a codec."""

    def predict(
        self,
        feats: Sequence[Tensor],
        batch_data_samples: Sequence[Any],
        test_cfg: Mapping[str, Any] = {},
    ) -> list[InstanceData]:
        """Predict the people of each picture; see `YOLOXPoseHead.predict`.

        With `output_covariances` they have `keypoint_covariances` (N, K, 2, 2), input space.
        """
        self.refuse_flip_test(test_cfg)
        covariances_wanted = test_cfg.get("output_covariances", False)
        maps = self.forward(feats)
        # no offsets here: they serve training only
        scores, boxes, visible, poses = (flatten(maps[i]) for i in (0, 1, 3, 4))
        priors = points_of(self.prior_generator, maps[0])
        boxes = self.decode_bbox(boxes, priors[:, :2], priors[:, -1])
        scores = scores.sigmoid()
        results = []
        for i, sample in enumerate(batch_data_samples):
            best, labels, kept = self.candidates(scores[i], boxes[i], test_cfg)
            own = boxes[i, kept]
            keypoints = own.new_zeros((0, self.num_keypoints, 2))
            covariances = own.new_zeros((0, self.num_keypoints, 2, 2))
            args = poses[i, kept], self._centers_scales(own), priors[kept, :2]
            if len(kept) and covariances_wanted:
                areas = bbox_area(own) * AREA_PER_BOX
                keypoints, covariances = self.dcc.forward_covariances(*args, areas)
            elif len(kept):
                keypoints = self.dcc.forward_test(*args)
            seen = visible[i, kept].sigmoid()
            size = sample.metainfo["input_size"]
            people = self.people(best, labels, own, keypoints, seen, size)
            if covariances_wanted:
                finite = covariances.isfinite().all(dim=-1, keepdim=True).all(dim=-2, keepdim=True)
                known = covariances.masked_fill(~finite, torch.nan)
                people.set_field(as_numpy(known), "keypoint_covariances")
            results.append(people)
        return results
