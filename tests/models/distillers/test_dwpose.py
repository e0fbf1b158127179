"""Both stages of DWPose, end to end with small networks."""

import copy

import pytest
import torch

from poise.codecs import SimCCLabel
from poise.errors import ConfigError
from poise.models.distillers import DWPoseDistiller
from poise.models.weights import load_checkpoint, save_checkpoint
from poise.models.weights.publishing import publish

K, SIZE = 5, (48, 64)
GAU = {"hidden_dims": 16, "s": 8, "expansion_factor": 2, "dropout_rate": 0.0, "drop_path": 0.0,
       "act_fn": "SiLU", "use_rel_bias": False, "pos_enc": False}  # fmt: skip


def pose_model(width):
    channels = int(1024 * width)
    return {
        "type": "TopdownPoseEstimator",
        "backbone": {"type": "CSPNeXt", "deepen_factor": 0.167, "widen_factor": width,
                     "out_indices": (4,)},
        "head": {"type": "RTMCCHead", "in_channels": channels, "out_channels": K,
                 "input_size": SIZE, "in_featuremap_size": (2, 2), "gau_cfg": GAU,
                 "loss": {"type": "KLDiscretLoss", "beta": 10.0, "label_softmax": True},
                 "decoder": {"type": "SimCCLabel", "input_size": SIZE}},
        "test_cfg": {"flip_test": False},
    }  # fmt: skip


def distiller(stage, **more):
    torch.manual_seed(0)
    small, big = pose_model(0.0625), pose_model(0.125)
    logit = {"type": "KDLoss", "name": "loss_logit", "use_this": True, "weight": 0.1}
    methods = [{"methods": [logit]}]
    if stage == 1:
        fea = {"type": "FeaLoss", "name": "loss_fea", "use_this": True, "student_channels": 64,
               "teacher_channels": 128, "alpha_fea": 1.0}  # fmt: skip
        methods.append({"methods": [fea]})
    student = small if stage == 1 else big
    return DWPoseDistiller(big, student, two_dis=stage == 2, distill_cfg=methods, **more)


@pytest.fixture
def batch(sample):
    codec = SimCCLabel(SIZE)
    g = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, 64, 48, generator=g), [sample(codec, K, seed) for seed in (0, 1)]


@pytest.mark.parametrize("stage", [1, 2])
def test_a_stage_trains_what_it_should_and_lowers_its_loss(stage, batch):
    model = distiller(stage).train()
    model.set_progress(epoch=0, max_epochs=10, iter=0, max_iters=100)
    before = copy.deepcopy(model.state_dict())
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=1e-3)
    totals = []
    for _ in range(6):
        losses = model(*batch, mode="loss")
        total = sum(v for k, v in losses.items() if "loss" in k)
        totals.append(total.item())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    assert totals[-1] < totals[0]
    # the second stage has no loss but that of the logits
    names = {"loss_kpt", "acc_pose", "loss_fea", "loss_logit"} if stage == 1 else {"loss_logit"}
    assert set(losses) == names
    weights = {k for k, v in model.named_parameters() if not torch.equal(v, before[k])}
    assert not any(k.startswith("teacher.") for k in weights)
    assert any(k.startswith("student.head.") for k in weights)
    assert any(k.startswith("student.backbone.") for k in weights) == (stage == 1)


def test_the_teacher_stays_in_eval_mode_without_gradients():
    model = distiller(1)
    assert not any(p.requires_grad for p in model.teacher.parameters())
    assert not any(m.training for m in model.teacher.modules())


def test_distillation_fades_out_in_the_first_stage(batch):
    model = distiller(1).eval()
    model.set_progress(epoch=0, max_epochs=10, iter=0, max_iters=100)
    full = model(*batch, mode="loss")["loss_fea"]
    model.set_progress(epoch=5, max_epochs=10, iter=50, max_iters=100)
    assert torch.allclose(model(*batch, mode="loss")["loss_fea"], full / 2)


@pytest.mark.parametrize("stage", [1, 2])
def test_it_predicts_as_the_student(stage, batch):
    model = distiller(stage).eval()
    inputs, samples = batch
    with torch.no_grad():
        out = model(inputs, copy.deepcopy(samples), mode="predict")
        feats = (model.student if stage == 1 else model.teacher).extract_feat(inputs)
        direct = model.student.head.predict(feats, samples)
    assert out[0].pred_instances.keypoints.shape == (1, K, 2)
    assert (out[1].pred_instances.keypoint_scores == direct[1].keypoint_scores).all()


def test_the_student_of_a_file_stands_alone(tmp_path, batch):
    model = distiller(1)
    save_checkpoint(model, tmp_path / "distilled.pth")
    alone = distiller(1).student
    with torch.no_grad():
        for p in alone.parameters():
            p.zero_()
    load_checkpoint(alone, tmp_path / "distilled.pth", strict=True, prefix="student.")
    state = alone.state_dict()
    assert all(torch.equal(state[k], v) for k, v in model.student.state_dict().items())


@pytest.mark.parametrize(
    ("meta", "second"),
    [
        ({}, False),
        ({"cfg": "model = dict(two_dis=False)"}, False),
        ({"cfg": "two_dis=True,"}, True),
    ],
)
def test_the_student_is_taken_from_a_file_of_either_stage(tmp_path, meta, second, caplog):
    model = distiller(2)
    with torch.no_grad():
        for n, p in enumerate(model.parameters()):
            p.fill_(n / 1000)
    torch.save({"state_dict": model.state_dict(), "meta": meta}, tmp_path / "stage.pth")
    published = publish(tmp_path / "stage.pth", tmp_path / "student.pth")
    assert "the student's weights alone are written" in caplog.text
    assert "cfg" not in torch.load(published)["meta"]
    expected = model.student.state_dict()
    if second:
        # its body stands still as the teacher's, which it was trained on
        body = model.teacher.state_dict()
        expected = {k: v if k.startswith("head.") else body[k] for k, v in expected.items()}
    for file in (tmp_path / "stage.pth", published):
        alone = distiller(2).student
        load_checkpoint(alone, file, strict=True)
        state = alone.state_dict()
        assert all(torch.equal(state[k], v) for k, v in expected.items())
    again = distiller(2)
    load_checkpoint(again, tmp_path / "stage.pth", strict=True)
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in again.state_dict().items())


def test_the_teacher_is_read_from_a_file(tmp_path):
    teacher = distiller(1).teacher
    with torch.no_grad():
        teacher.head.cls_x.weight.fill_(0.25)
    save_checkpoint(teacher, tmp_path / "teacher.pth")
    model = distiller(1, teacher_pretrained=str(tmp_path / "teacher.pth"))
    model.init_weights()
    assert (model.teacher.head.cls_x.weight == 0.25).all()


def test_features_are_not_distilled_in_the_second_stage():
    fea = {"type": "FeaLoss", "name": "loss_fea", "use_this": True, "student_channels": 64,
           "teacher_channels": 64}  # fmt: skip
    small = pose_model(0.0625)
    with pytest.raises(ConfigError, match="second stage"):
        DWPoseDistiller(small, small, two_dis=True, distill_cfg=[{"methods": [fea]}])
