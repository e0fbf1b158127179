import pytest
import torch
import torch.nn.functional as F

from poise.errors import ConfigError
from poise.models.assigners import (
    BBoxOverlaps2D,
    DynamicSoftLabelAssigner,
    MlvlPointGenerator,
    PoseOKS,
    SimOTAAssigner,
)
from poise.registry import TASK_UTILS
from poise.structures import InstanceData


def test_points_stand_in_the_middle_of_their_cells_row_by_row():
    points = MlvlPointGenerator([(4, 8), 16]).grid_priors([(1, 2), (1, 1)], device="cpu")
    assert points[0].tolist() == [[2, 4], [6, 4]]
    assert points[1].tolist() == [[8, 8]]
    strided = MlvlPointGenerator([4], 0).grid_priors([(1, 2)], device="cpu", with_stride=True)
    assert strided[0].tolist() == [[0, 0, 4, 4], [4, 0, 4, 4]]
    centred = MlvlPointGenerator([4], centralize_points=True)
    assert centred.grid_priors([(1, 1)], device="cpu")[0].tolist() == [[1.5, 1.5]]
    with pytest.raises(ConfigError, match="2 strides, but 1 feature maps"):
        MlvlPointGenerator([4, 8]).grid_priors([(1, 1)], device="cpu")


def test_sparse_points_are_those_of_the_grid():
    generator = MlvlPointGenerator([8])
    grid = generator.grid_priors([(3, 5)], device="cpu")[0]
    index = torch.tensor([0, 4, 7, 14])
    assert torch.equal(generator.sparse_priors(index, (3, 5), 0, device="cpu"), grid[index])


def test_points_in_the_padding_are_flagged():
    flags = MlvlPointGenerator([8]).valid_flags([(2, 3)], (8, 20), device="cpu")[0]
    assert flags.tolist() == [True, True, True, False, False, False]


def test_box_overlaps_leave_scores_out():
    boxes = torch.tensor([[0.0, 0, 10, 10, 0.3]])
    assert BBoxOverlaps2D()(boxes, boxes[:, :4]).item() == pytest.approx(1)
    assert BBoxOverlaps2D(scale=2, dtype="fp16")(boxes, boxes).dtype == torch.float32


def test_oks_is_one_for_equal_poses_and_ignores_what_is_out_of_sight():
    oks = PoseOKS(metainfo=None)
    pose = torch.rand(2, 4, 2) * 100
    other = pose.clone()
    other[:, 3] += 1000
    seen = torch.tensor([[1.0, 1, 1, 0]]).expand(2, 4)
    areas = torch.tensor([50.0, 100.0])
    assert torch.allclose(oks(other, pose, seen, areas), torch.ones(2))
    assert oks(other, pose, torch.ones(2, 4), areas).max() < 0.8


@pytest.fixture
def scene():
    """Two people side by side on a grid of 8 x 4 points."""
    priors = MlvlPointGenerator([8]).grid_priors([(4, 8)], device="cpu", with_stride=True)[0]
    boxes = torch.tensor([[0.0, 0, 32, 32], [32, 0, 64, 32]])
    poses = torch.stack([boxes[:, :2] + 8, boxes[:, 2:] - 8], dim=1)
    wanted = InstanceData(
        bboxes=boxes,
        labels=torch.zeros(2, dtype=torch.long),
        keypoints=poses,
        keypoints_visible=torch.ones(2, 2),
        areas=torch.full((2,), 1024.0),
    )
    side = (priors[:, 0] > 32).long()
    predicted = InstanceData(
        bboxes=boxes[side],
        scores=torch.full((32, 1), 0.5),
        priors=priors,
        keypoints=poses[side],
        keypoints_visible=torch.full((32, 2), 0.5),
    )
    return predicted, wanted, side


@pytest.mark.parametrize("indicator", ["iou", "oks"])
@pytest.mark.parametrize("by_keypoints", [False, True])
def test_points_go_to_the_person_they_predict(scene, indicator, by_keypoints):
    predicted, wanted, side = scene
    assigner = SimOTAAssigner(
        dynamic_k_indicator=indicator,
        use_keypoints_for_center=by_keypoints,
        vis_weight=1.0,
        oks_calculator={"type": "PoseOKS", "metainfo": None},
    )
    result = assigner.assign(predicted, wanted)
    chosen = result["gt_inds"] > 0
    # ten candidates of similarity 1 each make ten points a person
    assert torch.bincount(result["gt_inds"], minlength=3)[1:].tolist() == [10, 10]
    assert torch.equal(result["gt_inds"][chosen] - 1, side[chosen])
    assert torch.allclose(result["max_overlaps"][chosen], torch.ones(20), atol=1e-4)
    assert torch.equal(result["labels"] >= 0, chosen)


def test_nobody_gets_nothing(scene):
    predicted, wanted, _ = scene
    result = SimOTAAssigner(oks_calculator={"type": "PoseOKS", "metainfo": None}).assign(
        predicted, wanted[:0]
    )
    assert result["gt_inds"].sum() == 0
    assert (result["labels"] == -1).all()
    with pytest.raises(ConfigError, match="dynamic_k_indicator"):
        SimOTAAssigner(dynamic_k_indicator="giou")


def test_mmdetections_grid_is_the_same():
    grid = TASK_UTILS.build({"type": "mmdet.MlvlPointGenerator", "strides": [8], "offset": 0})
    assert grid.grid_priors([(1, 2)], device="cpu")[0].tolist() == [[0, 0], [8, 0]]


def by_hand(cost, similarity, topk):
    """The rule of dynamic assignment, object by object: object + 1 of each point, or 0."""
    matches = torch.zeros_like(cost, dtype=torch.bool)
    for n in range(cost.shape[1]):
        best = similarity[:, n].sort(descending=True).values[:topk]
        count = max(int(best.sum()), 1)
        matches[cost[:, n].argsort()[:count], n] = True
    for m in range(len(cost)):
        if matches[m].sum() > 1:
            matches[m] = torch.arange(cost.shape[1]) == cost[m].argmin()
    return torch.where(matches.any(1), matches.int().argmax(1) + 1, 0)


@pytest.fixture
def crowd():
    """Nine boxes of three classes over 12 x 16 points, and what a network might say of them."""
    random = torch.Generator().manual_seed(3)
    priors = MlvlPointGenerator([8]).grid_priors([(12, 16)], device="cpu", with_stride=True)[0]
    near = priors[torch.randperm(len(priors), generator=random)[:9], :2]
    half = torch.rand(9, 2, generator=random) * 30 + 6
    wanted = InstanceData(
        bboxes=torch.cat([near - half, near + half], 1), labels=torch.arange(9) % 3
    )
    sides = torch.rand(len(priors), 4, generator=random) * 30 + 4
    predicted = InstanceData(
        bboxes=torch.cat([priors[:, :2] - sides[:, :2], priors[:, :2] + sides[:, 2:]], 1),
        scores=torch.randn(len(priors), 3, generator=random),
        priors=priors,
    )
    return predicted, wanted


def test_soft_labels_assign_by_the_costs_of_the_paper(crowd):
    predicted, wanted = crowd
    point, boxes = predicted.priors[:, None, :2], wanted.bboxes
    ious = BBoxOverlaps2D()(predicted.bboxes, boxes)
    soft = F.one_hot(wanted.labels, 3) * ious[..., None]
    logits = predicted.scores[:, None].expand(soft.shape)
    entropy = F.binary_cross_entropy_with_logits(logits, soft, reduction="none")
    classes = (entropy * (soft - logits.sigmoid()) ** 2).sum(-1)
    distance = (point - (boxes[:, :2] + boxes[:, 2:]) / 2).norm(dim=-1) / 8
    cost = classes - 3 * (ious + 1e-7).log() + 10 ** (distance - 3)
    inside = ((point > boxes[:, :2]) & (point < boxes[:, 2:])).all(-1).any(1)
    result = DynamicSoftLabelAssigner(topk=13).assign(predicted, wanted)
    want = torch.zeros(len(point), dtype=torch.long)
    want[inside] = by_hand(cost[inside], ious[inside], 13)
    assert torch.equal(result["gt_inds"], want)
    assert len(want.unique()) > 5
    chosen = want > 0
    fits = ious[chosen].gather(1, want[chosen][:, None] - 1)[:, 0]
    torch.testing.assert_close(result["max_overlaps"][chosen], fits)
    assert torch.equal(result["labels"][chosen], wanted.labels[want[chosen] - 1])
    assert (result["labels"][~chosen] == -1).all()


def test_mmdetections_simota_needs_no_keypoints(crowd):
    predicted, wanted = crowd
    predicted.scores = predicted.scores.sigmoid()
    point, boxes = predicted.priors[:, None, :2], wanted.bboxes
    ious = BBoxOverlaps2D()(predicted.bboxes, boxes)
    onehot = F.one_hot(wanted.labels, 3).float()
    scores = predicted.scores[:, None].expand(-1, 9, -1)
    classes = F.binary_cross_entropy(scores, onehot.expand(scores.shape), reduction="none").sum(-1)
    inside = ((point > boxes[:, :2]) & (point < boxes[:, 2:])).all(-1)
    near = ((point - (boxes[:, :2] + boxes[:, 2:]) / 2).abs() < 20).all(-1)
    cost = classes - 3 * (ious + 1e-7).log() + ~(inside & near) * 1e5
    valid = inside.any(1) | near.any(1)
    assigner = TASK_UTILS.build({"type": "mmdet.SimOTAAssigner", "center_radius": 2.5})
    result = assigner.assign(predicted, wanted, InstanceData(bboxes=boxes))
    want = torch.zeros(len(point), dtype=torch.long)
    want[valid] = by_hand(cost[valid], ious[valid], 10)
    assert torch.equal(result["gt_inds"], want)
    assert len(want.unique()) > 5


@pytest.mark.parametrize("kind", ["DynamicSoftLabelAssigner", "SimOTAAssigner"])
def test_boxes_that_no_point_lies_in_get_nothing(crowd, kind):
    predicted, wanted = crowd
    predicted.scores = predicted.scores.sigmoid()
    wanted.bboxes = wanted.bboxes + 1000
    assigner = TASK_UTILS.build({"type": f"mmdet.{kind}"})
    for nobody in (wanted, wanted[:0]):
        result = assigner.assign(predicted, nobody)
        assert result["num_gts"] == len(nobody)
        assert not result["gt_inds"].any()
        assert not result["max_overlaps"].any()
