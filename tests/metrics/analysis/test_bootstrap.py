"""Figures of a draw of pictures are what the metric itself says of those pictures."""

from __future__ import annotations

import copy
import json
import warnings
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from poise.errors import ArgumentError, DataError
from poise.metrics import (
    AUC,
    EPE,
    MPJPE,
    NME,
    CocoMetric,
    CocoWholeBodyMetric,
    InterHandMetric,
    JhmdbPCKAccuracy,
    KeypointPartitionMetric,
    MpiiPCKAccuracy,
    PCKAccuracy,
    SimpleMPJPE,
)
from poise.metrics.analysis import Statistic, differences, intervals, leaves_of
from poise.metrics.analysis.bootstrap import draws

COPY = 1000  # what the ids of copies are multiplied by, so that they stay side by side


def fed(metric: Any, samples: list[dict[str, Any]], meta: Any = None) -> Any:
    """The only leaf of a metric that saw the samples, and the metric's figures."""
    if meta is not None:
        metric.dataset_meta = meta
    leaves = list(leaves_of(metric))
    for number, sample in enumerate(samples):
        metric.process([None], [sample])
        for leaf in leaves:
            leaf.take(sample.get("img_id", number), number)
    for leaf in leaves:
        leaf.close()
    return leaves, metric.evaluate(len(samples))


def drawn_scene(made: Any, weights: np.ndarray, path: Any) -> tuple[str, list[dict[str, Any]]]:
    """Annotation file and samples in which pictures occur as often as the weights say."""
    rows = {image["id"]: row for row, image in enumerate(made.coco["images"])}
    content = {"images": [], "annotations": [], "categories": made.coco["categories"]}
    samples = []
    for image, weight in zip(made.coco["images"], weights, strict=True):
        for number in range(weight):
            own = image["id"] * COPY + number
            content["images"].append({**image, "id": own})
            for ann in made.coco["annotations"]:
                if ann["image_id"] == image["id"]:
                    new = {"id": len(content["annotations"]), "image_id": own}
                    content["annotations"].append({**ann, **new})
    for sample in made.samples:
        for number in range(weights[rows[sample["img_id"]]]):
            again = copy.copy(sample)
            again["img_id"] = sample["img_id"] * COPY + number
            if not isinstance(sample["id"], list):
                again["id"] = sample["id"] * COPY + number
            samples.append(again)
    path.write_text(json.dumps(content))
    return str(path), samples


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ({}, {}),
        ({"copies": 4, "noise": 0.03}, {}),
        ({"categories": 2, "copies": 2}, {"score_mode": "bbox"}),
        ({"bottom_up": True, "copies": 3, "boxes": True}, {"nms_mode": "none"}),
        ({"ties": True, "noise": 0.03}, {"score_mode": "keypoint"}),
        ({"copies": 2, "noise": 0.02}, {"iou_type": "keypoints_crowd", "use_area": False}),
    ],
)
def test_ap_of_a_draw_is_that_of_the_drawn_pictures(
    scene: Any, tmp_path: Any, options: Any, settings: Any
) -> None:
    made = scene(images=10, **options)
    (leaf,), figures = fed(CocoMetric(made.path, **settings), made.samples, made.meta)
    statistic = leaf.statistic()
    assert list(statistic.names) == list(figures)
    np.testing.assert_array_equal(statistic.whole(), nan_of(figures))
    for number, weights in enumerate(next(draws(10, 6, seed=1))):
        if options.get("ties"):
            # of equal scores in a picture the order of copies is a matter of taste
            weights = np.minimum(weights, 1)
        path, samples = drawn_scene(made, weights, tmp_path / f"{number}.json")
        _, expected = fed(CocoMetric(path, **settings), samples, made.meta)
        np.testing.assert_array_equal(statistic.figures(weights[None])[0], nan_of(expected))


def nan_of(figures: dict[str, float]) -> np.ndarray:
    values = np.array(list(figures.values()), float)
    return np.where(values == -1, np.nan, values)


def test_whole_bodies_are_drawn_too(scene: Any, tmp_path: Any) -> None:
    made = scene(images=10, keypoints=133)
    bounds = dict(keypoints=(0, 17), foot_kpts=(17, 23), face_kpts=(23, 91))
    bounds |= dict(lefthand_kpts=(91, 112), righthand_kpts=(112, 133))
    for ann in made.coco["annotations"]:
        pose = ann["keypoints"]
        ann.update({name: pose[3 * a : 3 * b] for name, (a, b) in bounds.items()})
    ones, weights = np.ones(10, int), next(draws(10, 1, seed=3))[0]
    path, samples = drawn_scene(made, ones, tmp_path / "ones.json")
    (leaf,), _ = fed(CocoWholeBodyMetric(path), samples, made.meta)
    path, samples = drawn_scene(made, weights, tmp_path / "drawn.json")
    _, expected = fed(CocoWholeBodyMetric(path), samples, made.meta)
    assert list(leaf.statistic().names) == list(expected)
    np.testing.assert_array_equal(leaf.statistic().figures(weights[None])[0], nan_of(expected))


def people(keypoints: int, *, seed: int = 0, space: int = 2) -> list[dict[str, Any]]:
    """Samples of 12 pictures with one to three people each, one or two a sample."""
    rng = np.random.default_rng(seed)
    samples = []
    for number in range(24):
        count = 1 if number % 3 else 2
        truth = rng.uniform(0, 100, (count, keypoints, space)).astype(np.float32)
        found = truth + rng.normal(0, 6, truth.shape).astype(np.float32)
        visible = rng.integers(0, 2, (count, keypoints))
        visible[:, 2] = 0
        boxes = np.array([[0, 0, 60.0 + number, 50]] * count)
        samples.append(
            {
                "id": number,
                "img_id": number // 2,
                "target_img_path": [f"S1_{'Eat' if number % 4 else 'Walk'}.1_{number}.jpg"],
                "pred_instances": {"keypoints": found},
                "gt_instances": {
                    "keypoints": truth,
                    "keypoints_visible": visible,
                    "lifting_target": truth,
                    "lifting_target_visible": visible,
                    "bboxes": boxes,
                    "head_size": np.full(count, 30.0 + number),
                },
            }
        )
    return samples


PERSON_METRICS = [
    (PCKAccuracy, {"thr": 0.1, "norm_item": ["bbox", "torso", "head"]}, 16),
    (JhmdbPCKAccuracy, {"thr": 0.1, "norm_item": ["bbox", "torso"]}, 15),
    (MpiiPCKAccuracy, {}, 16),
    (AUC, {"norm_factor": 20}, 16),
    (EPE, {}, 16),
    (NME, {"norm_mode": "use_norm_item", "norm_item": "bbox_size"}, 16),
    (NME, {"norm_mode": "keypoint_distance", "keypoint_indices": [0, 1]}, 16),
    (SimpleMPJPE, {"mode": "n-mpjpe"}, 17),
    (MPJPE, {"mode": "p-mpjpe"}, 17),
    (MPJPE, {}, 17),
]


@pytest.mark.parametrize(("kind", "settings", "keypoints"), PERSON_METRICS)
def test_means_of_a_draw_are_those_of_the_drawn_people(
    kind: Any, settings: Any, keypoints: int
) -> None:
    samples = people(keypoints, space=3 if "MPJPE" in kind.__name__ else 2)
    (leaf,), figures = fed(kind(**settings), samples)
    statistic = leaf.statistic()
    assert list(statistic.names) == list(figures)
    np.testing.assert_allclose(statistic.whole(), list(figures.values()), rtol=1e-12)
    for weights in next(draws(12, 5, seed=2)):
        drawn = [s for s in samples for _ in range(weights[s["img_id"]])]
        _, expected = fed(kind(**settings), drawn)
        found = dict(zip(statistic.names, statistic.figures(weights[None])[0], strict=True))
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, rel=1e-12), name
        # an action of which nobody is drawn has no figure
        assert all(np.isnan(found[name]) for name in found.keys() - expected.keys())


@pytest.mark.parametrize(("kind", "settings", "keypoints"), PERSON_METRICS)
def test_figures_of_single_keypoints_are_those_of_a_metric_that_sees_no_other(
    kind: Any, settings: Any, keypoints: int
) -> None:
    # three metrics weigh, pick or move keypoints together
    if kind in (MpiiPCKAccuracy, JhmdbPCKAccuracy) or settings.get("mode"):
        settings = {k: v for k, v in settings.items() if k != "mode"}
    samples = people(keypoints, space=3 if "MPJPE" in kind.__name__ else 2)
    (leaf,), _ = fed(kind(**settings), samples)
    found = leaf.keypoint_statistic().whole()
    assert np.isnan(found[2])
    for keypoint in (1, 8):
        alone = copy.deepcopy(samples)
        for sample in alone:
            for name in ("keypoints_visible", "lifting_target_visible"):
                mask = sample["gt_instances"][name]
                sample["gt_instances"][name] = mask * (np.arange(keypoints) == keypoint)
        plain = PCKAccuracy if kind is JhmdbPCKAccuracy else kind
        _, expected = fed(plain(**settings), alone)
        key = "PCK" if kind is MpiiPCKAccuracy else next(iter(expected))
        assert found[keypoint] == pytest.approx(expected[key], rel=1e-6)


def test_parts_of_a_body_have_their_own_ap(scene: Any) -> None:
    made = scene(images=10, noise=0.03)
    metric = KeypointPartitionMetric(
        {"type": "CocoMetric", "score_mode": "bbox", "nms_mode": "none"},
        {"head": [0, 1, 2, 3, 4], "legs": [13, 14, 15, 16]},
    )
    leaves, figures = fed(metric, made.samples, made.meta)
    found = {}
    for leaf in leaves:
        found |= dict(zip(leaf.statistic().names, leaf.statistic().whole(), strict=True))
    assert list(found) == list(figures)
    np.testing.assert_array_equal(list(found.values()), nan_of(figures))


def test_parts_of_a_body_and_unknown_metrics_are_drawn_as_well() -> None:
    samples = people(16)
    parts = KeypointPartitionMetric({"type": "EPE"}, {"head": [0, 1, 3], "arm": [4, 5]})
    parts.dataset_meta = {"sigmas": []}
    leaves, figures = fed(parts, samples)
    assert [name for leaf in leaves for name in leaf.statistic().names] == list(figures)

    class Own(EPE):
        def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
            return {"own error": super().compute_metrics(results)["EPE"]}

    (leaf,), _ = fed(Own(), samples)
    (known,), _ = fed(EPE(), samples)
    weights = next(draws(12, 3, seed=5))
    np.testing.assert_allclose(
        leaf.statistic().figures(weights), known.statistic().figures(weights), rtol=1e-12
    )
    assert leaf.statistic().rising == [False]

    class Hidden(Own):
        def entries(self) -> list[Any]:
            return self.results[:3]

    (leaf,), _ = fed(Hidden(), samples)
    with pytest.raises(DataError, match="Hidden keeps 3 entries of 24 samples"):
        leaf.statistic()
    (leaf,), _ = fed(Own(), samples)
    assert leaf.keypoint_statistic() is None


def test_hands_in_space_are_drawn_as_well() -> None:
    rng = np.random.default_rng(0)
    samples = []
    for number in range(30):
        kind = np.array([[1.0, float(rng.integers(2))]])
        places, depths = rng.uniform(50, 200, (1, 42, 2)), rng.normal(0, 30, (1, 42, 1))
        samples.append(
            {
                "img_id": number // 2,
                "hand_type": kind,
                "hand_type_valid": np.array([float(number % 4 > 0)]),
                "abs_depth": [500.0, 520.0],
                "focal": np.array([600.0, 600.0]),
                "principal_pt": np.array([128.0, 128.0]),
                "pred_instances": {
                    "keypoints": np.concatenate([places, depths], axis=2),
                    "hand_type": np.array([[1.0, float(rng.integers(2))]]),
                    "rel_root_depth": rng.normal(10, 5, (1, 1)),
                },
                "gt_instances": {
                    "keypoints_cam": rng.normal(0, 80, (1, 42, 3)),
                    "keypoints_visible": rng.integers(0, 2, (1, 42)) | (np.arange(42) % 21 == 20),
                },
            }
        )
    (leaf,), figures = fed(InterHandMetric(), samples)
    statistic = leaf.statistic()
    assert list(statistic.names) == list(figures)
    assert list(statistic.rising) == [False, False, False, True, False]
    np.testing.assert_allclose(statistic.whole(), list(figures.values()), rtol=1e-12)
    for weights in next(draws(15, 4, seed=2)):
        drawn = [s for s in samples for _ in range(weights[s["img_id"]])]
        _, expected = fed(InterHandMetric(), drawn)
        found = statistic.figures(weights[None])[0]
        np.testing.assert_allclose(found, list(expected.values()), rtol=1e-12)
    assert leaf.keypoint_statistic() is None


def mean_statistic(values: np.ndarray) -> Statistic:
    def figures(weights: np.ndarray) -> np.ndarray:
        return (weights @ values / weights.sum(axis=1))[:, None]

    return Statistic(list(range(len(values))), ["mean"], [True], figures)


def test_intervals_hold_what_theory_says() -> None:
    values = np.random.default_rng(0).normal(5, 2, 400)
    found = intervals(mean_statistic(values), level=0.9, resamples=4000)["mean"]
    width = 1.645 * values.std() / 20
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - width, abs=0.02)
    assert found.high == pytest.approx(values.mean() + width, abs=0.02)
    assert found.draws == 4000
    again = intervals(mean_statistic(values), level=0.9, resamples=4000)["mean"]
    assert again == found
    assert intervals(mean_statistic(values), seed=1)["mean"] != found


def test_intervals_are_corrected_for_what_draws_are_too_high() -> None:
    rng = np.random.default_rng(1)
    caught, plain = 0, 0
    for seed in range(150):
        values = rng.normal(0, 1, (100, 3))

        def largest(weights: np.ndarray, values: np.ndarray = values) -> np.ndarray:
            # of three means, all of which are truly 0
            return (weights @ values / weights.sum(axis=1, keepdims=True)).max(axis=1)[:, None]

        statistic = Statistic(list(range(100)), ["largest"], [True], largest)
        found = intervals(statistic, resamples=300, seed=seed)["largest"]
        drawn = np.concatenate([largest(w) for w in draws(100, 300, seed)])[:, 0]
        caught += found.low <= 0 <= found.high
        plain += np.quantile(drawn, 0.025) <= 0 <= np.quantile(drawn, 0.975)
        # the bounds, from the formula written out
        shift = 2 * norm.ppf((drawn < found.value).mean())
        ends = norm.cdf(shift + norm.ppf([0.025, 0.975]))
        assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, ends)))
    assert caught > plain + 10
    assert caught > 0.85 * 150


def test_draws_hold_as_many_pictures_as_there_are() -> None:
    blocks = list(draws(30, 120, seed=0))
    weights = np.concatenate(blocks)
    assert weights.shape == (120, 30)
    assert (weights.sum(axis=1) == 30).all()
    assert weights.mean() == 1
    # each picture is absent from about a third
    assert abs((weights == 0).mean() - np.exp(-1)) < 0.03


def test_a_difference_is_surer_than_its_parts() -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(0, 3, 300)
    ours, theirs = (mean_statistic(hard + shift + rng.normal(0, 0.1, 300)) for shift in (1, 0.9))
    found = differences(ours, theirs)["mean"]
    assert found.difference == pytest.approx(found.value - found.against)
    assert found.low > 0
    assert found.better == 1
    own = intervals(ours)["mean"]
    assert own.high - own.low > 10 * (found.high - found.low)
    same = differences(ours, ours)["mean"]
    assert (same.difference, same.low, same.high, same.better) == (0, 0, 0, 0.5)


def test_less_is_better_for_errors() -> None:
    values = np.linspace(0, 1, 50)
    falling = [
        Statistic(s.pictures, s.names, [False], s.figures)
        for s in map(mean_statistic, (values, values + 0.5))
    ]
    assert differences(*falling)["mean"].better == 1


def test_what_cannot_be_drawn_is_said() -> None:
    few = mean_statistic(np.arange(9.0))
    with pytest.raises(DataError, match="9 pictures are too few"):
        intervals(few)
    many = mean_statistic(np.arange(20.0))
    with pytest.raises(ArgumentError, match=r"between 0 and 1, such as 0.95, got 95"):
        intervals(many, level=95)
    with pytest.raises(ArgumentError, match="needs resamples"):
        intervals(many, resamples=0)
    other = Statistic([*range(1, 20), 40], ["mean"], [True], many.figures)
    with pytest.raises(DataError, match=r"1 only in the first \(0\); 1 only in the second \(40\)"):
        differences(many, other)
    named = Statistic(many.pictures, ["median"], [True], many.figures)
    with pytest.raises(DataError, match="no figure in common"):
        differences(many, named)


def test_a_figure_that_never_exists_has_no_interval() -> None:
    def figures(weights: np.ndarray) -> np.ndarray:
        return np.full((len(weights), 1), np.nan)

    statistic = Statistic(list(range(20)), ["AP (M)"], [True], figures)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = intervals(statistic, resamples=10)["AP (M)"]
    assert found.draws == 0
    assert np.isnan([found.value, found.low, found.high]).all()
    assert np.isnan(differences(statistic, statistic, resamples=10)["AP (M)"].better)
