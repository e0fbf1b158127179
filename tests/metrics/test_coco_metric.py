"""CocoMetric: where annotations come from, how poses are ranked, and what errors say."""

import json
from pathlib import Path

import numpy as np
import pytest

from poise.errors import DataError, FileMissingError
from poise.metrics import CocoMetric, CocoWholeBodyMetric, KeypointPartitionMetric
from poise.metrics.pose_batch import PoseBatch
from poise.metrics.pose_columns import PoseColumns


@pytest.mark.parametrize("bottom_up", [False, True])
@pytest.mark.parametrize("iou_type", ["keypoints", "keypoints_crowd"])
def test_annotations_of_file_samples_and_dataset_agree(scene, run, bottom_up, iou_type):
    data = scene(bottom_up=bottom_up)
    options = dict(iou_type=iou_type, nms_mode="none")
    of_file = run(CocoMetric(data.path, **options), data.samples, data.meta)
    of_samples = run(CocoMetric(**options), data.samples, data.meta)
    of_dataset = run(CocoMetric(**options), data.samples, {**data.meta, "ann_file": data.path})
    assert of_file == of_samples == of_dataset
    assert next(iter(of_file)) == "coco/AP"
    assert 0 < of_file["coco/AP"] < 1


def test_a_file_without_iscrowd_has_no_crowds(scene, run):
    data = scene(crowds=False)
    before = run(CocoMetric(data.path), data.samples, data.meta)
    content = json.loads(Path(data.path).read_text())
    for ann in content["annotations"]:
        del ann["iscrowd"]
    Path(data.path).write_text(json.dumps(content))
    assert run(CocoMetric(data.path), data.samples, data.meta) == before


@pytest.mark.parametrize("score_mode", ["bbox", "bbox_keypoint", "bbox_rle", "keypoint"])
@pytest.mark.parametrize("nms_mode", ["oks_nms", "soft_oks_nms", "none"])
def test_every_mode_runs(scene, run, score_mode, nms_mode):
    data = scene(copies=3, images=3)
    metric = CocoMetric(data.path, score_mode=score_mode, nms_mode=nms_mode)
    assert 0 < run(metric, data.samples, data.meta)["coco/AP"] < 1


def test_suppression_removes_doubles(scene, run):
    data = scene(copies=3, noise=0.01, crowds=False)
    thinned = run(CocoMetric(data.path, nms_thr=0.5), data.samples, data.meta)
    doubled = run(CocoMetric(data.path, nms_mode="none"), data.samples, data.meta)
    assert thinned["coco/AP"] > doubled["coco/AP"]


def test_suppression_of_all_pictures_is_that_of_each(scene):
    from poise.geometry import oks_nms, soft_oks_nms

    data = scene(copies=4, ties=True, bottom_up=True, noise=0.1)
    batch = PoseBatch.from_samples(data.samples, metric="the test")
    rows = [(batch, place) for place in range(len(data.samples))]
    poses = PoseColumns.from_batches(rows, 17).scored("keypoint", 0.2)
    sigmas = data.meta["sigmas"]
    for mode, single in (("oks_nms", oks_nms), ("soft_oks_nms", soft_oks_nms)):
        got = poses.thinned(mode, 0.6, sigmas)
        expected = []
        for image in np.unique(poses.image):
            own = poses.take(np.nonzero(poses.image == image)[0])
            people = [
                dict(keypoints=np.c_[k, s], score=v, area=a)
                for k, s, v, a in zip(
                    own.keypoints, own.keypoint_scores, own.score, own.area, strict=True
                )
            ]
            expected.append(own.take(single(people, 0.6, sigmas=sigmas)).keypoints)
        assert (got.keypoints == np.concatenate(expected)).all()


def test_repeated_samples_count_once(scene, run):
    data = scene()
    once = run(CocoMetric(data.path), data.samples, data.meta)
    again = run(CocoMetric(data.path), [*data.samples, *data.samples[:5]], data.meta)
    assert once == again


def test_samples_beyond_the_dataset_are_dropped(scene, run):
    data = scene()
    half = run(CocoMetric(data.path), data.samples[:20], data.meta)
    assert run(CocoMetric(data.path), data.samples, data.meta, size=20) == half


def test_a_predicted_box_sizes_the_pose(scene, run):
    data = scene(boxes=True, noise=0.1, images=20)
    with_boxes = run(CocoMetric(data.path), data.samples, data.meta)
    for sample in data.samples:
        del sample["pred_instances"]["bboxes"]
    assert with_boxes != run(CocoMetric(data.path), data.samples, data.meta)


def test_tensors_are_welcome(scene, run):
    torch = pytest.importorskip("torch")
    data = scene()
    expected = run(CocoMetric(data.path), data.samples, data.meta)
    for sample in data.samples:
        for group in ("pred_instances", "gt_instances"):
            sample[group] = {k: torch.from_numpy(v) for k, v in sample[group].items()}
    assert run(CocoMetric(data.path), data.samples, data.meta) == expected


def test_converters_change_the_keypoints(scene, run):
    data = scene()
    mapping = dict(num_keypoints=5, mapping=[(i, 4 - i) for i in range(5)])
    metric = CocoMetric(data.path, gt_converter=mapping, pred_converter=mapping)
    assert 0 < run(metric, data.samples, data.meta)["coco/AP"] < 1
    assert metric.dataset_meta["num_keypoints"] == 5
    assert data.meta["num_keypoints"] == 17


def test_result_files_are_written_where_asked(scene, run, tmp_path):
    data = scene(boxes=True)
    prefix = tmp_path / "new" / "run"
    assert (
        run(CocoMetric(format_only=True, outfile_prefix=str(prefix)), data.samples, data.meta) == {}
    )
    rows = json.loads((tmp_path / "new" / "run.keypoints.json").read_text())
    assert rows[0].keys() == {"image_id", "category_id", "keypoints", "score", "bbox"}
    assert len(rows[0]["keypoints"]) == 51
    run(CocoMetric(outfile_prefix=str(prefix)), data.samples, data.meta)
    assert json.loads((tmp_path / "new" / "run.gt.json").read_text())["annotations"]


@pytest.mark.parametrize("boxes", [False, True])
@pytest.mark.parametrize("empty", [0, 2, 7])
def test_a_batch_in_which_nobody_is_found_counts_as_missed(scene, run, boxes, empty):
    data = scene(bottom_up=True, boxes=boxes, crowds=False)
    predicted = data.samples[empty]["pred_instances"]
    data.samples[empty]["pred_instances"] = {key: rows[:0] for key, rows in predicted.items()}
    metric = CocoMetric(data.path, nms_mode="none")
    figures = run(metric, data.samples, data.meta)
    together = CocoMetric(data.path, nms_mode="none")
    together.dataset_meta = data.meta
    together.process(None, data.samples)
    assert figures == together.evaluate(len(data.samples))
    assert 0 < figures["coco/AR"] < 1


def test_no_poses_warn_and_give_zero(scene, run):
    data = scene()
    none = [
        dict(
            s,
            pred_instances=dict(keypoints=np.zeros((0, 17, 2)), keypoint_scores=np.zeros((0, 17))),
        )
        for s in data.samples
    ]
    with pytest.warns(UserWarning, match="no poses were predicted"):
        assert run(CocoMetric(data.path), none, data.meta)["coco/AP"] == 0
    with pytest.warns(UserWarning, match="no results|no poses") as seen:
        assert run(CocoMetric(data.path), [], data.meta)["coco/AP"] == 0
    assert len(seen) == 2


def test_poses_that_are_not_finite_are_counted(scene, run):
    data = scene()
    whole = run(CocoMetric(data.path, nms_mode="none"), data.samples, data.meta)["coco/AP"]
    poses = data.samples[0]["pred_instances"]
    poses["keypoints"] = poses["keypoints"].copy()
    poses["keypoints"][0, 3] = np.nan
    with pytest.warns(UserWarning, match=r"CocoMetric: 1 of \d+ predicted poses hold NaN"):
        assert (
            run(CocoMetric(data.path, nms_mode="none"), data.samples, data.meta)["coco/AP"] < whole
        )


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (dict(score_mode="box"), "`score_mode` must be one of 'bbox'.*did you mean 'bbox'"),
        (dict(nms_mode="nms"), "`nms_mode` must be one of"),
        (dict(iou_type="segm"), "`iou_type` must be one of 'keypoints', 'keypoints_crowd', got"),
        (dict(format_only=True), "`outfile_prefix` can not be None when `format_only` is True"),
    ],
)
def test_wrong_options_are_explained(options, text):
    with pytest.raises(ValueError, match=text):
        CocoMetric(**options)


def test_a_wrong_annotation_file_is_explained(tmp_path):
    with pytest.raises(FileMissingError, match=r"nowhere\.json of the metric does not exist"):
        CocoMetric("nowhere.json")
    for text, error in (("{", "not valid JSON"), ("[]", "holds a list"), ("{}", "are required")):
        file = tmp_path / "ann.json"
        file.write_text(text)
        with pytest.raises(DataError, match=error):
            CocoMetric(str(file))


def _without(name):
    def change(sample):
        sample.pop(name)

    return change


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (_without("pred_instances"), "needs `pred_instances` in every data sample"),
        (lambda s: s["pred_instances"].pop("keypoints"), "needs 'keypoints' in `pred_instances`"),
        (lambda s: s["pred_instances"].pop("keypoint_scores"), "needs 'keypoint_scores'"),
        (
            lambda s: s["pred_instances"].update(keypoint_scores=np.ones((1, 3))),
            r"keypoint_scores \(1, 3\) do not fit keypoints \(1, 17, 2\)",
        ),
        (_without("img_id"), r"needs \['img_id'\] in the meta information.*`meta_keys`"),
        (_without("raw_ann_info"), r"needs \['raw_ann_info'\] in every sample.*give `ann_file`"),
        (
            lambda s: s["pred_instances"].update(bbox_scores=np.ones(3)),
            r"bbox_scores \(3,\) of `pred_instances` do not fit 1 pose; expected \(1,\)",
        ),
        (
            lambda s: s["pred_instances"].update(bboxes=np.ones((2, 4))),
            r"bboxes \(2, 4\) of `pred_instances` do not fit 1 pose; expected \(1, 4\)",
        ),
        (
            lambda s: s["pred_instances"].update(
                keypoints=np.ones((1, 3, 2)), keypoint_scores=np.ones((1, 3))
            ),
            r"differ in their number of keypoints: .*shapes \[\(3, 2\), \(17, 2\)\]",
        ),
        (lambda s: s["raw_ann_info"].pop("area"), r"annotation 1 of image 1 lacks \['area'\]"),
    ],
)
def test_broken_samples_are_explained(scene, run, change, text):
    data = scene()
    change(data.samples[0])
    with pytest.raises(ValueError, match=text):
        run(CocoMetric(), data.samples, data.meta)


def test_both_numbers_of_keypoints_are_named(scene, run):
    data = scene()
    wrong = {**data.meta, "sigmas": np.ones(3)}
    for mode in ("none", "oks_nms"):
        with pytest.raises(DataError, match="3 sigmas.*17 predicted keypoints"):
            run(CocoMetric(data.path, nms_mode=mode), data.samples, wrong)


def test_missing_sigmas_say_how_to_give_them(scene, run):
    data = scene()
    with pytest.raises(DataError, match="'synthetic' has no sigmas.*add 'sigmas'"):
        run(CocoMetric(data.path), data.samples, {**data.meta, "sigmas": np.zeros(0)})


def test_predictions_of_other_pictures_are_explained(scene, run):
    data = scene()
    data.samples[0]["img_id"] = 12345
    with pytest.raises(DataError, match=r"1 image with predictions is not.*\[12345\]"):
        run(CocoMetric(data.path), data.samples, data.meta)


def test_evaluation_needs_metainfo(scene, run):
    data = scene()
    for meta in (None, dict(sigmas=data.meta["sigmas"])):
        metric = CocoMetric(data.path)
        metric.dataset_meta = meta
        with pytest.raises(DataError, match="needs `dataset_meta`.*'num_keypoints'"):
            run(metric, data.samples)


def test_sigmas_of_zero_are_refused(scene, run):
    data = scene()
    with pytest.raises(DataError, match="should be above 0"):
        run(CocoMetric(data.path), data.samples, {**data.meta, "sigmas": np.zeros(17)})


def test_converters_that_lead_nowhere_are_explained(scene, run):
    data = scene()
    with pytest.raises(DataError, match=r"`gt_converter` needs .* got only \['mapping'\]"):
        CocoMetric(data.path, gt_converter=dict(mapping=[(0, 0)]))
    beyond = dict(num_keypoints=17, mapping=[(99, 0)])
    with pytest.raises(DataError, match=r"leads from 17 to 17 keypoints, but names one beyond"):
        run(CocoMetric(data.path, pred_converter=beyond), data.samples, data.meta)


def test_ids_of_samples_may_be_of_any_kind(scene, run):
    data = scene()
    before = run(CocoMetric(data.path), data.samples, data.meta)
    for number, sample in enumerate(data.samples):
        sample["id"] = (number, str(number), 2**65 + number)[number % 3]
        sample["img_id"] = np.array(sample["img_id"])
    assert run(CocoMetric(data.path), data.samples, data.meta) == before


def test_half_precision_holds_large_areas(scene, run):
    data = scene(bottom_up=True, images=2)
    for sample in data.samples:
        # boxes of 60,000 and more square pixels, which suppression goes by
        sample["gt_instances"].pop("bbox_scales", None)
        pred = sample["pred_instances"]
        pred["keypoints"] = np.round(pred["keypoints"]).clip(0, 2000)
    expected = run(CocoMetric(data.path), data.samples, data.meta)
    for sample in data.samples:
        pred = sample["pred_instances"]
        pred["keypoints"] = pred["keypoints"].astype(np.float16)
    assert run(CocoMetric(data.path), data.samples, data.meta) == expected


PARTS = dict(keypoints=17, foot_kpts=6, face_kpts=68, lefthand_kpts=21, righthand_kpts=21)


@pytest.fixture
def bodies(scene):
    data = scene(keypoints=133, images=4, boxes=True)
    for ann in data.coco["annotations"]:
        flat, start = ann["keypoints"], 0
        for name, count in PARTS.items():
            ann[name] = flat[start : start + 3 * count]
            start += 3 * count
    Path(data.path).write_text(json.dumps(data.coco))
    return data


def test_whole_bodies_have_their_parts_in_fields(bodies, run, tmp_path):
    of_file = run(CocoWholeBodyMetric(bodies.path), bodies.samples, bodies.meta)
    metric = CocoWholeBodyMetric(outfile_prefix=str(tmp_path / "out"))
    assert run(metric, bodies.samples, bodies.meta) == of_file
    assert 0 < of_file["coco-wholebody/AP"] < 1
    row = json.loads((tmp_path / "out.keypoints.json").read_text())[0]
    assert {name: len(row[name]) // 3 for name in PARTS} == PARTS
    assert row.keys() == {"image_id", "category_id", "score", *PARTS}


def test_partitions_are_evaluated_one_by_one(scene, run, tmp_path):
    data = scene()
    parts = dict(head=[0, 1, 2, 3, 4], all=list(range(17)))
    prefix = str(tmp_path / "out")
    config = dict(type="CocoMetric", score_mode="bbox", nms_mode="none", outfile_prefix=prefix)
    got = run(KeypointPartitionMetric(config, parts), data.samples, data.meta)
    whole = run(CocoMetric(score_mode="bbox", nms_mode="none"), data.samples, data.meta)
    assert got["all/coco/AP"] == whole["coco/AP"]
    assert got["head/coco/AP"] != whole["coco/AP"]
    assert len(data.samples[0]["raw_ann_info"]["keypoints"]) == 51
    rows = json.loads((tmp_path / "out.head.keypoints.json").read_text())
    assert len(rows[0]["keypoints"]) == 15
    assert (tmp_path / "out.all.keypoints.json").is_file()
