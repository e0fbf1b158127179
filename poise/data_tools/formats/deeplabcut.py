"""DeepLabCut: a project with `config.yaml` and tables of labels, one for each video.

A table has the rows scorer, (individuals,) bodyparts and coords above, and a picture a line.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from poise.data_tools.formats.annotations import Annotations
from poise.data_tools.formats.collection import VISIBLE, Collection, Draft
from poise.data_tools.formats.hdf_tables import Table, is_hdf5, read_table
from poise.data_tools.formats.reading import Reading, picture_folder, picture_size
from poise.errors import DataError

__all__ = ["LABELS", "is_deeplabcut", "label_files", "read_config", "read_deeplabcut"]

#: names of tables of labels
LABELS = "CollectedData*"
#: rows of the heading, from the top
_HEADING = ("scorer", "individuals", "bodyparts", "coords")
#: the individual that body parts without one belong to
_NOBODY = "single"
_CATEGORY = "animal"


@dataclass(frozen=True)
class _Project:
    """What a `config.yaml` says; it names individuals where a picture may have several."""

    scorer: str = ""
    keypoints: list[str] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)
    individuals: list[str] = field(default_factory=list)


def label_files(path: Path) -> tuple[Path, list[Path]]:
    """Folder of a project, and its tables of labels.

    Args:
        path: project, `config.yaml`, or a table.
    """
    if path.is_file() and path.suffix in (".csv", ".h5"):
        home = path.parent.parent
        return (home.parent if home.name == "labeled-data" else path.parent), [path]
    folder = path.parent if path.is_file() else path
    tables = [*folder.glob(f"labeled-data/*/{LABELS}"), *folder.glob(LABELS)]
    found: dict[Path, Path] = {}
    # the same labels lie in a .csv and a .h5 beside one another
    for table in sorted(t for t in tables if t.suffix in (".csv", ".h5")):
        found.setdefault(table.with_suffix(""), table)
    return folder, list(found.values())


def is_deeplabcut(path: Path) -> bool:
    """A project with labels, its config.yaml, or a table of labels."""
    if path.is_dir() or path.name == "config.yaml":
        return bool(label_files(path)[1])
    if path.suffix == ".csv" and path.is_file():
        with path.open("rb") as stream:
            return stream.read(10).lstrip(b"\xef\xbb\xbf").startswith(b"scorer")
    return path.suffix == ".h5" and is_hdf5(path)


def read_deeplabcut(path: Path, reading: Reading) -> Annotations:
    """Annotations of a project, or of one of its tables.

    Args:
        path: project, `config.yaml`, `CollectedData_*.csv` or `.h5`.
        reading: `schema`, `images`, `margin`; `category` "single" reads the body parts that belong
            to no individual, which are left out otherwise.

    Raises:
        DataError: no tables, or a broken one.
        MissingDependencyError: a .h5 table without h5py.
    """
    folder, files = label_files(path)
    if not files:
        raise DataError(f"{path} has no labels of DeepLabCut (labeled-data/*/{LABELS}.csv or .h5)")
    project = read_config(folder / "config.yaml")
    mine = [f for f in files if f.stem == f"CollectedData_{project.scorer}"] or files
    tables = [(file, _read(file)) for file in mine]
    names = [row for _, table in tables for row in table.rows]
    around = (folder, *(file.parent for file in mine))
    place, places = picture_folder(names, around, reading.images)
    book = Collection(reading, path, place)
    for other in (f for f in files if f not in mine):
        book.found.drop(f"tables of other scorers than {project.scorer}", str(other))
    unique = reading.category == _NOBODY
    parts: dict[str, None] = {}
    for _, table in tables:
        _add(book, table, places)
        wanted = (c for c in table.columns if (_individual(c) == _NOBODY) == unique)
        parts.update({column[-2]: None for column in wanted})
    named = [] if unique else project.keypoints
    return book.finish(named or list(parts), project.links)


def _individual(column: tuple[str, ...]) -> str:
    """Whose a column is; "" in a table of one animal."""
    return column[1] if len(column) == len(_HEADING) else ""


def read_config(file: Path) -> _Project:
    """What a `config.yaml` says; nothing where there is none.

    Raises:
        DataError: a broken one.
    """
    if not file.is_file():
        return _Project()
    try:
        about = yaml.safe_load(file.read_text(encoding="utf-8-sig")) or {}
        several = about.get("multianimalproject")
        parts = about.get("multianimalbodyparts" if several else "bodyparts") or ()
        links = [(str(a), str(b)) for a, b in about.get("skeleton") or () if a and b]
        names = [str(part) for part in parts] if not isinstance(parts, str) else []
        individuals = list(map(str, about.get("individuals") or ())) if several else []
        return _Project(str(about.get("scorer") or ""), names, links, individuals)
    except (yaml.YAMLError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{file} is no config.yaml of DeepLabCut: {error}") from error


def _read(file: Path) -> Table:
    table = read_table(file) if file.suffix == ".h5" else _read_csv(file)
    coords = {column[-1] for column in table.columns}
    if "likelihood" in coords:
        raise DataError(
            f"{file} holds predictions (it has likelihoods), not labels; labels are in "
            f"labeled-data/*/{LABELS}"
        )
    if not {"x", "y"} <= coords or any(len(column) not in (3, 4) for column in table.columns):
        raise DataError(
            f"{file} is no table of DeepLabCut: expected the rows {', '.join(_HEADING)} above"
        )
    return table


def _read_csv(file: Path) -> Table:
    """A table of text."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            lines = [line for line in csv.reader(stream) if any(line)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file} is no table of DeepLabCut: {error}") from error
    count = next((n for n, line in enumerate(lines) if line[0] not in _HEADING), len(lines))
    heading = lines[:count]
    if not heading or heading[-1][0] != "coords":
        raise DataError(
            f"{file} is no table of DeepLabCut: expected the rows {', '.join(_HEADING)} above"
        )
    # a picture is one column, or three: labeled-data, video, file
    first = next((n for n, word in enumerate(heading[-1]) if word in ("x", "y")), 1)
    values = []
    for number, line in enumerate(lines[count:], count + 1):
        try:
            values.append([float(word) if word.strip() else np.nan for word in line[first:]])
        except ValueError as error:
            raise DataError(f"{file}, line {number}: {error}") from error
        if len(line) != len(heading[-1]):
            raise DataError(
                f"{file}, line {number}, has {len(line)} columns, expected {len(heading[-1])}"
            )
    return Table(
        ["/".join(line[:first]).replace("\\", "/") for line in lines[count:]],
        list(zip(*(row[first:] for row in heading), strict=True)),
        np.array(values, np.float64).reshape(-1, len(heading[-1]) - first),
    )


def _add(book: Collection, table: Table, places: dict[str, str]) -> None:
    """Take in the pictures of a table."""
    # (individual, body part) -> its columns
    where: dict[tuple[str, str], dict[str, int]] = {}
    for n, column in enumerate(table.columns):
        where.setdefault((_individual(column), column[-2]), {})[column[-1]] = n
    for name, values in zip(table.rows, table.values, strict=True):
        animals: dict[str, dict[str, tuple[float, float, float]]] = {}
        for (individual, part), columns in where.items():
            x, y = (float(values[columns[axis]]) for axis in ("x", "y"))
            if np.isnan(x) or np.isnan(y):
                continue
            if individual == _NOBODY and book.reading.category != _NOBODY:
                book.found.drop(
                    "keypoints that belong to no individual (--category single reads those)", name
                )
            else:
                animals.setdefault(individual, {})[part] = (x, y, VISIBLE)
        size = picture_size(book.folder / places.get(name, name))
        if not animals:
            book.found.drop("pictures without labels", name)
        elif size is None:
            book.found.drop("pictures that are absent or unreadable, so without a size", name)
        else:
            image = book.add_image(places.get(name, name), size)
            for individual, points in animals.items():
                more: dict[str, Any] = {"individual": individual} if individual else {}
                category = _NOBODY if individual == _NOBODY else _CATEGORY
                book.add(image, [Draft(points, None, category, f"{name} {individual}", more)])
