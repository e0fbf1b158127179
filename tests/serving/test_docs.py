"""The page about the server says what there is, and its examples run."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from poise.serving.requests import ANSWERS, DrawOptions, PredictOptions

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/how-to/serve-over-http.md").read_text()
ADDRESS = "http://127.0.0.1:8000"


def test_every_route_parameter_and_status_is_told(app, ask):
    paths = ask(app, "GET", "/openapi.json").json()["paths"]
    routes = {f"{method.upper()} {path}" for path, own in paths.items() for method in own}
    assert routes | {"GET /openapi.json"} == set(
        re.findall(r"^\| `((?:GET|POST) /\w[\w.]*)`", PAGE, re.M)
    )
    parameters = {*PredictOptions.model_fields, *DrawOptions.model_fields}
    table = PAGE.partition("**Parameters**")[2].partition("Nobody in")[0]
    assert parameters == set(re.findall(r"^\| `(\w+)` \|", table, re.M))
    assert {str(status) for status in ANSWERS} == set(re.findall(r"^\| (\d{3}) \|", PAGE, re.M))


@pytest.mark.slow
def test_its_examples_run(start, tmp_path, monkeypatch, capsys):
    if shutil.which("curl") is None:
        pytest.skip("needs curl, in which the page's examples are written")
    _, address = start()
    monkeypatch.chdir(tmp_path)
    for name in ("photo", "a", "b"):
        shutil.copy(ROOT / "examples/photos/astronaut.png", tmp_path / f"{name}.jpg")
    blocks = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.S)
    commands = [
        line
        for kind, text in blocks
        if kind == "bash"
        for line in text.splitlines()
        if "curl" in line
    ]
    assert len(commands) == 5
    for command in commands:
        words = shlex.split(command.replace(ADDRESS, address))
        done = subprocess.run([*words, "--silent", "--fail"], capture_output=True, timeout=120)
        assert done.returncode == 0, command
        assert b'"instances":[{"bbox"' in done.stdout or "drawn.jpg" in command
    assert (tmp_path / "drawn.jpg").read_bytes()[:2] == b"\xff\xd8"
    client, of_json, own_app = (text for kind, text in blocks if kind == "python")
    names: dict[str, object] = {}
    exec(compile(client.replace(ADDRESS, address), "serve-over-http.md", "exec"), names)
    assert capsys.readouterr().out.count("[") > 1
    expected = names.pop("answer").json()
    exec(compile(of_json.replace(ADDRESS, address), "serve-over-http.md", "exec"), names)
    assert len(names["answer"].json()["instances"]) == len(expected["instances"]) == 1
    exec(compile(own_app, "serve-over-http.md", "exec"), names)
    assert "/pose" in [route.path for route in names["app"].routes]
