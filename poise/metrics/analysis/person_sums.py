"""Means over people and keypoints as ratios of sums, so that any draw of pictures is a product.

PCK, AUC, EPE, NME and MPJPE divide one sum over people by another. With the sums of each picture
(I, Q) the sums of R draws are the product of their weights (R, I) with them, which takes a
second for what a loop of evaluations takes minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from poise._arrays import Array
from poise.metrics.analysis.bootstrap import Statistic
from poise.metrics.base import BaseMetric
from poise.metrics.functional.distances import aligned, normalized_distances
from poise.metrics.interhand import InterHandMetric
from poise.metrics.keypoint_2d import AUC, EPE, NME, stacked
from poise.metrics.keypoint_3d import MPJPE, SimpleMPJPE
from poise.metrics.pck import FIGURES, JhmdbPCKAccuracy, MpiiPCKAccuracy, PCKAccuracy

__all__ = [
    "SUMMED",
    "Sums",
    "is_rising",
    "person_statistics",
    "share_of",
    "sums_of",
    "totals_of",
]

#: figures with one of these in their name are better when smaller
_FALLING = ("EPE", "NME", "MPJPE", "MRRPE", "error", "loss", "distance")
_HANDED = ("hand_right", "hand_known")

Totals = Mapping[str, Array]


@dataclass(frozen=True, eq=False)
class Sums:
    """What figures are made of.

    Attributes:
        people: name -> (N, ...) numbers of each person (or frame) that are added up.
        figures: totals (R, ...) by name -> figures (R,) by name, NaN where nothing counts.
        keypoints: totals -> (R, K), of each keypoint, NaN where it never counts; None for
            metrics that say nothing of single keypoints.
        about: what `keypoints` gives, in a few words.
        rising: more of `keypoints` is better.
    """

    people: Totals
    figures: Callable[[Totals], dict[str, Array]]
    keypoints: Callable[[Totals], Array] | None
    about: str
    rising: bool


def sums_of(metric: BaseMetric, results: list[Any]) -> Sums:
    """The sums of a metric of `SUMMED`.

    Args:
        metric: with its settings.
        results: what its `process` kept.
    """
    return SUMMED[type(metric)](metric, results)


def person_statistics(
    sums: Sums, picture: Array, pictures: Sequence[Any], keypoint_names: Sequence[str]
) -> tuple[Statistic, Statistic | None]:
    """Figures, and the figure of each keypoint, as functions of how often each picture counts.

    Args:
        sums: of N people.
        picture: (N,) row in `pictures`.
        pictures: I ids.
        keypoint_names: K.
    """
    totals = totals_of(sums.people, picture, len(pictures))
    names = list(sums.figures(totals(np.ones((1, len(pictures))))))

    def figures(weights: Array) -> Array:
        return np.stack(list(sums.figures(totals(weights)).values()), axis=1)

    overall = Statistic(pictures, names, list(map(is_rising, names)), figures)
    of_one = sums.keypoints
    if of_one is None:
        return overall, None

    def keypoints(weights: Array) -> Array:
        return of_one(totals(weights))

    rising = [sums.rising] * len(keypoint_names)
    return overall, Statistic(pictures, keypoint_names, rising, keypoints)


def totals_of(people: Totals, picture: Array, pictures: int) -> Callable[[Array], Totals]:
    """Sums over people by how often each picture counts: weights (R, I) -> totals (R, ...).

    Args:
        people: name -> (N, ...) numbers of each person.
        picture: (N,) row of each person's picture.
        pictures: I.
    """
    summed = {name: np.zeros((pictures, *values.shape[1:])) for name, values in people.items()}
    for name, values in people.items():
        np.add.at(summed[name], picture, values)

    def totals(weights: Array) -> Totals:
        plain = np.asarray(weights, np.float64)
        return {name: np.tensordot(plain, total, axes=1) for name, total in summed.items()}

    return totals


def is_rising(figure: str) -> bool:
    """Whether more of a figure is better, by its name."""
    return not any(part in figure for part in _FALLING)


def share_of(part: Array, total: Array) -> Array:
    """Part / total, NaN where the total is 0."""
    there = total > 0
    return np.where(there, part / np.where(there, total, 1), np.nan)


def _mean_of_existing(share: Array) -> Array:
    """(R,) mean over the keypoints (R, K) that are not NaN; 0 where all are, as in PCK."""
    there = ~np.isnan(share)
    number = there.sum(axis=-1)
    return np.asarray(np.where(there, share, 0).sum(axis=-1) / np.maximum(number, 1))


def _of_pck(metric: PCKAccuracy, results: list[Any]) -> Sums:
    """PCK by box, head or torso."""
    pred, gt, mask = stacked(results)
    # the figures of the metric itself, in its order
    items = {name: item for item, name in FIGURES.items() if item in metric.norm_item}
    people: dict[str, Array] = {}
    for name, item in items.items():
        lengths = metric.norm_of(results, item, pred, gt)
        distances, counted = normalized_distances(pred, gt, mask, lengths)
        people[f"{name} right"] = (distances < float(metric.thr)) & counted
        people[f"{name} all"] = counted

    def shares(totals: Totals, name: str) -> Array:
        return share_of(totals[f"{name} right"], totals[f"{name} all"])

    def figures(totals: Totals) -> dict[str, Array]:
        return {name: _mean_of_existing(shares(totals, name)) for name in items}

    first = next(iter(items))
    about = f"{first} at {metric.thr:g}"
    return Sums(people, figures, lambda totals: shares(totals, first), about, rising=True)


def _of_jhmdb(metric: JhmdbPCKAccuracy, results: list[Any]) -> Sums:
    """PCK of JHMDB, by joint too; it knows no head sizes."""
    plain = _of_pck(metric, results)
    names = [FIGURES[item] for item in ("bbox", "torso") if item in metric.norm_item]

    def figures(totals: Totals) -> dict[str, Array]:
        found: dict[str, Array] = {}
        for name in names:
            share = share_of(totals[f"{name} right"], totals[f"{name} all"])
            # the metric itself puts -1 where a joint never counts
            own = np.nan_to_num(share, nan=-1.0)
            for joint, keypoints in metric.JOINTS.items():
                found[f"{joint} {name}"] = own[:, list(keypoints)].mean(axis=1)
            found[name] = _mean_of_existing(share)
        return found

    return Sums(plain.people, figures, plain.keypoints, plain.about, rising=True)


def _of_mpii(metric: MpiiPCKAccuracy, results: list[Any]) -> Sums:
    """PCKh of MPII in percent, weighted by how often a joint is annotated."""
    pred, gt, mask = stacked(results)
    pred = pred + 1.0
    heads = metric.norm_of(results, "head", pred, gt)
    distances, counted = normalized_distances(pred, gt, mask, heads)
    people = {
        "right": (distances < float(metric.thr)) & counted,
        "strict": (distances < float(metric.STRICT_THR)) & counted,
        "all": counted,
        "annotated": mask,
    }

    def figures(totals: Totals) -> dict[str, Array]:
        percent, strict = (
            100 * np.nan_to_num(share_of(totals[name], totals["all"]), nan=-1.0)
            for name in ("right", "strict")
        )
        weight = totals["annotated"].copy()
        weight[:, list(metric.NOT_RATED)] = 0
        weight /= np.maximum(weight.sum(axis=1, keepdims=True), 1)
        joints = {
            name: percent[:, list(which)].mean(axis=1) for name, which in metric.JOINTS.items()
        }
        return {
            **joints,
            "PCK": (percent * weight).sum(axis=1),
            "PCK@0.1": (strict * weight).sum(axis=1),
        }

    def keypoints(totals: Totals) -> Array:
        return 100 * share_of(totals["right"], totals["all"])

    return Sums(people, figures, keypoints, f"PCKh at {metric.thr:g}, percent", rising=True)


def _of_auc(metric: AUC, results: list[Any]) -> Sums:
    """Area under the PCK curve; (N, K, T) of which keypoints are right at which threshold."""
    pred, gt, mask = stacked(results)
    norm = np.full((pred.shape[0], pred.shape[2]), metric.norm_factor)
    distances, counted = normalized_distances(pred, gt, mask, norm)
    limits = np.arange(metric.num_thrs) / metric.num_thrs
    right = (distances[..., None] < limits) & counted[..., None]

    def shares(totals: Totals) -> Array:
        """(R, K, T)."""
        return share_of(totals["right"], totals["all"][..., None])

    def figures(totals: Totals) -> dict[str, Array]:
        curve = _mean_of_existing(np.moveaxis(shares(totals), 1, -1))
        return {"AUC": curve.mean(axis=-1)}

    about = f"AUC up to {metric.norm_factor:g} pixels"
    people = {"right": right, "all": counted}
    return Sums(people, figures, lambda totals: shares(totals).mean(axis=-1), about, rising=True)


def _of_errors(metric: EPE | NME, results: list[Any]) -> Sums:
    """Mean distances, in pixels or in units of a length."""
    pred, gt, mask = stacked(results)
    lengths = np.ones(pred.shape[::2], np.float32)
    if isinstance(metric, NME):
        lengths = metric.norm_of(results, gt)
    distances, counted = normalized_distances(pred, gt, mask, lengths)
    people = {"error": np.where(counted, distances, 0).astype(np.float64), "all": counted}
    name = type(metric).__name__

    def figures(totals: Totals) -> dict[str, Array]:
        number = np.maximum(totals["all"].sum(axis=1), 1)
        return {name: totals["error"].sum(axis=1) / number}

    about = f"{name}, pixels" if name == "EPE" else name
    return Sums(
        people,
        figures,
        lambda totals: share_of(totals["error"], totals["all"]),
        about,
        rising=False,
    )


def _of_poses_in_space(metric: SimpleMPJPE, results: list[Any]) -> Sums:
    """MPJPE and its aligned forms, by action where there are some; (N, K, 1 + actions)."""
    pred, gt, mask = stacked(results)
    pred = aligned(pred, gt, metric.ALIGNMENT[metric.mode])
    errors = np.where(mask, np.linalg.norm(pred - gt, axis=-1), 0).astype(np.float64)
    actions: list[str] = []
    member = np.ones((len(errors), 1, 1), bool)
    if isinstance(metric, MPJPE):
        actions = list(dict.fromkeys(result["action"] for result in results))
        frames = [len(result["pred_coords"]) for result in results]
        own = np.repeat([actions.index(result["action"]) for result in results], frames)
        of_action = own[:, None] == np.arange(len(actions))
        member = np.concatenate((member[..., 0], of_action), axis=1)[:, None]
    people = {"error": errors[..., None] * member, "all": mask[..., None] & member}
    name = metric.mode.upper()
    names = [name, *(f"{name}_{action}" for action in actions)]

    def figures(totals: Totals) -> dict[str, Array]:
        means = share_of(totals["error"].sum(axis=1), totals["all"].sum(axis=1))
        return dict(zip(names, means.T, strict=True))

    def keypoints(totals: Totals) -> Array:
        return share_of(totals["error"][..., 0], totals["all"][..., 0])

    return Sums(people, figures, keypoints, name, rising=False)


def _of_hands(metric: InterHandMetric, results: list[Any]) -> Sums:
    """Errors of two hands, whose parts may be missing; one sample an entry."""
    column = {name: np.concatenate([result[name] for result in results]) for name in results[0]}
    means: dict[str, tuple[Array, Array]] = {}
    if "MPJPE" in metric.modes:
        errors = _pixel_distances(column["pred"], column["gt"], column["all"])
        means |= {f"MPJPE_{w}": (errors, column[w]) for w in ("all", "single", "interacting")}
    if "HandednessAcc" in metric.modes:
        right, known = (column[name].reshape(len(results), -1) for name in _HANDED)
        means["HandednessAcc"] = right, known
    if "MRRPE" in metric.modes:
        known = column["root_known"]
        apart = _pixel_distances(column["pred_root"], column["gt_root"], known)
        means["MRRPE"] = apart, known
    people: dict[str, Array] = {}
    for name, (values, counted) in means.items():
        people[f"{name} sum"] = np.where(counted, values, 0).sum(axis=1, dtype=np.float64)
        people[f"{name} all"] = counted.sum(axis=1)

    def figures(totals: Totals) -> dict[str, Array]:
        # the metric itself gives 0 where nothing counts
        return {n: totals[f"{n} sum"] / np.maximum(totals[f"{n} all"], 1) for n in means}

    return Sums(people, figures, None, "", rising=False)


def _pixel_distances(pred: Array, gt: Array, mask: Array) -> Array:
    """(N, K) as the metrics measure them."""
    return normalized_distances(pred, gt, mask, np.ones(pred.shape[::2], np.float32))[0]


#: metric -> its sums
SUMMED: dict[type[BaseMetric], Callable[[Any, list[Any]], Sums]] = {
    PCKAccuracy: _of_pck,
    JhmdbPCKAccuracy: _of_jhmdb,
    MpiiPCKAccuracy: _of_mpii,
    AUC: _of_auc,
    EPE: _of_errors,
    NME: _of_errors,
    SimpleMPJPE: _of_poses_in_space,
    MPJPE: _of_poses_in_space,
    InterHandMetric: _of_hands,
}
