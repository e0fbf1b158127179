"""`poise bench`: how fast models are on this machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Sequence
from typing import Annotated, Any, NamedTuple

import typer

from poise.cli import options
from poise.cli.terminal import tracked
from poise.errors import ArgumentError, ConfigError, MissingDependencyError

__all__ = ["bench"]


class Row(NamedTuple):
    """A model run in one way: its speed, or why it cannot be run so."""

    model: str
    backend: str
    mode: str
    speed: Any = None
    trouble: str | None = None


def bench(
    models: Annotated[list[str], typer.Argument(help="Model names, config or exported files.")],
    backends: Annotated[
        str,
        typer.Option(
            "--backends",
            "-b",
            help="torch, onnxruntime, openvino; files of NCNN and LiteRT are run by their own.",
        ),
    ] = "torch,onnxruntime,openvino",
    modes: Annotated[
        str, typer.Option("--modes", "-m", help="accurate, balanced, fast.")
    ] = "accurate,balanced,fast",
    people: Annotated[int, typer.Option(min=1, help="People in each picture.")] = 4,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="People per call of the network.", show_default="by backend"),
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.01, help="To measure each row for.")] = 2.0,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Measure how fast models are here, from pictures in memory to keypoints.

    Reading, detecting and drawing are left out; `poise predict --timing` shows those.

    Nothing is downloaded: weights that are not on this machine are made up, which is as fast.
    """
    from poise.inference.inferencer import BACKENDS
    from poise.inference.networks.modes import MODES

    ways = [
        (backend, mode)
        for backend in _chosen(backends, "--backends", BACKENDS)
        for mode in _chosen(modes, "--modes", MODES)
    ]
    options = {"people": people, "batch_size": batch_size, "seconds": seconds}
    rows = _measured(models, ways, device, options)
    if as_json:
        sys.stdout.write(json.dumps([_record(row) for row in rows], indent=2) + "\n")
    else:
        _print(rows)
    if all(row.speed is None for row in rows):
        raise typer.Exit(1)


def _chosen(text: str, option: str, known: Collection[str]) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    wrong = [name for name in names if name not in known]
    if wrong or not names:
        raise ArgumentError(f"{option} takes some of {', '.join(known)}, got '{text}'")
    return names


def _measured(
    models: Sequence[str],
    ways: Sequence[tuple[str, str]],
    device: str,
    options: dict[str, Any],
) -> list[Row]:
    from poise.inference import Inferencer
    from poise.inference.speed import measure_speed

    rows = []
    for name in models:
        model, weights = _model_of(name)
        typer.echo(f"{name}: {weights}", err=True)
        for backend, mode in tracked(_ways_of(model, ways), "measuring"):
            try:
                inferencer = Inferencer(
                    model, device=device, detector=None, backend=backend, mode=mode
                )
                rows.append(Row(name, backend, mode, measure_speed(inferencer, **options)))
            except (ConfigError, MissingDependencyError) as error:
                rows.append(Row(name, backend, mode, trouble=str(error)))
    return rows


def _ways_of(model: Any, ways: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    """Backends and modes of a model; exported files have no torch, and some one runtime only."""
    from poise.inference.exported.opening import is_exported
    from poise.runtimes import RUNTIMES, runtime_of

    if not is_exported(model):
        return ways
    own = runtime_of(model)
    alone = not str(model).endswith(".onnx")
    pairs = [(own if alone or name not in RUNTIMES else name, mode) for name, mode in ways]
    return list(dict.fromkeys(pairs))


def _model_of(name: str) -> tuple[Any, str]:
    """What an `Inferencer` takes for a model, and whose weights it has."""
    from poise.inference.exported.opening import is_exported
    from poise.models.build import build_model
    from poise.zoo import default_weights

    if is_exported(name):
        return name, "weights of the file"
    found = default_weights(name)
    if found is not None:
        return name, f"weights {found}"
    return build_model(name).eval(), "made-up weights, which are as fast"


def _record(row: Row) -> dict[str, Any]:
    record = {"model": row.model, "backend": row.backend, "mode": row.mode}
    if row.speed is None:
        return {**record, "error": row.trouble}
    unit = "picture" if row.speed.whole_pictures else "person"
    return {
        **record,
        "unit": unit,
        "per_second": row.speed.per_second,
        "milliseconds": row.speed.milliseconds,
    }


def _print(rows: Sequence[Row]) -> None:
    for name in dict.fromkeys(row.model for row in rows):
        own = [row for row in rows if row.model == name]
        done = [row for row in own if row.speed is not None]
        whole = bool(done) and done[0].speed.whole_pictures
        one, many = ("picture", "pictures") if whole else ("person", "people")
        typer.echo(name)
        typer.echo(f"  {'backend':13}{'mode':10}{f'ms a {one}':>14}{f'{many} a second':>19}")
        for row in own:
            ms, rate = ("-", "-")
            if row.speed is not None:
                ms, rate = f"{row.speed.milliseconds:.2f}", f"{row.speed.per_second:.1f}"
            typer.echo(f"  {row.backend:13}{row.mode:10}{ms:>14}{rate:>19}")
        for trouble in dict.fromkeys(row.trouble for row in own if row.trouble):
            typer.echo(f"  -: {trouble}")
        if done:
            best = max(done, key=lambda row: row.speed.per_second)
            typer.echo(f"  fastest here: --backend {best.backend} --mode {best.mode}")
