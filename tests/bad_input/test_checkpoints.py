"""What checkpoints that are damaged, dangerous or of another model say."""

import os
import pickle
import re

import pytest
import torch


class RunsCode:
    """Its pickle calls a function."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def rename_the_last_layer(state):
    for key in [k for k in state if k.startswith("head.final_layer")]:
        state[key.replace("final_layer", "last_layer")] = state.pop(key)


def test_keys_that_do_not_fit_are_a_table_and_testing_goes_on(project, save):
    status, text = project.poise("test", "cfg.py", save(change=rename_the_last_layer))
    assert status == 0
    assert "w.pth does not fit TopdownPoseEstimator: 2 keys missing, 2 keys unexpected" in text
    assert "  missing      head.final_layer.weight  (17, 8, 1, 1)" in text
    assert "  unexpected   head.last_layer.bias  (17,)" in text
    assert re.search(r"part +taken +re-initialised +ignored\n +backbone +[1-9]\d* +0 +0\n", text)
    assert re.search(r"\n +head +\d+ +2 +2\nWhat is re-initialised has its first, untrained", text)


def test_a_checkpoint_of_which_nothing_fits_is_refused(project):
    torch.save({"state_dict": {"a.b": torch.ones(2)}}, "w.pth")
    text = project.fails("test", "cfg.py", "w.pth")
    assert "w.pth does not fit TopdownPoseEstimator" in text
    assert "... and " in text
    assert "Check that the config is the one the weights were trained with" in text


@pytest.mark.parametrize("command", ["test", "predict"])
def test_a_checkpoint_of_another_number_of_keypoints_is_refused(project, save, command):
    name = save(out_channels=14)
    rest = (
        ("cfg.py", name) if command == "test" else ("data/images/1.png", "-m", "cfg.py", "-w", name)
    )
    text = project.fails(command, *rest)
    assert "w.pth does not fit" in text
    assert "head.final_layer.weight  (14, 8, 1, 1) in the file, (17, 8, 1, 1) in the model" in text


def test_weights_of_another_number_of_keypoints_may_be_trained_on(project, save):
    name = save(out_channels=14)
    status, text = project.train("--no-validate", "--set", f"load_from={name}")
    assert status == 0
    assert "w.pth fits TopdownPoseEstimator but for 2 keys of another shape" in text
    assert "Check that the config" not in text


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(project, zipped):
    evil, proof = project.folder / "w.pth", project.folder / "proof"
    content = {"state_dict": {}, "x": RunsCode(proof)}
    torch.save(content, evil) if zipped else evil.write_bytes(pickle.dumps(content))
    text = project.fails("test", "cfg.py", "w.pth")
    assert "cannot read w.pth: the file names 'posix.mkdir'" in text
    assert "could run code. It was not called" in text
    assert not proof.exists()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "it is cut off"),
        (b"", "it is empty"),
        (b"<!DOCTYPE html><html>404</html>", "it is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "pointer of Git LFS"),
        (b"no checkpoint at all", "it is cut off, or no file of weights"),
    ],
)
def test_a_damaged_file_says_what_it_looks_like(project, save, content, why):
    path = project.folder / save()
    if content is None:
        whole = path.read_bytes()
        content = whole[: len(whole) // 2]
    path.write_bytes(content)
    text = project.fails("test", "cfg.py", "w.pth")
    assert f"cannot read w.pth ({len(content):,} bytes) as a checkpoint: " in text
    assert why in text
    assert "download it again" in text


@pytest.mark.parametrize("command", ["test", "predict"])
def test_a_missing_checkpoint_is_answered_with_the_nearest(project, save, command):
    save("epoch_10.pth")
    args = {
        "test": ("test", "cfg.py", "epoch_1.pth"),
        "predict": ("predict", "data/images/1.png", "-m", "cfg.py", "-w", "epoch_1.pth"),
    }
    text = project.fails(*args[command])
    assert "epoch_1.pth can not be found: there is no weights file there" in text
    assert "did you mean 'epoch_10.pth'?" in text


def test_resuming_from_a_missing_file_names_it(project):
    text = project.train_fails("--resume", "run/epoch_9.pth")
    assert "--resume names run/epoch_9.pth, which does not exist" in text
    assert "'auto' for the latest in run" in text


def test_resuming_from_weights_alone_shows_the_other_way(project, save):
    text = project.train_fails("--resume", save())
    assert "w.pth holds weights only" in text
    assert "--set load_from=w.pth" in text
