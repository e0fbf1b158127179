"""`poise zoo`: which models were released, how good they are, where they lie; backbones."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Annotated, Any

import typer

from poise.cli import zoo_files
from poise.cli.backbones import backbones
from poise.zoo.index import Model, models, require_model
from poise.zoo.weights import default_weights

__all__ = ["app"]

app = typer.Typer(
    name="zoo",
    help="List and describe released models; fetch, publish and convert weights.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
app.command()(backbones)

#: bytes of a parameter in a released file
BYTES_PER_PARAMETER = 4
LICENCE = "Apache-2.0; the terms of the data it was trained on apply to what you do with it"

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Task = Annotated[
    str | None,
    typer.Option(help="Only this: body, wholebody, hand, face, animal, fashion, body 3d ..."),
]
Data = Annotated[str | None, typer.Option(help="Only models with a score on this dataset.")]


@app.command("list")
def list_models(
    task: Task = None,
    data: Data = None,
    weights: Annotated[
        bool, typer.Option("--weights", help="Only models with released weights.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List models: name, task, million parameters, main score, short names."""
    found = [m for m in models().values() if _fits(m, task, data)]
    _print_models([m for m in found if _has_weights(m)] if weights else found, as_json, data)


@app.command()
def search(
    words: Annotated[list[str], typer.Argument(help="Parts of names, tasks, datasets.")],
    as_json: Json = False,
) -> None:
    """Find models that have all words in name, short names, task or datasets."""
    wanted = [word.lower() for word in words]
    found = [m for m in models().values() if all(word in _text(m) for word in wanted)]
    _print_models(found, as_json, None)
    if not found:
        typer.echo(f"no model has all of: {' '.join(words)}; `poise zoo list` shows all", err=True)
        raise typer.Exit(1)


@app.command()
def info(
    name: Annotated[str, typer.Argument(help="Name, short name, or MMPose's path of a config.")],
    as_json: Json = False,
) -> None:
    """Say everything that is known about a model."""
    model = require_model(name)
    if as_json:
        _write(json.dumps(_record(model), indent=2))
        return
    lines = _lines(model)
    width = max(len(label) for label, _ in lines)
    for label, text in lines:
        _write(f"{label:{width}}  {text}")


for _command in (zoo_files.download, zoo_files.path, zoo_files.publish, zoo_files.convert):
    app.command()(_command)


def _fits(model: Model, task: str | None, data: str | None) -> bool:
    if task is not None and not model.task.startswith(task.lower().replace("_", " ")):
        return False
    return data is None or any(_same(score.data, data) for score in model.scores)


def _same(first: str, second: str) -> bool:
    plain = [text.lower().replace("-", "").replace("_", "") for text in (first, second)]
    return plain[0] == plain[1]


def _has_weights(model: Model) -> bool:
    return model.weights is not None or default_weights(model.name) is not None


def _text(model: Model) -> str:
    data = (score.data for score in model.scores)
    return " ".join((model.name, model.task, model.folder, *model.aliases, *data)).lower()


def _score(model: Model, data: str | None) -> str:
    scores = [s for s in model.scores if data is None or _same(s.data, data)]
    if not scores:
        return ""
    metric, figure = scores[0].main
    return f"{scores[0].data} {metric} {figure:g}"


def _print_models(found: Iterable[Model], as_json: bool, data: str | None) -> None:
    found = list(found)
    if as_json:
        _write(json.dumps([_record(model) for model in found], indent=2))
        return
    rows = [
        (
            model.name,
            model.task,
            "" if model.parameters is None else f"{model.parameters:g} M",
            _score(model, data),
            " ".join(model.aliases),
        )
        for model in found
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
        _write(line.rstrip())


def _record(model: Model) -> dict[str, Any]:
    """What is known about a model, for programs."""
    local = default_weights(model.name)
    return {
        "name": model.name,
        "aliases": list(model.aliases),
        "task": model.task,
        "input_size": model.input_size,
        "parameters_millions": model.parameters,
        "config": model.config,
        "weights": model.weights,
        "local_weights": None if local is None else str(local),
        "licence": LICENCE,
        "scores": [{"data": s.data, "figures": s.figures} for s in model.scores],
    }


def _lines(model: Model) -> list[tuple[str, str]]:
    """What is known about a model, for people: (label, text)."""
    local = default_weights(model.name)
    lines = [("name", model.name)]
    if model.aliases:
        lines.append(("also called", ", ".join(model.aliases)))
    lines.append(("task", model.task))
    if model.input_size is not None:
        width, height = model.input_size
        lines.append(("input", f"{width} x {height} (width x height)"))
    if model.parameters is not None:
        megabytes = model.parameters * BYTES_PER_PARAMETER
        text = f"{model.parameters:g} million, about {megabytes:.0f} MB of weights"
        lines.append(("parameters", text))
    if model.config is not None:
        lines.append(("MMPose's file", model.config))
    missing = "embedded" if local else "none were released"
    lines.append(("weights", model.weights or missing))
    lines.append(("on this machine", str(local) if local else "no"))
    lines.append(("licence", LICENCE))
    for score in model.scores:
        figures = "  ".join(f"{name} {figure:g}" for name, figure in score.figures.items())
        lines.append(("score", f"{score.data}: {figures}"))
    return lines


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
