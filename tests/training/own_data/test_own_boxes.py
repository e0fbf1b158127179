"""Detectors on a user's own boxes: files, classes, settings, a short run, and its use."""

import json

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from poise.check import check
from poise.cli.main import app
from poise.config import Config
from poise.errors import ConfigError, DataError
from poise.inference.detectors import build_detector
from poise.training.own_data import OwnData, describe_boxes, prepare
from poise.training.runner import Runner
from poise.zoo import default_weights, load_config

#: each kind of recipe: mosaics from a cache, mosaics of a mixing data set, none
KINDS = ["rtmdet-nano-person", "yolox-nano", "nanodet"]


def write_boxes(folder, parts=("train", "val"), count=8, kinds=("mouse", "fish"), *, boxes=True):
    """Pictures with a bright patch for each thing."""
    rng = np.random.default_rng(1)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "annotations").mkdir(exist_ok=True)
    for part in parts:
        images, annotations = [], []
        for number in range(1, count + 1):
            file = f"{part}_{number}.png"
            picture = rng.integers(0, 60, (72, 96, 3), dtype=np.uint8)
            for kind in range(len(kinds)):
                x, y = int(rng.integers(4, 60)), int(rng.integers(4, 36))
                picture[y : y + 24, x : x + 30, kind] = 250
                person = dict(id=len(annotations) + 1, image_id=number, category_id=kind + 1)
                person |= dict(keypoints=[x, y, 2, x + 30, y + 24, 2], num_keypoints=2)
                if boxes:
                    person |= dict(bbox=[x, y, 30, 24], area=720, iscrowd=0)
                annotations.append(person)
            cv2.imwrite(str(folder / "images" / file), picture)
            images.append(dict(id=number, file_name=file, width=96, height=72))
        names = dict(keypoints=["nose", "tail"])
        categories = [dict(id=k + 1, name=name, **names) for k, name in enumerate(kinds)]
        content = dict(images=images, annotations=annotations, categories=categories)
        (folder / "annotations" / f"my_{part}.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_boxes(tmp_path_factory.mktemp("data"))


def fitted(name, data, tmp_path, *, category=None, **settings):
    """Config and what was said."""
    own = OwnData(data, category=category)
    options = dict(weights="none") | settings
    return prepare(load_config(name), own, name=name, work_dir=tmp_path, **options)


def shrunk(tree):
    """Settings of pictures a tenth as large, so that a run takes seconds."""
    if isinstance(tree, dict):
        return {key: shrunk(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(map(shrunk, tree))
    if isinstance(tree, int) and abs(tree) >= 320:
        return 32 * round(tree / 320) if tree % 32 == 0 else tree // 10
    return tree


def small(cfg, **changes):
    tree = cfg.to_dict()
    for key in ("train_dataloader", "val_dataloader", "test_dataloader", "custom_hooks"):
        tree[key] = shrunk(tree[key])
    model = tree["model"]
    if "data_preprocessor" in model:
        model["data_preprocessor"] = shrunk(model["data_preprocessor"])
    for part in ("train", "val", "test"):
        tree[f"{part}_dataloader"] |= dict(num_workers=0, persistent_workers=False)
    tree |= dict(randomness=dict(seed=0), **changes)
    return Config(tree)


class TestBoxes:
    def test_classes_are_the_categories_with_boxes(self, data):
        found = describe_boxes(data / "annotations/my_train.json")
        assert found.classes == ("mouse", "fish")
        assert found.said == "boxes: 8 of mouse, 8 of fish"
        assert describe_boxes(data / "annotations/my_train.json", "Fish").classes == ("fish",)

    def test_boxes_are_drawn_around_keypoints(self, tmp_path):
        write_boxes(tmp_path, parts=("train",), count=2, boxes=False)
        found = describe_boxes(tmp_path / "annotations/my_train.json")
        assert found.said == "boxes: 2 of mouse, 2 of fish; all drawn around keypoints"

    def test_what_is_not_there_is_named(self, data, tmp_path):
        with pytest.raises(DataError, match="no category 'mous'; did you mean 'mouse'"):
            describe_boxes(data / "annotations/my_train.json", "mous")
        file = tmp_path / "none.json"
        content = json.loads((data / "annotations/my_train.json").read_text())
        for ann in content["annotations"]:
            del ann["bbox"], ann["keypoints"]
        file.write_text(json.dumps(content))
        with pytest.raises(DataError, match="no annotation has a `bbox`, nor keypoints"):
            describe_boxes(file)


class TestSettings:
    @pytest.mark.parametrize("name", [*KINDS, "rtmdet-tiny", "rtmdet-hand", "yolox-face"])
    def test_every_kind_of_detector_is_fitted(self, data, tmp_path, name):
        cfg, said = fitted(name, data, tmp_path, epochs=10)
        head = cfg.model.get("bbox_head") or cfg.model
        assert head.num_classes == 2
        assert cfg.train_cfg.max_epochs == 10
        assert cfg.default_hooks.checkpoint.save_best == "coco/bbox_mAP"
        inner = cfg.train_dataloader.dataset.get("dataset") or cfg.train_dataloader.dataset
        assert inner.metainfo.classes == ("mouse", "fish")
        assert "min_size" not in inner.filter_cfg
        text = cfg.dumps(".py")
        assert "data/coco" not in text
        assert "http" not in text
        assert said[-1].startswith("start: random weights")
        assert any(line.startswith("course: 10 epochs") for line in said)

    def test_a_category_alone_is_the_only_class(self, data, tmp_path):
        cfg, said = fitted("nanodet", data, tmp_path, category="fish")
        assert cfg.model.num_classes == 1
        assert "head: 1 class instead of 80" in said

    def test_a_tenth_is_held_out_and_rates_are_for_the_recipes_batch(self, tmp_path):
        root = write_boxes(tmp_path / "one", parts=("train",), count=10)
        _, said = fitted("rtmdet-tiny", root, tmp_path / "run", batch_size=4)
        assert any("a tenth of the pictures is held out" in line for line in said)
        # not for the 16 of `auto_scale_lr`, which is another recipe's
        assert any("0.0005 for batches of 4 (0.004 for 256" in line for line in said)

    def test_a_short_run_ends_with_the_last_stage_too(self, data, tmp_path):
        cfg, _ = fitted("rtmdet-tiny", data, tmp_path, epochs=2)
        switch = next(h for h in cfg.custom_hooks if h["type"] == "PipelineSwitchHook")
        assert switch["switch_epoch"] == 1

    def test_nanodet_starts_from_the_weights_inside_the_package(self, data, tmp_path):
        cfg, said = fitted("nanodet", data, tmp_path, weights=None)
        assert said[-1] == "start: the weights inside the package; every class starts as a person"
        assert cfg.get("load_from") is None
        inside = str(default_weights("nanodet"))
        assert fitted("nanodet", data, tmp_path, weights=inside)[1][-1] == said[-1]
        cfg, said = fitted("nanodet", data, tmp_path)
        assert cfg.model.embedded is False
        assert "the learning rate is for the weights inside the package" in said[-1]

    def test_a_number_of_keypoints_is_refused(self, data, tmp_path):
        with pytest.raises(ConfigError, match="nanodet finds boxes, no keypoints"):
            prepare(
                load_config("nanodet"),
                OwnData(data, num_keypoints="2"),
                name="nanodet",
                work_dir=tmp_path,
                weights="none",
            )


@pytest.mark.parametrize("name", KINDS)
def test_a_run_trains_switches_and_keeps_the_best(data, tmp_path, name):
    cfg, _ = fitted(name, data, tmp_path, epochs=2, batch_size=2, weights="none")
    runner = Runner(small(cfg), work_dir=tmp_path / "run", accelerator="cpu")
    runner.train()
    best = list((tmp_path / "run").glob("best_coco_bbox_mAP_epoch_*.pth"))
    assert len(best) == 1
    meta = torch.load(best[0], weights_only=False)["meta"]
    assert meta["dataset_meta"]["classes"] == ("mouse", "fish")
    losses = {key for key in runner.message_hub.log_scalars if "loss" in key}
    assert "train/loss" in losses
    if name == "yolox-nano":
        assert "train/loss_l1" in losses


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """Folder of a short run of NanoDet, by the command line."""
    folder = tmp_path_factory.mktemp("run")
    command = ["train", "nanodet", "--data-root", data, "--epochs", 6, "--batch-size", 2]
    settings = [
        "optim_wrapper.optimizer.lr=0.001",
        "randomness.seed=0",
        "train_dataloader.num_workers=0",
        "train_dataloader.persistent_workers=False",
        "val_dataloader.num_workers=0",
        "val_dataloader.persistent_workers=False",
    ]
    options = [part for one in settings for part in ("--set", one)]
    ended = CliRunner().invoke(app, [*map(str, command), *options, "-w", str(folder)])
    assert ended.exit_code == 0, ended.output
    best = next(folder.glob("best_coco_bbox_mAP_epoch_*.pth"))
    return ended.output, folder / "nanodet.py", best


def test_the_end_of_a_run_says_how_to_use_it(trained):
    output, config, best = trained
    assert f"--detector {config} --detector-weights {best} -m POSE_MODEL PICTURES" in output


def test_its_boxes_are_tested_and_found_in_pictures(trained, data, tmp_path):
    _, config, best = trained
    figures = tmp_path / "figures.json"
    where = ["--out", str(figures), "--work-dir", str(tmp_path)]
    ended = CliRunner().invoke(app, ["test", str(config), str(best), *where])
    assert ended.exit_code == 0, ended.output
    assert "coco/bbox_mAP_50" in ended.output
    assert json.loads(figures.read_text())["coco/bbox_mAP_50"] > 0.3
    command = ["predict", str(data / "images/val_1.png"), "-m", "movenet-lightning"]
    command += ["--detector", str(config), "--detector-weights", str(best), "-o", str(tmp_path)]
    ended = CliRunner().invoke(app, [*command, "--save", "json"])
    assert ended.exit_code == 0, ended.output
    assert json.loads(next(tmp_path.glob("val_1*.json")).read_text())["instances"]


def test_config_and_classes_go_into_one_file(trained, data, tmp_path):
    _, config, best = trained
    file = tmp_path / "mine.safetensors"
    ended = CliRunner().invoke(app, ["zoo", "convert", str(best), "-o", str(file)])
    assert ended.exit_code == 0, ended.output
    picture = cv2.imread(str(data / "images/val_1.png"))
    whole = build_detector(str(file))
    assert whole.classes == ("mouse", "fish")
    apart = build_detector(str(config), weights=best)
    np.testing.assert_allclose(whole.detect([picture])[0], apart.detect([picture])[0], atol=0.05)


def test_a_trained_detector_is_checked(trained):
    _, config, best = trained
    report = check(config, weights=best)
    assert report.fits, str(report)
    assert not report.of("warning")


@pytest.mark.parametrize(("count", "level"), [(1, "error"), (3, "warning")])
def test_classes_that_do_not_fit_the_head_are_found(trained, count, level):
    cfg = load_config(trained[1])
    cfg["model"]["num_classes"] = count
    found = [f for f in check(cfg, parts=("val",)) if "the data have 2 classes" in f.text]
    assert [f.level for f in found] == [level]


def test_missing_pictures_and_double_boxes_are_found(trained, data, tmp_path):
    content = json.loads((data / "annotations/my_val.json").read_text())
    content["images"][0]["file_name"] = "gone.png"
    content["annotations"].append(dict(content["annotations"][4], id=999))
    file = tmp_path / "odd.json"
    file.write_text(json.dumps(content))
    cfg = load_config(trained[1])
    cfg["val_dataloader"]["dataset"]["ann_file"] = str(file)
    cfg["val_evaluator"]["ann_file"] = str(file)
    texts = [f.text for f in check(cfg, parts=("val",))]
    assert any("1 picture not found" in text and "gone.png" in text for text in texts)
    assert any("1 picture with the very same box twice: 3" in text for text in texts)


def test_detectors_that_only_predict_say_what_trains(data):
    for options in ([], ["--data-root", data]):
        ended = CliRunner().invoke(app, ["train", "faster-rcnn", *map(str, options)])
        assert ended.exit_code
        told = f"{ended.output}{ended.exception}"
        assert "FasterRCNN is a detector for prediction and is not trained here" in told
        assert "poise train rtmdet-m" in told
