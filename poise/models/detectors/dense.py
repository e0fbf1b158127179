"""What heads that predict a box at every grid point share: decoding, selection, suppression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from poise.errors import ConfigError
from poise.geometry.suppression_torch import box_nms
from poise.layers import BaseModule
from poise.registry import TASK_UTILS
from poise.structures import InstanceData

__all__ = ["DenseBoxHead", "DistancePointBBoxCoder", "best_of", "keep_best"]

Config = Mapping[str, Any]
#: what their scores and boxes are trained by
QUALITY_SCORES: Config = {"type": "mmdet.QualityFocalLoss"}
GIOU_BOXES: Config = {"type": "mmdet.GIoULoss", "loss_weight": 2.0}
#: how dense heads of detectors choose their points unless a config says otherwise
GRID: Config = {"type": "mmpose.MlvlPointGenerator", "offset": 0, "strides": [8, 16, 32]}


@TASK_UTILS.register_module(scope="mmdet")
class DistancePointBBoxCoder:
    """Boxes by the distances of their sides from a point.

    Args:
        clip_border: cut boxes at the borders of the picture.
        use_box_type: kept for configs; boxes are tensors.
    """

    encode_size = 4

    def __init__(self, clip_border: bool | None = True, use_box_type: bool = False) -> None:
        self.clip_border = clip_border
        self.use_box_type = use_box_type

    def decode(
        self, points: Tensor, pred_bboxes: Tensor, max_shape: Sequence[int] | None = None
    ) -> Tensor:
        """Boxes (..., P, 4) xyxy of points (P, 2) and distances (..., P, 4).

        Args:
            points: x, y, input space.
            pred_bboxes: to the left, upper, right and lower side, pixels.
            max_shape: (height, width) that boxes are cut at.
        """
        boxes = torch.cat((points - pred_bboxes[..., :2], points + pred_bboxes[..., 2:]), dim=-1)
        if max_shape is None or not self.clip_border:
            return boxes
        height, width = max_shape[:2]
        limit = boxes.new_tensor([width, height, width, height])
        return boxes.clamp(min=boxes.new_zeros(4), max=limit)


class DenseBoxHead(BaseModule):
    """A head with one box and the scores of all classes at every point of several maps.

    Subclasses have `forward`, which gives the raw maps, `candidates` and `loss`.

    Args:
        train_cfg: `assigner`, an object or a config; what else the loss needs.
        test_cfg: `score_thr`, `nms_pre`, `min_bbox_size`, `nms`, `max_per_img`.

    Attributes:
        assigner: whose object a point is; None for a head that predicts only.
    """

    prior_generator: Any
    bbox_coder: Any
    num_classes: int

    def __init__(
        self, train_cfg: Config | None = None, test_cfg: Config | None = None, init_cfg: Any = None
    ) -> None:
        super().__init__(init_cfg)
        self.train_cfg, self.test_cfg = dict(train_cfg or {}), dict(test_cfg or {})
        assigner = self.train_cfg.get("assigner")
        self.assigner = None if assigner is None else TASK_UTILS.build(assigner)

    def loss(self, x: Sequence[Tensor], batch_data_samples: Sequence[Any]) -> dict[str, Tensor]:
        """Losses by name.

        Args:
            x: feature maps (B, C, H, W), finest first.
            batch_data_samples: B samples; `gt_instances` has `bboxes` (N, 4) xyxy, input space,
                and `labels` (N,).

        Raises:
            ConfigError: a head that only predicts.
        """
        from poise.zoo.refused import no_training

        raise ConfigError(no_training(type(self).__name__))

    def predict(
        self, x: Sequence[Tensor], batch_data_samples: Sequence[Any], rescale: bool = True
    ) -> list[InstanceData]:
        """Boxes of each picture, best first.

        Args:
            x: feature maps (B, C, H, W), finest first.
            batch_data_samples: B samples with `img_shape` and, for `rescale`, `scale_factor`.
            rescale: give boxes in image space, not in input space.

        Returns:
            B `InstanceData` of tensors: `bboxes` (N, 4) xyxy, `scores` (N,), `labels` (N,).
        """
        metas = [sample.metainfo for sample in batch_data_samples]
        results = []
        for (boxes, scores, labels), meta in zip(
            self.candidates(self(x), metas), metas, strict=True
        ):
            if rescale:
                boxes = self.to_image_space(boxes, meta["scale_factor"])
            kept = keep_best(boxes, scores, labels, self.test_cfg)
            results.append(
                InstanceData(bboxes=boxes[kept], scores=scores[kept], labels=labels[kept])
            )
        return results

    def candidates(
        self, outputs: Any, metas: Sequence[Mapping[str, Any]]
    ) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Boxes (N, 4) in input space, scores (N,) and labels (N,) of each picture."""
        raise NotImplementedError(f"{type(self).__name__} does not define `candidates`")

    def best_of_levels(
        self,
        scores: Sequence[Tensor],
        places: Sequence[Tensor],
        moves: Sequence[Tensor],
        metas: Sequence[Mapping[str, Any]],
    ) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Candidates that each level puts forward by itself; see `candidates`.

        Args:
            scores: of each level (B, P, C) probabilities.
            places: of each level (P, ...) what boxes are decoded from, points or anchors.
            moves: of each level (B, P, 4).
            metas: of B samples.
        """
        found = []
        for i, meta in enumerate(metas):
            chosen = [self._best(level[i], number) for number, level in enumerate(scores)]
            best, rows, labels = zip(*chosen, strict=True)
            boxes = self.bbox_coder.decode(
                torch.cat([place[index] for place, index in zip(places, rows, strict=True)]),
                torch.cat([move[i, index] for move, index in zip(moves, rows, strict=True)]),
                max_shape=meta["img_shape"],
            )
            found.append((boxes, torch.cat(best), torch.cat(labels)))
        return found

    def _best(self, scores: Tensor, level: int) -> tuple[Tensor, Tensor, Tensor]:
        """Scores, places and labels of what one level of a picture puts forward."""
        return best_of(scores, self.test_cfg.get("score_thr", 0), self.test_cfg.get("nms_pre", -1))

    def to_image_space(self, boxes: Tensor, scale_factor: Sequence[float]) -> Tensor:
        """Boxes (N, 4) of pictures that were scaled by (x, y) factors."""
        return boxes * boxes.new_tensor([1 / factor for factor in scale_factor]).repeat(2)


def keep_best(boxes: Tensor, scores: Tensor, labels: Tensor, cfg: Config) -> Tensor:
    """Indices of the boxes that stay, best first; classes do not suppress one another.

    Args:
        boxes: (N, 4) xyxy.
        scores: (N,).
        labels: (N,) classes.
        cfg: `min_bbox_size` (boxes with a side this small are dropped), `nms` (a dict with
            `iou_threshold`, and `class_agnostic` to let classes suppress one another), and
            `max_per_img`.

    Raises:
        ConfigError: a kind of suppression that is not the plain one.
    """
    smallest = cfg.get("min_bbox_size", -1)
    kept = torch.arange(len(boxes), device=boxes.device)
    if smallest >= 0:
        kept = kept[(boxes[:, 2:] - boxes[:, :2] > smallest).all(1)]
    rule = cfg.get("nms") or {}
    # configs with imports name it by its whole path, mmcv.ops.nms
    if str(rule.get("type", "nms")).rpartition(".")[2] != "nms":
        raise ConfigError(f"test_cfg.nms: detectors know the type 'nms' only, got {rule['type']!r}")
    if rule and len(kept):
        shifted = boxes[kept]
        if not rule.get("class_agnostic", False):
            # every class gets a place of its own, where boxes of other classes never come
            shift = labels[kept].to(shifted) * (shifted.max() + 1)
            shifted = shifted + shift[:, None]
        kept = kept[box_nms(shifted, scores[kept], rule.get("iou_threshold", 0.5))]
    most = cfg.get("max_per_img", -1)
    return kept[:most] if most >= 0 else kept


def best_of(scores: Tensor, threshold: float, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Scores above a threshold, best first: their values, points and classes.

    Args:
        scores: (P, C) probabilities.
        threshold: smallest score, exclusive.
        count: most of them; all where it is negative.
    """
    above = scores > threshold
    points, labels = above.nonzero(as_tuple=True)
    values, order = scores[above].sort(descending=True)
    if count >= 0:
        values, order = values[:count], order[:count]
    return values, points[order], labels[order]
