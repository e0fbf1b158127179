"""Groups of people, keypoints and the worst cases, against counting one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from poise.errors import ArgumentError, DataError
from poise.metrics import EPE, CocoMetric, InterHandMetric, MpiiPCKAccuracy, PCKAccuracy
from poise.metrics.analysis import (
    Leaf,
    People,
    breakdown_tables,
    by_table,
    intervals,
    leaves_of,
    slice_people,
    worst_of,
)
from poise.metrics.analysis.slices import largest_overlap


def fed(metric: Any, samples: list[dict[str, Any]], meta: Any = None) -> Leaf:
    if meta is not None:
        metric.dataset_meta = meta
    (leaf,) = leaves_of(metric, meta)
    for number, sample in enumerate(samples):
        metric.process([None], [sample])
        boxes = (sample.get("gt_instances") or {}).get("bboxes")
        leaf.take(sample.get("img_id", number), sample.get("id", number), boxes)
    leaf.close()
    return leaf


def groups_of(kind: str, **columns: Any) -> list[str]:
    number = len(next(iter(columns.values())))
    columns.setdefault("labelled", np.ones(number, int))
    found = slice_people(kind, People(17, **columns))
    return [found.names[row] for row in found.row]


def test_people_are_sorted_by_the_limits_that_the_names_say() -> None:
    sizes = groups_of("size", size=np.array([31.9, 32, 95.9, 96, 400]))
    assert sizes == ["below 32 pixels", "32 to 64", "64 to 96", "96 to 160", "from 256 on"]
    labelled = groups_of("visible", labelled=np.array([0, 1, 4, 5, 12, 13, 17]))
    assert labelled[0] == "none"
    assert labelled[1:3] == ["1 to 4 keypoints"] * 2
    assert labelled[3:] == ["5 to 8 keypoints", "9 to 12 keypoints", *["13 to 17 keypoints"] * 2]
    overlaps = groups_of("crowding", overlap=np.array([0, 0.05, 0.1, 0.49, 0.5]))
    assert overlaps == ["alone", "IoU below 0.1", "0.1 to 0.3", "0.3 to 0.5", "from 0.5 on"]
    hidden = groups_of("occlusion", hidden=np.array([0, 0.1, 0.25, 0.5, 0.6]))
    assert hidden == ["nothing hidden", "up to 25%", "up to 25%", "up to 50%", "more"]


@pytest.mark.parametrize("keypoints", [1, 2, 3, 4, 133])
def test_every_number_of_keypoints_has_a_group(keypoints: int) -> None:
    labelled = np.arange(keypoints + 1)
    found = slice_people("visible", People(keypoints, labelled))
    assert found.names[found.row[0]] == "none"
    assert (np.diff(found.row[1:]) >= 0).all()
    assert found.row[1:].max() == len(found.names) - 2


def test_overlap_is_that_with_the_nearest_in_the_same_picture() -> None:
    boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [0, 0, 10, 10], [0, 0, 10, 9.0]])
    found = largest_overlap(boxes, np.array([0, 0, 1, 0]))
    assert found == pytest.approx([0.9, 1 / 3, 0, 0.9])


def test_tables_of_oks_count_one_by_one(scene: Any) -> None:
    made = scene(images=6, noise=0.1)
    leaf = fed(CocoMetric(made.path), made.samples[3:], made.meta)
    truth, assignment = leaf.comparison.truth, leaf.assignment
    counted = [g for g in range(len(truth.image)) if not truth.ignore[g]]
    rows = dict(by_table(leaf, "size").rows)
    small = [g for g in counted if 32 <= truth.area[g] ** 0.5 < 64]
    oks = [float(assignment.oks[g]) for g in small]
    assert rows["32 to 64"] == pytest.approx(
        (
            len(small),
            sum(assignment.pose[g] < 0 for g in small) / len(small),
            sum(oks) / len(oks),
            sum(o >= 0.5 for o in oks) / len(oks),
            sum(o >= 0.75 for o in oks) / len(oks),
        )
    )
    for kind in ("size", "visible", "crowding", "occlusion"):
        assert sum(values[0] for _, values in by_table(leaf, kind).rows) == len(counted)

    table = by_table(leaf, "keypoint")
    own = [float(s) for s in assignment.similarity[:, 4] if not np.isnan(s)]
    flags = truth.keypoints[:, 4, 2]
    hidden = [float(assignment.similarity[g, 4]) for g in counted if flags[g] == 1]
    seen = [float(assignment.similarity[g, 4]) for g in counted if flags[g] == 2]
    values = dict(zip(table.columns, dict(table.rows)["4"], strict=True))
    assert values == pytest.approx(
        {
            "labelled": len(own),
            "mean similarity": sum(own) / len(own),
            "from 0.5 on": sum(o >= 0.5 for o in own) / len(own),
            "from 0.85 on": sum(o >= 0.85 for o in own) / len(own),
            "seen": sum(seen) / len(seen),
            "hidden": sum(hidden) / len(hidden),
        }
    )


def test_oks_of_people_is_the_mean_of_their_keypoints(scene: Any) -> None:
    made = scene(images=5)
    leaf = fed(CocoMetric(made.path), made.samples[3:], made.meta)
    found = leaf.assignment
    has = np.flatnonzero(found.pose >= 0)
    np.testing.assert_allclose(np.nanmean(found.similarity[has], axis=1), found.oks[has])
    cases = worst_of(leaf, 4)
    table, *_, pictures = cases.tables
    counted = ~leaf.comparison.truth.ignore
    assert [w.figure for w in cases.people] == pytest.approx(
        sorted(found.oks[counted & (found.pose >= 0)])[:4]
    )
    assert [row[1][0] for row in table.rows] == [w.figure for w in cases.people]
    assert cases.people[0].person == leaf.comparison.truth.ids[cases.people[0].row]
    areas = leaf.comparison.truth.area[counted & (found.pose < 0)]
    assert [leaf.comparison.truth.area[w.row] for w in cases.missed] == sorted(areas)[::-1][:4]
    by_picture = {
        str(key): found.oks[(leaf.comparison.truth.image == row) & ~leaf.comparison.truth.ignore]
        for row, key in enumerate(leaf.comparison.truth.image_ids)
    }
    for name, (number, mean) in pictures.rows:
        assert (number, mean) == (len(by_picture[name]), pytest.approx(by_picture[name].mean()))
    means = [values[1] for _, values in pictures.rows]
    assert means == sorted(means)


def test_breakdown_adds_up(scene: Any) -> None:
    made = scene(images=8, noise=0.12, copies=2)
    meta = made.meta | {"flip_indices": list(range(17))}
    leaf = fed(CocoMetric(made.path, nms_mode="none"), made.samples, meta)
    errors, keypoints = breakdown_tables(leaf)
    rows = dict(errors.rows)
    kinds = ("good", "jitter", "inversion", "swap", "miss")
    assert sum(rows[kind][1] for kind in kinds) == pytest.approx(1)
    assert rows["all keypoints"][0] == sum(rows[kind][0] for kind in kinds[1:])
    assert rows["inversion"][0] == 0
    assert rows["duplicate"][0] > 0
    labelled = sum(values[0] for _, values in keypoints.rows)
    assert labelled == sum(rows[kind][0] for kind in kinds)
    for _, values in keypoints.rows:
        assert sum(values[1:]) == pytest.approx(1)
    assert [c for c in errors.columns if "gained" in c] == [
        "AP gained", "AP .5 gained", "AR gained"
    ]  # fmt: skip


def samples_of_people() -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    made = []
    for number in range(40):
        truth = rng.uniform(0, 50, (1, 16, 2))
        found = truth + rng.normal(0, 3, truth.shape)
        visible = rng.integers(0, 2, (1, 16))
        visible[:, 3] = 1
        side = float(rng.uniform(20, 300))
        annotated = {"keypoints": truth, "keypoints_visible": visible}
        annotated |= {"bboxes": np.array([[0, 0, side, side]]), "head_size": np.array([20.0])}
        made.append(
            {
                "id": 100 + number,
                "img_id": number // 2,
                "gt_instances": annotated,
                "pred_instances": {"keypoints": found},
            }
        )
    return made


@pytest.mark.parametrize("kind", ["size", "visible", "crowding"])
@pytest.mark.parametrize("metric", [EPE, PCKAccuracy, MpiiPCKAccuracy])
def test_figures_of_a_group_are_those_of_its_people_alone(metric: Any, kind: str) -> None:
    samples = samples_of_people()
    table = by_table(fed(metric(), samples), kind)
    boxes = np.concatenate([s["gt_instances"]["bboxes"] for s in samples])
    people = People(
        keypoints=16,
        labelled=np.array([s["gt_instances"]["keypoints_visible"].sum() for s in samples]),
        size=boxes[:, 2],
        overlap=largest_overlap(boxes, np.arange(40) // 2),
    )
    groups = slice_people(kind, people)
    for name, (number, *figures) in table.rows:
        own = [s for s, row in zip(samples, groups.row, strict=True) if groups.names[row] == name]
        assert number == len(own)
        again = metric()
        for sample in own:
            again.process([None], [sample])
        assert figures == pytest.approx(list(again.evaluate(len(own)).values()))


def test_the_worst_of_a_mean_are_those_with_the_largest_errors() -> None:
    samples = samples_of_people()
    leaf = fed(EPE(), samples)
    errors = {}
    for sample in samples:
        off = sample["pred_instances"]["keypoints"] - sample["gt_instances"]["keypoints"]
        seen = sample["gt_instances"]["keypoints_visible"][0].astype(bool)
        errors[sample["id"]] = float(np.linalg.norm(off[0], axis=-1)[seen].mean())
    expected = sorted(errors, key=lambda key: -errors[key])[:3]
    people = worst_of(leaf, 3).people
    assert [w.person for w in people] == expected
    assert [w.figure for w in people] == pytest.approx([errors[key] for key in expected], rel=1e-5)
    hits = worst_of(fed(PCKAccuracy(thr=1e-6), samples), 3)
    assert [w.figure for w in hits.people] == [0, 0, 0]
    sizes = sorted(s["gt_instances"]["bboxes"][0, 2] for s in samples)
    assert [row[1][1] for row in hits.tables[0].rows] == pytest.approx(sizes[::-1][:3])
    best = worst_of(fed(MpiiPCKAccuracy(), samples), 40).people
    assert best[0].figure <= best[-1].figure


def test_keypoints_may_stand_with_their_intervals() -> None:
    leaf = fed(PCKAccuracy(), samples_of_people())
    statistic = leaf.keypoint_statistic()
    assert statistic is not None
    table = by_table(leaf, "keypoint", intervals(statistic, resamples=100))
    assert list(table.columns) == ["labelled", "PCK at 0.05", "low", "high"]
    for _, (labelled, value, low, high) in table.rows:
        assert labelled > 0
        assert low <= value <= high


def test_what_there_is_not_is_said(scene: Any) -> None:
    leaf = fed(EPE(), samples_of_people())
    with pytest.raises(ArgumentError, match=r"sorted by must be one of .*size.*got 'sizes'.*size"):
        by_table(leaf, "sizes")
    with pytest.raises(DataError, match="nothing is known of occlusion"):
        by_table(leaf, "occlusion")
    with pytest.raises(DataError, match="EPE does not match poses to people by OKS"):
        breakdown_tables(leaf)
    bare = samples_of_people()
    for sample in bare:
        del sample["gt_instances"]["bboxes"]
    with pytest.raises(DataError, match="nobody has a size"):
        by_table(fed(EPE(), bare), "size")
    (hands,) = leaves_of(InterHandMetric())
    hands.entries = [{"hand_right": np.ones(1), "hand_known": np.ones(1)}]
    with pytest.raises(DataError, match="InterHandMetric has no figures of single people"):
        by_table(hands, "keypoint")
    with pytest.raises(DataError, match="InterHandMetric has no figures of single people"):
        worst_of(hands, 1)
