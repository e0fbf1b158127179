"""AP and AR equal those of pycocotools, and hand-made scenes give what they must."""

import contextlib
import io

import numpy as np
import pytest

from poise.errors import DataError
from poise.metrics.coco_eval import Detections, evaluate_oks
from poise.metrics.coco_truth import CocoTruth, coco_from_samples

SIGMAS = np.full(3, 0.1)


def truth_of(*people, images=(1,), **options):
    """Annotations: (image, x, dict of what differs)."""
    anns = []
    for number, (image, x, other) in enumerate(people):
        pose = [[x, 10, 2], [x + 10, 10, 2], [x, 30, 2]]
        ann = dict(id=number + 1, image_id=image, category_id=1, iscrowd=0, area=2000.0)
        ann |= dict(bbox=[x, 10, 40, 50], keypoints=np.ravel(pose).tolist(), num_keypoints=3)
        anns.append(ann | other)
    pictures = [dict(id=i) for i in images]
    content = dict(images=pictures, annotations=anns, categories=[dict(id=1)])
    return CocoTruth.from_coco(content, source="the test", **options)


def detections_of(*poses):
    """Predictions: (image row, x, score)."""
    keypoints = [[[x, 10], [x + 10, 10], [x, 30]] for _, x, _ in poses]
    return Detections(
        image=np.array([p[0] for p in poses], int),
        category=np.zeros(len(poses), int),
        keypoints=np.array(keypoints, float).reshape(len(poses), 3, 2),
        seen=np.ones(len(poses), bool),
        score=np.array([p[2] for p in poses], float),
        area=np.full(len(poses), 2000.0),
    )


def figures(truth, *poses, sigmas=SIGMAS):
    return evaluate_oks(truth, detections_of(*poses), sigmas).summarize()


def test_perfect_predictions_give_one():
    got = figures(truth_of((1, 10, {}), (1, 200, {})), (0, 10, 0.9), (0, 200, 0.8))
    assert got["AP"] == pytest.approx(1)
    assert got["AR"] == 1
    assert got["AP (M)"] == pytest.approx(1)
    assert got["AP (L)"] == -1


def test_a_missed_person_costs_recall():
    got = figures(truth_of((1, 10, {}), (1, 200, {})), (0, 10, 0.9))
    assert got["AR"] == 0.5
    assert got["AP"] == pytest.approx(51 / 101)


def test_a_second_prediction_of_a_person_is_false():
    first_right = figures(truth_of((1, 10, {})), (0, 10, 0.9), (0, 11, 0.8))
    assert first_right["AP"] == pytest.approx(1)
    doubled = figures(
        truth_of((1, 10, {}), (1, 200, {})), (0, 10, 0.9), (0, 11, 0.8), (0, 200, 0.7)
    )
    assert doubled["AP .5"] == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_crowds_swallow_any_number_of_predictions():
    truth = truth_of((1, 10, {}), (1, 200, dict(iscrowd=1)))
    got = figures(truth, (0, 200, 0.9), (0, 201, 0.8), (0, 199, 0.7), (0, 10, 0.6))
    assert got["AP"] == pytest.approx(1)


def test_people_without_visible_keypoints_are_ignored_with_their_predictions():
    unseen = dict(keypoints=[0, 0, 0] * 3, num_keypoints=0)
    got = figures(truth_of((1, 10, {}), (1, 200, unseen)), (0, 210, 0.9), (0, 10, 0.5))
    assert got["AP"] == pytest.approx(1)
    assert got["AR"] == 1


def test_only_twenty_predictions_of_a_picture_count():
    false = [(0, 500 + 50 * i, 0.9) for i in range(20)]
    assert figures(truth_of((1, 10, {})), *false, (0, 10, 0.1))["AR"] == 0
    assert figures(truth_of((1, 10, {})), *false[1:], (0, 10, 0.1))["AR"] == 1


def test_a_prediction_without_keypoint_scores_does_not_count():
    detections = detections_of((0, 10, 0.9))
    detections.seen[:] = False
    assert evaluate_oks(truth_of((1, 10, {})), detections, SIGMAS).summarize()["AR"] == 0


def test_nothing_predicted_gives_zero_and_nothing_annotated_minus_one():
    assert set(figures(truth_of((1, 10, {}))).values()) == {0.0, -1.0}
    assert figures(truth_of((1, 10, {})))["AP"] == 0
    assert set(figures(truth_of(), (0, 10, 0.5)).values()) == {-1.0}
    assert set(figures(truth_of()).values()) == {-1.0}


def test_crowd_pose_splits_by_crowding():
    people = [(i + 1, 10, {}) for i in range(3)]
    truth = truth_of(*people, images=(1, 2, 3), crowd_pose=True)
    truth = CocoTruth(**{**vars(truth), "crowd_index": np.array([0.0, 0.5, 0.9])})
    got = evaluate_oks(truth, detections_of((0, 10, 0.9), (2, 300, 0.8)), SIGMAS).summarize_crowd()
    assert list(got)[-3:] == ["AP(E)", "AP(M)", "AP(H)"]
    assert (got["AP(E)"], got["AP(M)"], got["AP(H)"]) == (1, 0, 0)
    with pytest.raises(DataError, match="crowdIndex"):
        evaluate_oks(truth_of((1, 10, {})), detections_of(), SIGMAS).summarize_crowd()


def test_crowd_pose_leaves_out_whom_it_counts_no_keypoints_of():
    people = (1, 10, {}), (1, 200, dict(num_keypoints=0))
    assert figures(truth_of(*people), (0, 10, 0.9))["AR"] == 0.5
    assert figures(truth_of(*people, crowd_pose=True), (0, 10, 0.9))["AR"] == 1


def test_annotations_that_samples_carry_make_a_file():
    of_one = dict(img_id=3, width=40, height=30, crowd_index=0.5)
    ann = dict(id=8, image_id=3, category_id=2, iscrowd=0)
    samples = [dict(of_one, raw_ann_info=[None, ann]), dict(of_one, raw_ann_info=[dict(ann, id=9)])]
    assert coco_from_samples(samples, None, fields=("id", "category_id")) == dict(
        images=[dict(id=3, width=40, height=30, crowdIndex=0.5)],
        annotations=[dict(id=8, category_id=2), dict(id=9, category_id=2)],
        categories=[dict(id=2, name="2")],
    )


def test_without_area_the_box_is_measured():
    by_box = truth_of((1, 10, {}), use_area=False)
    assert by_box.area.tolist() == [40 * 50 * 0.53]


def test_numbers_of_keypoints_must_agree():
    with pytest.raises(DataError, match="2 sigmas, 3 annotated keypoints, 3 predicted keypoints"):
        figures(truth_of((1, 10, {})), (0, 10, 0.9), sigmas=np.ones(2))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda c: c.pop("annotations"), "Ground truth annotations are required"),
        (
            lambda c: c["annotations"][0].pop("area"),
            r"annotation 1 of the test lacks \['area'\]; set",
        ),
        (lambda c: c["annotations"][0].pop("bbox"), r"lacks \['bbox'\]$"),
        (lambda c: c["annotations"][0].update(keypoints=[1, 2, 2]), "differ in their number"),
        (
            lambda c: c["annotations"][1].update(keypoints=None),
            "annotation 2 has None, most have 9",
        ),
        (lambda c: [a.update(keypoints=[1] * 4) for a in c["annotations"]], "no multiple of 3"),
        (lambda c: c["annotations"][0].update(keypoints=[None, *[1] * 8]), "in its keypoints"),
        (lambda c: c["annotations"][1].update(keypoints=["left", *[1] * 8]), "2 .* its keypoints"),
        (lambda c: c["annotations"][0].update(area=None), "no usable number .* in its `area`"),
        (lambda c: c["annotations"][0].update(area=-1), "below 0.* in its `area`"),
        (lambda c: c["annotations"][0].update(bbox=[1, 2, 3]), "no `bbox` of four numbers, got"),
        (lambda c: c["annotations"][0].update(bbox=[]), r"no `bbox` of four numbers, got \[\]"),
        (lambda c: c["annotations"][0].update(bbox=[1, 2, np.nan, 4]), "in its `bbox`"),
        (lambda c: c["annotations"][0].pop("image_id"), "annotation 1 of the test lacks image_id"),
        (
            lambda c: (c["annotations"][0].pop("category_id"), c.update(categories=[dict(id=1)])),
            "annotation 1 of the test lacks category_id",
        ),
        (lambda c: c["annotations"][0].pop("category_id"), "categories of the test have no `id`"),
        (lambda c: c["images"][0].pop("id"), "pictures of the test have no `id`"),
        (lambda c: c["images"][0].update(id=[1]), "no `id`, or one that is no number or text"),
        (lambda c: c.update(categories=[dict(name="a")]), "category {'name': 'a'} of the test"),
        (lambda c: c.pop("images"), "`images` of the test should be a list of objects.* got None"),
        (lambda c: c.update(annotations=[5]), "list of objects.* got one of other things"),
    ],
)
def test_broken_annotations_are_explained(change, text):
    anns = [
        dict(
            id=i,
            image_id=1,
            category_id=1,
            iscrowd=0,
            area=5.0,
            bbox=[0, 0, 1, 1],
            keypoints=[1] * 9,
        )
        for i in (1, 2)
    ]
    content = dict(images=[dict(id=1)], annotations=anns)
    change(content)
    with pytest.raises(DataError, match=text):
        CocoTruth.from_coco(content, source="the test")


def test_what_is_not_labelled_may_be_no_number():
    keypoints = [[10, 10, 2], [20, 10, 2], [np.nan, np.nan, 0]]
    truth = truth_of((1, 10, dict(keypoints=np.ravel(keypoints).tolist())))
    assert figures(truth, (0, 10, 0.9))["AP"] == pytest.approx(1)
    detections = detections_of((0, 10, 0.9))
    detections.keypoints[0, 2] = np.nan
    assert evaluate_oks(truth, detections, SIGMAS).summarize()["AP"] == pytest.approx(1)


def test_ids_may_be_numbers_and_texts():
    truth = truth_of(("b", 10, {}), (7, 200, {}), images=("b", 7, 2**70))
    assert truth.image_ids == [7, 2**70, "b"]
    assert figures(truth, (2, 10, 0.9), (0, 200, 0.8))["AR"] == 1


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("options", [{}, dict(copies=3, ties=True), dict(categories=3, people=25)])
def test_equal_to_pycocotools(scene, run, seed, options):
    tools = pytest.importorskip("pycocotools.coco")
    from pycocotools.cocoeval import COCOeval

    from poise.metrics import CocoMetric

    data = scene(seed=seed, **options)
    metric = CocoMetric(ann_file=data.path, nms_mode="none", outfile_prefix=data.path[:-5])
    ours = run(metric, data.samples, data.meta)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = tools.COCO(data.path)
        theirs = COCOeval(coco, coco.loadRes(data.path[:-5] + ".keypoints.json"), "keypoints")
        theirs.params.kpt_oks_sigmas = data.meta["sigmas"].astype(float)
        theirs.evaluate()
        theirs.accumulate()
        theirs.summarize()
    assert list(ours.values()) == pytest.approx(theirs.stats.tolist(), abs=1e-9)
