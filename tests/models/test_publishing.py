"""Checkpoints into files to give away: stripped and named by hash, or whole models in one file."""

import hashlib
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import poise
from poise.cli.zoo import app
from poise.errors import CheckpointError
from poise.models.weights import convert, load_checkpoint, publish, read_checkpoint
from poise.models.weights.unpickle import Inert
from poise.models.weights.whole import config_for
from poise.zoo import load_config
from poise.zoo.whole import is_whole_model, read_header

#: written by MMEngine 0.10.7: two iterations with AdamW, two schedules and averaged weights
RUN = Path(__file__).parent / "mmengine_run.pth"
#: written by MMEngine 0.10.7 and MMPose 1.3.2: objects of their classes in `meta`
OBJECTS = RUN.with_name("mmengine_objects.pth")
MODEL = "simcc_mobilenetv2_wo-deconv-8xb64-210e_coco-256x192"
run = CliRunner().invoke


class TestMMEngine:
    def test_a_run_of_mmengine_is_read_whole(self):
        content = read_checkpoint(RUN)
        assert content["meta"]["mmengine_version"] == "0.10.7"
        np.testing.assert_allclose(content["meta"]["dataset_meta"]["sigmas"], [0.1, 0.2])
        history = content["message_hub"]["log_scalars"]["train/loss"]
        assert isinstance(history, Inert)
        assert history.origin == "mmengine.logging.history_buffer.HistoryBuffer"
        assert len(history.state["_log_history"]) == 2
        assert content["message_hub"]["runtime_info"]["eta"] == 0
        assert content["optimizer"]["param_groups"][0]["lr"] == 0.01

    def test_objects_of_mmengine_and_mmpose_become_plain(self):
        """A Config, a ConfigDict, a HistoryBuffer, numpy scalars, a PoseDataSample."""
        meta = read_checkpoint(OBJECTS)["meta"]
        assert meta["cfg"].state[0]["model"] == {"type": "Toy", "depth": 3}
        assert meta["options"]["a"]["b"][0]["c"] == 1
        assert meta["history"].state["_log_history"].tolist() == [1.5, 2.5]
        assert (meta["best"], meta["count"], list(meta["names"])) == (0.5, 3, ["a", "b"])
        assert meta["sample"].origin == "mmpose.structures.pose_data_sample.PoseDataSample"
        assert meta["sample"].state["flip_indices"] == [1, 0]

    def test_a_config_object_says_the_model(self):
        config, origin = config_for(OBJECTS, read_checkpoint(OBJECTS), None)
        assert (config.model.depth, config.t, origin) == (3, (1, 2), "the checkpoint")

    def test_nothing_of_mmengine_is_imported(self):
        code = (
            "import sys; from poise.models.weights import read_checkpoint;"
            "read_checkpoint(sys.argv[1]); assert 'mmengine' not in sys.modules"
        )
        subprocess.run([sys.executable, "-c", code, str(RUN)], check=True)


class TestPublish:
    def test_only_the_weights_and_what_they_are_remain(self, tmp_path):
        path = publish(RUN, tmp_path / "toy")
        content = read_checkpoint(path)
        assert set(content) == {"state_dict", "meta"}
        assert "work_dir" in content["meta"]["cfg"]
        assert content["meta"]["dataset_meta"]["num_keypoints"] == 2
        assert [p.name for p in tmp_path.iterdir()] == [path.name]

    def test_the_name_has_the_hash_of_the_content(self, tmp_path):
        path = publish(RUN, tmp_path, date=False)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert path.name == f"mmengine_run-{digest[:8]}.pth"
        dated = publish(RUN, tmp_path)
        assert dated.name.startswith("mmengine_run-")
        assert len(dated.stem.rpartition("_")[2]) == 8

    def test_averages_or_plain_weights(self, tmp_path):
        source = read_checkpoint(RUN)
        averaged = read_checkpoint(publish(RUN, tmp_path))["state_dict"]
        plain = read_checkpoint(publish(RUN, tmp_path, average=False))["state_dict"]
        key = "backbone.weight"
        assert torch.equal(averaged[key], source["state_dict"][key])
        assert torch.equal(plain[key], source["ema_state_dict"][f"module.{key}"])
        assert not torch.equal(plain[key], averaged[key])

    def test_half_the_bits(self, tmp_path):
        state = read_checkpoint(publish(RUN, tmp_path, half=True))["state_dict"]
        assert state["backbone.weight"].dtype == torch.float16
        assert state["head.num_batches_tracked"].dtype == torch.int64

    def test_no_averages_are_said(self, tmp_path):
        torch.save({"state_dict": {"a": torch.ones(1)}}, tmp_path / "a.pth")
        with pytest.raises(CheckpointError, match=r"a\.pth has no averaged weights"):
            publish(tmp_path / "a.pth", average=False)

    def test_torch_opens_it_without_trust(self, tmp_path):
        path = publish(RUN, tmp_path)
        rebuild = np.zeros(1).__reduce__()[0]
        safe = [rebuild, np.ndarray, np.dtype, type(np.dtype("f4"))]
        with torch.serialization.safe_globals(safe):
            assert "state_dict" in torch.load(path, weights_only=True)

    @pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
    def test_others_may_read_it(self, tmp_path):
        umask = os.umask(0o022)
        try:
            path = publish(RUN, tmp_path)
        finally:
            os.umask(umask)
        assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Checkpoint of a small model, as a run writes it."""
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    model = poise.build_model(MODEL)
    cfg = load_config(MODEL)
    content = {
        "state_dict": model.state_dict(),
        "meta": {"cfg": cfg.dumps(".py"), "dataset_meta": model.dataset_meta, "epoch": 3},
    }
    torch.save(content, folder / "epoch_3.pth")
    return folder / "epoch_3.pth", model.eval()


class TestWholeModels:
    def test_one_file_is_a_model(self, trained, tmp_path):
        source, model = trained
        path = convert(source, tmp_path / "mine.safetensors")
        again = poise.load_model(str(path))
        inputs = torch.rand(1, 3, 256, 192)
        for one, other in zip(model(inputs), again(inputs), strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=0)
        assert again.dataset_meta["keypoint_id2name"][0] == "nose"
        for key, value in model.dataset_meta.items():
            np.testing.assert_equal(again.dataset_meta[key], value, err_msg=key)
        assert poise.load_model(path).cfg.codec.type == "SimCCLabel"

    def test_its_header_says_what_it_is_and_where_from(self, trained, tmp_path):
        source, _ = trained
        header = read_header(convert(source, tmp_path / "mine.safetensors"))
        said = json.loads(header["provenance"])
        assert said["source"] == "epoch_3.pth"
        assert said["source_sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
        assert said["epoch"] == 3
        assert "test_pipeline" not in header["config"]
        assert json.loads(header["dataset_meta"])["num_keypoints"] == 17

    def test_half_the_bits_become_whole_again(self, trained, tmp_path):
        source, model = trained
        whole = convert(source, tmp_path / "a.safetensors")
        half = convert(source, tmp_path / "b.safetensors", half=True)
        assert half.stat().st_size < 0.6 * whole.stat().st_size
        weight = poise.load_model(half).state_dict()["backbone.conv1.conv.weight"]
        assert weight.dtype == torch.float32
        torch.testing.assert_close(
            weight, model.state_dict()["backbone.conv1.conv.weight"].half().float()
        )

    def test_bare_weights_need_a_name(self, trained, tmp_path):
        _, model = trained
        torch.save(model.state_dict(), tmp_path / "bare.pth")
        with pytest.raises(CheckpointError, match="does not say of which model it is.*--model"):
            convert(tmp_path / "bare.pth")
        path = convert(tmp_path / "bare.pth", model=MODEL)
        assert path == tmp_path / "bare.safetensors"
        assert is_whole_model(path)

    def test_a_released_files_name_says_the_model(self, trained, tmp_path):
        from poise.zoo import weights_url

        _, model = trained
        source = tmp_path / weights_url(MODEL).rpartition("/")[2]
        torch.save(model.state_dict(), source)
        assert json.loads(read_header(convert(source))["provenance"])["model"] == MODEL

    def test_old_keys_get_their_present_names(self, trained, tmp_path):
        _, model = trained
        old = {k.replace("head.", "keypoint_head."): v for k, v in model.state_dict().items()}
        torch.save(old, tmp_path / "old.pth")
        path = convert(tmp_path / "old.pth", model=MODEL)
        content = load_checkpoint(poise.build_model(MODEL), path, strict=True)
        assert "head.mlp_head_x.weight" in content["state_dict"]

    def test_weights_alone_are_no_model(self, trained, tmp_path):
        from poise.models.weights import save_checkpoint

        _, model = trained
        path = save_checkpoint(model, tmp_path / "weights.safetensors")
        with pytest.raises(CheckpointError, match="holds weights alone; give the config"):
            poise.load_model(str(path))
        assert poise.load_model(MODEL, path).dataset_meta["keypoint_id2name"][0] == "nose"

    @pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"\x05\0\0\0\0\0\0\0[1,2]"])
    def test_damaged_files_are_named(self, tmp_path, content):
        (tmp_path / "a.safetensors").write_bytes(content)
        with pytest.raises(CheckpointError, match=r"cannot read .*a\.safetensors"):
            load_config(tmp_path / "a.safetensors")

    def test_another_suffix_is_refused(self, trained, tmp_path):
        with pytest.raises(CheckpointError, match=r"a whole model is a file that ends in \.safe"):
            convert(trained[0], tmp_path / "a.pth")

    def test_reading_its_config_needs_no_torch(self, trained, tmp_path):
        path = convert(trained[0], tmp_path / "a.safetensors")
        code = (
            "import sys; from poise.zoo import load_config;"
            "assert load_config(sys.argv[1]).model.type == 'TopdownPoseEstimator';"
            "assert 'torch' not in sys.modules"
        )
        subprocess.run([sys.executable, "-c", code, str(path)], check=True)


class TestCommands:
    def test_convert_then_predict(self, trained, tmp_path, monkeypatch):
        from poise.cli.main import app as poise_app

        monkeypatch.chdir(tmp_path)
        done = run(app, ["convert", str(trained[0]), "-o", "mine.safetensors", "--fp16"])
        assert done.exit_code == 0, done.output
        assert done.output.startswith("mine.safetensors (")
        import cv2

        cv2.imwrite("a.png", np.full((60, 60, 3), 99, np.uint8))
        done = run(
            poise_app,
            [
                "predict",
                "a.png",
                "-m",
                "mine.safetensors",
                "--detector",
                "whole-image",
                "-o",
                "out",
            ],
        )
        assert done.exit_code == 0, done.output
        assert "without trained weights" not in done.output
        assert len(json.loads(Path("out/a.json").read_text())["instances"][0]["keypoints"]) == 17

    def test_a_name_is_converted_from_its_weights(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        done = run(app, ["convert", "movenet-lightning"])
        assert done.exit_code == 0, done.output
        assert is_whole_model("movenet-lightning.safetensors")

    def test_publish_prints_the_file(self, tmp_path):
        done = run(app, ["publish", str(RUN), "-o", str(tmp_path), "--no-date"])
        assert done.exit_code == 0
        (written,) = tmp_path.glob("*.pth")
        assert done.output.startswith(str(written))

    def test_path_says_where_weights_are(self, monkeypatch, tmp_path):
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        monkeypatch.delenv("POISE_WEIGHTS", raising=False)
        assert run(app, ["path", "movenet-thunder"]).output.strip().endswith("thunder.safetensors")
        done = run(app, ["path", "human"])
        assert done.exit_code == 1
        assert "poise zoo download human" in done.output

    def test_download_says_all_that_fails_and_goes_on(self, monkeypatch, tmp_path):
        monkeypatch.setenv("POISE_OFFLINE", "1")
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        monkeypatch.delenv("POISE_WEIGHTS", raising=False)
        done = run(app, ["download", "human", "movenet-thunder", "hand"])
        assert done.exit_code == 1
        assert "error: human:" in done.output
        assert "error: hand:" in done.output
        assert "movenet-thunder.safetensors" in done.output

    def test_download_of_what_was_never_released_is_said(self):
        done = run(app, ["download", "dwpose_m-mm_coco-256x192"])
        assert isinstance(done.exception, CheckpointError)
        assert "no weights were released" in str(done.exception)
