"""A released model on one's own COCO-style data: files, keypoints, settings, a short run."""

import contextlib
import json
import re

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from poise.cli.main import app
from poise.config import Config
from poise.errors import CheckpointError, ConfigError, DataError, FileMissingError
from poise.training.own_data import (
    OwnData,
    describe_keypoints,
    find_files,
    hold_out,
    prepare,
)
from poise.zoo import load_config, models

MOUSE = ["nose", "left_ear", "right_ear", "tail"]
RTMPOSE = "rtmpose-t_8xb256-420e_coco-256x192"


def write_data(folder, parts=("train", "val"), names=MOUSE, count=12, **info):
    """A data set of small pictures with one animal each."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "annotations").mkdir(exist_ok=True)
    for part in parts:
        images, annotations = [], []
        for number in range(1, count + 1):
            file = f"{part}_{number}.png"
            picture = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
            cv2.imwrite(str(folder / "images" / file), picture)
            images.append(dict(id=number, file_name=file, width=64, height=48))
            points = [(int(x), int(y), 2) for x, y in rng.integers(8, 40, (len(names), 2))]
            annotations.append(
                dict(
                    id=number,
                    image_id=number,
                    category_id=1,
                    iscrowd=0,
                    bbox=[4, 4, 48, 40],
                    area=1920,
                    num_keypoints=len(names),
                    keypoints=[value for point in points for value in point],
                )
            )
        category = dict(id=1, name="mouse", keypoints=list(names), skeleton=[[1, 2], [1, 3]])
        content = dict(images=images, annotations=annotations, categories=[category], info=info)
        (folder / "annotations" / f"mouse_{part}.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data") / "mouse")


class TestFiles:
    def test_everything_is_found_below_one_folder(self, data):
        files = find_files(data)
        assert files.train_ann == data / "annotations/mouse_train.json"
        assert files.val_ann == data / "annotations/mouse_val.json"
        assert files.train_images == files.val_images == data / "images"

    def test_paths_may_be_relative_to_the_root(self, data, tmp_path):
        from pathlib import Path

        files = find_files(data, Path("annotations/mouse_val.json"), None, Path("images"))
        assert files.train_ann == data / "annotations/mouse_val.json"
        # the same file for both would validate on what was trained on
        assert files.val_ann is None

    def test_a_single_file_is_for_training(self, tmp_path):
        root = write_data(tmp_path, parts=("train",))
        (root / "annotations/mouse_train.json").rename(root / "mine.json")
        files = find_files(root)
        assert (files.train_ann, files.val_ann) == (root / "mine.json", None)

    @pytest.mark.parametrize(
        ("change", "error", "text"),
        [
            (dict(root="nowhere"), FileMissingError, "no folder nowhere"),
            (dict(train_ann="no.json"), FileMissingError, "no annotation file no.json, nor below"),
            (
                dict(train_images="annotations"),
                FileMissingError,
                "pictures of .* not found.*--train",
            ),
        ],
    )
    def test_what_is_not_there_is_named(self, data, change, error, text):
        from pathlib import Path

        settings = dict(root=data) | {key: Path(value) for key, value in change.items()}
        with pytest.raises(error, match=text):
            find_files(**settings)

    def test_two_files_for_training_are_for_the_user_to_choose(self, tmp_path):
        root = write_data(tmp_path)
        (root / "annotations/old_train.json").write_text("{}")
        with pytest.raises(
            DataError, match="several annotation files.*choose one with --train-ann"
        ):
            find_files(root)

    def test_held_out_pictures_are_in_one_part_only(self, data, tmp_path):
        parts = hold_out(data / "annotations/mouse_train.json", tmp_path)
        ids = [{i["id"] for i in json.loads(p.read_text())["images"]} for p in parts]
        assert [len(i) for i in ids] == [11, 1]
        assert not ids[0] & ids[1]
        assert hold_out(data / "annotations/mouse_train.json", tmp_path)[1].read_text() == (
            parts[1].read_text()
        )


class TestKeypoints:
    def describe(self, folder, names, **info):
        write_data(folder, parts=("train",), names=names, count=1, **info)
        return describe_keypoints(folder / "annotations/mouse_train.json")

    def test_names_links_and_sides_make_a_schema(self, tmp_path):
        found = self.describe(tmp_path, MOUSE)
        points = found.metainfo["keypoint_info"]
        assert [points[i]["swap"] for i in range(4)] == ["", "right_ear", "left_ear", ""]
        assert found.metainfo["skeleton_info"][0]["link"] == ("nose", "left_ear")
        assert found.mirrored
        assert "1 pair guessed from the names (left_ear/right_ear)" in found.said[1]

    @pytest.mark.parametrize(
        "names",
        [
            "leftear rightear",
            "HipL HipR",
            "LeftPaw RightPaw",
            "l_eye r_eye",
            "L-Eye R-Eye",
            "pawLF_top pawRF_top",
            "eye.left eye.right",
        ],
    )
    def test_sides_are_read_in_many_spellings(self, tmp_path, names):
        found = self.describe(tmp_path, ["middle", *names.split()])
        assert found.metainfo["keypoint_info"][1]["swap"] == names.split()[1]
        assert found.mirrored

    @pytest.mark.parametrize("names", [["p0", "p1"], ["paw1LH", "paw4RH"], ["lip", "rim"]])
    def test_pictures_are_not_mirrored_where_sides_are_unknown(self, tmp_path, names):
        found = self.describe(tmp_path, names)
        assert not found.mirrored
        assert "therefore not mirrored" in found.said[1]

    def test_flip_indices_of_the_file_win(self, tmp_path):
        found = self.describe(tmp_path, ["a", "b", "c"], flip_indices=[2, 1, 0])
        assert found.metainfo["keypoint_info"][0]["swap"] == "c"
        assert found.mirrored

    def test_a_known_set_of_keypoints_keeps_its_schema(self, tmp_path):
        from poise import schemas

        names = [point["name"] for point in schemas.get("coco")["keypoint_info"].values()]
        found = self.describe(tmp_path, names)
        assert found.known
        assert found.metainfo == dict(from_file="configs/_base_/datasets/coco.py")

    @pytest.mark.parametrize(
        ("change", "text"),
        [
            (lambda c: c.pop("annotations"), "has no annotations"),
            (lambda c: c["categories"][0].update(keypoints=["a"]), "names 1 keypoint,.*12 numbers"),
            (lambda c: c["categories"][0].update(keypoints=["a"] * 4), "names a occur twice"),
            (lambda c: c["annotations"][0].pop("keypoints"), "no annotation has keypoints"),
        ],
    )
    def test_faults_of_a_file_are_named(self, tmp_path, change, text):
        write_data(tmp_path, parts=("train",), count=1)
        path = tmp_path / "annotations/mouse_train.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))
        with pytest.raises(DataError, match=text):
            describe_keypoints(path)

    def test_another_number_than_asked_for_is_an_error(self, data):
        with pytest.raises(DataError, match="--num-keypoints 7, but .* has 4 keypoints"):
            describe_keypoints(data / "annotations/mouse_train.json", 7)


def fitted(name, data, tmp_path, **settings):
    """Config and what was said."""
    own = settings.pop("own", OwnData(data))
    options = dict(weights="none") | settings
    return prepare(load_config(name), own, name=name, work_dir=tmp_path, **options)


#: a model of each kind that 2D keypoints have
KINDS = [
    "rtmpose-t_8xb256-420e_body8-256x192",
    "td-hm_litehrnet-18_8xb32-210e_coco-384x288",
    "cid_hrnet-w32_8xb20-140e_coco-512x512",
    "dekr_hrnet-w32_8xb10-140e_coco-512x512",
    "ipr_res50_8xb64-210e_coco-256x256",
    "rtmo-t_8xb32-600e_body7-416x416",
    "simcc_mobilenetv2_wo-deconv-8xb64-210e_coco-256x192",
    "td-hm-vis_res50_8xb64-210e_coco-aic-256x192-merge",
    "td-hm_rsn18_8xb32-210e_coco-256x192",
    "td-hm_cpm_8xb32-40e_jhmdb-sub1-368x368",
    "td-hm_hrnet-w32_udp-regress-8xb64-210e_coco-256x192",
    "td-hm_vipnas-mbv3_8xb64-210e_coco-256x192",
    "td-reg_mobilenetv2_rle-pretrained-8xb64-210e_coco-256x192",
    "yoloxpose_tiny_4xb64-300e_coco-416",
    "yolox-pose_tiny_4xb64-300e_coco",
    "rtmw-m_8xb1024-270e_cocktail14-256x192",
    "td-hm_hrnet-w32_8xb64-210e_coco-aic-256x192-combine",
]


class TestSettings:
    @pytest.mark.parametrize("name", KINDS)
    def test_every_kind_of_model_is_fitted(self, data, tmp_path, name):
        cfg, said = fitted(name, data, tmp_path, epochs=5)
        head = cfg.model.get("head") or cfg.model.bbox_head.head_module
        head = head.get("pose_cfg", head)
        number = next(head[k] for k in ("out_channels", "num_joints", "num_keypoints") if k in head)
        assert number == (12 if "udp-regress" in name else 4)
        assert cfg.train_dataloader.dataset.type == "CocoDataset"
        assert cfg.train_cfg.max_epochs == 5
        text = cfg.dumps(".py")
        assert "RandomHalfBody" not in text
        assert "configs/_base_/datasets" not in text
        assert any("4 keypoints instead of" in line for line in said)

    @pytest.mark.parametrize("name", [KINDS[0], KINDS[6], KINDS[12]])
    def test_a_fitted_model_trains(self, data, tmp_path, name):
        from poise.datasets.loader import build_dataloader
        from poise.models.build import build_model
        from poise.registry import use_scope

        cfg, _ = fitted(name, data, tmp_path, batch_size=2)
        with use_scope("mmpose"):
            loader = build_dataloader(
                {**cfg.train_dataloader, "num_workers": 0, "persistent_workers": False}, seed=0
            )
        model = build_model(cfg)
        losses = model(**model.data_preprocessor(next(iter(loader)), True), mode="loss")
        assert torch.isfinite(losses["loss_kpt"])
        assert model.dataset_meta["flip_indices"] == [0, 2, 1, 3]

    def test_every_2d_recipe_is_fitted_or_refused_with_a_reason(self, data, tmp_path):
        reasons = {}
        for name in list(models())[::11]:
            with contextlib.suppress(ConfigError):
                fitted(name, data, tmp_path, epochs=3)
                continue
            with pytest.raises(ConfigError) as refused:
                fitted(name, data, tmp_path, epochs=3)
            reasons[name] = str(refused.value)
        assert all(re.search("find 2D keypoints|no training", r) for r in reasons.values())
        assert 0 < len(reasons) < 12

    def test_events_keep_their_share_of_the_run(self, data, tmp_path):
        cfg, _ = fitted(RTMPOSE, data, tmp_path, epochs=42)
        (hook,) = [h for h in cfg.custom_hooks if "switch_epoch" in h]
        assert hook.switch_epoch == 39
        warmup, cosine = cfg.param_scheduler
        assert (cosine.begin, cosine.end, cosine.T_max) == (21, 42, 21)
        # a tenth of 42 epochs of 12 steps
        assert warmup.end == 50
        assert cfg.train_cfg.val_interval == 4

    def test_rate_follows_the_batch_size(self, data, tmp_path):
        cfg, said = fitted(RTMPOSE, data, tmp_path, batch_size=4, devices=4)
        assert cfg.optim_wrapper.optimizer.lr == pytest.approx(4e-3 / 8)
        assert cfg.param_scheduler[1].eta_min == pytest.approx(2e-4 / 8)
        assert any("0.0005 for batches of 16 (0.004 for 1024" in line for line in said)

    def test_known_keypoints_keep_their_metric(self, tmp_path):
        from poise import schemas

        names = [point["name"] for point in schemas.get("coco")["keypoint_info"].values()]
        root = write_data(tmp_path / "people", names=names)
        cfg, said = fitted(RTMPOSE, root, tmp_path)
        assert cfg.val_evaluator[0].type == "CocoMetric"
        assert cfg.val_evaluator[0].ann_file.endswith("mouse_val.json")
        assert any("17 keypoints, as before" in line for line in said)
        assert "RandomHalfBody" in cfg.dumps(".py")

    def test_only_annotations_that_train_are_counted(self, tmp_path):
        data = write_data(tmp_path / "mice")
        file = data / "annotations/mouse_train.json"
        content = json.loads(file.read_text())
        blind, crowd = content["annotations"][:2]
        blind["keypoints"] = [0] * len(blind["keypoints"])
        crowd["iscrowd"] = 1
        file.write_text(json.dumps(content))
        whole = len(content["annotations"])
        _, said = fitted(RTMPOSE, data, tmp_path)
        assert any(f"{whole - 2} annotations" in line for line in said)
        _, said = fitted("rtmo-t_8xb32-600e_body7-416x416", data, tmp_path)
        assert any(f"{len(content['images'])} pictures" in line for line in said)

    def test_a_short_run_leaves_out_parts_without_an_epoch(self, data, tmp_path):
        cfg, _ = fitted("yolox-pose_tiny_4xb64-300e_coco", data, tmp_path, epochs=2)
        assert [part.type for part in cfg.param_scheduler] == [
            "mmdet.QuadraticWarmupLR",
            "CosineAnnealingLR",
        ]

    def test_one_file_for_both_parts_is_used_where_it_was_given_for_both(self, data, tmp_path):
        file = data / "annotations/mouse_train.json"
        cfg, said = fitted(RTMPOSE, data, tmp_path, own=OwnData(data, file, file))
        assert cfg.val_dataloader.dataset.ann_file == str(file)
        assert any("scores say nothing of new pictures" in line for line in said)

    def test_unmirrored_keypoints_are_never_flipped(self, tmp_path):
        root = write_data(tmp_path / "points", names=["a", "b"])
        cfg, _ = fitted(RTMPOSE, root, tmp_path)
        assert "RandomFlip" not in cfg.dumps(".py")
        assert cfg.model.test_cfg.flip_test is False

    def test_training_starts_from_the_models_weights(self, data, tmp_path, monkeypatch):
        from poise.zoo import weights_url

        released = tmp_path / weights_url(RTMPOSE).rpartition("/")[2]
        released.touch()
        monkeypatch.setenv("POISE_WEIGHTS", str(tmp_path))
        cfg, said = fitted(RTMPOSE, data, tmp_path, weights=None)
        assert cfg.load_from == str(released)
        assert said[-1] == f"start: {released}"
        assert "init_cfg" not in cfg.model.backbone
        (tmp_path / "mine.pth").touch()
        cfg, _ = fitted(RTMPOSE, data, tmp_path, weights=str(tmp_path / "mine.pth"))
        assert cfg.load_from == str(tmp_path / "mine.pth")

    def test_a_run_that_goes_on_needs_no_weights(self, data, tmp_path, monkeypatch):
        monkeypatch.setenv("POISE_OFFLINE", "1")
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        cfg, said = fitted(RTMPOSE, data, tmp_path, weights=None, goes_on=True)
        assert "init_cfg" not in cfg.model.backbone
        assert said[-1] == "start: the checkpoint of the run"

    @pytest.mark.parametrize("weights", ["none", "backbone"])
    def test_none_is_nothing_and_the_backbones_are_asked_for(self, data, tmp_path, weights):
        named = load_config(RTMPOSE).model.backbone.init_cfg.checkpoint
        cfg, said = fitted(RTMPOSE, data, tmp_path, weights=weights)
        assert cfg.load_from is None
        assert ("init_cfg" in cfg.model.backbone) == (weights == "backbone")
        assert said[-1] == f"start: {'random weights' if weights == 'none' else named}"

    def test_weights_that_cannot_be_fetched_are_said_first(self, data, tmp_path, monkeypatch):
        monkeypatch.setenv("POISE_OFFLINE", "1")
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        with pytest.raises(CheckpointError, match="POISE_OFFLINE") as failed:
            fitted(RTMPOSE, data, tmp_path, weights=None)
        assert "--weights none" in failed.value.__notes__[0]

    def test_other_keypoints_for_validation_are_an_error(self, tmp_path):
        root = write_data(tmp_path)
        write_data(tmp_path, parts=("val",), names=["a", "b", "c", "d"])
        with pytest.raises(DataError, match="mouse_val.json has other keypoints"):
            fitted(RTMPOSE, root, tmp_path)

    @pytest.mark.parametrize("name", ["human3d", "dwpose_m-mm_coco-256x192", "edpose", "hand3d"])
    def test_models_of_other_kinds_are_refused(self, data, tmp_path, name):
        with pytest.raises(ConfigError, match="find 2D keypoints in pictures"):
            fitted(name, data, tmp_path)


@pytest.mark.slow
def test_command_trains_and_what_it_wrote_tests_and_predicts(data, tmp_path):
    run = CliRunner().invoke
    name = "td-reg_mobilenetv2_rle-pretrained-8xb64-210e_coco-256x192"
    work = tmp_path / "run"
    options = ["--epochs", "1", "--weights", "none", "--batch-size", "4", "-w", str(work)]
    small = [
        f"--set={loader}_dataloader.{key}"
        for loader in ("train", "val", "test")
        for key in ("num_workers=0", "persistent_workers=False")
    ]
    done = run(app, ["train", name, "--data-root", str(data), *options, *small])
    assert "start: random weights" in done.output
    assert done.exit_code == 0, done.output
    assert "head: 4 keypoints instead of 17" in done.output
    written = work / f"{name}.py"
    assert Config.fromfile(written).model.head.num_joints == 4
    done = run(app, ["test", str(written), str(work / "epoch_1.pth"), "-w", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert done.output.count("PCK") == 1
    [log] = tmp_path.glob("*/*.log")
    assert "Epoch(test)  PCK" in log.read_text()
    again = ["train", name, "--data-root", str(data), "--epochs", "2", "-w", str(work)]
    done = run(app, [*again, "--batch-size", "4", "--resume", "auto", *small])
    assert done.exit_code == 0, done.output
    assert "start: the checkpoint of the run" in done.output
    assert (work / "epoch_2.pth").is_file()
    picture = str(data / "images/val_1.png")
    options = ["-m", str(written), "-w", str(work / "epoch_2.pth"), "-o", str(tmp_path / "out")]
    done = run(app, ["predict", picture, *options])
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "out/val_1.json").read_text())
    assert len(found["instances"][0]["keypoints"]) == 4
