"""DWPose's two stages on a handful of pictures: teacher, student, and the student's own head."""

from __future__ import annotations

import pytest
import torch

from poise.cli.train import open_config
from poise.training.run import checkpoint as files
from poise.training.runner import Runner

CODEC = {
    "type": "SimCCLabel",
    "input_size": (64, 64),
    "sigma": (2.0, 2.0),
    "simcc_split_ratio": 2.0,
    "normalize": False,
}


def rtmpose(widen: float) -> dict:
    """A narrow RTMPose for three keypoints."""
    backbone = {
        "_scope_": "mmdet",
        "type": "CSPNeXt",
        "arch": "P5",
        "deepen_factor": 0.167,
        "widen_factor": widen,
        "out_indices": (4,),
        "norm_cfg": {"type": "BN"},
        "act_cfg": {"type": "SiLU"},
    }
    head = {
        "type": "RTMCCHead",
        "in_channels": int(1024 * widen),
        "out_channels": 3,
        "input_size": (64, 64),
        "in_featuremap_size": (2, 2),
        "simcc_split_ratio": 2.0,
        "final_layer_kernel_size": 1,
        "gau_cfg": {"hidden_dims": 32, "s": 16, "expansion_factor": 2, "act_fn": "SiLU"},
        "loss": {"type": "KLDiscretLoss", "beta": 10.0, "label_softmax": True},
        "decoder": CODEC,
    }
    normalise = {"type": "PoseDataPreprocessor", "mean": [120.0] * 3, "std": [60.0] * 3}
    model = {"type": "TopdownPoseEstimator", "data_preprocessor": normalise}
    return {**model, "backbone": backbone, "head": head, "test_cfg": {"flip_test": False}}


def distiller(teacher, student, weights, two_dis: bool) -> dict:
    logits = {"type": "KDLoss", "name": "loss_logit", "use_this": True, "weight": 0.1}
    features = {
        "type": "FeaLoss",
        "name": "loss_fea",
        "use_this": True,
        "student_channels": 64,
        "teacher_channels": 128,
        "alpha_fea": 0.00007,
    }
    methods = [logits] if two_dis else [features, logits]
    return {
        "type": "DWPoseDistiller",
        "teacher_cfg": {"model": teacher},
        "student_cfg": {"model": student},
        "teacher_pretrained": str(weights),
        "two_dis": two_dis,
        "distill_cfg": [{"methods": [m]} for m in methods],
        "data_preprocessor": teacher["data_preprocessor"],
        "train_cfg": {"max_epochs": 2},
        "mmpose_faults": False,
    }


def test_norms_of_the_teacher_learn_unless_the_fault_is_mended():
    from poise.models.build import build_model
    from poise.registry import use_scope

    for faults in (True, False):
        cfg = distiller(rtmpose(0.125), rtmpose(0.0625), "", two_dis=False)
        with use_scope("mmpose"):
            model = build_model({**cfg, "mmpose_faults": faults})
        assert model.train().teacher.backbone.stem[0].bn.training is faults
        assert model.student.backbone.stem[0].bn.training


def train(dots, model: dict, folder) -> Runner:
    cfg = open_config(str(dots), [])
    cfg["model"] = model
    for part in ("train", "val", "test"):
        pipeline = cfg[f"{part}_dataloader"]["dataset"]["pipeline"]
        for step in pipeline:
            if step["type"] == "GenerateTarget":
                step["encoder"] = CODEC
    cfg["train_cfg"] = {"max_epochs": 2, "val_interval": 2}
    cfg["default_hooks"] = {"checkpoint": {"interval": 2}, "report": None}
    runner = Runner(cfg, work_dir=folder, accelerator="cpu", devices=1)
    runner.train()
    return runner


@pytest.mark.slow
def test_both_stages_train_what_they_should(dots, tmp_path):
    torch.manual_seed(0)
    teacher, student = rtmpose(0.125), rtmpose(0.0625)
    train(dots, teacher, tmp_path / "teacher")
    weights = tmp_path / "teacher" / "epoch_2.pth"

    first = train(dots, distiller(teacher, student, weights, two_dis=False), tmp_path / "first")
    known = files.read(weights)["state_dict"]
    for name, tensor in first.model.teacher.state_dict().items():
        assert torch.equal(tensor, known[name]), name
    losses = {k for k in first.message_hub.log_scalars if "loss" in k}
    assert losses == {f"train/{k}" for k in ("loss", "loss_kpt", "loss_fea", "loss_logit")}

    # the file of the first stage is taken as it is
    weights = tmp_path / "first" / "epoch_2.pth"
    second = train(dots, distiller(student, student, weights, two_dis=True), tmp_path / "second")
    before = files.read(weights)["state_dict"]
    for name, tensor in second.model.teacher.state_dict().items():
        assert torch.equal(tensor, before[f"student.{name}"]), name
    losses = {k for k in second.message_hub.log_scalars if "loss" in k}
    assert losses == {"train/loss", "train/loss_logit"}
    head = second.model.student.head.cls_x.weight
    assert not torch.equal(head, before["student.head.cls_x.weight"])
