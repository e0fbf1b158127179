"""The documentation is true: its examples run, its options are all, its links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


def commands() -> dict[str, set[str]]:
    """Command -> its option names."""
    import importlib

    from poise.cli.main import COMMANDS

    found = {}
    for name, (target, _) in COMMANDS.items():
        module, _, attribute = target.partition(":")
        thing = getattr(importlib.import_module(module), attribute)
        if not isinstance(thing, typer.Typer):
            single = typer.Typer(add_completion=False)
            single.command(name=name)(thing)
            thing = single
        command = typer.main.get_command(thing)
        parts = getattr(command, "commands", None)
        for sub, one in (parts or {"": command}).items():
            names = {o for p in one.params for o in (*p.opts, *p.secondary_opts)}
            found[f"{name} {sub}".strip()] = {n for n in names if n.startswith("--")} - {"--help"}
    return found


def test_examples_of_the_python_page_run(monkeypatch: pytest.MonkeyPatch) -> None:
    from poise.registry import MODELS

    monkeypatch.chdir(ROOT)
    # what the page registers ends with the test
    monkeypatch.setattr(MODELS, "_added", dict(MODELS._added))
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "reference/python.md").read_text(), re.S)
    assert len(blocks) > 8
    names: dict[str, object] = {"__name__": "docs_python_page"}
    for block in blocks:
        exec(compile(block, "docs/reference/python.md", "exec"), names)


def test_the_command_line_page_has_every_command_and_option() -> None:
    page = (DOCS / "reference/command-line.md").read_text()
    sections = dict(re.findall(r"^## poise ([a-z -]+)\n(.*?)(?=^## |\Z)", page, re.S | re.M))
    found = commands()
    assert set(sections) == set(found)
    for command, options in found.items():
        written = set(re.findall(r"`(--[a-z][a-z0-9-]*)", sections[command]))
        assert options == written, command


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_of_a_page_are_understood(page: Path) -> None:
    from poise.cli.main import app, fill_bare_options, refuse_moved_options

    blocks = re.findall(r"^ *```(?:bash)?\n(.*?)^ *```", page.read_text(), re.S | re.M)
    for line in re.sub(r"\\\n\s*", " ", "".join(blocks)).splitlines():
        found = re.match(r"\s*(?:\$ )?(?:[A-Z_]+=\S+ )*poise (.*)", line)
        if found is None:
            continue
        words = shlex.split(re.split(r" [|>&]", found[1])[0], comments=True)
        command: Any = typer.main.get_command(app)
        refuse_moved_options(words)
        words = fill_bare_options(words)
        context = command.make_context("poise", ["doctor"])
        while words and hasattr(command, "get_command"):
            command = command.get_command(context, words.pop(0))
            assert command is not None, line
        # options that are not there, or arguments that lack, are errors
        command.make_context("poise", words)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in link:
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_every_page_is_in_the_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text()
    listed = set(re.findall(r"[\w/-]+\.md", str(yaml.safe_load(text)["nav"])))
    assert listed == {str(p.relative_to(DOCS)) for p in DOCS.rglob("*.md")}


def test_the_tutorial_on_own_data_has_files_that_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from poise import load_config
    from poise.structures.metainfo import parse_pose_metainfo

    page = (DOCS / "tutorials/train-on-your-data.md").read_text()
    files = re.findall(r"```python\n# (\w+\.py)\n(.*?)```", page, re.S)
    assert [name for name, _ in files] == ["my_meta.py", "my_config.py"]
    for name, text in files:
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    cfg = load_config("my_config.py")
    assert cfg.model.head.out_channels == 3
    assert cfg.train_dataloader.dataset.type == "CocoDataset"
    assert cfg.test_dataloader.dataset.ann_file == "val.json"
    assert cfg.test_dataloader.dataset.bbox_file is None
    meta = parse_pose_metainfo(cfg.train_dataloader.dataset.metainfo)
    assert meta["flip_indices"] == [0, 2, 1]


def test_the_tutorial_on_own_parts_builds_its_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from poise.registry import MODELS

    monkeypatch.setattr(MODELS, "_added", dict(MODELS._added))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    page = (DOCS / "tutorials/your-own-parts.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.S)
    assert len(blocks) == 6
    for block in blocks:
        name = re.match(r"# (\w+\.py)\n", block)
        if name:
            (tmp_path / name[1]).write_text(block)
        else:
            exec(compile(block, "docs/tutorials/your-own-parts.md", "exec"), {})

    import torch

    from poise import build_model

    loss = build_model("my_loss_config.py").head.loss_module
    assert type(loss).__name__ == "HuberHeatmapLoss"
    assert loss.delta == 0.2
    one, other = torch.zeros(2, 17, 4, 4), torch.ones(2, 17, 4, 4)
    weights = torch.zeros(2, 17)
    weights[0] = 1
    assert loss(one, other, weights).item() == pytest.approx(0.5 * 0.2 * (1 - 0.1))


def test_the_page_on_distillation_has_a_config_that_builds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from poise import build_model, load_config

    monkeypatch.chdir(tmp_path)
    page = (DOCS / "how-to/distil-a-model.md").read_text()
    (block,) = re.findall(r"```python\n# distil.py\n(.*?)```", page, re.S)
    (tmp_path / "distil.py").write_text(block)
    for name in set(re.findall(r'"(runs/\w+/rtmpose.*?\.py)"', block)):
        (tmp_path / name).parent.mkdir(parents=True)
        base = f"mmpose::body_2d_keypoint/rtmpose/coco/{Path(name).name}"
        (tmp_path / name).write_text(f'_base_ = "{base}"\n')
    assert load_config("distil.py").train_dataloader.dataset.type == "CocoDataset"
    model = build_model("distil.py")
    assert set(model.distill_losses) == {"loss_fea", "loss_logit"}
    channels = model.distill_losses["loss_fea"].align
    assert channels.in_channels == model.student.head.in_channels
    assert channels.out_channels == model.teacher.head.in_channels


def test_the_page_on_several_cameras_has_an_example_that_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    page = (DOCS / "how-to/several-cameras.md").read_text()
    (block,) = re.findall(r"```python\n(.*?)```", page, re.S)
    exec(compile(block, "docs/how-to/several-cameras.md", "exec"), {"__name__": "docs_cameras"})
    said = capsys.readouterr().out
    assert "850 of 850 keypoints placed" in said
    assert re.search(r"off by \d\.\d mm", said)
