"""`poise zoo`: which models were released, how good they are, where they lie; backbones."""

from __future__ import annotations

import enum
import json
import math
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from poise.cli import options, zoo_files
from poise.cli.backbones import backbones
from poise.cli.zoo_config import config_record, shown
from poise.errors import ConfigError, UnknownNameError, nearest
from poise.report.text import aligned
from poise.zoo.index import Model, models, require_model, spellings
from poise.zoo.training_data import licence_note, training_data
from poise.zoo.weights import default_weights

__all__ = ["app"]

#: bytes of a parameter in a released file
BYTES_PER_PARAMETER = 4

Task = Annotated[
    str | None,
    typer.Option(help="Only this: body, wholebody, hand, face, animal, fashion, body 3d ..."),
]
Data = Annotated[str | None, typer.Option(help="Only models with a score on this dataset.")]


class Order(enum.StrEnum):
    """What a list is sorted by."""

    task = "task"
    name = "name"
    parameters = "parameters"
    gflops = "gflops"
    score = "score"


Sort = Annotated[
    Order, typer.Option("--sort", help="By task, name, parameters, gflops or score (with --data).")
]


def list_models(
    task: Task = None,
    data: Data = None,
    weights: Annotated[
        bool, typer.Option("--weights", help="Only models with released weights.")
    ] = False,
    local: Annotated[
        bool, typer.Option("--local", help="Only models whose weights are on this machine.")
    ] = False,
    size: Annotated[
        str | None, typer.Option(help="Only this input, width x height: 192x256.")
    ] = None,
    max_parameters: Annotated[
        float | None, typer.Option(help="Only models with at most so many million parameters.")
    ] = None,
    sort: Sort = Order.task,
    as_json: options.Json = False,
) -> None:
    """List models: name, task, input, million parameters, GFLOPs, score, short names."""
    _check_words(task, data, size)
    found = [
        model
        for model in models().values()
        if _fits(model, task, data)
        and (not weights or model.weights is not None or default_weights(model.name) is not None)
        and (not local or default_weights(model.name) is not None)
        and (size is None or size == _size(model))
        and (max_parameters is None or (model.parameters or math.inf) <= max_parameters)
    ]
    _print_models(found, sort, data, as_json=as_json)


def search(
    words: Annotated[list[str], typer.Argument(help="Parts of names, tasks, datasets.")],
    sort: Sort = Order.task,
    as_json: options.Json = False,
) -> None:
    """Find models that have all words in name, short names, task or datasets."""
    wanted = [word.lower() for word in words]
    found = [m for m in models().values() if all(word in _text(m) for word in wanted)]
    if found or as_json:
        _print_models(found, sort, None, as_json=as_json)
    if not found:
        hint = nearest(" ".join(words), spellings()) or "; `poise zoo list` shows all"
        typer.echo(f"no model has all of: {' '.join(words)}{hint}", err=True)
        raise typer.Exit(1)


def info(
    name: Annotated[
        str,
        typer.Argument(help="Name, short name, MMPose's path of a config, or a file or folder."),
    ],
    as_json: options.Json = False,
) -> None:
    """Say everything that is known about a model; of a config file what its network costs."""
    if Path(name).exists():
        record = config_record(Path(name))
        typer.echo(json.dumps(record, indent=2) if as_json else "\n".join(aligned(shown(record))))
        return
    model = require_model(name)
    if as_json:
        typer.echo(json.dumps(_record(model), indent=2))
        return
    typer.echo("\n".join(aligned(_lines(model))))


def _check_words(task: str | None, data: str | None, size: str | None) -> None:
    """Name an option that no model could fit.

    Raises:
        UnknownNameError: a task or a dataset of no model.
        ConfigError: a size that is none.
    """
    every = models().values()
    tasks = sorted({model.task for model in every})
    if task is not None and not any(_fits(model, task, None) for model in every):
        raise UnknownNameError(f"no model has the task '{task}'; there are {', '.join(tasks)}")
    if data is not None and not any(_fits(model, None, data) for model in every):
        known = sorted({score.data for model in every for score in model.scores})
        raise UnknownNameError(
            f"no model has a score on '{data}'; there are {', '.join(known)}{nearest(data, known)}"
        )
    if size is not None and not re.fullmatch(r"\d+x\d+", size):
        raise ConfigError(f"--size takes width x height in pixels, such as 192x256; got '{size}'")


def _fits(model: Model, task: str | None, data: str | None) -> bool:
    if task is not None and not model.task.startswith(task.lower().replace("_", " ")):
        return False
    return data is None or any(_same(score.data, data) for score in model.scores)


def _same(first: str, second: str) -> bool:
    plain = [text.lower().replace("-", "").replace("_", "") for text in (first, second)]
    return plain[0] == plain[1]


def _text(model: Model) -> str:
    data = (score.data for score in model.scores)
    return " ".join((model.name, model.task, model.folder, *model.aliases, *data)).lower()


def _main_score(model: Model, data: str | None) -> tuple[str, str, float] | None:
    """Dataset, metric and figure that stand for a model."""
    scores = [s for s in model.scores if data is None or _same(s.data, data)]
    return (scores[0].data, *scores[0].main) if scores else None


def _size(model: Model) -> str:
    return "" if model.input_size is None else "{}x{}".format(*model.input_size)


#: metrics of which less is better
_ERRORS = ("EPE", "NME", "MPJPE")


def _sorted(found: list[Model], order: Order, data: str | None) -> list[Model]:
    """Models in an order; those without the figure come last."""

    def key(model: Model) -> tuple[bool, float]:
        figure = model.parameters if order is Order.parameters else model.gflops
        if order is Order.score:
            score = _main_score(model, data)
            figure = None
            if score is not None:
                figure = score[2] if score[1].startswith(_ERRORS) else -score[2]
        return figure is None, figure or 0.0

    if order is Order.task:
        return found
    return sorted(found, key=lambda m: m.name) if order is Order.name else sorted(found, key=key)


def _print_models(found: list[Model], order: Order, data: str | None, *, as_json: bool) -> None:
    if order is Order.score and data is None:
        raise ConfigError("--sort score compares models on one dataset; add --data NAME")
    if not found and not as_json:
        typer.echo(
            "no model fits all of these options; sizes are width x height, 192x256 for 256x192 in "
            "names",
            err=True,
        )
        raise typer.Exit(1)
    found = _sorted(found, order, data)
    if as_json:
        typer.echo(json.dumps([_record(model) for model in found], indent=2))
        return
    rows = [("name", "task", "input", "M par.", "GFLOPs", "score", "also called")]
    for model in found:
        score = _main_score(model, data)
        row = (
            model.name,
            model.task,
            _size(model),
            "" if model.parameters is None else f"{model.parameters:g}",
            "" if model.gflops is None else f"{model.gflops:g}",
            "" if score is None else "{} {} {:g}".format(*score),
            " ".join(model.aliases),
        )
        rows.append(row)
    typer.echo("\n".join(aligned(rows)))


def _record(model: Model) -> dict[str, Any]:
    """What is known about a model, for programs."""
    local = default_weights(model.name)
    return {
        "name": model.name,
        "aliases": list(model.aliases),
        "task": model.task,
        "input_size": model.input_size,
        "parameters_millions": model.parameters,
        "gflops": model.gflops,
        "config": model.config,
        "weights": model.weights,
        "local_weights": None if local is None else str(local),
        "local_bytes": None if local is None else local.stat().st_size,
        "trained_on": list(training_data(model)),
        "licence": licence_note(model),
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
        lines.append(("input", f"{_size(model)} (width x height)"))
    if model.parameters is not None:
        megabytes = model.parameters * BYTES_PER_PARAMETER
        text = f"{model.parameters:g} million, about {megabytes:.0f} MB of weights"
        lines.append(("parameters", text))
    if model.gflops is not None:
        lines.append(("GFLOPs", f"{model.gflops:g} for one input (without flip test)"))
    if model.config is not None:
        lines.append(("MMPose's file", model.config))
    missing = "embedded" if local else "none to download"
    lines.append(("weights", model.weights or missing))
    size = f" ({local.stat().st_size / 1e6:.1f} MB)" if local else ""
    lines.append(("on this machine", f"{local}{size}" if local else "no"))
    lines.append(("licence", licence_note(model)))
    for score in model.scores:
        figures = "  ".join(f"{name} {figure:g}" for name, figure in score.figures.items())
        lines.append(("score", f"{score.data}: {figures}"))
    return lines


app = options.command_group(
    "zoo",
    "List and describe released models; fetch, publish and convert weights.",
    list=list_models,
    search=search,
    info=info,
    download=zoo_files.download,
    path=zoo_files.path,
    publish=zoo_files.publish,
    convert=zoo_files.convert,
    backbones=backbones,
)
