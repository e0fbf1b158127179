"""Heads that read their outputs in ways of their own, in files: the same poses, without torch."""

from pathlib import Path

import numpy as np
import pytest
import torch

import poise
from poise.export import export_model
from poise.inference import Inferencer
from poise.runtimes import open_session, read_metadata

pytest.importorskip("onnxruntime", reason="exporting needs onnxruntime")

PHOTO = Path(__file__).resolve().parents[3] / "examples" / "photos" / "astronaut.png"
BOXES = [[60, 0, 420, 512], [100, 20, 380, 400]]


def narrow(name):
    """The model with ResNet-18."""
    config = poise.load_config(name)
    config.model.backbone.update(depth=18)
    config.model.backbone.pop("init_cfg", None)
    head = config.model.head
    head = head.pose_cfg if "pose_cfg" in head else head
    head.in_channels = 512
    torch.manual_seed(0)
    return poise.build_model(config).eval()


@pytest.mark.parametrize(
    ("name", "outputs"),
    [
        ("ipr_res50_dsnt-8xb64-210e_coco-256x256", ["output_0"]),
        ("td-hm-vis_res50_8xb64-210e_coco-aic-256x192-merge", ["output_0", "visibilities"]),
    ],
)
def test_file_gives_what_the_model_gives(name, outputs, tmp_path):
    model = narrow(name)
    path = tmp_path / "m.onnx"
    report = export_model(model, path)
    assert [row.name for row in report.outputs] == outputs
    assert all(row.share < 1e-4 for row in report.outputs)
    expected = Inferencer(model, device="cpu", flip_test=False)(PHOTO, boxes=BOXES)[0]
    found = Inferencer(path)(PHOTO, boxes=BOXES)[0]
    apart = np.abs(found.keypoints - expected.keypoints)
    # flat heatmaps of made-up weights may have their maximum elsewhere
    assert np.mean(apart < 0.05) > 0.9
    np.testing.assert_allclose(found.keypoint_scores, expected.keypoint_scores, atol=1e-3)


def test_visibilities_are_chances(tmp_path):
    model = narrow("td-hm-vis_res50_8xb64-210e_coco-aic-256x192-merge")
    export_model(model, tmp_path / "m.onnx", check=False)
    assert read_metadata(tmp_path / "m.onnx")["decoded"] == 1
    pixels = np.random.default_rng(0).integers(0, 255, (2, 256, 192, 3), dtype=np.uint8)
    heatmaps, visible = open_session(tmp_path / "m.onnx")(pixels)
    assert heatmaps.shape == (2, 17, 64, 48)
    assert visible.shape == (2, 17)
    assert ((visible > 0) & (visible < 1)).all()


def edpose():
    """ED-Pose with few layers and queries."""
    config = poise.load_config("edpose_res50_8xb2-50e_coco-800x1333")
    config.model.backbone.update(depth=18)
    config.model.backbone.pop("init_cfg", None)
    config.model.neck.in_channels = [128, 256, 512]
    head = config.model.head
    head.num_queries = 60
    head.encoder.num_layers = 1
    head.decoder.update(num_layers=3, num_group=20)
    head.out_head.num_pred_layer = 3
    head.data_decoder.num_select = 10
    for step in config.test_dataloader.dataset.pipeline:
        if "scales" in step:
            step["scales"] = [(200, 320)]
    torch.manual_seed(0)
    return poise.build_model(config).eval()


@pytest.mark.slow
def test_edpose_takes_pictures_of_any_size(tmp_path, without_torch):
    model, path = edpose(), tmp_path / "edpose.onnx"
    report = export_model(model, path)
    assert [row.name for row in report.outputs] == ["boxes", "scores", "keypoints"]
    assert all(row.share < 1e-3 for row in report.outputs)
    (expected,) = Inferencer(model, device="cpu")(PHOTO)
    (found,) = Inferencer(path)(PHOTO)
    assert len(found) == len(expected) == 10
    apart = np.linalg.norm(found.keypoints[:, None] - expected.keypoints, axis=-1)
    # the last ones are at the border of what is kept
    assert np.mean(np.median(apart, axis=-1).min(1) < 0.5) > 0.7
    boxes = np.abs(found.bboxes[:, None] - expected.bboxes).max(-1)
    assert np.mean(boxes.min(1) < 0.5) > 0.7
    alone = f"""
        import poise
        (result,) = poise.Inferencer({str(path)!r})({str(PHOTO)!r})
        print(result.keypoints.shape)
    """
    assert without_torch(alone) == "(10, 17, 2)"


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "td-hm_hrformer-small_8xb32-210e_coco-256x192",
        "td-hm_pvtv2-b2_8xb64-210e_coco-256x192",
    ],
)
def test_transformers_with_windows_keep_a_free_batch(name, tmp_path):
    torch.manual_seed(0)
    report = export_model(poise.build_model(name).eval(), tmp_path / "m.onnx")
    # batches of one and of three were compared
    assert report.outputs[0].share < 1e-4
    assert report.poses.same > 0.95
