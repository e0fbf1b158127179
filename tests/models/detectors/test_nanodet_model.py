"""NanoDet as a model of configs: starts from what the package has, learns other things."""

import pytest
import torch

from poise.errors import ConfigError
from poise.models.detectors import NanoDet, embedded_nanodet
from poise.registry import MODELS
from poise.structures import InstanceData, PoseDataSample
from poise.structures.bbox import bbox_overlaps

SIDE = 128


def model_of(classes, **more):
    return MODELS.build({"type": "poise.NanoDet", "num_classes": classes, **more})


def started(classes, **more):
    model = model_of(classes, **more)
    model.init_weights()
    return model


def sample_of(boxes, labels):
    sample = PoseDataSample(metainfo={"img_shape": (SIDE, SIDE), "scale_factor": (1.0, 1.0)})
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor(boxes).reshape(-1, 4), labels=torch.tensor(labels, dtype=torch.long)
    )
    return sample


def scenes(count):
    """Grey pictures with a bright upright thing (0), a dark flat one (1), or both."""
    draw = torch.Generator().manual_seed(5)
    pictures = 100 + 20 * torch.rand(count, 3, SIDE, SIDE, generator=draw)
    samples = []
    for i in range(count):
        boxes, labels = [], []
        for label in (0, 1) if i % 3 == 2 else (i % 3,):
            width, height = (28, 48) if label == 0 else (56, 24)
            x = int(torch.randint(0, SIDE - width, (1,), generator=draw))
            y = int(torch.randint(0, SIDE // 2 - height, (1,), generator=draw)) + label * SIDE // 2
            pictures[i, :, y : y + height, x : x + width] = 230 - 210 * label
            boxes.append([x, y, x + width, y + height])
            labels.append(label)
        samples.append(sample_of([list(map(float, b)) for b in boxes], labels))
    return pictures, samples


def found(model, pictures, samples):
    model.eval()
    with torch.no_grad():
        return [s.pred_instances for s in model(pictures, samples, mode="predict")]


def learn(model, pictures, samples, steps, rate=2e-4):
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    model.train()
    seen = []
    for _ in range(steps):
        optimizer.zero_grad()
        losses = model(pictures, samples, mode="loss")
        sum(losses.values()).backward()
        optimizer.step()
        seen.append(sum(losses.values()).item())
    return seen


@pytest.fixture(scope="module")
def pictures():
    return torch.randint(0, 255, (2, 3, 64, 96), generator=torch.Generator().manual_seed(0)).float()


def test_it_starts_as_the_embedded_detector(pictures):
    network, model = embedded_nanodet().eval(), started(80).eval()
    with torch.no_grad():
        scores, distances = network(pictures)
        logits, own, points = model.bbox_head.cells(model(pictures))
        boxes, people = network.detect(pictures)
    torch.testing.assert_close(logits.sigmoid(), scores)
    torch.testing.assert_close(own, distances)
    torch.testing.assert_close(model.bbox_head.boxes(own, points), boxes)
    torch.testing.assert_close(logits[..., 0].sigmoid(), people)


@pytest.mark.parametrize(
    ("start", "classes"), [(None, [0, 0, 0]), (16, [16] * 3), ([0, 15, 16], [0, 15, 16])]
)
def test_other_classes_start_from_those_of_coco(pictures, start, classes):
    network, model = embedded_nanodet().eval(), started(3, start_classes=start).eval()
    with torch.no_grad():
        scores, distances = network(pictures)
        logits, own, _ = model.bbox_head.cells(model(pictures))
    torch.testing.assert_close(logits.sigmoid(), scores[..., classes])
    torch.testing.assert_close(own, distances)


@pytest.mark.parametrize("wrong", [[0, 1], 80, [0, 1, -1]])
def test_classes_that_coco_does_not_have_are_refused(wrong):
    with pytest.raises(ConfigError, match="start_classes should be one class of COCO's 80"):
        model_of(3, start_classes=wrong)


def test_weights_of_the_network_alone_load(pictures):
    model, network = model_of(2), NanoDet(2)
    model.load_state_dict(network.state_dict(), strict=True)
    model.load_state_dict(model_of(2).state_dict(), strict=True)
    with pytest.raises(RuntimeError, match="size mismatch"):
        model.load_state_dict(NanoDet(3).state_dict())


def test_it_may_start_from_chance():
    model = started(2, embedded=False)
    assert not torch.equal(model.backbone.stem.weight, embedded_nanodet().stem.weight)


def test_it_learns_other_things_within_dozens_of_steps():
    pictures, samples = scenes(6)
    model = started(2)
    seen = learn(model, pictures, samples, 40)
    assert seen[-1] < 0.4 * seen[0]
    for instances, sample in zip(found(model, pictures, samples), samples, strict=True):
        sure = instances[instances.scores > 0.5]
        wanted = sample.gt_instances
        assert sure.labels.sort().values.tolist() == wanted.labels.tolist()
        overlaps = bbox_overlaps(sure.bboxes[sure.labels.argsort()], wanted.bboxes, is_aligned=True)
        assert overlaps.min() > 0.7


def test_pictures_without_things_teach_that_there_are_none():
    pictures, _ = scenes(2)
    nothing = [sample_of([], []), sample_of([], [])]
    model = started(2)
    losses = model.train()(pictures, nothing, mode="loss")
    assert losses["loss_bbox"] == losses["loss_dfl"] == 0
    seen = learn(model, pictures, nothing, 5)
    assert seen[-1] < seen[0]
    assert all(p.grad is not None for p in model.parameters())


def test_boxes_of_crowds_neither_count_nor_harm():
    pictures, samples = scenes(3)
    model = started(2).train()
    # what the network takes for something, and nobody has labelled
    hidden = [s.gt_instances for s in samples]
    for sample in samples:
        sample.gt_instances = sample.gt_instances[:0]
    plain = model(pictures, samples, mode="loss")["loss_cls"]
    for sample, things in zip(samples, hidden, strict=True):
        sample.ignored_instances = InstanceData(bboxes=things.bboxes)
    assert model(pictures, samples, mode="loss")["loss_cls"] < plain
    # a whole picture of them teaches nothing
    everywhere = torch.tensor([[-1.0, -1, SIDE + 1, SIDE + 1]])
    for sample in samples:
        sample.ignored_instances = InstanceData(bboxes=everywhere)
    assert model(pictures, samples, mode="loss")["loss_cls"] == 0


def test_the_padding_of_a_batch_teaches_nothing():
    pictures, samples = scenes(1)
    model = started(2).train()
    samples[0].gt_instances = samples[0].gt_instances[:0]
    whole = model(pictures, samples, mode="loss")["loss_cls"]
    samples[0].set_metainfo({"pad_shape": (SIDE, SIDE // 2)})
    assert model(pictures, samples, mode="loss")["loss_cls"] < whole


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_16_bits_give_nearly_the_same(dtype):
    pictures, samples = scenes(2)
    model = started(2).train()
    exact = model(pictures, samples, mode="loss")
    with torch.autocast("cpu", dtype):
        losses = model(pictures, samples, mode="loss")
    assert all(loss.dtype == torch.float32 for loss in losses.values())
    assert losses["loss_cls"].item() == pytest.approx(exact["loss_cls"].item(), rel=0.1)


def test_boxes_come_in_image_space():
    pictures, samples = scenes(1)
    (plain,) = found(
        started(80, test_cfg={"score_thr": 0.001, "max_per_img": 5}), pictures, samples
    )
    samples[0].set_metainfo({"scale_factor": (0.5, 0.25)})
    (scaled,) = found(
        started(80, test_cfg={"score_thr": 0.001, "max_per_img": 5}), pictures, samples
    )
    torch.testing.assert_close(scaled.bboxes, plain.bboxes * torch.tensor([2.0, 4, 2, 4]))
    assert len(plain) == 5
    assert (plain.scores.diff() <= 0).all()
