"""YOLOX-Pose as MMYOLO and MMPose's `projects/yolox_pose` build it: boxes with keypoints.

Maji 2022, "YOLO-Pose", arXiv 2204.06806. Its weights have MMYOLO's names, and it predicts in image
space; `poise.models.heads.YOLOXPoseHead` is the head of MMPose's own `yoloxpose_*`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from poise.errors import ConfigError
from poise.layers import BaseModule
from poise.layers.csp import SILU, YOLO_BN
from poise.models.detectors.dense import GRID, keep_best
from poise.models.detectors.single_stage import SyncedDetector
from poise.models.detectors.yolox_head import BOXES, RAW_BOXES, SCORES, YOLOXHead
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
from poise.models.heads.dense_targets import DenseOutputs, assign_targets
from poise.models.renames import rename_old_keys
from poise.registry import MODELS, TASK_UTILS
from poise.structures import InstanceData

__all__ = ["YOLODetector", "YOLOPoseHead", "YOLOPoseLayers"]

Config = Mapping[str, Any]


@MODELS.register_module(name="YOLOXPoseHeadModule", scope="mmyolo")
class YOLOPoseLayers(YOLOXHead):
    """The layers: those of YOLOX, and a pose branch for each feature map.

    Args:
        num_keypoints: K.
        num_classes: classes C.
        in_channels: channels of the feature maps before `widen_factor`.
        widen_factor: factor of all channels.
        feat_channels: channels of the branches before `widen_factor`.
        stacked_convs: 3x3 convolutions of the box and class branch; the pose branch has twice as
            many.
        featmap_strides: of the feature maps, pixels.
        norm_cfg, act_cfg: for all layers.
        **options: further arguments of `YOLOXHead`.
    """

    def __init__(
        self,
        num_keypoints: int,
        num_classes: int,
        in_channels: int,
        widen_factor: float = 1.0,
        feat_channels: int = 256,
        stacked_convs: int = 2,
        featmap_strides: Sequence[int] = (8, 16, 32),
        norm_cfg: Config = YOLO_BN,
        act_cfg: Config = SILU,
        init_cfg: Any = None,
        **options: Any,
    ) -> None:
        before, width = (int(c * widen_factor) for c in (in_channels, feat_channels))
        cfgs: dict[str, Any] = {"norm_cfg": norm_cfg, "act_cfg": act_cfg}
        options |= {**cfgs, "init_cfg": init_cfg}
        super().__init__(num_classes, before, width, stacked_convs, featmap_strides, **options)
        self.num_keypoints = num_keypoints
        self.multi_level_pose_convs = nn.ModuleList(
            conv_branch(before, width, 2 * stacked_convs, **cfgs) for _ in featmap_strides
        )
        levels = len(featmap_strides)
        self.multi_level_conv_offsets = output_convs(width, 2 * num_keypoints, levels)
        self.multi_level_conv_vis = output_convs(width, num_keypoints, levels)

    def init_weights(self) -> None:
        """Start with a small probability of a person, and of seeing a keypoint, everywhere."""
        super().init_weights()
        start_rare(self.multi_level_conv_vis)

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], ...]:  # type: ignore[override]
        """Raw maps.

        Args:
            x: feature maps (B, C', H, W), finest first.

        Returns:
            Those of `YOLOXHead`, then keypoint offsets (B, 2 * K, H, W; from the point, in
            strides) and visibility logits (B, K, H, W), of each level.
        """
        poses = on_each(self.multi_level_pose_convs, x)
        return (
            *super().forward(x),
            on_each(self.multi_level_conv_offsets, poses),
            on_each(self.multi_level_conv_vis, poses),
        )


@MODELS.register_module(name="YOLOXPoseHead", scope="mmyolo")
class YOLOPoseHead(BaseModule):
    """A person's box, keypoints and their visibilities at every point of several maps.

    Args:
        loss_pose: config or module, as all losses; its sigmas are part of the weights.
        head_module: config or module of the layers.
        prior_generator: config or object, of the points.
        bbox_coder: kept for configs.
        loss_cls: of classes and of visibilities.
        loss_bbox: of boxes.
        loss_obj: of whether a person is there.
        loss_bbox_aux: of the raw outputs for boxes, in the last epochs.
        train_cfg: `assigner`, an object or a config, whose `oks_calculator` has sigmas that
            released weights carry.
        test_cfg: `score_thr`, `nms_pre`, `nms` and, without `yolox_style`, `max_per_img`.

    Attributes:
        use_bbox_aux: whether `loss_bbox_aux` counts; `YOLOXModeSwitchHook` sets it.
    """

    def __init__(
        self,
        loss_pose: Any,
        head_module: Any,
        prior_generator: Any = GRID,
        bbox_coder: Any = None,
        loss_cls: Any = SCORES,
        loss_bbox: Any = BOXES,
        loss_obj: Any = SCORES,
        loss_bbox_aux: Any = RAW_BOXES,
        train_cfg: Config | None = None,
        test_cfg: Config | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.head_module: Any = MODELS.build(head_module)
        self.loss_cls = MODELS.build(loss_cls)
        self.loss_bbox = MODELS.build(loss_bbox)
        self.loss_obj = MODELS.build(loss_obj)
        self.loss_bbox_aux = MODELS.build(loss_bbox_aux)
        self.loss_pose = MODELS.build(loss_pose)
        self.use_bbox_aux = False
        self.train_cfg, self.test_cfg = train_cfg, dict(test_cfg or {})
        self.prior_generator = TASK_UTILS.build(prior_generator)
        assigner = (train_cfg or {}).get("assigner")
        self.assigner = None if assigner is None else TASK_UTILS.build(assigner)
        calculator = getattr(self.assigner, "oks_calculator", None)
        if isinstance(calculator, nn.Module):
            self.assigner_oks_calculator = calculator
        else:
            # what training alone used, in released weights
            rename_old_keys(self, [], always=[(r"assigner_oks_calculator\.", None)])

    @property
    def num_classes(self) -> int:
        """Classes of the boxes."""
        return int(self.head_module.num_classes)

    @property
    def num_keypoints(self) -> int:
        """Keypoints of a person."""
        return int(self.head_module.num_keypoints)

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], ...]:
        """Raw maps of `head_module`."""
        maps: tuple[list[Tensor], ...] = self.head_module(x)
        return maps

    def loss(self, x: Sequence[Tensor], batch_data_samples: Sequence[Any]) -> dict[str, Tensor]:
        """Losses of class, box, objectness, keypoints (one a positive point) and visibility.

        Args:
            x: feature maps (B, C', H, W), finest first.
            batch_data_samples: B samples; `gt_instance_labels` has `bboxes` (N, 4) xyxy, `labels`
                (N,), `keypoints` (N, K, 2) and `keypoints_visible` (N, K), input space.

        Raises:
            ConfigError: the head was built without an assigner.
        """
        if self.assigner is None:
            raise ConfigError(
                "YOLOXPoseHead needs train_cfg.assigner to train, such as dict(type="
                "'PoseSimOTAAssigner', oks_calculator=dict(type='OksLoss', metainfo=...))"
            )
        outputs, points, raw = self._read(x)
        logits, objectness, visible = outputs.scores, outputs.objectness, outputs.visible
        boxes, keypoints = outputs.bboxes, outputs.keypoints
        targets = assign_targets(self.assigner, outputs, batch_data_samples)
        total, chosen = targets.total(), targets.chosen
        seen = (targets.visible > 0).to(visible.dtype)
        losses = {
            "loss_cls": self.loss_cls(chosen(logits), targets.classes) / total,
            "loss_bbox": self.loss_bbox(chosen(boxes), targets.bboxes) / total,
            "loss_obj": self.loss_obj(objectness.reshape(-1, 1), targets.objectness) / total,
        }
        if self.use_bbox_aux:
            corners = replace(
                targets, priors=points[targets.positive.nonzero()[:, 0] % len(points)]
            )
            losses["loss_bbox_aux"] = (
                self.loss_bbox_aux(chosen(raw), corners.relative_bboxes()) / total
            )
        if targets.count == 0:
            # nobody: sums of nothing keep all layers in the graph
            return losses | {"loss_kpt": chosen(keypoints).sum(), "loss_vis": chosen(visible).sum()}
        losses["loss_kpt"] = self.loss_pose(
            chosen(keypoints), targets.keypoints, seen, targets.bboxes
        )
        losses["loss_vis"] = self.loss_cls(chosen(visible), seen) / seen.sum().clamp(min=1.0)
        return losses

    def predict(
        self, x: Sequence[Tensor], batch_data_samples: Sequence[Any], rescale: bool = True
    ) -> list[InstanceData]:
        """People of each picture, best first.

        Args:
            x: feature maps (B, C', H, W), finest first.
            batch_data_samples: B samples with `ori_shape` and, for `rescale`, `scale_factor`.
            rescale: give places in image space, not in input space.

        Returns:
            B `InstanceData` of arrays: `bboxes` (N, 4) xyxy, `scores`, `bbox_scores` and `labels`
            (N,), `keypoints` (N, K, 2), `keypoint_scores` and `keypoints_visible` (N, K).
        """
        outputs, _, _ = self._read(x)
        scores = outputs.scores.sigmoid() * outputs.objectness.sigmoid()
        seen = outputs.visible.sigmoid()
        points = zip(scores, outputs.bboxes, outputs.keypoints, seen, strict=True)
        return [
            self._people(*own, meta=sample.metainfo, rescale=rescale)
            for own, sample in zip(points, batch_data_samples, strict=True)
        ]

    def _read(self, x: Sequence[Tensor]) -> tuple[DenseOutputs, Tensor, Tensor]:
        """What feature maps say; the corners of cells (P, 4) that it starts at; raw boxes."""
        maps = self(x)
        points = points_of(self.prior_generator, maps[0])
        places, strides = points[:, :2], points[:, 2:]
        logits, raw, objectness, offsets, visible = map(flatten, maps)
        boxes = boxes_of(raw, places, strides)
        keypoints = keypoints_of(offsets, places, strides)
        # boxes and keypoints start at a cell's corner; whose point it is, its middle decides
        middles = torch.cat([places + strides / 2, strides], dim=-1)
        outputs = DenseOutputs(middles, logits, objectness, boxes, keypoints, visible)
        return outputs, points, raw

    def _people(
        self,
        scores: Tensor,
        boxes: Tensor,
        keypoints: Tensor,
        visible: Tensor,
        meta: Mapping[str, Any],
        rescale: bool,
    ) -> InstanceData:
        """Instances of one picture from what its points say.

        Args:
            scores: (P, C) probabilities.
            boxes: (P, 4) xyxy, input space.
            keypoints: (P, K, 2), input space.
            visible: (P, K) probabilities.
            meta: `ori_shape` and `scale_factor`.
            rescale: whether to go to image space.
        """
        best, labels = scores.max(dim=1)
        rows = (best > self.test_cfg.get("score_thr", -1)).nonzero().squeeze(1)
        order = best[rows].sort(descending=True).indices
        rows = rows[order[: self.test_cfg.get("nms_pre", 100000)]]
        factor = boxes.new_tensor(meta["scale_factor"] if rescale else (1, 1))
        best, labels, boxes = best[rows], labels[rows], boxes[rows] / factor.repeat(2)
        rule = {"nms": self.test_cfg.get("nms")}
        if not self.test_cfg.get("yolox_style", False):
            rule["max_per_img"] = self.test_cfg.get("max_per_img", -1)
        kept = keep_best(boxes, best, labels, rule)
        height, width = meta["ori_shape"][:2]
        limit = boxes.new_tensor([width, height, width, height])
        rows = rows[kept]
        return InstanceData(
            bboxes=boxes[kept].clamp(min=boxes.new_zeros(4), max=limit),
            scores=best[kept],
            labels=labels[kept],
            bbox_scores=best[kept],
            keypoints=keypoints[rows] / factor,
            keypoint_scores=visible[rows],
            keypoints_visible=visible[rows],
        ).numpy()


@MODELS.register_module(scope="mmyolo")
class YOLODetector(SyncedDetector):
    """YOLOX-Pose of MMYOLO: pictures -> boxes and keypoints; arguments as `SyncedDetector`."""
