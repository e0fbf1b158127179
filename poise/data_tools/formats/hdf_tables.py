"""Tables that pandas wrote into an HDF5 file ("fixed" form), read without pandas."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from poise._lazy import needed
from poise.errors import DataError

__all__ = ["Table", "import_h5py", "is_hdf5", "read_table"]


#: what analysis files of SLEAP have, and tables have not
_OF_SLEAP = {"tracks", "node_names", "track_occupancy"}


@dataclass(frozen=True)
class Table:
    """A table: names of its rows, heading of each column from top to bottom, (R, C) float64."""

    rows: list[str]
    columns: list[tuple[str, ...]]
    values: np.ndarray


def import_h5py() -> Any:
    """The library that reads HDF5 files.

    Raises:
        MissingDependencyError: it is not installed.
    """
    return needed("h5py", "HDF5 files need the package h5py: pip install 'poise[motion]'")


def is_hdf5(path: Path) -> bool:
    """Whether a file is one of HDF5, by its beginning."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(4) == b"\x89HDF"


def read_table(file: Path) -> Table:
    """The first table of a file.

    Raises:
        DataError: no HDF5 file, or no table of numbers in pandas' fixed form.
        MissingDependencyError: h5py is not installed.
    """
    h5py = import_h5py()
    try:
        with h5py.File(file, "r") as content:
            if set(content) >= _OF_SLEAP:
                raise DataError(
                    f"{file} is an analysis file of SLEAP, which holds predictions and names no "
                    "pictures; labels are in the project, .slp, or in what poise predict --save "
                    "jsonl writes"
                )
            group = next(g for g in content.values() if "axis0" in g or "axis0_label0" in g)
            columns = _labels(group, "axis0")
            rows = ["/".join(parts).replace("\\", "/") for parts in _labels(group, "axis1")]
            values = np.full((len(rows), len(columns)), np.nan)
            place = {column: n for n, column in enumerate(columns)}
            for n in range(int(group.attrs.get("nblocks", 1))):
                items = [place[column] for column in _labels(group, f"block{n}_items")]
                values[:, items] = group[f"block{n}_values"][()]
    except DataError:
        raise
    except (OSError, KeyError, ValueError, TypeError, StopIteration) as error:
        raise DataError(
            f"{file} is no table of numbers that pandas wrote ({type(error).__name__}: {error}); "
            "is there a .csv beside it?"
        ) from error
    return Table(rows, columns, values)


def _labels(group: Any, name: str) -> list[tuple[str, ...]]:
    """Entries of an axis; of several levels each is a tuple of as many words."""
    if name in group:
        return [(_word(entry),) for entry in group[name][()]]
    levels: list[list[str]] = []
    while f"{name}_label{len(levels)}" in group:
        number = len(levels)
        words = [_word(entry) for entry in group[f"{name}_level{number}"][()]]
        levels.append([words[code] for code in group[f"{name}_label{number}"][()]])
    return list(zip(*levels, strict=True))


def _word(entry: Any) -> str:
    return entry.decode("utf-8") if isinstance(entry, bytes) else str(entry)
