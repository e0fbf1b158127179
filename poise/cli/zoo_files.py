"""`poise zoo download|path|publish|convert`: files of weights."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from poise._files import whole_file, writing
from poise.errors import CheckpointError, ConfigError, PoiseError
from poise.zoo.hub import is_foreign

__all__ = ["convert", "download", "path", "publish"]

Half = Annotated[bool, typer.Option("--half", "--fp16", help="Store weights with 16 bits.")]


def download(
    names: Annotated[
        list[str],
        typer.Argument(help="Model names, short names, hf:ORGANISATION/NAME, or addresses."),
    ],
    folder: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder; torch's own without it.")
    ] = None,
) -> None:
    """Fetch released weights, so that later work needs no network; prints the files."""
    failed = 0
    # what cannot be meant is said before anything is fetched
    several = next(filter(is_foreign, names), None)
    if folder is not None and several is not None:
        raise ConfigError(f"--out is for single files, and {several} has several; leave it out")
    addresses = [_address(name) for name in names]
    for name, address in zip(names, addresses, strict=True):
        try:
            if isinstance(address, Path):
                found = _kept(address, folder)
            else:
                found = _fetched(address, folder)
        except PoiseError as error:
            failed += 1
            sys.stderr.write(f"error: {name}: {error}\n")
            continue
        typer.echo(found)
    if failed:
        raise typer.Exit(1)


def _kept(file: Path, folder: Path | None) -> Path:
    """A file that is on this machine, copied to where it is wanted.

    Raises:
        DataError: the folder cannot be written to.
    """
    if folder is None:
        return file
    path = folder / file.name
    if not path.is_file():
        with writing(path), whole_file(path) as place:
            shutil.copyfile(file, place)
    return path


def _fetched(address: str, folder: Path | None) -> Path:
    """File of an address, or of a model of Hugging Face's hub, whose settings come along."""
    from poise.zoo import load_config
    from poise.zoo.downloads import bring_weights, fetch
    from poise.zoo.hub import hub_model, split_part

    model = hub_model(split_part(address)[0])
    if model is None:
        return fetch(address, folder)
    load_config(address)
    return bring_weights(model)


def path(
    name: Annotated[
        str, typer.Argument(help="Model name, short name, hf:ORGANISATION/NAME, or address.")
    ],
) -> None:
    """Print where a model's weights are on this machine; the exit status is 1 if they are not."""
    from poise.zoo.places import local_copy

    found = _address(name)
    here = found if isinstance(found, Path) else local_copy(found)
    if here is None:
        sys.stderr.write(f"not on this machine; `poise zoo download {name}` fetches {found}\n")
        raise typer.Exit(1)
    typer.echo(here)


def _address(name: str) -> str | Path:
    """Address of a name's weights, or their file where it is here already."""
    from poise.zoo.index import require_model
    from poise.zoo.places import weights_file
    from poise.zoo.weights import default_weights, weights_url

    if name.startswith(("http://", "https://")):
        if not weights_file(name):
            raise CheckpointError(f"'{name}' names no file; expected https://HOST/.../FILE.pth")
        return name
    found = default_weights(name) or weights_url(name)
    if found is None:
        raise CheckpointError(f"no weights were released for {require_model(name).name}")
    return found


def publish(
    checkpoint: Annotated[str, typer.Argument(help="Checkpoint of a training run.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder, or the path before the hash.")
    ] = None,
    average: Annotated[
        bool,
        typer.Option(
            "--average/--plain", help="The averages of the weights where a run kept them, or not."
        ),
    ] = True,
    half: Half = False,
    date: Annotated[
        bool, typer.Option("--date/--no-date", help="Put the date in the name.")
    ] = True,
) -> None:
    """Write a checkpoint without the state of its training, named by its hash."""
    from poise.models.weights.publishing import publish as write

    typer.echo(_said(write(checkpoint, out, average=average, half=half, date=date)))


def convert(
    checkpoint: Annotated[str, typer.Argument(help="Checkpoint: a file, an address, or a name.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write; beside the other without it.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Name or config, where the checkpoint says none."),
    ] = None,
    half: Half = False,
) -> None:
    """Write one .safetensors file with weights, config and keypoints, which is a whole model."""
    from poise.models.weights.whole import convert as write
    from poise.zoo.index import find_model

    source = str(_address(checkpoint)) if find_model(checkpoint) is not None else checkpoint
    if source != checkpoint:
        model = model or checkpoint
        # not beside the cached file, where nobody looks
        out = out or Path(f"{Path(checkpoint).name.removesuffix('.py')}.safetensors")
    typer.echo(_said(write(source, out, model=model, half=half)))


def _said(file: Path) -> str:
    return f"{file} ({file.stat().st_size / 1e6:.1f} MB)"
