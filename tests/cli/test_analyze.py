"""`poise analyze logs`."""

from __future__ import annotations

import json

import pytest

from poise.cli.analyze import logs


@pytest.fixture
def runs(tmp_path):
    paths = []
    for name, loss in (("one", 1.0), ("two", 2.0)):
        path = tmp_path / name / "start" / "vis_data" / "scalars.json"
        path.parent.mkdir(parents=True)
        rows = [{"loss": loss, "lr": 0.1, "iter": 1}, {"PCK": loss / 4, "step": 1}]
        path.write_text("".join(json.dumps(r) + "\n" for r in rows))
        paths.append(tmp_path / name)
    return paths


def test_runs_stand_side_by_side(runs, capsys):
    logs(runs)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["one", "two"]
    row = next(line for line in lines if line.startswith("PCK (highest)"))
    assert row.split()[-2:] == ["0.2500", "0.5000"]
    # figures end flush
    assert len({len(line) for line in lines}) == 1


def test_json_and_a_picture(runs, tmp_path, capsys):
    logs(runs, out=tmp_path / "c.png", keys=["loss"], as_json=True)
    text = capsys.readouterr().out
    assert json.loads(text[: text.rindex("}") + 1]) == {"one": {"loss": 1.0}, "two": {"loss": 2.0}}
    assert (tmp_path / "c.png").stat().st_size > 1000
