"""One-stage pose head on YOLOX: each grid point predicts a person's box and keypoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from poise.errors import ConfigError
from poise.layers import BaseModule
from poise.layers.csp import YOLO_BN
from poise.metrics.functional import nms_torch
from poise.models.heads.base import BaseHead
from poise.models.heads.dense import (
    boxes_of,
    conv_branch,
    flatten,
    keypoints_of,
    on_each,
    output_convs,
    points_of,
    start_rare,
)
from poise.models.heads.dense_targets import DenseOutputs, DenseTargets, assign_targets
from poise.registry import MODELS, TASK_UTILS
from poise.structures import InstanceData

__all__ = ["YOLOXPoseHead", "YOLOXPoseHeadModule"]

#: activation of these heads unless a config says otherwise
YOLOX_ACT = {"type": "SiLU", "inplace": True}


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
        norm_cfg: Mapping[str, Any] = YOLO_BN,
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
        settings = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg, bias=conv_bias)

        def branches(depth: int) -> nn.ModuleList:
            return nn.ModuleList(
                conv_branch(self.in_channels, channels, depth, **settings) for _ in featmap_strides
            )

        def outputs(count: int) -> nn.ModuleList:
            return output_convs(channels, count, len(featmap_strides))

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
        start_rare((*self.out_cls, *self.out_obj))

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], ...]:
        """Class logits, objectness logits, boxes, keypoint offsets and visibility logits.

        Args:
            x: feature maps (B, C, H, W).

        Returns:
            Five lists with a map for each feature map.
        """
        boxes, poses = on_each(self.conv_reg, x), on_each(self.conv_pose, x)
        return (
            on_each(self.out_cls, on_each(self.conv_cls, x)),
            on_each(self.out_obj, boxes),
            on_each(self.out_bbox, boxes),
            on_each(self.out_kpt, poses),
            on_each(self.out_kpt_vis, poses),
        )


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
        outputs = self._outputs(maps[0], scores, objectness, boxes, offsets, visible)
        targets = assign_targets(self.assigner, outputs, batch_data_samples)
        total, chosen = targets.total(), targets.chosen
        losses = {
            "loss_obj": self.loss_obj(
                objectness.reshape(-1, 1), targets.objectness, targets.objectness_weights
            )
            / total
        }
        if targets.count == 0:
            return losses
        losses["loss_bbox"] = self.loss_bbox(chosen(outputs.bboxes), targets.bboxes) / total
        losses["loss_kpt"] = self.loss_oks(
            chosen(outputs.keypoints), targets.keypoints, targets.visible, targets.areas
        )
        losses["loss_vis"] = self.loss_vis(
            chosen(visible), targets.visible, targets.visible_weights
        )
        losses["overlaps"] = targets.classes
        wanted = targets.classes.pow(self.overlaps_power).detach()
        losses["loss_cls"] = self.loss_cls(chosen(scores), wanted) / total
        if self.use_aux_loss:
            losses |= self._auxiliary_losses(chosen(boxes), chosen(offsets), targets, total)
        return losses

    def _outputs(
        self,
        maps: Sequence[Tensor],
        scores: Tensor,
        objectness: Tensor,
        boxes: Tensor,
        offsets: Tensor,
        visible: Tensor,
    ) -> DenseOutputs:
        """Outputs of all points of some maps, with boxes and keypoints in input space."""
        priors = points_of(self.prior_generator, maps)
        places, strides = priors[:, :2], priors[:, -1]
        return DenseOutputs(
            priors=priors,
            scores=scores,
            objectness=objectness,
            bboxes=self.decode_bbox(boxes, places, strides),
            keypoints=self.decode_kpt_reg(offsets, places, strides),
            visible=visible,
        )

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

        Raises:
            ConfigError: `flip_test`, which the head does not know.
        """
        self.refuse_flip_test(test_cfg)
        maps = self.forward(feats)
        outputs = self._outputs(maps[0], *map(flatten, maps))
        scores = outputs.scores.sigmoid() * outputs.objectness.sigmoid()
        results = []
        for i, sample in enumerate(batch_data_samples):
            best, labels, kept = self.candidates(scores[i], outputs.bboxes[i], test_cfg)
            results.append(
                self.people(
                    best,
                    labels,
                    outputs.bboxes[i, kept],
                    outputs.keypoints[i, kept],
                    outputs.visible[i, kept].sigmoid(),
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
        return boxes_of(pred_bboxes, priors, stride.unsqueeze(-1))

    def decode_kpt_reg(self, pred_kpt_offsets: Tensor, priors: Tensor, stride: Tensor) -> Tensor:
        """Keypoints (B, P, K, 2) of offsets (B, P, 2 * K) in strides from points (P, 2)."""
        return keypoints_of(pred_kpt_offsets, priors, stride.unsqueeze(-1))
