"""The kernels of the metrics on cases that can be done by hand."""

import numpy as np
import pytest

from poise.errors import DataError
from poise.metrics import functional as F

GT = np.zeros((2, 3, 2), np.float32)
# distances 0, 5, 10 of the first person and 0, 0, 5 of the second
PRED = np.array([[[0, 0], [3, 4], [6, 8]], [[0, 0], [0, 0], [0, 5]]], np.float32)
ALL = np.ones((2, 3), bool)
TEN = np.full((2, 2), 10.0)


def test_pck_by_keypoint_and_overall():
    accuracy, mean, number = F.keypoint_pck_accuracy(PRED, GT, ALL, 0.6, TEN)
    assert accuracy.tolist() == [1, 1, 0.5]
    assert (mean, number) == (pytest.approx(5 / 6), 3)


def test_a_keypoint_that_nobody_has_is_marked():
    mask = ALL.copy()
    mask[:, 1] = False
    accuracy, mean, number = F.keypoint_pck_accuracy(PRED, GT, mask, 0.6, TEN)
    assert accuracy.tolist() == [1, -1, 0.5]
    assert (mean, number) == (0.75, 2)
    nobody = F.keypoint_pck_accuracy(PRED, GT, ~ALL, 0.6, TEN)
    assert nobody[1:] == (0, 0)


def test_people_without_a_size_do_not_count_and_their_sizes_stay():
    sizes = TEN.copy()
    sizes[0, 1] = 0
    assert F.keypoint_pck_accuracy(PRED, GT, ALL, 0.4, sizes)[0].tolist() == [1, 1, 0]
    sizes[0] = -1
    assert F.keypoint_pck_accuracy(PRED, GT, ALL, 0.4, sizes)[0].tolist() == [1, 1, 0.5]
    assert sizes[0].tolist() == [-1, -1]


def test_mean_errors():
    assert F.keypoint_epe(PRED, GT, ALL) == pytest.approx(20 / 6)
    assert F.keypoint_nme(PRED, GT, ALL, TEN) == pytest.approx(2 / 6)
    assert F.keypoint_epe(PRED, GT, ~ALL) == 0


def test_area_under_the_curve():
    # thresholds 0, 2.5, 5, 7.5 pixels, below which 0, 3, 3, 5 of 6 distances lie
    per_keypoint = [[0, 0, 0], [1, 0.5, 0], [1, 0.5, 0], [1, 1, 0.5]]
    assert F.keypoint_auc(PRED, GT, ALL, 10, 4) == pytest.approx(np.mean(per_keypoint))


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("alignment", ["none", "scale", "procrustes"])
def test_joint_errors_after_alignment(alignment, dims):
    gt = np.random.default_rng(0).normal(size=(4, 17, dims))
    mask = np.ones((4, 17), bool)
    # a cyclic change of axes is a rotation in 3D; in 2D one axis must turn
    turned = gt[..., [1, 2, 0]] if dims == 3 else gt[..., ::-1] * [1, -1]
    pred = {"none": gt, "scale": gt * 3, "procrustes": turned * 2 + 5}[alignment]
    assert F.keypoint_mpjpe(pred, gt, mask, alignment) == pytest.approx(0, abs=1e-9)


def test_joint_errors_need_a_joint_and_a_known_alignment():
    with pytest.raises(DataError, match="no keypoint is visible"):
        F.keypoint_mpjpe(PRED, GT, ~ALL)
    with pytest.raises(ValueError, match="'none', 'scale' or 'procrustes', got 'affine'"):
        F.keypoint_mpjpe(PRED, GT, ALL, "affine")


def test_poses_with_nan_cannot_be_aligned():
    gt = np.random.default_rng(0).random((2, 5, 3))
    pred = gt.copy()
    pred[1, 2] = np.nan
    with pytest.raises(DataError, match=r"NaN or infinity .*P-MPJPE"):
        F.keypoint_mpjpe(pred, gt, np.ones((2, 5), dtype=bool), "procrustes")


@pytest.mark.parametrize(
    "broken", [(PRED[:1], GT, ALL), (PRED, GT, ALL[:, :2]), (PRED[0], GT[0], ALL)]
)
def test_shapes_must_go_together(broken):
    with pytest.raises(DataError, match=r"the shape \(N, K, D\) and mask \(N, K\)"):
        F.keypoint_epe(*broken)


def heatmaps(*places):
    maps = np.zeros((1, len(places), 16, 12), np.float32)
    for index, (x, y) in enumerate(places):
        maps[0, index, y, x] = 1
    return maps


@pytest.mark.parametrize("tensors", [False, True])
def test_accuracy_of_heatmaps(tensors):
    output, target = heatmaps((3, 3), (9, 9)), heatmaps((3, 3), (2, 2))
    mask = np.ones((1, 2), bool)
    if tensors:
        torch = pytest.importorskip("torch")
        output, target, mask = map(torch.from_numpy, (output, target, mask))
    accuracy, mean, number = F.pose_pck_accuracy(output, target, mask)
    assert accuracy.tolist() == [1, 0]
    assert (mean, number) == (0.5, 2)


def test_accuracy_of_no_heatmaps_and_empty_ones():
    assert F.pose_pck_accuracy(*[np.zeros((2, 0, 4, 4))] * 2, np.ones((2, 0))) == (None, 0, 0)
    empty = np.zeros((1, 1, 4, 4))
    assert F.pose_pck_accuracy(empty, empty, np.ones((1, 1), bool))[1] == 1


@pytest.mark.parametrize("tensors", [False, True])
def test_accuracy_of_simcc(tensors):
    x, y = np.eye(24, dtype=np.float32)[None, [6, 18]], np.eye(32, dtype=np.float32)[None, [6, 18]]
    other = np.roll(x, 10, axis=-1)
    mask = np.ones((1, 2), bool)
    if tensors:
        torch = pytest.importorskip("torch")
        x, y, other, mask = map(torch.from_numpy, (x, y, other, mask))
    assert F.simcc_pck_accuracy((x, y), (x, y), 2.0, mask)[1] == 1
    assert F.simcc_pck_accuracy((x, y), (other, y), 2.0, mask)[1] == 0


@pytest.mark.parametrize("mask", [np.ones((3, 1)), np.ones((3, 2)), np.ones(3)])
def test_labels_are_right_together(mask):
    pred = np.array([[0.9, 0.1], [0.9, 0.9], [0.2, 0.2]])
    gt = np.array([[1, 0], [1, 0], [0, 0]])
    assert F.multilabel_classification_accuracy(pred, gt, mask) == pytest.approx(2 / 3)
    assert F.multilabel_classification_accuracy(pred, gt, mask * 0) == 0


def test_mappings_place_keypoints():
    mapping = [(0, 1), ((1, 2), 0)]
    pred = F.transform_pred(dict(keypoints=PRED, keypoint_scores=np.ones((2, 3))), 4, mapping)
    assert pred["keypoints"][:, 1].tolist() == PRED[:, 0].tolist()
    assert pred["keypoints"][0, 0].tolist() == [4.5, 6]
    assert pred["keypoints"].shape == (2, 4, 2)
    assert pred["keypoint_scores"].tolist() == [[1, 1, 0, 0]] * 2
    assert F.transform_sigmas([0.1, 0.2, 0.4], 3, mapping) == pytest.approx([0.3, 0.1, 1])
    assert F.transform_sigmas([0.1], 1, mapping[:0]) == [1]
    assert F.transform_sigmas(np.ones(3), 3, []).tolist() == [1, 1, 1]
    anns = F.transform_ann([dict(keypoints=[1, 2, 2, 3, 4, 1], num_keypoints=2)], 3, [(1, 0)])
    assert anns == [dict(keypoints=[3, 4, 1, 0, 0, 0, 0, 0, 0], num_keypoints=3)]


def test_tensor_suppression_and_its_groups():
    torch = pytest.importorskip("torch")
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [50, 50, 60, 60]])
    scores = torch.tensor([0.5, 0.9, 0.7])
    assert F.nms_torch(boxes, scores, 0.5).tolist() == [1, 2]
    assert F.nms_torch(boxes.double(), scores, 0.5).tolist() == [1, 2]
    groups = F.nms_torch(boxes, scores, 0.5, return_group=True)
    assert [g.tolist() for g in groups] == [[1, 0], [2]]
    for kind in (torch.float32, torch.float64):
        assert F.nms_torch(torch.zeros(0, 4, dtype=kind), torch.zeros(0)).tolist() == []
    never = F.nms_torch(boxes, scores, 0.5, iou_calculator=lambda a, b: torch.zeros(1, len(b)))
    assert never.tolist() == [1, 2, 0]
