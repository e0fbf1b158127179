"""A checkpoint of a training run -> a file to give away: the weights alone, named by their hash."""

from __future__ import annotations

import datetime
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from poise.errors import CheckpointError
from poise.models.weights.distilled import student_of
from poise.models.weights.keys import with_versions
from poise.models.weights.reading import read_checkpoint, state_dict_of
from poise.models.weights.saving import plain_values, save_checkpoint, stored
from poise.models.weights.sources import locate

__all__ = ["publish"]

_LOG = logging.getLogger(__name__)

#: entries of `meta` that say what the weights are; paths and machines stay out
KEPT_META = (
    "cfg",
    "dataset_meta",
    "epoch",
    "iter",
    "experiment_name",
    "poise_version",
    "mmengine_version",
)
#: digits of the SHA-256 in the name, as OpenMMLab has them
DIGITS = 8
#: prefix of the weights in `ema_state_dict`
_AVERAGED = "module."


def publish(
    source: str | PathLike[str],
    target: str | PathLike[str] | None = None,
    *,
    average: bool = True,
    half: bool = False,
    date: bool = True,
) -> Path:
    """Write the weights of a checkpoint without the state of its training.

    Args:
        source: checkpoint of a run; of a DWPose training the student's weights are taken.
        target: folder, or the path before the hash; None puts the file beside the source.
        average: where a run kept averages of its weights: take those (they are what it
            validated), or else the plain ones.
        half: store weights with 16 bits.
        date: put today's date behind the hash.

    Returns:
        The file, named NAME-HASH_DATE.pth.

    Raises:
        CheckpointError: a file without weights, or without averages to leave out.
    """
    path = locate(source)
    content = read_checkpoint(path)
    weights: Mapping[str, Any] = state_dict_of(content, str(path))
    if not average:
        weights = _plain_weights(content, weights, path)
    left: set[str] = set()
    if (student := student_of(weights, content)) is not weights:
        _LOG.warning("%s is of a distillation: the student's weights alone are written", path)
        # its config does not describe the student
        weights, left = student, {"cfg"}
    written = OrderedDict((key, stored(value, half=half)) for key, value in weights.items())
    # versions of the modules, by which old files are told from new ones
    state = with_versions(written, getattr(weights, "_metadata", None))
    meta = content.get("meta") or {}
    kept = {key: plain_values(meta[key]) for key in KEPT_META if key in meta and key not in left}
    place = Path(target).expanduser() if target is not None else path.parent
    stem = path.stem if target is None or place.is_dir() else place.name.removesuffix(".pth")
    folder = place if target is None or place.is_dir() else place.parent
    draft = save_checkpoint({"state_dict": state, "meta": kept}, folder / f".{stem}.draft.pth")
    with draft.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:DIGITS]
    today = datetime.datetime.now(datetime.UTC).strftime("_%Y%m%d") if date else ""
    return draft.replace(folder / f"{stem}-{digest}{today}.pth")


def _plain_weights(content: Mapping[str, Any], weights: Mapping[str, Any], path: Path) -> Any:
    """Weights that were trained, where `state_dict` has their averages."""
    other = content.get("ema_state_dict")
    if not isinstance(other, Mapping):
        raise CheckpointError(f"{path} has no averaged weights, so there is nothing to choose")
    plain = OrderedDict((key, other.get(_AVERAGED + key, value)) for key, value in weights.items())
    return with_versions(plain, getattr(weights, "_metadata", None))
