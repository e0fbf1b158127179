"""From what RF-DETR's queries say to people: scores that know of doubt, and covariances."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.ops import box_convert

__all__ = ["People", "best_people", "log_mean_trace", "with_doubt"]

#: smallest shear and smallest probability whose logarithms are taken
_TINY = 1e-12


class People(NamedTuple):
    """The people of a picture, best first; places as shares of its width and height.

    Attributes:
        scores: (N,).
        labels: (N,) classes.
        boxes: (N, 4) xyxy, within the picture.
        keypoints: (N, K, 2), of all classes.
        keypoint_scores: (N, K) probability that it can be found; 0 of other classes' keypoints.
        visible: (N, K) probability that it can be seen; likewise.
        covariances: (N, K, 2, 2), NaN where they are not numbers.
    """

    scores: Tensor
    labels: Tensor
    boxes: Tensor
    keypoints: Tensor
    keypoint_scores: Tensor
    visible: Tensor
    covariances: Tensor


def log_mean_trace(points: Tensor, own: Tensor | None = None) -> Tensor:
    """Logarithm (N,) of the mean trace of keypoints' covariances, weighted by their scores.

    Args:
        points: (N, K, 8), see `best_people`.
        own: (N, K) bool, keypoints that count; None for all.
    """
    first, shear, second = points[..., 4], points[..., 5], points[..., 6]
    parts = (-first, -second, shear.abs().clamp(min=_TINY).log() - first - second)
    trace = (2 * torch.stack(parts, dim=-1)).logsumexp(dim=-1)
    weight = points[..., 2].sigmoid().clamp(min=_TINY).log()
    if own is not None:
        weight = weight.masked_fill(~own, -torch.inf)
    return (trace + weight).logsumexp(dim=-1) - weight.logsumexp(dim=-1)


def with_doubt(scores: Tensor, traces: Tensor, trace_alpha: float) -> Tensor:
    """Scores (N,) in 0..1 that are lower the less sure keypoints are.

    Args:
        scores: (N,) probability of the class.
        traces: (N,) of `log_mean_trace`.
        trace_alpha: how much doubt counts.
    """
    fused = (scores.log() - trace_alpha * traces).sigmoid()
    return fused.clamp(max=1 - torch.finfo(fused.dtype).eps / 2)


def best_people(
    logits: Tensor,
    boxes: Tensor,
    points: Tensor,
    classes: Tensor,
    *,
    num_select: int = 100,
    trace_alpha: float = 0.2,
    score_thr: float = 0.0,
) -> People:
    """People of one picture.

    Args:
        logits: (Q, C) of classes.
        boxes: (Q, 4) as (cx, cy, w, h), shares of the picture.
        points: (Q, K, 8): x and y; logits of being found and of being seen; of the inverse
            covariance's Cholesky factor [[l11, 0], [l21, l22]] log l11, l21 and log l22; a share
            in the class's logit.
        classes: (K,) whose keypoint it is.
        num_select: pairs of a query and a class that are looked at.
        trace_alpha: how much doubt about keypoints counts in scores; 0 is not at all.
        score_thr: smallest score.
    """
    flat = logits.sigmoid().flatten()
    # of equal scores the first query, on every device
    best = flat.argsort(descending=True, stable=True)[:num_select]
    best = best[torch.isin(best % logits.shape[1], classes)]
    query, labels, scores = best // logits.shape[1], best % logits.shape[1], flat[best]
    points, boxes = points[query], boxes[query]
    own = labels[:, None] == classes
    if trace_alpha > 0:
        scores = with_doubt(scores, log_mean_trace(points, own), trace_alpha)
    order = scores.argsort(descending=True, stable=True)
    order = order[scores[order] > score_thr]
    points, boxes, own = points[order], boxes[order], own[order]
    found = points[..., 2:4].sigmoid() * own.unsqueeze(-1)
    covariances = _covariances(points[..., 4:7]) * boxes[:, 2:].prod(dim=-1)[:, None, None, None]
    sure = covariances.isfinite().flatten(2).all(dim=-1) & own
    return People(
        scores[order],
        labels[order],
        box_convert(boxes, "cxcywh", "xyxy").clamp(0, 1),
        points[..., :2],
        found[..., 0],
        found[..., 1],
        covariances.masked_fill(~sure[..., None, None], torch.nan),
    )


def _covariances(factors: Tensor) -> Tensor:
    """(N, K, 2, 2) of Cholesky factors (N, K, 3) of their inverses.

    The loss divides squared distances by the area of the person's box, so these are in shares of
    the picture for a box as large as the picture.
    """
    first, shear, second = factors[..., 0], factors[..., 1], factors[..., 2]
    wide, high = (-first).exp(), (-second).exp()
    slope = -shear * wide
    rows = (wide**2 + (slope * high) ** 2, slope * high**2, slope * high**2, high**2)
    return torch.stack(rows, dim=-1).unflatten(-1, (2, 2))
