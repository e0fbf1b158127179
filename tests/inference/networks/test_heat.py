"""Heatmaps lie where the network looked."""

from pathlib import Path

import cv2
import numpy as np
import pytest

import poise
from poise.apis import MMPoseInferencer
from poise.inference import Inferencer
from poise.inference.networks.heat import heat_of, picture_heat, warn_without_heatmaps
from poise.inference.sinks.drawing import Drawer

PHOTO = Path(__file__).resolve().parents[3] / "examples" / "photos" / "astronaut.png"


def test_peaks_of_boxes_land_in_the_picture():
    heat = np.zeros((40, 30), np.float32)
    heat[20, 15] = 1
    maps = picture_heat((200, 300, 3), [heat, heat], [[0, 0, 60, 80], [248, 148, 348, 248]])
    assert maps.shape == (200, 300)
    peak = np.unravel_index(maps[:, :100].argmax(), (200, 100))
    np.testing.assert_allclose(peak, (40, 30), atol=1.5)
    # the second box ends outside of the picture, its peak lies at the picture's corner
    assert maps[-1, -1] > 0.5


def test_boxes_beside_the_picture_leave_nothing():
    assert picture_heat((50, 50), [np.ones((4, 4), np.float32)], [[60, 0, 90, 30]]).max() == 0


def test_simcc_vectors_become_their_product():
    x, y = np.zeros((1, 2, 64), np.float32), np.zeros((1, 2, 48), np.float32)
    x[0, 1, 16], y[0, 1, 32] = 2, 3
    heat = heat_of((x, y))
    assert heat.shape == (1, 12, 16)
    assert heat[0, 8, 4] == heat.max() == 6


def test_coordinates_have_no_heat():
    assert heat_of((np.zeros((1, 17, 2)),)) is None


@pytest.mark.parametrize("backend", ["torch", "onnxruntime"])
def test_heatmap_is_kept_and_drawn_where_asked(backend, tmp_path, monkeypatch):
    pytest.importorskip(backend, reason=f"needs {backend}")
    model = poise.build_model("rtmpose-t_8xb256-420e_coco-256x192").eval()
    monkeypatch.setenv("POISE_CACHE_DIR", str(tmp_path))
    # the sums of several threads differ in the last digits, and maxima of untrained networks jump
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    inferencer = Inferencer(model, device="cpu", backend=backend, flip_test=False)
    (plain,) = inferencer(PHOTO, boxes=[[60, 0, 420, 512]])
    (result,) = inferencer(PHOTO, boxes=[[60, 0, 420, 512]], heatmaps=True)
    assert plain.heatmap is None
    assert result.heatmap.shape == result.image.shape[:2]
    np.testing.assert_array_equal(result.keypoints, plain.keypoints)
    assert np.abs(Drawer()(result).astype(int) - Drawer()(plain)).mean() > 5


def test_mmpose_option_adds_the_heatmap_below():
    inferencer = MMPoseInferencer("movenet-lightning", det_model="whole_image", device="cpu")
    inferencer.inferencer = Inferencer(
        poise.build_model("rtmpose-t_8xb256-420e_coco-256x192").eval(), device="cpu", detector=None
    )
    image = cv2.imread(str(PHOTO))
    (answer,) = inferencer(image, return_vis=True, draw_heatmap=True)
    height, width = image.shape[:2]
    assert answer["visualization"][0].shape == (2 * height, width, 3)
    assert "heatmap" not in answer["predictions"][0][0]


@pytest.mark.slow
@pytest.mark.parametrize("family", ["dekr", "cid", "ae"])
def test_models_of_whole_pictures_have_heatmaps_too(family):
    batch, epochs = {"dekr": (10, 140), "cid": (20, 140), "ae": (24, 300)}[family]
    name = f"{family}_hrnet-w32_8xb{batch}-{epochs}e_coco-512x512"
    inferencer = Inferencer(poise.build_model(name).eval(), device="cpu", flip_test=False)
    image = cv2.imread(str(PHOTO))[100:400]
    (plain,) = inferencer(image)
    (result,) = inferencer(image, heatmaps=True)
    assert result.heatmap.shape == image.shape[:2]
    assert result.heatmap.max() > 0
    np.testing.assert_array_equal(result.keypoints, plain.keypoints)


@pytest.mark.parametrize("name", ["movenet-lightning", "rtmo-s_8xb32-600e_coco-640x640"])
def test_model_without_heatmaps_is_named(name, caplog):
    warn_without_heatmaps.cache_clear()
    model = name if name.startswith("movenet") else poise.build_model(name).eval()
    inferencer = Inferencer(model, device="cpu", detector="whole-image", flip_test=False)
    results = inferencer([np.zeros((64, 64, 3), np.uint8)] * 2, heatmaps=True, batch_size=1)
    assert [r.heatmap for r in results] == [None, None]
    assert caplog.text.count("there are no heatmaps to draw") == 1
