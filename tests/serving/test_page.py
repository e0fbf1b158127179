"""The page loads nothing from elsewhere, asks for what there is, and is a program."""

import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

#: Elements that have no end.
VOID = {"meta", "link", "input", "br"}


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.ids, self.references, self.scripts = [], [], [], []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        values = dict(attrs)
        self.ids += [values["id"]] if "id" in values else []
        self.references += [values[key] for key in ("src", "href") if key in values]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)


@pytest.fixture
def page(app, ask):
    answer = ask(app, "GET", "/")
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    found = Page()
    found.feed(answer.text)
    found.close()
    return found


def test_elements_are_closed_and_found(page):
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    [script] = page.scripts
    assert set(re.findall(r'(?<![.\w])get\("([\w-]+)"\)', script)) <= set(page.ids)


def test_nothing_comes_from_elsewhere(page):
    assert page.references == ["data:,", "openapi.json"]
    [script] = page.scripts
    assert "import(" not in script
    assert re.findall(r"https?://[^\s\"'`]+", script) == []


def test_what_it_asks_for_is_there(page, app, ask):
    [script] = page.scripts
    asked = set(re.findall(r'ask\("([\w./]+)"', script))
    assert asked == {"model", "predict", "openapi.json"}
    paths = ask(app, "GET", "/openapi.json").json()["paths"]
    assert {f"/{path}" for path in asked - {"openapi.json"}} <= set(paths)
    about = ask(app, "GET", "/model").json()
    assert set(re.findall(r"\bmodel\.([a-z_]+)", script)) <= set(about)


def test_its_script_is_a_program(page, tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node, which reads the script")
    file = tmp_path / "page.js"
    file.write_text(page.scripts[0])
    done = subprocess.run([node, "--check", file], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
