"""The examples of the page on exporting run without Poise, and find what Poise finds."""

import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import poise
from poise.export import export_model, export_onnx
from poise.inference import Inferencer
from poise.runtimes import open_session, runtime_of

pytest.importorskip("onnxruntime", reason="exporting needs onnxruntime")

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-to" / "export-a-model.md"


def example_with(line):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    (example,) = [block for block in blocks if line in block]
    return example


def test_the_example_without_poise_finds_the_first_keypoint(tmp_path):
    torch.manual_seed(0)
    model = poise.build_model("rtmpose-t_8xb256-420e_coco-256x192").eval()
    path = export_onnx(model, tmp_path / "rtmpose.onnx")
    photo = cv2.imread(str(ROOT / "examples" / "photos" / "astronaut.png"))
    cv2.imwrite(str(tmp_path / "photo.jpg"), photo)
    example = example_with("import onnxruntime")
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


@pytest.mark.parametrize(
    ("line", "name", "packages"),
    [
        ("import ncnn", "rtmpose.ncnn.param", ("pnnx", "ncnn")),
        pytest.param(
            "from ai_edge_litert",
            "rtmpose.tflite",
            ("litert_torch", "ai_edge_litert"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_examples_for_phones_find_what_the_session_finds(line, name, packages, tmp_path):
    for package in packages:
        pytest.importorskip(package, reason=f"{name} needs {package}")
    torch.manual_seed(0)
    model = poise.build_model("rtmpose-t_8xb256-420e_coco-256x192").eval()
    export_model(model, tmp_path / name, check=False)
    photo = cv2.imread(str(ROOT / "examples" / "photos" / "astronaut.png"))
    cv2.imwrite(str(tmp_path / "photo.jpg"), photo)
    done = subprocess.run(
        [sys.executable, "-c", example_with(line)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    crop = cv2.resize(cv2.imread(str(tmp_path / "photo.jpg")), (192, 256))
    x, y = open_session(tmp_path / name, runtime_of(name))(crop[None])
    expected = (x[0, 0].argmax() / 2, y[0, 0].argmax() / 2, min(x[0, 0].max(), y[0, 0].max()))
    found = [float(number) for number in re.findall(r"-?\d+\.\d*", done.stdout)]
    np.testing.assert_allclose(found, expected, atol=1e-3)
