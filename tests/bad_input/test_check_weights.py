"""`poise check --weights`: what a checkpoint is, what of it fits, and whether it holds numbers."""

from __future__ import annotations

import pytest
import torch


def check(project, *options):
    return project.poise("check", "cfg.py", "--weights", "w.pth", *options)


def test_weights_of_the_model_fit(project, save):
    save()
    status, text = check(project)
    assert status == 0, text
    assert "config, data and checkpoint fit together" in text


def test_weights_for_other_keypoints_start_anew_in_training_and_are_an_error_in_a_test(
    project, save
):
    save(out_channels=14)
    status, text = check(project)
    assert status == 0, text
    assert (
        "2 tensors have another shape: head.final_layer.weight: (14, 8, 1, 1) in the file" in text
    )
    assert "in fine-tuning these start anew" in text
    assert "-> the file's head gives 14 channels, this config's 17" in text
    status, text = check(project, "--part", "test")
    assert status == 1
    assert "predictions with these untrained values mean nothing" in text


def test_missing_and_unused_tensors_are_grouped(project, save):
    def change(state):
        for key in [k for k in state if k.startswith("head.deconv_layers")]:
            state[f"old_{key}"] = state.pop(key)

    save(change=change)
    status, text = check(project)
    assert status == 0, text
    assert "15 tensors are not in the file: head.deconv_layers (" in text
    assert "old_head.deconv_layers (" in text


def test_weights_of_another_model_are_named_as_such(project, save):
    def change(state):
        for key in list(state):
            state[f"net.{key}"] = state.pop(key)
        state["other"] = torch.zeros(1)

    save(change=lambda state: [state.pop(k) for k in list(state) if k.startswith("backbone")])
    status, text = check(project)
    assert status == 1
    assert "of the network's" in text
    assert "it is of another model" in text


def nan(state):
    state["backbone.conv1.weight"][0, 0, 0, 0] = float("nan")


def test_nan_in_weights_is_an_error_that_names_the_tensors(project, save):
    save(change=nan)
    status, text = check(project)
    assert status == 1
    assert "NaN or infinity in 1 of" in text
    assert "backbone.conv1.weight" in text


def test_weights_with_nan_are_not_loaded(project, save):
    text = project.fails("test", "cfg.py", save(change=nan))
    assert "w.pth: NaN or infinity in 1 tensor (backbone.conv1.weight)" in text
    assert "take an earlier checkpoint" in text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty"),
        (b"<!DOCTYPE html><html>not found</html>", "it is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a pointer of Git LFS"),
        (b"PK\x03\x04" + bytes(range(200)), "it is cut off"),
    ],
)
def test_a_file_of_something_else_is_told_from_weights(project, content, said):
    (project.folder / "w.pth").write_bytes(content)
    status, text = check(project)
    assert status == 1
    assert said in text
    assert "1 error" in text


def test_a_missing_file_is_an_error(project):
    status, text = check(project)
    assert status == 1
    assert "w.pth can not be found" in text


def test_state_of_a_training_and_old_files_are_noted(project, save):
    save(meta={"mmpose_version": "0.29.0", "epoch": 3})
    content = torch.load("w.pth")
    torch.save({**content, "optimizer": {}, "ema_state_dict": {"steps": torch.tensor(1)}}, "w.pth")
    status, text = check(project)
    assert status == 0, text
    assert "a file of MMPose 0.29.0: its old keys are renamed" in text
    assert "it holds the state of a training, epoch 3" in text
    assert "poise train CONFIG --resume w.pth" in text
    assert "moving averages" in text


def test_keypoints_of_the_checkpoint_are_compared(project, save):
    names = {i: f"k{i}" for i in range(17)}
    meta = {"dataset_meta": {"num_keypoints": 17, "keypoint_id2name": names}}
    save(meta=meta)
    _, text = check(project)
    assert "other keypoints of the same number: k0 where the config has nose" in text
    save(meta={"dataset_meta": {"num_keypoints": 19, "dataset_name": "union"}})
    status, text = check(project, "--part", "test")
    assert status == 1
    assert "was trained for 19 keypoints (dataset union), the test data has 17" in text
