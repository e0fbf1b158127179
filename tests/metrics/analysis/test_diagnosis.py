"""Errors are told apart as the paper says; a slow reading of it, loop by loop, agrees."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from poise.metrics import CocoMetric
from poise.metrics.analysis import assign, diagnose, gains, leaves_of, mended
from poise.metrics.analysis.assignment import similarity
from poise.metrics.analysis.diagnosis import GOOD, INVERSION, JITTER, KINDS, MISS, SWAP
from poise.metrics.coco_eval import Detections, OksEvaluation, evaluate_oks
from poise.metrics.coco_truth import CocoTruth

SIGMAS = np.array([0.03, 0.05, 0.05, 0.08, 0.08])
FLIP = np.array([0, 2, 1, 4, 3])
AREA = 8000.0


def truth_of(poses: list[Any], images: list[int], **changes: Any) -> CocoTruth:
    anns = [
        {
            "id": 10 + number,
            "image_id": image,
            "category_id": 1,
            "iscrowd": 0,
            "area": AREA,
            "bbox": [0, 0, 100, 100],
            "num_keypoints": 5,
            "keypoints": np.ravel(pose).tolist(),
            **changes.get(f"person{number}", {}),
        }
        for number, (pose, image) in enumerate(zip(poses, images, strict=True))
    ]
    content = {"images": [{"id": i} for i in sorted(set(images))], "categories": [{"id": 1}]}
    return CocoTruth.from_coco({**content, "annotations": anns}, source="the test")


def found_of(poses: list[Any], images: list[int], scores: list[float]) -> Detections:
    return Detections(
        image=np.array(images),
        category=np.zeros(len(poses), int),
        keypoints=np.array(poses, float),
        seen=np.ones(len(poses), bool),
        score=np.array(scores),
        area=np.full(len(poses), AREA),
    )


def away(similar: float, sigma: float) -> float:
    """Pixels at which a keypoint has this similarity."""
    return math.sqrt(-2 * math.log(similar) * AREA) * 2 * sigma


def pose(x: float) -> np.ndarray:
    sides = [[x + 60, 40, 2], [x - 60, 40, 2], [x + 60, 120, 2], [x - 60, 120, 1]]
    return np.array([[x, 0, 2], *sides], float)


def test_each_kind_of_error_is_named() -> None:
    ours, other = pose(300), pose(1000)
    guess = ours[:, :2].copy()
    guess[0, 0] += away(0.6, SIGMAS[0])
    guess[1] = ours[2, :2]
    guess[3] = other[4, :2] + [away(0.7, SIGMAS[3]), 0]
    guess[4] = [300, 300]
    truth = truth_of([ours, other], [1, 1])
    detections = found_of([guess], [0], [0.9])
    assignment = assign(truth, detections, SIGMAS)
    assert assignment.pose.tolist() == [0, -1]
    result = diagnose(truth, detections, assignment, SIGMAS, FLIP)
    assert result.kind.tolist() == [[JITTER, INVERSION, GOOD, SWAP, MISS], [-1] * 5]
    assert result.confused[0] == pytest.approx([0, 1, 0, 0.7, 0])
    assert result.missed.tolist() == [False, True]
    assert result.counts().sum() == 5
    kinds = (JITTER, INVERSION, SWAP, MISS)
    better = mended(truth, detections, assignment, result, SIGMAS, kinds)
    again = similarity(better.keypoints[0], ours[:, :2], np.array(AREA), SIGMAS)
    assert again == pytest.approx([0.85, 1, 1, 0.7, 0.5])
    only = mended(truth, detections, assignment, result, SIGMAS, (SWAP,))
    np.testing.assert_array_equal(only.keypoints[0, [0, 1, 2, 4]], guess[[0, 1, 2, 4]])


def test_limits_belong_to_the_better_kind() -> None:
    ours = pose(300)
    guess = ours[:, :2].copy()
    for place, similar in enumerate((0.8501, 0.8499, 0.5001, 0.4999)):
        guess[place, 1] += away(similar, SIGMAS[place])
    truth, detections = truth_of([ours], [1]), found_of([guess], [0], [0.9])
    result = diagnose(truth, detections, assign(truth, detections, SIGMAS), SIGMAS, FLIP)
    assert result.kind[0].tolist() == [GOOD, JITTER, JITTER, MISS, GOOD]


def test_keypoints_without_another_side_are_not_inverted() -> None:
    ours = pose(300)
    guess = ours[:, :2].copy()
    guess[0, 1] += 500
    truth, detections = truth_of([ours], [1]), found_of([guess], [0], [0.9])
    result = diagnose(truth, detections, assign(truth, detections, SIGMAS), SIGMAS, FLIP)
    assert result.kind[0, 0] == MISS


def test_poses_of_nobody_and_second_poses_are_told_apart() -> None:
    crowd = {"iscrowd": 1}
    truth = truth_of([pose(300), pose(2000), pose(4000)], [1, 1, 1], person1=crowd)
    guesses = [pose(x)[:, :2] for x in (302, 300, 2000, 9000)]
    detections = found_of(guesses, [0] * 4, [0.9, 0.8, 0.7, 0.6])
    assignment = assign(truth, detections, SIGMAS)
    result = diagnose(truth, detections, assignment, SIGMAS, FLIP)
    # the better ranked one has the person; what lies on a crowd is let be
    assert assignment.person.tolist() == [0, -1, -1, -1]
    assert result.duplicate.tolist() == [False, True, False, False]
    assert result.background.tolist() == [False, False, False, True]
    assert result.missed.tolist() == [False, False, True]
    assert np.isnan(assignment.similarity[1]).all()
    assert assignment.similarity[2].tolist() == [0] * 5


def slow_assignment(truth: CocoTruth, detections: Detections) -> dict[int, int]:
    """Detection -> annotation, by loops."""
    pairs = {}
    for image in range(len(truth.image_ids)):
        rows = [d for d in range(len(detections.score)) if detections.image[d] == image]
        rows.sort(key=lambda d: -detections.score[d])
        free = [g for g in range(len(truth.image)) if truth.image[g] == image]
        free = [g for g in free if not truth.ignore[g]]
        for d in rows[:20]:
            best, chosen = 0.1, None
            for g in free:
                values = [
                    slow_similarity(detections.keypoints[d, k], truth, g, k)
                    for k in range(len(SIGMAS))
                    if truth.keypoints[g, k, 2] > 0
                ]
                if sum(values) / len(values) >= best:
                    best, chosen = sum(values) / len(values), g
            if chosen is not None:
                pairs[d] = chosen
                free.remove(chosen)
    return pairs


def slow_similarity(point: Any, truth: CocoTruth, person: int, keypoint: int) -> float:
    x, y, _ = truth.keypoints[person, keypoint]
    squared = (point[0] - x) ** 2 + (point[1] - y) ** 2
    return math.exp(-squared / (2 * truth.area[person] * (2 * SIGMAS[keypoint]) ** 2))


def slow_kind(truth: CocoTruth, point: Any, person: int, keypoint: int) -> int:
    """The kind of one keypoint, as the paper's definitions read."""
    if truth.keypoints[person, keypoint, 2] == 0:
        return -1
    own = slow_similarity(point, truth, person, keypoint)
    if own >= 0.85:
        return KINDS.index("good")
    if own >= 0.5:
        return KINDS.index("jitter")
    other_side, others = 0.0, 0.0
    for q in range(len(truth.image)):
        if truth.image[q] != truth.image[person]:
            continue
        for j in {keypoint, int(FLIP[keypoint])}:
            if truth.keypoints[q, j, 2] == 0 or (q == person and j == keypoint):
                continue
            near = slow_similarity(point, truth, q, j)
            if q == person:
                other_side = max(other_side, near)
            else:
                others = max(others, near)
    if max(other_side, others) < 0.5:
        return KINDS.index("miss")
    return KINDS.index("inversion" if other_side >= others else "swap")


@pytest.mark.parametrize("seed", range(4))
def test_a_slow_reading_of_the_paper_agrees(seed: int) -> None:
    rng = np.random.default_rng(seed)
    poses, images, guesses = [], [], []
    for image in range(6):
        for _ in range(int(rng.integers(1, 6))):
            size = rng.uniform(20, 60)
            place = rng.uniform(0, 150, 2)
            points = np.concatenate(
                [place + rng.random((5, 2)) * size, rng.integers(0, 3, (5, 1))], 1
            )
            points[0, 2] = 2
            poses.append(points)
            images.append(image + 1)
            guess = points[:, :2] + rng.normal(0, 4, (5, 2))
            for k in range(5):
                if rng.random() < 0.3:
                    guess[k] = points[FLIP[k], :2]
                elif rng.random() < 0.3:
                    guess[k] = poses[int(rng.integers(len(poses)))][k, :2]
            guesses.append(guess)
    areas = {f"person{n}": {"area": float(rng.uniform(800, 3000))} for n in range(len(poses))}
    truth = truth_of(poses, images, **areas)
    rows = rng.permutation(len(poses))[: len(poses) - 2]
    detections = found_of(
        [guesses[r] for r in rows], [images[r] - 1 for r in rows], rng.random(len(rows)).tolist()
    )
    assignment = assign(truth, detections, SIGMAS)
    expected = slow_assignment(truth, detections)
    assert {d: g for d, g in enumerate(assignment.person.tolist()) if g >= 0} == expected
    result = diagnose(truth, detections, assignment, SIGMAS, FLIP)
    seen = set()
    for d, g in expected.items():
        kinds = [slow_kind(truth, detections.keypoints[d, k], g, k) for k in range(5)]
        assert result.kind[g].tolist() == kinds
        seen |= set(kinds)
    assert seen == {-1, 0, 1, 2, 3, 4}
    assert set(np.flatnonzero(result.missed)) == set(range(len(poses))) - set(expected.values())


def test_gains_are_those_of_an_evaluation_of_mended_predictions(scene: Any) -> None:
    made = scene(noise=0.1, copies=2, images=6)
    metric = CocoMetric(made.path)
    metric.dataset_meta = made.meta
    (leaf,) = leaves_of(metric)
    for sample in made.samples:
        metric.process([None], [sample])
    leaf.close()
    own = leaf.comparison
    flip = np.array([0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15])
    result = diagnose(own.truth, own.detections, leaf.assignment, own.sigmas, flip)
    parts = (own.truth, own.detections, leaf.assignment, result, own.sigmas)
    found = gains(*parts, OksEvaluation.summarize)
    plain = evaluate_oks(own.truth, own.detections, own.sigmas).summarize()
    assert plain["AP"] == metric.evaluate(len(made.samples))["coco/AP"]
    better = mended(*parts, (MISS,))
    mended_figures = evaluate_oks(own.truth, better, own.sigmas).summarize()
    for name in ("AP", "AP .5", "AR"):
        assert found["miss"][name] == mended_figures[name] - plain[name]
    for kind in ("jitter", "inversion", "swap", "miss"):
        assert 0 <= found[kind]["AP"] <= found["all keypoints"]["AP"] + 1e-9
    assert found["all keypoints"]["AP"] > 0.1
    assert found["scores"]["AR"] == pytest.approx(0, abs=1e-12)
    assert found["missed people"]["AR"] >= 0
    assert np.isnan(found["miss"]["AP (L)"]) == (plain["AP (L)"] == -1)


def test_nothing_found_is_everybody_missed() -> None:
    truth = truth_of([pose(300)], [1])
    detections = found_of(np.zeros((0, 5, 2)), [], [])
    detections = Detections(**{**vars(detections), "image": np.zeros(0, int)})
    assignment = assign(truth, detections, SIGMAS)
    result = diagnose(truth, detections, assignment, SIGMAS, FLIP)
    assert result.missed.tolist() == [True]
    assert result.counts().sum() == 0
    found = gains(truth, detections, assignment, result, SIGMAS, OksEvaluation.summarize)
    assert found["jitter"]["AP"] == 0
