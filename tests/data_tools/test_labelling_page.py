"""The labelling page answers nobody but itself, loads nothing from elsewhere, fits its server."""

from __future__ import annotations

import functools
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from poise.data_tools import labelling
from poise.data_tools.labelling import LabelServer, open_labels
from poise.errors import ArgumentError

PAGE = Path(labelling.__file__).with_name("page")
SCRIPTS = {file.name: file.read_text(encoding="utf-8") for file in sorted(PAGE.glob("*.js"))}


class Model:
    """Proposes the corners of a box."""

    def propose(self, image: np.ndarray, box: np.ndarray, kind: Any) -> np.ndarray:
        assert image.shape == (100, 160, 3)
        return np.array([[box[0], box[1], 2], [box[2], box[3], 2], [0, 0, 0]])


@pytest.fixture
def server(own: Callable[..., Path]) -> Iterator[LabelServer]:
    with LabelServer(open_labels(own()), proposer=Model()) as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.01,))
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def ask(server: LabelServer, method: str, path: str, body: Any = None, **headers: Any) -> Any:
    """Status, headers and content of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    given = {"X-Poise-Token": server.token, "Content-Type": "application/json"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    connection.request(method, path, raw, {k: v for k, v in given.items() if v is not None})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    plain = answer.headers["Content-Type"] == "application/json"
    return answer.status, answer.headers, json.loads(content) if plain else content


def test_a_picture_is_shown_changed_and_saved(server: LabelServer) -> None:
    status, _, overview = ask(server, "GET", "/overview")
    assert (status, overview["names"], overview["model"]) == (200, ["1.png", "2.png"], True)
    status, headers, data = ask(server, "GET", "/picture/1")
    assert (status, headers["Content-Type"], data[1:4]) == (200, "image/png", b"PNG")
    _, _, picture = ask(server, "GET", "/people/0")
    picture["people"][0]["keypoints"][0] = [33.25, 44, 1]
    status, _, saved = ask(server, "POST", "/people/0", picture | {"reviewed": True})
    assert status == 200
    content = json.loads(server.store.out.read_text())
    assert content["annotations"][0]["keypoints"][:3] == [33.25, 44, 1]
    assert content["images"][0]["reviewed"] is True
    # the same once more comes from a page that does not know of it
    status, _, said = ask(server, "POST", "/people/0", picture)
    assert (status, said["stale"]) == (409, "picture")
    picture["version"] = saved["version"]
    assert ask(server, "POST", "/people/0", picture)[0] == 200
    assert ask(server, "POST", "/reload", {})[0] == 200


def test_the_model_is_asked(server: LabelServer) -> None:
    wanted = {"box": [1, 2, 30, 40], "category_id": 1}
    status, _, said = ask(server, "POST", "/proposal/0", wanted)
    assert (status, said["keypoints"][:2]) == (200, [[1, 2, 2], [30, 40, 2]])
    for box in ([1, 2, 1, 40], [1, 2, 3], [1, 2, 3, float("inf")], [[1]] * 4):
        status, _, said = ask(server, "POST", "/proposal/0", wanted | {"box": box})
        assert (status, "`box` is left, top, right, bottom" in said["error"]) == (400, True)
    for other in ({}, [], wanted | {"category_id": 9}, wanted | {"category_id": []}):
        assert ask(server, "POST", "/proposal/0", other)[0] == 400
    server.proposer = None
    assert "start with --model NAME" in ask(server, "POST", "/proposal/0", wanted)[2]["error"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X_Poise_Token": None}, 401),
        ({"X_Poise_Token": "guessed"}, 401),
        ({"X_Poise_Token": "gü"}, 401),
        ({"Host": "evil.example:{port}"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Content_Type": "text/plain"}, 415),
    ],
)
def test_other_pages_can_neither_read_nor_write(
    server: LabelServer, headers: dict[str, Any], status: int
) -> None:
    before = server.store.out.read_bytes()
    given = {k: v and v.format(port=server.server_port) for k, v in headers.items()}
    _, _, picture = ask(server, "GET", "/people/0")
    picture["people"] = []
    assert ask(server, "POST", "/people/0", picture, **given)[0] == status
    if status != 415:
        for path in ("/overview", "/people/0", "/picture/0"):
            found = ask(server, "GET", path, **given)
            assert (found[0], list(found[2])) == (status, ["error", "stale"])
            assert "Access-Control-Allow-Origin" not in found[1]
    assert server.store.out.read_bytes() == before


def test_a_tunnel_with_another_port_is_this_machine(server: LabelServer) -> None:
    for host in ("localhost:1234", "127.0.0.1", "127.0.0.1:9"):
        answer = ask(server, "GET", "/overview", Host=host, Origin=f"http://{host}")
        assert answer[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/picture/../../etc/passwd",
        "/picture/%2e%2e",
        "/picture/-1",
        "/picture/2",
        "/picture/1e0",
        "/picture/²",
        "/picture/" + "9" * 5000,
        "/main.js/../store.py",
        "/page/main.js",
        "/store.py",
        "/nothing",
    ],
)
def test_nothing_else_is_given(server: LabelServer, path: str) -> None:
    status, _, said = ask(server, "GET", path.replace("²", "%C2%B2"))
    assert (status, "error" in said) == (404, True)


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{", {}, 400),
        (b"\xff", {}, 400),
        (b"[" * 100_000, {}, 400),
        (b"3", {}, 400),
        (b"", {}, 400),
        (b"{}", {"Content_Length": "99999999999"}, 413),
        (b"{}", {"Content_Length": "-1"}, 413),
    ],
)
def test_broken_requests_are_told(
    server: LabelServer, body: bytes, headers: dict[str, str], status: int
) -> None:
    assert ask(server, "POST", "/people/0", body, **headers)[0] == status
    assert ask(server, "GET", "/overview")[0] == 200


def test_a_port_in_use_is_told(server: LabelServer) -> None:
    with pytest.raises(ArgumentError, match="cannot serve on port .* --port takes another"):
        LabelServer(server.store, port=server.server_port)


def test_only_this_machine_is_served(server: LabelServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert server.address == f"http://127.0.0.1:{server.server_port}/#{server.token}"


@pytest.fixture
def command(own: Callable[..., Path]) -> Iterator[tuple[subprocess.Popen[str], Path, Any]]:
    """The command as a user runs it, its file, and a function that asks it."""
    path = own()
    line = [sys.executable, "-m", "poise", "data", "label", str(path), "--no-open"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = None
        while found is None:
            text = process.stdout.readline()
            assert text, "it ended before it said an address"
            found = re.match(r"label at http://127.0.0.1:(\d+)/#(\S+) \(Ctrl-C ends it\)", text)
        there = SimpleNamespace(server_port=int(found[1]), token=found[2])
        yield process, path, functools.partial(ask, there)
        process.kill()


def test_what_is_saved_survives_a_kill(command: Any) -> None:
    process, path, ask_it = command
    picture = ask_it("GET", "/people/0")[2]
    picture["people"][0]["keypoints"][0] = [12.5, 13, 1]
    assert ask_it("POST", "/people/0", picture)[0] == 200
    process.kill()
    process.wait()
    assert json.loads(path.read_text())["annotations"][0]["keypoints"][:3] == [12.5, 13, 1]
    # nothing half written lies about
    assert sorted(p.name for p in path.parent.iterdir()) == ["own.json", "own.json.first.bak"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
def test_the_end_says_what_is_done_and_what_is_next(command: Any) -> None:
    process, path, ask_it = command
    picture = ask_it("GET", "/people/0")[2] | {"reviewed": True}
    assert ask_it("POST", "/people/0", picture)[0] == 200
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    leave = "--reviewed -o train.json`"
    assert out.splitlines() == [
        "",
        "reviewed: 1 of 2 pictures",
        f"with labels that nobody reviewed: 1; `poise data convert {path} {leave} leaves these out",
        f"as they were before: {path}.first.bak",
        f"labels: {path}; next:",
        f"  poise data audit {path}",
        f"  poise train MODEL --train-ann {path}",
    ]


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.references: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in {"meta", "link", "input", "img"}:
            self.open.append(tag)
        values = dict(attrs)
        self.ids += [values["id"]] if "id" in values else []
        self.references += [values[key] for key in ("src", "href") if key in values]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_loads_nothing_from_elsewhere(server: LabelServer) -> None:
    status, headers, content = ask(server, "GET", "/", X_Poise_Token=None)
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    page = Page()
    page.feed(content.decode())
    page.close()
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert page.references == ["data:,", "page.css", "main.js"]
    assert '<script type="module"' in content.decode()
    script = "".join(SCRIPTS.values())
    assert set(re.findall(r'(?<![.\w])get\("([\w-]+)"\)', script)) <= set(page.ids)
    style = ask(server, "GET", "/page.css", X_Poise_Token=None)[2].decode()
    # the one address is the name of a language
    assert re.findall(r"https?://[^\s\"'`]+", script + style) == ["http://www.w3.org/2000/svg"] * 2
    assert "import(" not in script
    # what it asks for is there
    assert set(re.findall(r'ask\(["`](\w+)', script)) == {
        *("overview", "people", "picture", "proposal", "reload")
    }


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_module_is_served_with_what_it_imports(server: LabelServer, name: str) -> None:
    status, headers, content = ask(server, "GET", f"/{name}", X_Poise_Token=None)
    assert (status, headers["Content-Type"]) == (200, "text/javascript; charset=utf-8")
    assert content.decode() == SCRIPTS[name]
    imports = re.findall(r'^import \{ (.*) \} from "\./(.*)";$', SCRIPTS[name], re.M)
    assert len(imports) == len(re.findall(r"^import\b", SCRIPTS[name], re.M))
    for names, other in imports:
        lines = re.findall(r"^export (.*)$", SCRIPTS[other], re.M)
        exported = {word for line in lines for word in re.findall(r"(\w+)(?:\(| = )", line)}
        assert {n.partition(" as ")[0] for n in names.split(", ")} <= exported, other


def test_the_page_is_found_in_an_archive(tmp_path: Path) -> None:
    """As in a wheel that Python runs from without unpacking it."""
    archive = tmp_path / "poise.zip"
    root = Path(labelling.__file__).parents[2]
    with zipfile.ZipFile(archive, "w") as stream:
        for file in root.rglob("*"):
            if file.suffix in (".py", ".js", ".css", ".html"):
                stream.write(file, Path("poise") / file.relative_to(root))
    code = (
        "from poise.data_tools.labelling import server; print(server.__file__); "
        "print(sorted(server.FILES)); print(len(server.FILES['main.js'].read_bytes()))"
    )
    line = [sys.executable, "-c", code]
    out = subprocess.run(
        line,
        env={**os.environ, "PYTHONPATH": str(archive)},
        cwd=tmp_path,
        text=True,
        capture_output=True,
        check=True,
    ).stdout.splitlines()
    assert out[0].startswith(str(archive))
    assert out[1] == str(sorted(["page.html", "page.css", *SCRIPTS]))
    assert int(out[2]) == (PAGE / "main.js").stat().st_size


def test_every_key_is_in_the_help() -> None:
    script = SCRIPTS["keys.js"]
    told = "".join(
        re.findall(r'\["([^"]+)", "', script.partition("const KEYS")[2].partition("];")[0])
    )
    actions = script.partition("const ACTIONS = {")[2].partition("};")[0]
    letters = re.findall(r"(?:[,{\n]\s*)([a-z0-9]): ", actions)
    assert len(letters) >= 15
    assert [key for key in letters if key.upper() not in told] == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_is_a_program(name: str) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node to read it with")
    line = [node, "--input-type=module", "--check"]
    subprocess.run(line, input=SCRIPTS[name].encode(), check=True, capture_output=True)
