"""The example of the page on exporting runs without Poise, and finds what Poise finds."""

import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import poise
from poise.export import export_onnx
from poise.inference import Inferencer

pytest.importorskip("onnxruntime", reason="exporting needs onnxruntime")

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-to" / "export-a-model.md"


def test_the_example_without_poise_finds_the_first_keypoint(tmp_path):
    torch.manual_seed(0)
    model = poise.build_model("rtmpose-t_8xb256-420e_coco-256x192").eval()
    path = export_onnx(model, tmp_path / "rtmpose.onnx")
    photo = cv2.imread(str(ROOT / "examples" / "photos" / "astronaut.png"))
    cv2.imwrite(str(tmp_path / "photo.jpg"), photo)
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    assert "poise." not in example
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("nose ")
    found = np.array([float(n) for n in re.findall(r"-?\d+\.\d*", done.stdout)])
    result = Inferencer(path, detector=None)(tmp_path / "photo.jpg")[0]
    # a bin of the vectors is two pixels of the picture here
    np.testing.assert_allclose(found[:2], result.keypoints[0, 0], atol=4)
    np.testing.assert_allclose(found[2], result.keypoint_scores[0, 0], atol=0.05)
