"""Episodes of MP-100: those of MMPose's projects/pose_anything, their figures, and a few steps.

`mp100_figures.json` was written by the project's own `TestPoseDataset` (commit 759b39c of MMPose)
for the file of `made_content()`: pairs, the figures of `noisy()` predictions, the first objects.
"""

import json
import random
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from poise.cli.main import app
from poise.config import Config
from poise.errors import DataError
from poise.registry import DATASETS, METRICS
from poise.zoo import load_config

FIGURES = json.loads((Path(__file__).parent / "mp100_figures.json").read_text())
SIDE = 64
CODEC = {"type": "MSRAHeatmap", "input_size": (SIDE, SIDE), "heatmap_size": (16, 16), "sigma": 1}
STEPS = [
    {"type": "LoadImage"},
    {"type": "GetBBoxCenterScale", "padding": 1.25},
    {"type": "TopdownAffine", "input_size": (SIDE, SIDE)},
    {"type": "GenerateTarget", "encoder": CODEC},
    {"type": "PackPoseInputs", "pack_transformed": True},
]
CATEGORIES = {3: 4, 1: 6, 8: 2}


def made_content(objects=9):
    """A small file as MP-100's: categories of 2 to 6 keypoints, links that count from 0."""
    rng = np.random.RandomState(0)
    images, rows = [], []
    for number, (category, count) in enumerate(CATEGORIES.items()):
        for k in range(objects):
            i = number * objects + k
            images.append({"id": i, "file_name": f"{i}.png", "width": 120, "height": 100})
            x, y, w, h = rng.randint(0, 30, 4) + np.array([0, 0, 40, 30])
            points = rng.rand(count, 2) * [w, h] + [x, y]
            seen = (rng.rand(count) > 0.2) * 2
            seen[0] = 2
            triples = np.round(np.concatenate([points, seen[:, None]], 1), 2)
            row = {"id": 100 + i, "image_id": i, "category_id": category, "iscrowd": 0}
            row |= {"bbox": [int(v) for v in (x, y, w, h)], "area": float(w * h)}
            row |= {"num_keypoints": int((seen > 0).sum())}
            rows.append(row | {"keypoints": triples.ravel().tolist()})
    # what is left out: nothing labelled, a crowd, a box outside, no box
    rows += [
        rows[0] | {"id": 1, "keypoints": [0] * 12, "num_keypoints": 0},
        rows[1] | {"id": 2, "iscrowd": 1},
        rows[2] | {"id": 3, "bbox": [130, 10, 20, 20]},
        {key: value for key, value in rows[3].items() if key != "bbox"} | {"id": 4},
    ]
    categories = [
        {
            "id": i,
            "name": f"kind {i}",
            "keypoints": [f"k{n}" for n in range(count)],
            "skeleton": [[n, n + 1] for n in range(count - 1)],
        }
        for i, count in CATEGORIES.items()
    ]
    return {"images": images, "annotations": rows, "categories": categories}


@pytest.fixture
def place(tmp_path):
    content = made_content()
    (tmp_path / "made.json").write_text(json.dumps(content))
    for image in content["images"]:
        picture = np.random.default_rng(image["id"]).integers(0, 255, (100, 120, 3), np.uint8)
        cv2.imwrite(str(tmp_path / image["file_name"]), picture)
    return tmp_path


@pytest.fixture
def build(place):
    def make(kind="TestPoseDataset", **options):
        fixed = {"max_kpt_num": 8, "num_queries": 4, "num_episodes": 3, "pipeline": STEPS}
        cfg = {"type": kind, "ann_file": str(place / "made.json"), "img_prefix": str(place)}
        return DATASETS.build(cfg | fixed | options)

    return make


def noisy(dataset, shots):
    """Predictions of all episodes, as the metric gets them."""
    rng = np.random.RandomState(5)
    for n in range(len(dataset)):
        *shown, asked = [dataset.get_data_info(i) for i in dataset.members(n)]
        assert len(shown) == shots
        keypoints = asked["keypoints"].copy()
        keypoints[0] += rng.standard_normal((8, 2)) * 8
        seen = np.logical_and.reduce([one["keypoints_visible"] > 0 for one in shown])
        truth = {key: asked[key] for key in ("keypoints", "keypoints_visible")}
        truth |= {"bboxes": asked["bbox"], "support_visible": seen}
        yield {"gt_instances": truth, "pred_instances": {"keypoints": keypoints}}


@pytest.mark.parametrize("shots", [1, 3])
def test_episodes_and_their_figures_are_the_projects(build, shots):
    dataset, expected = build(num_shots=shots), FIGURES[str(shots)]
    assert [dataset.members(n) for n in range(len(dataset))] == expected["pairs"]
    metric = METRICS.build({"type": "poise.EpisodeMetric"})
    metric.process([], list(noisy(dataset, shots)))
    assert metric.evaluate(len(dataset)) == pytest.approx(expected["figures"], abs=2e-6)


def test_boxes_and_crops_are_the_projects(build):
    dataset = build()
    assert len(dataset.data_list) == FIGURES["objects"]
    for number in range(4):
        x, y, w, h = FIGURES["bbox"][number]
        assert dataset.get_data_info(number)["bbox"].tolist() == [[x, y, x + w, y + h]]
        info = dataset.pipeline(dataset.get_data_info(number))["data_samples"].metainfo
        np.testing.assert_allclose(info["input_center"], FIGURES["center"][number], atol=1e-4)
        np.testing.assert_allclose(info["input_scale"], FIGURES["scale"][number], atol=1e-4)


def test_what_is_left_out_is_counted(build):
    report = build().report
    assert (report.total, report.kept) == (31, 27)
    assert report.ids == {
        "without keypoints": [1], "crowd": [2], "with a wrong box": [3], "without a box": [4]
    }  # fmt: skip


def test_a_sample_brings_its_labelled_objects_filled_up_to_one_number(build):
    sample = build(num_shots=3)[0]
    assert [tuple(x.shape) for x in sample["inputs"]] == [(3, SIDE, SIDE)] * 4
    data = sample["data_samples"]
    assert data.support_heatmaps.shape == (3, 8, 16, 16)
    assert data.support_weights.shape == (3, 8, 1)
    # four of the category; the others are nowhere
    assert not data.support_weights[:, 4:].any()
    assert not data.gt_instances.support_visible[:, 4:].any()
    assert data.metainfo["skeleton"] == [(0, 1), (1, 2), (2, 3)]


def test_training_draws_anew_and_gives_each_category_its_share(build):
    dataset = build("TransformerPoseDataset", test_mode=False)
    assert len(dataset) == 27
    random.seed(0)
    first, again = ([dataset.members(n) for n in range(27)] for _ in range(2))
    assert first != again
    kinds = [{dataset.get_data_info(i)["category_id"] for i in pair} for pair in first]
    assert kinds == [{3}] * 9 + [{1}] * 9 + [{8}] * 9
    assert all(len(set(pair)) == 2 for pair in first)
    some = build("TransformerPoseDataset", valid_class_ids=[8], test_mode=False)
    assert len(some) == 9


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"num_queries": 9}, "has 9 usable objects of category 'kind 3', expected 10 at least"),
        ({"valid_class_ids": [7]}, "has 0 usable objects of category '7'"),
        ({"max_kpt_num": 5}, "annotation 109 has 6 keypoints, more than max_kpt_num=5"),
    ],
)
def test_files_that_do_not_suffice_are_told(build, options, text):
    with pytest.raises(DataError, match=text):
        build(**options)


def test_links_to_nowhere_and_pipelines_without_targets_are_told(build, place):
    with pytest.raises(DataError, match="the pipeline of an episode needs GenerateTarget"):
        build(pipeline=[*STEPS[:3], STEPS[4]])[0]
    content = made_content()
    content["categories"][0]["skeleton"] = [[1, 4]]
    (place / "made.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"'kind 3' leads to none of its 4 .* counts from 0"):
        build()


def test_a_metric_without_thresholds_and_episodes_without_keypoints():
    with pytest.raises(DataError, match="needs thresholds, such as"):
        METRICS.build({"type": "poise.EpisodeMetric", "thresholds": []})
    metric = METRICS.build({"type": "poise.EpisodeMetric", "thresholds": [0.1]})
    truth = {"keypoints": np.zeros((1, 2, 2)), "keypoints_visible": np.ones((1, 2))}
    truth |= {"bboxes": np.array([[0, 0, 9, 9]]), "support_visible": np.zeros((1, 2))}
    metric.process(
        [], [{"gt_instances": truth, "pred_instances": {"keypoints": np.ones((1, 2, 2))}}]
    )
    assert set(metric.evaluate(1).values()) == {0.0}


def tiny(place):
    """The zoo's config with a small network and the made file."""
    cfg = load_config("pose-anything").to_dict()
    cfg["model"]["encoder_config"] |= {
        "embed_dim": 8, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 2, 4], "window_size": 4,
        "pretrained_window_sizes": [0, 0, 0, 0], "img_size": SIDE,
    }  # fmt: skip
    head = cfg["model"]["keypoint_head"]
    head["in_channels"], head["positional_encoding"]["num_feats"] = 64, 8
    head["transformer"] |= {
        "d_model": 16, "nhead": 4, "dim_feedforward": 24, "similarity_proj_dim": 16,
        "dynamic_proj_dim": 8,
    }  # fmt: skip
    cfg["optim_wrapper"]["optimizer"]["lr"] = 1e-3
    cfg["train_cfg"] = {"by_epoch": True, "max_epochs": 1, "val_interval": 1}
    for part in ("train", "val", "test"):
        loader = cfg[f"{part}_dataloader"]
        loader |= {"num_workers": 0, "persistent_workers": False, "batch_size": 4}
        data = loader["dataset"]
        data |= {"ann_file": str(place / "made.json"), "img_prefix": str(place)}
        data |= {"num_queries": 2, "num_episodes": 1} if part != "train" else {}
        for step in data["pipeline"]:
            if "input_size" in step:
                step["input_size"] = (SIDE, SIDE)
            if "encoder" in step:
                step["encoder"]["input_size"] = (SIDE, SIDE)
    Config(cfg).dump(str(place / "tiny.py"))
    return str(place / "tiny.py")


def test_train_and_test_from_the_config_of_the_zoo(place):
    config, out = tiny(place), str(place / "run")
    done = CliRunner().invoke(app, ["train", config, "-w", out])
    assert done.exit_code == 0, done.output
    state = torch.load(place / "run" / "epoch_1.pth", weights_only=False)["state_dict"]
    assert "keypoint_head.transformer.decoder.layers.0.ffn1.conv.weight" in state
    weights = str(place / "run" / "epoch_1.pth")
    done = CliRunner().invoke(app, ["test", config, weights, "-w", out])
    assert done.exit_code == 0, done.output
    assert "mPCK" in done.output
