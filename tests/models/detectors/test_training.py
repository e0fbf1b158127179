"""Losses of RTMDet and YOLOX: MMDetection's figures, empty pictures, 16 bits, what is refused."""

import pytest
import torch

from poise.errors import ConfigError, DataError
from poise.registry import MODELS, use_scope
from poise.structures import InstanceData, PoseDataSample

HEIGHT, WIDTH, STRIDES = 128, 96, (8, 16, 32)
HEADS = {
    "RTMDet": {
        "type": "RTMDetSepBNHead",
        "with_objectness": False,
        "exp_on_reg": True,
        "loss_cls": {"type": "QualityFocalLoss", "use_sigmoid": True, "beta": 2.0},
        "loss_bbox": {"type": "GIoULoss", "loss_weight": 2.0},
        "train_cfg": {"assigner": {"type": "DynamicSoftLabelAssigner", "topk": 13}},
    },
    "YOLOX": {
        "type": "YOLOXHead",
        "train_cfg": {"assigner": {"type": "SimOTAAssigner", "center_radius": 2.5}},
    },
}
# MMDetection 3.3.0: of classes and boxes in each picture losses, and gradients of each map
FIGURES = [
    (
        ("RTMDet", 3, (4,)),
        {"loss_cls": 91.24525, "loss_bbox": 1.558985},
        [0.005048279, 0.008871898, 0.01530022],
    ),
    (
        ("RTMDet", 3, (0, 0)),
        {"loss_cls": 322.2314, "loss_bbox": 0.0},
        [0.007511451, 0.001312475, 0.0281698],
    ),
    (
        ("RTMDet", 1, (7, 0, 2)),
        {"loss_cls": 23.80756, "loss_bbox": 1.358519},
        [0.001629989, 0.001941049, 0.003944672],
    ),
    (
        ("YOLOX", 3, (4,)),
        {"loss_cls": 1.939072, "loss_bbox": 4.665133, "loss_obj": 48.74121, "loss_l1": 2.779438},
        [0.0005199251, 0.02341408, 0.002607089],
    ),
    (
        ("YOLOX", 3, (0, 0)),
        {"loss_cls": 0.0, "loss_bbox": 0.0, "loss_obj": 388.6971, "loss_l1": 0.0},
        [0.0006297682, 0.005462683, 0.01017641],
    ),
    (
        ("YOLOX", 1, (7, 0, 2)),
        {"loss_cls": 0.6197284, "loss_bbox": 4.704943, "loss_obj": 65.0346, "loss_l1": 2.393825},
        [8.785097e-05, 0.01100433, 0.001086468],
    ),
]


def waves(*shape, step, phase=0.0):
    """Numbers that look like chance, and are the same everywhere."""
    count = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return torch.sin(count * step + phase).float().reshape(shape)


def head_of(kind, classes, **more):
    shape = {"num_classes": classes, "in_channels": 6, "feat_channels": 6, "stacked_convs": 1}
    with use_scope("mmdet"):
        head = MODELS.build({**shape, **HEADS[kind], **more})
    for i, (_, weight) in enumerate(sorted(head.named_parameters())):
        weight.data = waves(*weight.shape, step=1.7 + 0.13 * i, phase=i) * 0.4
    return head.train()


def maps_of(count):
    return [
        waves(count, 6, HEIGHT // s, WIDTH // s, step=0.9 + s / 100, phase=s).requires_grad_()
        for s in STRIDES
    ]


def sample_of(count, phase, classes):
    size = torch.tensor([WIDTH, HEIGHT])
    centers = (waves(count, 2, step=2.3, phase=phase) + 1) / 2 * size
    half = (waves(count, 2, step=3.1, phase=phase) + 1.2) * size / 8
    sample = PoseDataSample(metainfo={"img_shape": (HEIGHT, WIDTH), "pad_shape": (HEIGHT, WIDTH)})
    sample.gt_instances = InstanceData(
        bboxes=torch.cat([centers - half, centers + half], 1),
        labels=torch.arange(count) % classes,
    )
    return sample


def samples_of(counts, classes):
    return [sample_of(n, i + 1, classes) for i, n in enumerate(counts)]


@pytest.mark.parametrize(("case", "expected", "gradients"), FIGURES, ids=str)
def test_losses_and_gradients_are_mmdetections(case, expected, gradients):
    kind, classes, counts = case
    head, maps, samples = head_of(kind, classes), maps_of(len(counts)), samples_of(counts, classes)
    if kind == "YOLOX":
        head.use_l1 = True
    if len(counts) == 3:
        # the last picture was padded less: what the batch added has no points
        samples[2].set_metainfo({"pad_shape": (96, 64)})
    losses = head.loss(maps, samples)
    assert {k: v.item() for k, v in losses.items()} == pytest.approx(expected, rel=1e-4)
    sum(losses.values()).backward()
    have = [m.grad.abs().mean().item() for m in maps]
    assert have == pytest.approx(gradients, rel=1e-3)
    # several processes wait for every gradient
    assert all(p.grad is not None for p in head.parameters())


@pytest.mark.parametrize("kind", HEADS)
def test_boxes_of_crowds_count_as_background_as_in_mmdetection(kind):
    head, maps = head_of(kind, 3), maps_of(1)
    plain, crowded = samples_of((4,), 3), samples_of((4,), 3)
    crowded[0].ignored_instances = sample_of(3, 9, 3).gt_instances
    with torch.no_grad():
        assert head.loss(maps, crowded) == head.loss(maps, plain)


@pytest.mark.parametrize("kind", HEADS)
def test_order_of_pictures_and_boxes_is_of_no_account(kind):
    head, maps, samples = head_of(kind, 2).eval(), maps_of(2), samples_of((5, 3), 2)
    turned = [m.flip(0) for m in maps]
    other = samples[::-1]
    with torch.no_grad():
        before = head.loss(maps, samples)
        samples[0].gt_instances = samples[0].gt_instances[[4, 2, 0, 1, 3]]
        after = head.loss(turned, other)
    torch.testing.assert_close(after, before)


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_16_bits_give_nearly_the_same(kind, dtype):
    head, maps, samples = head_of(kind, 3), maps_of(2), samples_of((4, 0), 3)
    with torch.no_grad():
        exact = head.loss(maps, samples)
    with torch.autocast("cpu", dtype):
        losses = head.loss(maps, samples)
    assert all(loss.dtype == torch.float32 for loss in losses.values())
    assert losses["loss_cls"].item() == pytest.approx(exact["loss_cls"].item(), rel=0.2)
    sum(losses.values()).backward()
    assert all(m.grad.isfinite().all() for m in maps)


def test_positive_points_of_rtmdet_may_count_more():
    maps, samples = maps_of(1), samples_of((4,), 3)
    with torch.no_grad():
        once, thrice = (
            head_of("RTMDet", 3, train_cfg={**HEADS["RTMDet"]["train_cfg"], "pos_weight": w})
            for w in (-1, 3.0)
        )
        assert thrice.loss(maps, samples)["loss_cls"] > once.loss(maps, samples)["loss_cls"]


def test_objectness_of_rtmdet_learns_where_it_is_sure_of_nothing():
    head, maps, samples = (
        head_of("RTMDet", 3, with_objectness=True),
        maps_of(1),
        samples_of((4,), 3),
    )
    for layer in (*head.rtm_cls, *head.rtm_obj):
        torch.nn.init.constant_(layer.bias, -80.0)
    sum(head.loss(maps, samples).values()).backward()
    assert all(m.grad.isfinite().all() for m in maps)
    assert all(p.grad.isfinite().all() for p in head.parameters())


def test_raw_boxes_of_yolox_count_once_a_hook_says_so():
    head, maps, samples = head_of("YOLOX", 3), maps_of(1), samples_of((4,), 3)
    assert "loss_l1" not in head.loss(maps, samples)
    head.use_l1 = True
    assert head.loss(maps, samples)["loss_l1"] > 0


@pytest.mark.parametrize("kind", HEADS)
def test_what_training_lacks_is_named(kind):
    maps, (sample,) = maps_of(1), samples_of((4,), 3)
    with pytest.raises(ConfigError, match="needs train_cfg.assigner to train"):
        head_of(kind, 3, train_cfg=None).loss(maps, [sample])
    sample.set_metainfo({"img_path": "a/cat.jpg"})
    with pytest.raises(DataError, match="cat.jpg has the label 2, but bbox_head.num_classes is 2"):
        head_of(kind, 2).loss(maps, [sample])
    del sample.gt_instances
    with pytest.raises(DataError, match="`bboxes` and `labels`, and a sample .*cat.jpg.* has none"):
        head_of(kind, 3).loss(maps, [sample])


@pytest.mark.parametrize("kind", HEADS)
def test_whole_detectors_learn_a_picture(kind):
    torch.manual_seed(0)
    net = {"deepen_factor": 0.167, "widen_factor": 0.125}
    neck = {"in_channels": [32, 64, 128], "out_channels": 8, "num_csp_blocks": 1}
    head = {"num_classes": 2, "in_channels": 8, "feat_channels": 8, "stacked_convs": 1}
    parts = ("CSPNeXt", "CSPNeXtPAFPN") if kind == "RTMDet" else ("CSPDarknet", "YOLOXPAFPN")
    cfg = dict(HEADS[kind])
    with use_scope("mmdet"):
        model = MODELS.build(
            {
                "type": kind,
                "backbone": {"type": parts[0], **net},
                "neck": {"type": parts[1], **neck},
                "train_cfg": cfg.pop("train_cfg"),
                "test_cfg": {"score_thr": 0.0, "nms": {"type": "nms"}, "max_per_img": 50},
                "bbox_head": {**cfg, **head},
            }
        )
    model.init_weights()
    # a bright square of one class, and a dark one of another
    picture = torch.zeros(1, 3, 64, 64)
    picture[..., 8:32, 8:32], picture[..., 36:60, 32:60] = 2, -2
    sample = PoseDataSample(metainfo={"img_shape": (64, 64), "scale_factor": (1, 1)})
    boxes = torch.tensor([[8.0, 8, 32, 32], [32, 36, 60, 60]])
    sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.tensor([0, 1]))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    model.train()
    seen = []
    for _ in range(50):
        optimizer.zero_grad()
        losses = model(picture, [sample], mode="loss")
        sum(losses.values()).backward()
        optimizer.step()
        seen.append({name: loss.item() for name, loss in losses.items()})
    assert seen[-1]["loss_bbox"] < 0.5 * seen[0]["loss_bbox"]
    assert sum(seen[-1].values()) < 0.5 * sum(seen[0].values())
