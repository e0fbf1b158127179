"""What a training starts from: a whole model's weights, its backbone's, or nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from poise.errors import CheckpointError, ConfigError

__all__ = ["BACKBONE", "NOTHING", "find_start", "forget_files", "put_start"]

#: `--weights`: random weights, and no file is read or fetched
NOTHING = "none"
#: `--weights`: the files that the config's networks name, which are mostly of their backbones
BACKBONE = "backbone"
#: key of a network's config -> what it is without a file
_FILES = {"pretrained": {True: False}, "checkpoint_path": {}}


def find_start(name: str, weights: str | None) -> str | None:
    """File that a run starts from: the given one, else the released one of a model's name.

    It is brought here at once, so that what is missing is said before hours of work.

    Args:
        name: of a model, or path of a config.
        weights: path, address, `NOTHING`, `BACKBONE`, or None.

    Raises:
        CheckpointError: it cannot be brought.
    """
    if weights in (NOTHING, BACKBONE):
        return None
    from poise.models.weights import locate
    from poise.zoo import default_weights, weights_url
    from poise.zoo.hub import split_part

    found = (
        weights or default_weights(name) or (None if Path(name).is_file() else weights_url(name))
    )
    if found is None:
        return None
    try:
        place, (_, part) = locate(found), split_part(found)
    except CheckpointError as error:
        error.add_note(
            f"--weights FILE starts from other weights, --weights {BACKBONE} with those that the "
            f"config names for the backbone, --weights {NOTHING} with random ones"
        )
        raise
    return str(place) if part is None else f"{place}#{part}"


def put_start(tree: MutableMapping[str, Any], start: str | None, weights: str | None) -> str:
    """Let a config start so.

    Args:
        tree: whole config; changed.
        start: of `find_start`.
        weights: what was asked for.

    Returns:
        A sentence about it.

    Raises:
        ConfigError: a distiller without its teacher's weights.
    """
    tree["load_from"] = start
    if start is not None:
        # the file has all of it
        forget_files(tree["model"])
        return f"start: {start}"
    if weights == NOTHING:
        if tree["model"].get("teacher_pretrained") is not None:
            raise ConfigError(
                f"--weights {NOTHING}: {tree['model']['type']} learns from a teacher, whose "
                f"weights are a file; --weights {BACKBONE} takes it"
            )
        forget_files(tree["model"])
        return "start: random weights"
    return f"start: {next(_named(tree['model']), 'random weights')}"


def forget_files(model: Any) -> None:
    """Leave out the files that a network and its parts start from."""
    for part in _parts(model):
        start = part.get("init_cfg")
        if isinstance(start, Mapping) and "checkpoint" in start:
            del part["init_cfg"]
        elif isinstance(start, (list, tuple)):
            part["init_cfg"] = [one for one in start if "checkpoint" not in one]
        for key, instead in _FILES.items():
            if part.get(key):
                part[key] = instead.get(part[key])


def _named(model: Any) -> Iterator[str]:
    """The files, as the config names them."""
    for part in _parts(model):
        starts = part.get("init_cfg") or []
        for one in [starts] if isinstance(starts, Mapping) else starts:
            if "checkpoint" in one:
                yield str(one["checkpoint"])
        for key in _FILES:
            if part.get(key):
                kind = part.get("model_name", part.get("type", ""))
                yield f"{key} {kind}" if part[key] is True else str(part[key])


def _parts(tree: Any) -> Iterator[MutableMapping[str, Any]]:
    """A model's config and those of its parts, at any depth."""
    if isinstance(tree, MutableMapping):
        yield tree
        for value in list(tree.values()):
            yield from _parts(value)
    elif isinstance(tree, (list, tuple)):
        for value in tree:
            yield from _parts(value)
