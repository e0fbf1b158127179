"""Losses of waves have the values that MMPose 1.3.2 gives."""

import math

import pytest
import torch

from poise.registry import MODELS


def wave(*shape, start=0.0):
    steps = torch.arange(math.prod(shape), dtype=torch.float64)
    return torch.sin(steps * 0.7 + start).float().reshape(shape)


POINTS = wave(2, 3, 2), wave(2, 3, 2, start=1)
POSES = wave(4, 3, 3), wave(4, 3, 3, start=1)
MAPS = wave(2, 3, 4, 5).abs(), wave(2, 3, 4, 5, start=1).abs()
WEIGHTS = 0.75 * (wave(2, 3, start=2) > -0.3)
POSE_WEIGHTS = 0.5 * (wave(4, 3, start=2) > -0.3)
OF_POINTS = *POINTS, WEIGHTS[..., None].expand(2, 3, 2)
PEAKS = MAPS[0].clamp(0.05, 0.95), torch.where(MAPS[1] > 0.9, 1.0, MAPS[1])
#: people of two pictures: place and visibility of each keypoint; one has none
PLACES = torch.tensor(
    [
        [[[0, 1], [7, 1], [3, 0]], [[5, 1], [19, 1], [2, 1]]],
        [[[1, 1], [8, 0], [3, 1]], [[4, 0], [4, 0], [4, 0]]],
    ]
)
WEIGHTED = {"use_target_weight": True}
BINS = wave(2, 3, 8), wave(2, 3, 8, start=1)
SOFT = tuple(bins.softmax(-1) for bins in BINS)
SEEN = (wave(4, 5, start=2) > -0.3).float()
AREAS = wave(4).abs() * 400 + 50
PEOPLE = wave(4, 5, 2).abs() * 9, wave(4, 5, 2, start=1).abs() * 9, SEEN, AREAS
BOXES = tuple(
    torch.cat([wave(4, 2, start=s).abs() * 5, wave(4, 2, start=s + 1).abs() * 5 + 6], dim=1)
    for s in (0, 2)
)
LOGITS, CLASSES = wave(4, 3), (wave(4, 3, start=1) > 0).float()
QUALITY = CLASSES * wave(4, 3, start=3).abs()
SOFTENED = WEIGHTED | {"beta": 3.0, "label_softmax": True, "label_beta": 2.0}


@pytest.mark.parametrize(
    ("name", "options", "given", "expected"),
    [
        ("SmoothL1Loss", WEIGHTED | {"loss_weight": 2.0}, OF_POINTS, 0.13543534),
        ("SmoothL1Loss", {}, POINTS, 0.21082634),
        ("WingLoss", WEIGHTED | {"loss_weight": 2.0}, OF_POINTS, 12.902332),
        ("WingLoss", {}, POINTS, 14.852034),
        ("WingLoss", {"omega": 2, "epsilon": 0.5}, (POINTS[0] * 5, POINTS[1]), 23.886639),
        ("SoftWingLoss", WEIGHTED | {"loss_weight": 2.0}, OF_POINTS, 2.9205947),
        ("SoftWingLoss", {}, POINTS, 3.4742913),
        (
            "SoftWingLoss",
            {"omega1": 0.3, "omega2": 4, "epsilon": 0.5},
            (POINTS[0] * 5, POINTS[1]),
            32.939381,
        ),
        ("SoftWeightSmoothL1Loss", WEIGHTED | {"beta": 0.5}, OF_POINTS, 0.15334398),
        ("SoftWeightSmoothL1Loss", WEIGHTED | {"supervise_empty": False}, OF_POINTS, 0.18058045),
        ("MPJPELoss", WEIGHTED, (*POSES, POSE_WEIGHTS[..., None]), 0.43556952),
        (
            "MPJPEVelocityJointLoss",
            {"lambda_scale": 0.3, "lambda_3d_velocity": 7},
            POSES,
            1.6030443,
        ),
        ("BoneLoss", WEIGHTED | {"joint_parents": [0, 0, 1]}, (*POSES, POSE_WEIGHTS), 0.25771719),
        ("KeypointMSELoss", {"loss_weight": 3.0}, (*MAPS, WEIGHTS), 0.31845155),
        ("KeypointOHKMMSELoss", WEIGHTED | {"topk": 2}, (*MAPS, WEIGHTS), 0.082019567),
        ("AdaptiveWingLoss", WEIGHTED, (*MAPS, WEIGHTS), 1.283098),
        (
            "AdaptiveWingLoss",
            {"alpha": 2.0, "omega": 10, "epsilon": 0.7, "theta": 0.4},
            MAPS,
            4.5012026,
        ),
        ("FocalHeatmapLoss", {"alpha": 3, "beta": 2}, PEAKS, 1.2933792),
        (
            "AssociativeEmbeddingLoss",
            {"loss_weight": 0.3, "push_loss_factor": 0.7},
            (wave(2, 3, 4, 5), PLACES),
            (0.17136233, 0.41420937),
        ),
        ("MLECCLoss", {"mode": "linear"}, (SOFT, SOFT[::-1]), 1.9551198),
        ("MLECCLoss", {"mode": "square"}, (SOFT, SOFT[::-1]), 1.998987),
        ("MLECCLoss", {"mode": "log"}, (SOFT, SOFT[::-1]), 7.5907078),
        ("OKSLoss", {"mode": "linear", "loss_weight": 2.0}, PEOPLE, 0.80001074),
        ("OKSLoss", {"mode": "square", "loss_weight": 2.0}, PEOPLE, 1.1562581),
        ("OKSLoss", {"mode": "log", "loss_weight": 2.0}, PEOPLE, 1.2014749),
        ("IoULoss", {"mode": "linear"}, BOXES, 0.83337545),
        ("IoULoss", {"mode": "square"}, BOXES, 0.97136527),
        ("IoULoss", {"mode": "log"}, BOXES, 1.8072326),
        ("KLDiscretLoss", SOFTENED, (BINS, BINS[::-1], WEIGHTS), 0.18760328),
        (
            "KLDiscretLoss",
            {"beta": 3.0, "mask": [1], "mask_weight": 0.5},
            (BINS, SOFT, WEIGHTS),
            0.06466525,
        ),
        (
            "BCELoss",
            WEIGHTED | {"loss_weight": 2.0},
            (LOGITS, CLASSES, wave(4, 3).abs()),
            0.54193389,
        ),
        (
            "BCELoss",
            {"reduction": "sum", "use_sigmoid": True},
            (LOGITS.sigmoid(), CLASSES),
            6.3361244,
        ),
        (
            "VariFocalLoss",
            WEIGHTED | {"alpha": 0.5, "gamma": 1.5, "reduction": "sum"},
            (LOGITS, QUALITY, wave(4).abs()),
            1.8218136,
        ),
        ("InfoNCELoss", {"temperature": 0.5}, (wave(3, 6),), 0.29276404),
    ],
)
def test_values_are_those_of_the_reference(name, options, given, expected):
    loss = MODELS.build({"type": name, **options})(*given)
    found = [part.item() for part in loss] if isinstance(loss, tuple) else loss.sum().item()
    assert found == pytest.approx(expected, rel=1e-5)
