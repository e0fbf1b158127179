"""Lifters in files lift as the models do, without torch."""

import numpy as np
import pytest
import torch

import poise
from poise.errors import ArgumentError, ConfigError
from poise.export import export_model, export_onnx
from poise.inference.lifting import build_lifter
from poise.inference.results.pose_result import PoseResult
from poise.runtimes import read_metadata
from poise.structures import InstanceData, parse_pose_metainfo

pytest.importorskip("onnxruntime", reason="exporting needs onnxruntime")

IMAGE = "image-pose-lift_tcn_8xb64-200e_h36m"
VIDEO = "video-pose-lift_tcn-27frm-supv_8xb128-160e_h36m"
MOTION = "motionbert_dstformer-243frm_8xb32-240e_h36m"


def walk(frames=6):
    """Two people of 17 keypoints who move, as 2D results."""
    random = np.random.default_rng(0)
    poses = random.uniform(100, 300, (2, 17, 2))
    for t in range(frames):
        keypoints = (poses + 4 * t + random.normal(0, 1, poses.shape)).astype(np.float32)
        boxes = np.concatenate((keypoints.min(1), keypoints.max(1)), 1)
        people = InstanceData(
            keypoints=keypoints,
            keypoint_scores=np.ones((2, 17), np.float32),
            bboxes=boxes,
            bbox_scores=np.ones(2, np.float32),
        )
        people.set_field(np.arange(2), "track_ids")
        meta = parse_pose_metainfo({"from_file": "h36m"})
        yield PoseResult(np.zeros((480, 640, 3), np.uint8), people, meta, "walk", frame_index=t)


def lifted(spec):
    return [np.asarray(r.instances.keypoints_3d) for r in build_lifter(spec)(walk())]


@pytest.mark.parametrize(
    "name", [IMAGE, pytest.param(VIDEO), pytest.param(MOTION, marks=pytest.mark.slow)]
)
def test_lifters_in_files_say_what_the_models_say(name, tmp_path):
    torch.manual_seed(0)
    model = poise.build_model(name).eval()
    path = tmp_path / "lifter.onnx"
    report = export_model(model, path)
    assert report.poses.unit == "m"
    assert report.poses.same == 1
    for found, expected in zip(lifted(str(path)), lifted(model), strict=True):
        assert found.shape == expected.shape == (2, *found.shape[1:])
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_lifter_file_is_used_with_torch_blocked(tmp_path, without_torch):
    path = export_onnx(poise.build_model(VIDEO).eval(), tmp_path / "lifter.onnx")
    code = f"""
        from poise.inference.lifting import build_lifter
        print(build_lifter({str(path)!r}).network.window.seq_len)
    """
    assert without_torch(code) == "27"
    assert read_metadata(path)["window"]["seq_len"] == 27


def test_lifter_files_are_told_from_others(tmp_path):
    lifter = export_onnx(poise.build_model(IMAGE).eval(), tmp_path / "lifter.onnx", check=False)
    with pytest.raises(ConfigError, match=r"lifts 2D poses to 3D; give it as .* \(--lift\)"):
        poise.Inferencer(lifter)
    with pytest.raises(ArgumentError, match="has its weights inside"):
        build_lifter({"model": str(lifter), "weights": "x.pth"})
    pose = export_onnx(
        poise.load_model("movenet-lightning", device="cpu"), tmp_path / "pose.onnx", check=False
    )
    with pytest.raises(ConfigError, match="holds no lifter"):
        build_lifter(str(pose))
