"""From pictures and annotations to metrics: `poise train` and `poise test` on made data."""

import json
import logging
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from poise.cli.test import test as run_test
from poise.cli.train import train as run_train
from poise.config import Config
from poise.data_tools import evaluate_predictions
from poise.errors import ArgumentError, ConfigError, FileMissingError
from poise.training.run import checkpoint as files

K = 3


@pytest.fixture(autouse=True)
def quiet():
    yield
    logger = logging.getLogger("poise")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()


@pytest.fixture
def config(dots):
    """Path of a config whose data are eight pictures of three coloured dots."""
    return dots


def test_train_resume_and_test_a_topdown_model(config, tmp_path, capsys):
    run = tmp_path / "run"
    run_train(str(config), work_dir=run, seed=1, accelerator="cpu")
    names = sorted(p.name for p in run.glob("*.pth"))
    assert names[1:] == ["epoch_1.pth", "epoch_2.pth"]
    assert names[0].startswith("best_coco_AP_epoch_")
    first = files.read(run / "epoch_2.pth")
    assert first["meta"]["dataset_meta"]["num_keypoints"] == K

    second = tmp_path / "second"
    run_train(str(config), work_dir=second, seed=1, resume=str(run / "epoch_1.pth"))
    again = files.read(second / "epoch_2.pth")
    for name, tensor in first["state_dict"].items():
        assert torch.equal(tensor, again["state_dict"][name]), name

    out, dump = tmp_path / "out.json", tmp_path / "dump.json"
    run_test(str(config), str(run / "epoch_2.pth"), work_dir=run, out=out, dump=dump)
    assert {"coco/AP", "PCK"} <= set(json.loads(out.read_text()))
    rows = json.loads(dump.read_text())
    assert np.shape(rows[0]["pred_instances"]["keypoints"]) == (1, K, 2)
    assert "coco/AP" in capsys.readouterr().out

    dump = tmp_path / "dump.jsonl.gz"
    run_test(str(config), str(run / "epoch_2.pth"), work_dir=run, dump=dump)
    later = {k: v for own in evaluate_predictions(dump).values() for k, v in own.items()}
    assert later == pytest.approx(json.loads(out.read_text()), abs=1e-12)


def test_training_learns_the_dots(config, tmp_path):
    run_train(
        str(config),
        work_dir=tmp_path / "run",
        seed=1,
        options=["train_cfg.max_epochs=8", "train_cfg.val_interval=8", "param_scheduler=None"],
    )
    scalars = next((tmp_path / "run").rglob("scalars.json")).read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in scalars if "loss_kpt" in line]
    assert losses[-1] < 0.85 * losses[0]


def test_a_repeated_data_set_makes_longer_epochs(config, tmp_path):
    text = config.read_text()
    config.write_text(
        text.replace(
            "    dataset=dict(pipeline=train_pipeline, **dataset))",
            "    dataset=dict(type='RepeatDataset', times=3,\n"
            "                 dataset=dict(pipeline=train_pipeline, **dataset)))",
        )
    )
    (tmp_path / "images" / "3.png").write_bytes(b"junk")
    run = tmp_path / "run"
    run_train(str(config), work_dir=run, max_epochs=1, validate=False)
    assert files.read(run / "epoch_1.pth")["meta"]["iter"] == 3 * 8 // 4
    (log,) = run.rglob("*.log")
    assert log.read_text().count("3.png cannot be decoded; it is skipped") == 1


def test_a_batch_size_is_found_by_the_command(config, tmp_path, capsys):
    run_train(str(config), work_dir=tmp_path / "run", batch_search=True, accelerator="cpu")
    told = capsys.readouterr().out
    # no more than there are samples, within a step of the search
    assert re.search(r"^[78] samples fit into memory \(the config has 4\)", told)
    assert re.search(r"--batch-size [67] --set auto_scale_lr.enable=True", told)
    assert not list(tmp_path.rglob("*.pth"))


def test_a_learning_rate_is_found_by_the_command(config, tmp_path, capsys):
    run_train(str(config), work_dir=tmp_path / "run", rate_search=True, accelerator="cpu")
    assert "--set optim_wrapper.optimizer.lr=" in capsys.readouterr().out
    assert (tmp_path / "run" / "learning_rate.png").stat().st_size > 1000
    assert not list(tmp_path.rglob("*.pth"))


def test_a_missing_annotation_file_is_named_with_its_key(config, tmp_path):
    (tmp_path / "ann.json").unlink()
    with pytest.raises(FileMissingError, match=r"(?s)train_dataloader.*ann.json.*--set"):
        run_train(str(config), work_dir=tmp_path / "run")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"options": ["train_config.max_epochs=1"]}, "did you mean 'train_cfg'"),
        ({"options": ["train_cfg.max_epoch=1"]}, "did you mean 'max_epochs'"),
        ({"amp": "fp8"}, "must be one of 'bf16', 'fp16', got 'fp8'"),
    ],
)
def test_wrong_options_are_named(config, tmp_path, options, match):
    with pytest.raises(ConfigError, match=match):
        run_train(str(config), work_dir=tmp_path / "run", **options)


@pytest.fixture
def checkpoint(config, tmp_path):
    """Weights after an epoch."""
    run_train(str(config), work_dir=tmp_path / "run", max_epochs=1, validate=False)
    return str(tmp_path / "run" / "epoch_1.pth")


def with_hook(config, hook):
    text = config.read_text()
    config.write_text(text.replace("default_hooks = dict(", f"default_hooks = dict({hook}, "))
    return str(config)


@pytest.mark.parametrize(("threshold", "count"), [(-1, 8), (1e9, 0)])
def test_bad_cases_are_listed_and_drawn(config, checkpoint, tmp_path, threshold, count):
    hook = f"badcase=dict(type='BadCaseAnalysisHook', enable=True, badcase_thr={threshold})"
    run_test(with_hook(config, hook), checkpoint, work_dir=tmp_path / "test")
    listed = [json.loads(p.read_text()) for p in (tmp_path / "test").rglob("results.json")]
    assert [len(rows) for rows in listed] == ([count] if count else [])
    assert len(list((tmp_path / "test").rglob("*.png"))) == count


def test_bad_cases_go_by_an_accuracy_too(config, checkpoint, tmp_path):
    hook = (
        "badcase=dict(type='BadCaseAnalysisHook', enable=True, metric_type='accuracy', "
        "metric=dict(type='PCKAccuracy', thr=0.2), metric_key='PCK', badcase_thr=2)"
    )
    run_test(with_hook(config, hook), checkpoint, work_dir=tmp_path / "test")
    (rows,) = (json.loads(p.read_text()) for p in (tmp_path / "test").rglob("results.json"))
    assert len(rows) == 8
    assert all(0 <= row["PCK"] <= 1 for row in rows)


def test_tensorboard_gets_the_pictures_of_validation_and_test(config, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    hook = "visualization=dict(type='PoseVisualizationHook', enable=True, interval=1, kpt_thr=0.0)"
    name = with_hook(config, hook)
    with Path(name).open("a") as file:
        file.write("\nvis_backends = [dict(type='TensorboardVisBackend')]\n")
    run = tmp_path / "run"
    run_train(name, work_dir=run, max_epochs=1, accelerator="cpu")
    run_test(name, str(run / "epoch_1.pth"), work_dir=tmp_path / "test")
    for folder, tag in ((run, "val_img"), (tmp_path / "test", "test_img")):
        (events,) = folder.rglob("events.out.*")
        read = EventAccumulator(str(events), size_guidance={"images": 0}).Reload()
        assert read.Tags()["images"] == [tag]
        sent = {event.step: event.encoded_image_string for event in read.Images(tag)}
        drawn = {int(p.name.split("_")[1]): p for p in folder.rglob(f"{tag[:-3]}*.jpg")}
        assert sent.keys() == drawn.keys()
        for step, data in sent.items():
            one, other = (
                cv2.imdecode(np.frombuffer(data, np.uint8), 1),
                cv2.imread(str(drawn[step])),
            )
            assert one.shape == other.shape
            # JPEG blurs the colours of thin lines
            assert np.abs(one.astype(int) - other).mean() < 10


def test_predictions_are_drawn_if_asked(config, checkpoint, tmp_path):
    hook = "visualization=dict(type='PoseVisualizationHook', enable=True, kpt_thr=0.0)"
    run_test(with_hook(config, hook), checkpoint, work_dir=tmp_path / "test")
    assert len(list((tmp_path / "test").rglob("test_*.jpg"))) == 8


def test_the_command_draws_predictions_and_bad_cases(config, checkpoint, tmp_path):
    drawn = tmp_path / "drawn"
    hook = "badcase=dict(type='BadCaseAnalysisHook', badcase_thr=-1)"
    name = with_hook(config, hook)
    run_test(name, checkpoint, work_dir=tmp_path / "test", show_dir=drawn, badcase=True)
    assert len(list(drawn.glob("test_*.jpg"))) == 8
    (listed,) = (tmp_path / "test").rglob("badcase/results.json")
    assert len(json.loads(listed.read_text())) == 8


def test_the_learning_rate_is_scaled_to_the_batch(config, tmp_path):
    name = tmp_path / "scaled.py"
    name.write_text(f"_base_ = {str(config)!r}\nauto_scale_lr = dict(base_batch_size=1)\n")
    rates = []
    for scale_rate in (False, True):
        run = tmp_path / f"run{scale_rate}"
        run_train(str(name), work_dir=run, max_epochs=1, accelerator="cpu", scale_rate=scale_rate)
        (log,) = run.rglob("scalars.json")
        rates.append(json.loads(log.read_text().splitlines()[0])["lr"])
    batch = Config.fromfile(name).train_dataloader.batch_size
    assert rates[1] == pytest.approx(batch * rates[0])


def test_a_released_model_is_tested_with_its_own_weights(config, tmp_path):
    name = "movenet-lightning"
    settings = [
        f"test_dataloader.dataset.{key}={value!r}"
        for key, value in (("data_root", ""), ("bbox_file", None), ("ann_file", "gone.json"))
    ]
    # the weights are found, and the absent data are what stops it
    with pytest.raises(FileMissingError, match=r"gone\.json"):
        run_test(name, work_dir=tmp_path, options=settings)
    with pytest.raises(ArgumentError, match=r"give a checkpoint: poise test .* CHECKPOINT"):
        run_test(str(config), work_dir=tmp_path)
