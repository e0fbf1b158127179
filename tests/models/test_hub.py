"""Models of Hugging Face's hub, against a server on this machine that answers as the hub does.

Large files lead elsewhere, and the answer that leads there says their SHA-256.
"""

import hashlib
import http.server
import json
import os
import shutil
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save
from typer.testing import CliRunner

import poise
from poise.cli.zoo import app
from poise.errors import CheckpointError, ConfigError
from poise.models.weights import locate
from poise.zoo import default_weights, weights_url
from poise.zoo.downloads import download
from poise.zoo.hub import HubModel, hub_model

TINY = Path(__file__).parent / "vitpose_plus_tiny"
NAME = "usyd-community/vitpose-plus-tiny"
MODEL = f"hf:{NAME}"


class Hub:
    """The hub, with one model.

    Attributes:
        files: name -> content.
        asked: method and path of each request.
        told: path of each request -> who said to ask.
        lie: say another SHA-256 than the file's.
        closed: answer 401 to all who do not say this token; True: to all.
        moved: former name of the model, which leads to the present one by a path.
    """

    def __init__(self):
        names = ("config.json", "preprocessor_config.json", "model.safetensors")
        self.files = {name: (TINY / name).read_bytes() for name in names}
        self.asked, self.told, self.lie, self.closed, self.moved = [], {}, False, False, "old/name"
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *args):
                return

            def do_HEAD(self):
                outer.answer(self, body=False)

            def do_GET(self):
                outer.answer(self, body=True)

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()

    def answer(self, to, *, body):
        self.asked.append(f"{to.command} {to.path}")
        self.told[to.path] = to.headers.get("Authorization")
        place, _, file = to.path.partition("/resolve/main/")
        outside = to.path.startswith("/cdn/")
        if self.closed and not outside and self.told[to.path] != f"Bearer {self.closed}":
            to.send_error(401)
        elif to.path.startswith("/cdn/"):
            self.send(to, self.files[to.path.removeprefix("/cdn/")], body=body)
        elif place == f"/{self.moved}":
            self.lead(to, f"/{NAME}/resolve/main/{file}")
        elif place != f"/{NAME}" or file not in self.files:
            to.send_error(404)
        elif file.endswith(".json"):
            self.send(to, self.files[file], body=body)
        else:
            digest = hashlib.sha256(self.files[file] + (b"!" if self.lie else b"")).hexdigest()
            self.lead(to, f"{self.address}/cdn/{file}", tag=f'"{digest}"')

    def lead(self, to, target, tag=None):
        to.send_response(302)
        to.send_header("Location", target)
        if tag:
            to.send_header("X-Linked-ETag", tag)
        to.send_header("Content-Length", "0")
        to.end_headers()

    def send(self, to, content, *, body):
        to.send_response(200)
        to.send_header("Content-Length", str(len(content)))
        to.end_headers()
        if body:
            to.wfile.write(content)


@pytest.fixture
def hub():
    served = Hub()
    yield served
    served.http.shutdown()
    served.http.server_close()


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path, hub):
    """The server in place of the hub, and empty caches."""
    for variable in [name for name in os.environ if name.startswith(("POISE_", "HF_"))]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_ENDPOINT", hub.address)
    monkeypatch.setattr(download, "PAUSE_S", 0.01)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))


def same(model):
    own = poise.load_model(str(TINY))
    return all(
        torch.equal(value, own.state_dict()[key]) for key, value in model.state_dict().items()
    )


def test_a_model_is_fetched_once_and_is_that_of_its_folder(hub, tmp_path):
    assert same(poise.load_model(MODEL))
    kept = tmp_path / "hub/checkpoints/huggingface" / NAME / "main"
    assert sorted(p.name for p in kept.iterdir()) == sorted(hub.files)
    hub.asked.clear()
    assert same(poise.load_model(MODEL))
    assert hub.asked == []


def test_the_command_line_fetches_a_model_whole(hub, monkeypatch, tmp_path):
    run = CliRunner()
    missing = run.invoke(app, ["path", MODEL])
    assert missing.exit_code == 1
    assert f"`poise zoo download {MODEL}` fetches {MODEL}" in missing.output
    refused = run.invoke(app, ["download", MODEL, "--out", str(tmp_path)])
    assert refused.exit_code == 1
    assert "--out is for single files" in str(refused.exception)
    here = run.invoke(app, ["download", MODEL]).stdout.strip()
    assert here.endswith("model.safetensors")
    assert run.invoke(app, ["path", MODEL]).stdout.strip() == here
    monkeypatch.setenv("POISE_OFFLINE", "1")
    assert same(poise.load_model(MODEL))


def test_a_model_in_pieces_is_fetched_whole(hub, monkeypatch):
    state = load(hub.files.pop("model.safetensors"))
    keys = sorted(state)
    parts = {"a.safetensors": keys[::2], "b.safetensors": keys[1::2]}
    for name, own in parts.items():
        hub.files[name] = save({key: state[key] for key in own})
    where = {key: name for name, own in parts.items() for key in own}
    hub.files["model.safetensors.index.json"] = json.dumps({"weight_map": where}).encode()
    assert same(poise.load_model(MODEL))
    index = default_weights(MODEL)
    hub.asked.clear()
    index.with_name("b.safetensors").unlink()
    # with a piece that lacks the model is not here
    assert default_weights(MODEL) is None
    assert same(poise.load_model(MODEL))
    assert [a for a in hub.asked if a.startswith("GET /cdn")] == ["GET /cdn/b.safetensors"]
    monkeypatch.setenv("POISE_OFFLINE", "1")
    assert same(poise.load_model(MODEL))


def test_a_dataset_is_chosen_by_its_name(hub):
    assert poise.load_model(f"{MODEL}#ap10k").dataset_meta["dataset_name"] == "ap10k"


def test_its_weights_go_with_another_config_too(hub):
    cfg = poise.load_config(TINY)
    assert same(poise.load_model(cfg, MODEL))


def test_an_address_of_ones_own_settings_is_no_download(hub):
    assert weights_url(MODEL) == MODEL
    assert default_weights(MODEL) is None
    assert hub.asked == []
    path = locate(MODEL)
    assert default_weights(f"{MODEL}#aic") == path.with_name("model.safetensors#aic")


def test_a_file_with_another_hash_is_refused(hub):
    hub.lie = True
    with pytest.raises(CheckpointError, match="its SHA-256 is .* expected"):
        poise.load_model(MODEL)


def test_a_model_that_was_renamed_is_found(hub):
    assert same(poise.load_model("hf:old/name"))


def test_a_mirror_is_asked_first(hub, monkeypatch):
    monkeypatch.delenv("HF_ENDPOINT")
    monkeypatch.setenv("POISE_MIRRORS", f"https://huggingface.co/={hub.address}/")
    assert same(poise.load_model(MODEL))


def test_the_processors_file_may_be_absent(hub):
    del hub.files["preprocessor_config.json"]
    assert poise.load_config(MODEL).model.data_preprocessor.mean == [123.675, 116.28, 103.53]
    assert hub.asked[-1].startswith("HEAD")


def test_older_models_have_a_pickle(hub, tmp_path):
    from poise.models.weights import read_checkpoint

    torch.save(read_checkpoint(TINY / "model.safetensors")["state_dict"], tmp_path / "old.bin")
    del hub.files["model.safetensors"]
    hub.files["pytorch_model.bin"] = (tmp_path / "old.bin").read_bytes()
    assert same(poise.load_model(MODEL))
    assert same(poise.load_model(MODEL))
    del hub.files["pytorch_model.bin"]
    with pytest.raises(
        CheckpointError, match=r"old/name has no weights that can be read: expected"
    ):
        locate("hf:old/name")


@pytest.mark.parametrize("name", ["hf:usyd-community/absent", f"{MODEL}@v9"])
def test_what_is_not_there_is_told(name):
    with pytest.raises(CheckpointError, match=r"no such file in revision.*HTTP 404.*hf download"):
        poise.load_model(name)


@pytest.mark.parametrize("place", ["variable", "file"])
def test_a_token_opens_a_model_and_goes_to_the_hub_alone(hub, place, monkeypatch, tmp_path):
    hub.closed = "secret"
    if place == "variable":
        monkeypatch.setenv("HF_TOKEN", "secret\n")
    else:
        (tmp_path / "cache/huggingface").mkdir(parents=True)
        (tmp_path / "cache/huggingface/token").write_text("secret")
    assert len(poise.load_model(MODEL).dataset_meta["keypoint_colors"]) == 17
    assert hub.told[f"/{NAME}/resolve/main/model.safetensors"] == "Bearer secret"
    assert hub.told["/cdn/model.safetensors"] is None


def test_mirrors_are_not_told_the_token(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret")
    hub.moved = f"mirror/{NAME}"
    monkeypatch.setenv("POISE_MIRRORS", f"{hub.address}/={hub.address}/mirror/")
    poise.load_config(MODEL)
    assert hub.told[f"/mirror/{NAME}/resolve/main/config.json"] is None


def test_a_token_without_leave_is_told_where_to_ask(hub, monkeypatch):
    hub.closed = True
    monkeypatch.setenv("HF_TOKEN", "secret")
    with pytest.raises(CheckpointError, match=rf"which is done at {hub.address}/{NAME}; the token"):
        poise.load_config(MODEL)


def test_a_closed_model_is_told(hub):
    hub.closed = True
    with pytest.raises(CheckpointError, match=r"or must be asked for; HF_TOKEN.*\(HTTP 401"):
        poise.load_model(MODEL)


def test_a_hub_out_of_reach_is_told(hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(CheckpointError, match=r"could not download config\.json:") as caught:
        poise.load_model(MODEL)
    assert any(f"`hf download {NAME}`" in note for note in caught.value.__notes__)


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "POISE_OFFLINE"])
def test_without_a_network_what_is_here_is_taken(hub, monkeypatch, variable):
    poise.load_model(MODEL)
    monkeypatch.setenv(variable, "1")
    hub.asked.clear()
    assert same(poise.load_model(MODEL))
    with pytest.raises(CheckpointError, match=rf"config\.json of a/b .* {variable} is set"):
        poise.load_model("hf:a/b")
    assert hub.asked == []


class TestOtherCopies:
    def test_the_cache_of_huggingfaces_programs(self, hub, monkeypatch, tmp_path):
        cache = tmp_path / "theirs" / f"models--{NAME.replace('/', '--')}"
        shutil.copytree(TINY, cache / "snapshots" / "c0ffee")
        (cache / "refs").mkdir()
        (cache / "refs" / "main").write_text("c0ffee")
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "theirs"))
        assert same(poise.load_model(MODEL))
        assert same(poise.load_model(f"{MODEL}@c0ffee"))
        assert hub.asked == []

    @pytest.mark.parametrize("variable", ["HF_HOME", "XDG_CACHE_HOME", "HUGGINGFACE_HUB_CACHE"])
    def test_it_lies_where_their_variables_say(self, monkeypatch, tmp_path, variable):
        below = {"HF_HOME": "hub", "XDG_CACHE_HOME": "huggingface/hub"}.get(variable, "")
        place = tmp_path / "x" / below / f"models--{NAME.replace('/', '--')}" / "snapshots" / "main"
        shutil.copytree(TINY, place)
        monkeypatch.setenv(variable, str(tmp_path / "x"))
        found = HubModel(NAME).local_copy("config.json")
        assert found == place / "config.json"

    def test_a_folder_of_ones_own(self, hub, monkeypatch, tmp_path):
        shutil.copytree(TINY, tmp_path / "weights" / NAME)
        monkeypatch.setenv("POISE_WEIGHTS", str(tmp_path / "weights"))
        assert same(poise.load_model(MODEL))
        assert hub.asked == []


@pytest.mark.parametrize("name", ["hf:vitpose", "hf:a/b/c", "hf:a/..", "hf:a/b@", "hf:"])
def test_other_names_say_what_is_expected(name):
    with pytest.raises(ConfigError, match=r"expected hf:ORGANISATION/NAME"):
        hub_model(name)
