"""PCK and its variants, AUC, EPE, NME, MPJPE, hands and partitions, on scenes made by hand."""

import pickle
import warnings

import numpy as np
import pytest

from poise.errors import DataError, UnknownNameError
from poise.metrics import (
    AUC,
    EPE,
    MPJPE,
    NME,
    CocoMetric,
    CocoWholeBodyMetric,
    DumpResults,
    EpisodeMetric,
    InterHandMetric,
    JhmdbPCKAccuracy,
    KeypointPartitionMetric,
    MpiiPCKAccuracy,
    PCKAccuracy,
    SimpleMPJPE,
)


def sample(offset=0.0, k=16, visible=None, **gt):
    """A person whose keypoints are predicted `offset` pixels too far right."""
    truth = np.random.default_rng(k).uniform(0, 100, (1, k, 2))
    seen = np.ones((1, k)) if visible is None else visible
    fields = dict(keypoints=truth, keypoints_visible=seen, bboxes=np.array([[0.0, 0, 50, 100]]))
    fields["head_size"] = np.array([[10.0]])
    pred = dict(keypoints=truth + np.array([offset, 0.0]), keypoint_scores=np.ones((1, k)))
    return dict(gt_instances=fields | gt, pred_instances=pred)


@pytest.mark.parametrize("channels", [None, 1, 2])
def test_pck_by_box_head_and_torso(run, channels):
    seen = np.ones((1, 16) if channels is None else (1, 16, channels))
    metric = PCKAccuracy(thr=0.1, norm_item=["bbox", "head", "torso"])
    got = run(metric, [sample(5, visible=seen), sample(0, visible=seen)])
    assert got["PCK"] == 1
    assert got["PCKh"] == 0.5
    assert list(got) == ["PCK", "PCKh", "tPCK"]


def test_a_short_annotated_torso_gives_way_to_the_predicted_one(run):
    person = sample()
    person["gt_instances"]["keypoints"][0, 4] = person["gt_instances"]["keypoints"][0, 5]
    with pytest.warns(UserWarning, match="torso of the prediction"):
        run(PCKAccuracy(norm_item="torso"), [person])


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        (PCKAccuracy(norm_item="torso"), "keypoints 4 and 5.*have 3 keypoints"),
        (MpiiPCKAccuracy(), "joints of MPII, of which the last is number 15"),
        (JhmdbPCKAccuracy(norm_item="bbox"), "JHMDB's joints, of which the last is number 14"),
    ],
)
def test_poses_of_another_schema_are_refused(run, metric, text):
    with pytest.raises(DataError, match=text):
        run(metric, [sample(k=3)])


def test_mpii_counts_from_one_and_leaves_out_pelvis_and_thorax(run):
    right = run(MpiiPCKAccuracy(), [sample(-1)] * 3)
    assert right["PCK"] == pytest.approx(100)
    assert list(right) == [*MpiiPCKAccuracy.JOINTS, "PCK", "PCK@0.1"]
    person = sample(-1)
    person["pred_instances"]["keypoints"][0, 6:8] += 1000
    assert run(MpiiPCKAccuracy(), [person])["PCK"] == pytest.approx(100)
    assert run(MpiiPCKAccuracy(norm_item="bbox"), [person]) == {}


def test_jhmdb_by_joint(run):
    got = run(JhmdbPCKAccuracy(norm_item=["bbox", "torso"], thr=0.1), [sample(k=15)])
    assert len(got) == 16
    assert set(got.values()) == {1.0}
    alone = run(JhmdbPCKAccuracy(norm_item="torso", thr=0.1), [sample(k=15)])
    assert alone.keys() == {name for name in got if name.endswith("tPCK")}


def test_mean_distances(run):
    people = [sample(3), sample(5)]
    assert run(EPE(), people)["EPE"] == pytest.approx(4)
    assert run(NME("use_norm_item", "bbox_size"), people)["NME"] == pytest.approx(0.04)
    eyes = run(NME("use_norm_item", "head_size"), people)
    assert eyes["NME"] == pytest.approx(0.4)
    assert run(AUC(norm_factor=10, num_thrs=10), [sample(0), sample(0)])["AUC"] == 0.9
    assert "hand/EPE" in run(EPE(prefix="hand"), people)


COUNTED = (AUC, EPE, PCKAccuracy, MpiiPCKAccuracy, JhmdbPCKAccuracy, MPJPE, SimpleMPJPE)
MATCHED = (CocoMetric, CocoWholeBodyMetric)


@pytest.mark.parametrize("metric", [*COUNTED, *MATCHED, InterHandMetric, NME])
def test_figures_are_collected_and_named_as_asked(metric):
    needed = dict(norm_mode="keypoint_distance") if metric is NME else {}
    made = metric(prefix="mine", collect_device="gpu", **needed)
    assert (made.prefix, made.collect_device) == ("mine", "gpu")


def test_nme_by_the_distance_of_two_keypoints(run):
    person = sample(3, k=98)
    keypoints = person["gt_instances"]["keypoints"][0]
    eyes = np.linalg.norm(keypoints[60] - keypoints[72])
    got = run(NME("keypoint_distance"), [person], dict(dataset_name="wflw"))
    assert got["NME"] == pytest.approx(3 / eyes)
    own = run(NME("keypoint_distance", keypoint_indices=[1, 2]), [person], dict(dataset_name="x"))
    assert own["NME"] == pytest.approx(3 / np.linalg.norm(keypoints[1] - keypoints[2]))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: PCKAccuracy(norm_item="hed"), KeyError, "did you mean 'head'"),
        (lambda: NME("bbox"), KeyError, "`norm_mode` must be one of"),
        (lambda: NME("use_norm_item"), KeyError, "please specify the `norm_item`"),
        (lambda: SimpleMPJPE("pmpjpe"), KeyError, "`mode` must be one of"),
        (lambda: InterHandMetric(["EPE"]), ValueError, "got 'EPE'"),
    ],
)
def test_wrong_options_are_explained(call, error, text):
    with pytest.raises(error, match=text):
        call()


@pytest.mark.parametrize(
    ("metric", "lacking"),
    [(PCKAccuracy(), "bboxes"), (MpiiPCKAccuracy(), "head_size"), (EPE(), "keypoints_visible")],
)
def test_samples_that_lack_something_are_explained(run, metric, lacking):
    person = sample()
    del person["gt_instances"][lacking]
    with pytest.raises(DataError, match=f"'{lacking}' in `gt_instances`"):
        run(metric, [person])


def test_predictions_of_another_shape_are_explained(run):
    person = sample()
    person["pred_instances"]["keypoints"] = np.zeros((1, 3, 2))
    with pytest.raises(DataError, match=r"\(1, 3, 2\) do not fit the annotated ones \(1, 16, 2\)"):
        run(EPE(), [person])


def test_evaluating_nothing_says_so(run):
    with pytest.warns(UserWarning, match="EPE has no results"), pytest.raises(DataError):
        run(EPE(), [])


def test_nme_of_an_unknown_dataset_needs_two_keypoints(run):
    with pytest.raises(UnknownNameError, match="'aflw' has no default"):
        run(NME("keypoint_distance"), [sample()], dict(dataset_name="aflw"))
    with pytest.raises(DataError, match="a pair among the 16"):
        run(NME("keypoint_distance", keypoint_indices=[1, 99]), [sample()], {})


def lifted(action, scale=1.0):
    target = np.random.default_rng(0).normal(size=(2, 17, 3))
    return dict(
        gt_instances=dict(lifting_target=target, lifting_target_visible=np.ones((2, 17, 1))),
        pred_instances=dict(keypoints=(target * scale)[None]),
        target_img_path=[f"data/S9/S9_{action}.55011271/S9_{action}.55011271_000001.jpg"],
    )


def test_joint_errors_by_action(run):
    people = [lifted("Walking_1"), lifted("Walking 2", 2.0), lifted("Sitting"), lifted("Eating")]
    got = run(MPJPE(skip_list=["S9_Eating"]), people)
    assert list(got) == ["MPJPE", "MPJPE_Walking", "MPJPE_Walking 2", "MPJPE_Sitting"]
    assert got["MPJPE_Sitting"] == 0
    assert run(SimpleMPJPE("n-mpjpe"), people)["N-MPJPE"] == pytest.approx(0)
    assert run(MPJPE("p-mpjpe"), people)["P-MPJPE_Walking 2"] == pytest.approx(0, abs=1e-9)


def test_a_picture_without_an_action_is_explained(run):
    person = lifted("x") | dict(target_img_path=["walk.jpg"])
    with pytest.raises(DataError, match=r"<subject>_<action>.*got 'walk\.jpg'.*SimpleMPJPE"):
        run(MPJPE(), [person])
    del person["target_img_path"]
    with pytest.raises(DataError, match="needs 'target_img_path'"):
        run(MPJPE(), [person])


def hands(both, **pred):
    rng = np.random.default_rng(0)
    cam = rng.normal(size=(1, 42, 3)) * 50 + [0, 0, 1000.0]
    focal, centre = np.array([1500.0, 1400.0]), np.array([250.0, 260.0])
    pixels = cam.copy()
    pixels[..., :2] = cam[..., :2] / cam[..., 2:] * focal + centre
    depth = [cam[0, 20, 2], cam[0, 41, 2]]
    pixels[:, :21, 2] -= depth[0]
    pixels[:, 21:, 2] -= depth[1]
    kind = np.array([[1.0, float(both)]])
    predicted = dict(keypoints=pixels, hand_type=kind, rel_root_depth=depth[1] - depth[0])
    return dict(
        gt_instances=dict(keypoints_cam=cam, keypoints_visible=np.ones((1, 42))),
        pred_instances=predicted | pred,
        hand_type=kind,
        hand_type_valid=np.array([1]),
        abs_depth=depth,
        focal=focal,
        principal_pt=centre,
    )


def test_perfect_hands(run):
    got = run(InterHandMetric(), [hands(True), hands(False)])
    assert got["HandednessAcc"] == 1
    assert got["MPJPE_all"] == pytest.approx(0, abs=1e-9)
    assert got["MRRPE"] == pytest.approx(0, abs=1e-3)
    wrong = run(InterHandMetric(["HandednessAcc"]), [hands(True, hand_type=np.array([[1.0, 0.0]]))])
    assert wrong == {"HandednessAcc": 0}


def test_hands_are_apart_where_both_are_there(run):
    figures = []
    for known in ([1, 1], [1, 0], [0, 1]):
        far = hands(all(known), rel_root_depth=hands(True)["pred_instances"]["rel_root_depth"] + 9)
        far["hand_type"] = np.array([known], float)
        figures.append(run(InterHandMetric(["MRRPE"]), [hands(True), far])["MRRPE"])
    # along the ray of the left wrist, which is nearly the depth
    assert figures == [pytest.approx(4.5, abs=0.2), pytest.approx(0, abs=1e-3), figures[1]]


def test_hands_without_a_prediction_are_explained(run):
    for name, mode in (("hand_type", "HandednessAcc"), ("rel_root_depth", "MRRPE")):
        with pytest.raises(KeyError, match=f"metric {mode} is not supported.*'{name}'"):
            run(InterHandMetric(), [hands(True, **{name: None})])


def test_partitions_of_plain_metrics(run):
    people = [sample(3), sample(5)]
    people[0]["pred_instances"]["keypoints"][0, 10:] += 1000
    parts = dict(first=[0, 1, 2], last=range(10, 16))
    metric = KeypointPartitionMetric(dict(type="EPE"), parts)
    got = run(metric, people, dict(dataset_name="a", sigmas=np.ones(16)))
    assert got["first/EPE"] == pytest.approx(4)
    assert got["last/EPE"] > 500
    assert metric.metrics["last"].dataset_meta["num_keypoints"] == 6


@pytest.mark.parametrize(
    ("config", "parts", "text"),
    [
        (dict(type="MPJPE"), dict(a=[1]), "Metrics supported.*got MPJPE"),
        (
            dict(type="NME", norm_mode="keypoint_distance"),
            dict(a=[1]),
            "'keypoint_distance' is inc",
        ),
        (dict(type="EPE"), {}, "at least one partition"),
        (dict(type="EPE"), dict(a=[]), "'a' should have at least one keypoint"),
        (dict(type="EPE"), dict(a=3), "'a' should be a list"),
    ],
)
def test_wrong_partitions_are_explained(config, parts, text):
    with pytest.raises(ValueError, match=text):
        KeypointPartitionMetric(config, parts)


def test_partitions_warn_where_figures_differ_from_whole_poses():
    with pytest.warns(UserWarning, match="KeypointPartitionMetric") as seen:
        KeypointPartitionMetric(dict(type="CocoMetric", ann_file="x.json"), dict(a=[1]))
    texts = " ".join(str(w.message) for w in seen)
    assert all(name in texts for name in ("ann_file", "score_mode", "nms_mode"))
    with pytest.warns(UserWarning, match="torso"):
        KeypointPartitionMetric(dict(type="PCKAccuracy", norm_item="torso"), dict(a=[1]))


def test_a_partition_beyond_the_keypoints_is_explained():
    metric = KeypointPartitionMetric(dict(type="EPE"), dict(a=[20]))
    with pytest.raises(DataError, match="'a' has keypoint 20, but the dataset 'b' has 17"):
        metric.dataset_meta = dict(dataset_name="b", sigmas=np.ones(17))


@pytest.mark.parametrize("metric", [PCKAccuracy, AUC, EPE, NME])
@pytest.mark.parametrize(
    ("change", "text"),
    [
        (dict(keypoints_visible=np.ones((1, 9))), r"keypoints_visible \(1, 9\) do not fit"),
        (dict(keypoints=np.ones((1, 3, 2))), r"\(1, 16, 2\) do not fit the annotated ones"),
    ],
)
def test_shapes_that_do_not_fit_are_explained(run, metric, change, text):
    options = dict(norm_mode="keypoint_distance", keypoint_indices=[0, 1])
    made = metric(**options) if metric is NME else metric()
    with pytest.raises(DataError, match=text):
        run(made, [sample(**change)])
    with pytest.raises(DataError, match=r"different shapes.* \[\(16, 2\), \(17, 2\)\]"):
        run(made, [sample(), sample(k=17)])


def test_sizes_are_one_for_each_person(run):
    with pytest.raises(DataError, match=r"'bboxes' \(3, 4\) .* expected one for each person"):
        run(PCKAccuracy(), [sample(bboxes=np.ones((3, 4)))])
    with pytest.raises(DataError, match=r"'head_size' \(4,\)"):
        run(PCKAccuracy(norm_item="head"), [sample(head_size=np.ones(4))])


def test_whole_numbers_and_half_precision_are_measured_as_any(run):
    three, five = (np.full((1, 16, 2), number, np.uint8) for number in (3, 5))
    data = dict(
        gt_instances=dict(keypoints=five, keypoints_visible=np.ones((1, 16))),
        pred_instances=dict(keypoints=three),
    )
    assert run(EPE(), [data])["EPE"] == pytest.approx(8**0.5)
    half = sample(5)
    for group in half.values():
        group["keypoints"] = group["keypoints"].astype(np.float16)
    assert run(PCKAccuracy(thr=5.0, norm_item="torso"), [half]) == {"tPCK": 1.0}


def test_auc_and_nme_refuse_what_gives_no_figure(run):
    with pytest.raises(DataError, match="norm_factor=30 and num_thrs=0"):
        AUC(num_thrs=0)
    with pytest.raises(DataError, match="a pair among the 16 keypoints"):
        run(NME("keypoint_distance", keypoint_indices=[0, -99]), [sample()])


@pytest.mark.parametrize(
    ("metric", "figure"),
    [
        (PCKAccuracy(thr=0.1), {"PCK": 15.5 / 16}),
        (AUC(norm_factor=10, num_thrs=10), {"AUC": 0.9 * 15.5 / 16}),
        (MpiiPCKAccuracy(), None),
        (EPE(), {"EPE": np.nan}),
        (NME("use_norm_item", "bbox_size"), {"NME": np.nan}),
    ],
)
def test_predictions_that_are_no_numbers_are_counted(run, metric, figure):
    lost, fine = sample(), sample()
    lost["pred_instances"]["keypoints"][0, 3, 1] = np.nan
    with pytest.warns(UserWarning, match=f"{type(metric).__name__}: 1 of 2 predicted poses"):
        got = run(metric, [lost, fine])
    if figure:
        assert got == pytest.approx(figure, nan_ok=True)
    # what is not labelled is not measured
    lost["gt_instances"]["keypoints_visible"][0, 3] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(metric, [lost, fine])


def test_poses_in_space_that_are_no_numbers_are_counted_once(run):
    path = dict(target_img_path="S9_Walk.cam_1.jpg")
    pose = pose_in_space(np.full((1, 3, 3), np.nan)) | path
    with pytest.warns(UserWarning, match="MPJPE: 1 of 1 predicted pose") as warned:
        assert np.isnan(run(MPJPE(), [pose])["MPJPE_Walk"])
    assert len(warned) == 1


def pose_in_space(pred, **other):
    truth = dict(lifting_target=np.ones((1, 3, 3)), lifting_target_visible=np.ones((1, 3)))
    return dict(pred_instances=dict(keypoints=pred), gt_instances=truth | other)


def test_a_pose_in_one_point_is_scaled_to_itself(run):
    assert run(SimpleMPJPE("n-mpjpe"), [pose_in_space(np.zeros((1, 3, 3)))]) == {
        "N-MPJPE": pytest.approx(3**0.5)
    }


def test_paths_and_visibilities_of_lifted_poses(run):
    path = dict(target_img_path="S9_Walk 1.cam_1.jpg")
    assert "MPJPE_Walk 1" in run(MPJPE(), [pose_in_space(np.ones((1, 3, 3))) | path])
    with pytest.raises(DataError, match="got ''"):
        run(MPJPE(), [pose_in_space(np.ones((1, 3, 3))) | dict(target_img_path=[])])
    wrong = pose_in_space(np.ones((1, 3, 3)), lifting_target_visible=np.ones((1, 2)))
    with pytest.raises(DataError, match=r"lifting_target_visible \(1, 2\) do not fit"):
        run(SimpleMPJPE(), [wrong])


def test_episodes_need_thresholds_boxes_and_samples():
    with pytest.raises(DataError, match=r"such as \(0.05, 0.1\), got 0.2"):
        EpisodeMetric(0.2)
    with pytest.raises(DataError, match="no results"):
        EpisodeMetric().compute_metrics([])
    for change, text in (
        (dict(bboxes=np.zeros((1, 4))), "the longer side of the box, got"),
        (dict(support_visible=np.ones((1, 4))), r"support_visible \(1, 4\) does not fit"),
    ):
        metric = EpisodeMetric()
        metric.process([], [sample(**dict(support_visible=np.ones((1, 16))) | change)])
        with pytest.raises(DataError, match=text):
            metric.evaluate(1)


def test_results_are_dumped_into_folders_that_are_not_there_yet(tmp_path):
    metric = DumpResults(str(tmp_path / "new" / "results.pkl"))
    metric.process([], [dict(img_id=1)])
    assert metric.evaluate(1) == {}
    assert pickle.loads((tmp_path / "new" / "results.pkl").read_bytes()) == [dict(img_id=1)]


def test_partitions_of_samples_and_datasets_that_lack_something(run):
    for parts, config, text in (
        (dict(a=["x"]), dict(type="EPE"), "should be a list of indices"),
        (dict(a=[0.0]), dict(type="EPE"), "should be a list of indices"),
        (dict(a=[0]), dict(), "a config with 'type'"),
    ):
        with pytest.raises(DataError, match=text):
            KeypointPartitionMetric(config, parts)
    metric = KeypointPartitionMetric(dict(type="EPE"), dict(a=[99]))
    with pytest.raises(DataError, match="has 16 keypoints"):
        metric.dataset_meta = dict(num_keypoints=16)
    metric.dataset_meta = dict(sigmas=[])
    with pytest.raises(DataError, match=r"keypoint 99, but `keypoints` of `pred_instances`"):
        metric.process([], [sample()])
    with pytest.raises(DataError, match="EPE needs 'keypoints' in `pred_instances`"):
        metric.process([], [dict()])
