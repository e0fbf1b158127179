"""What the R-CNNs do with proposals: classify and move them once, or several times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from poise._options import options_of
from poise.errors import ConfigError
from poise.layers import BaseModule
from poise.models.detectors.dense import keep_best
from poise.models.renames import rename_old_keys
from poise.registry import MODELS
from poise.structures import InstanceData

__all__ = ["CascadeRoIHead", "StandardRoIHead"]

Config = Mapping[str, Any]


class _RoIHead(BaseModule):
    """Proposals -> boxes of objects; subclasses say in `refined` how.

    Args:
        bbox_roi_extractor: maps and boxes -> features; a config or a module, as all parts.
        bbox_head: features -> class logits and moves.
        mask_roi_extractor, mask_head: kept for configs. Masks are not computed, as poses need boxes
            alone, and their weights are left out; boxes are rounded as those with masks are.
        shared_head: None.
        train_cfg: kept for configs; it is about training.
        test_cfg: `score_thr`, `nms`, `max_per_img`.

    Raises:
        ConfigError: a head that boxes and masks share.
    """

    def __init__(
        self,
        bbox_roi_extractor: Any = None,
        bbox_head: Any = None,
        mask_roi_extractor: Any = None,
        mask_head: Any = None,
        shared_head: Any = None,
        train_cfg: Any = None,
        test_cfg: Config | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        if shared_head is not None:
            raise ConfigError(
                f"{type(self).__name__} has no shared_head here; expected the feature pyramid "
                "(FPN) of MMPose's demos, whose configs leave it out"
            )
        self.with_mask, self.test_cfg = mask_head is not None, dict(test_cfg or {})
        rename_old_keys(self, [], always=[(r"mask_head\.", None)] if self.with_mask else [])
        self.bbox_roi_extractor: Any = self._made(bbox_roi_extractor, "bbox_roi_extractor")
        self.bbox_head: Any = self._made(bbox_head, "bbox_head")

    def _made(self, part: Any, name: str) -> nn.Module:
        """The module of a part, whose argument has that name."""
        return MODELS.build(part)

    @property
    def last_box_head(self) -> Any:
        """The head whose moves give the boxes."""
        raise NotImplementedError(f"{type(self).__name__} does not define `last_box_head`")

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        count: int = self.last_box_head.num_classes
        return count

    def refined(
        self, x: Sequence[Tensor], rois: Tensor, max_shape: Sequence[int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Rois (N, 5), class logits (N, C + 1) and moves (N, ...) of the last head.

        Args:
            x: feature maps (1, C', H, W), finest first.
            rois: (N, 5): 0, and xyxy, input space.
            max_shape: (height, width) of the picture, input space.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define `refined`")

    def predict(
        self,
        x: Sequence[Tensor],
        rpn_results_list: Sequence[InstanceData],
        batch_data_samples: Sequence[Any],
        rescale: bool = False,
    ) -> list[InstanceData]:
        """Boxes of each picture, best first.

        Args:
            x: feature maps (B, C', H, W), finest first.
            rpn_results_list: B proposals with `bboxes` (N, 4) xyxy, input space.
            batch_data_samples: B samples with `img_shape` and, for `rescale`, `scale_factor`.
            rescale: give boxes in image space, not in input space.

        Returns:
            B `InstanceData` of tensors: `bboxes` (N, 4) xyxy, `scores` (N,), `labels` (N,).
        """
        return [
            self._of_picture(
                [level[i : i + 1] for level in x],
                proposals.bboxes,
                sample.metainfo["img_shape"],
                sample.metainfo["scale_factor"] if rescale else None,
            )
            for i, (proposals, sample) in enumerate(
                zip(rpn_results_list, batch_data_samples, strict=True)
            )
        ]

    def _of_picture(
        self,
        x: Sequence[Tensor],
        proposals: Tensor,
        shape: Sequence[int],
        scale_factor: Sequence[float] | None,
    ) -> InstanceData:
        """Boxes of one picture; its maps are (1, C', H, W)."""
        rois = torch.cat([proposals.new_zeros(len(proposals), 1), proposals], dim=1)
        rois, logits, moves = self.refined(x, rois, shape)
        sure = logits.softmax(-1)[:, :-1]
        rows, labels = (sure > self.test_cfg.get("score_thr", 0)).nonzero(as_tuple=True)
        boxes = self.last_box_head.boxes(rois[rows, 1:], moves[rows], labels, shape)
        scores = sure[rows, labels]
        if scale_factor is not None and not self.with_mask:
            boxes = boxes * boxes.new_tensor([1 / factor for factor in scale_factor]).repeat(2)
        kept = keep_best(boxes, scores, labels, self.test_cfg)
        boxes = boxes[kept]
        if scale_factor is not None and self.with_mask:
            boxes = boxes / boxes.new_tensor(scale_factor).repeat(2)
        return InstanceData(bboxes=boxes, scores=scores[kept], labels=labels[kept])


@MODELS.register_module(scope="mmdet")
class StandardRoIHead(_RoIHead):
    """One look at each proposal (Ren 2015, Faster R-CNN; He 2017, Mask R-CNN)."""

    @property
    def last_box_head(self) -> Any:
        """The one head."""
        return self.bbox_head

    def refined(
        self, x: Sequence[Tensor], rois: Tensor, max_shape: Sequence[int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The rois as they are, and what the head says of them."""
        return rois, *self.bbox_head(self.bbox_roi_extractor(x, rois))


@MODELS.register_module(scope="mmdet")
class CascadeRoIHead(_RoIHead):
    """Several looks, each at the boxes of the one before (Cai 2018, arXiv 1712.00726).

    Args:
        num_stages: looks.
        stage_loss_weights: kept for configs; it is about training.
        **options: as `StandardRoIHead`; of `bbox_roi_extractor` and `bbox_head` there is one for
            all stages, or a list.

    Raises:
        ConfigError: lists of another length than `num_stages`.
    """

    @options_of(_RoIHead, positional=True)
    def __init__(
        self, num_stages: int, stage_loss_weights: Sequence[float], **options: Any
    ) -> None:
        self.num_stages = num_stages
        super().__init__(**options)

    def _made(self, part: Any, name: str) -> nn.ModuleList:
        """A module for each stage."""
        parts = part if isinstance(part, (list, tuple)) else [part] * self.num_stages
        if len(parts) != self.num_stages:
            raise ConfigError(
                f"CascadeRoIHead: {name} should be one, or a list of num_stages="
                f"{self.num_stages}, got {len(parts)}"
            )
        return nn.ModuleList(MODELS.build(one) for one in parts)

    @property
    def last_box_head(self) -> Any:
        """The head of the last stage."""
        return self.bbox_head[-1]

    def refined(
        self, x: Sequence[Tensor], rois: Tensor, max_shape: Sequence[int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The rois of the last stage, logits averaged over stages, and the last moves."""
        answers: list[tuple[Tensor, Tensor]] = []
        for extractor, head in zip(self.bbox_roi_extractor, self.bbox_head, strict=True):
            if answers:
                before: Any = self.bbox_head[len(answers) - 1]
                logits, moves = answers[-1]
                labels = logits[:, :-1].argmax(1)
                moved = before.boxes(rois[:, 1:], moves, labels, max_shape)
                rois = torch.cat([rois[:, :1], moved], dim=1)
            answers.append(head(extractor(x, rois)))
        total = sum((logits for logits, _ in answers[1:]), answers[0][0])
        return rois, total / self.num_stages, answers[-1][1]
