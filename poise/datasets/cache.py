"""Parsed annotations kept on disk, so that the next run starts at once.

Reading COCO's training annotations takes seconds and most of a gigabyte; mapping the columns
that came out of it takes milliseconds, and all processes of a machine share the pages.

The files lie in `$POISE_CACHE_DIR`, else in `$XDG_CACHE_HOME/poise`, else in `~/.cache/poise`;
`POISE_CACHE=0` turns the cache off. An entry is found by the annotation file's path, size and
time, by every setting that changes what is read, and by the code that reads. When the entries
outgrow `MAX_BYTES`, those that were used least recently go.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import logging
import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from poise._files import own_cache, whole_file
from poise.datasets import columns as kinds
from poise.datasets.records import Records
from poise.datasets.safe_pickle import DataUnpickler

__all__ = ["RecordCache", "file_facts"]

logger = logging.getLogger("poise.datasets")

MAGIC = b"poise-records"
# smaller files are read faster than anybody notices
LEAST_BYTES = 16 * 2**20
MAX_BYTES = 8 * 2**30
ALIGNMENT = 64

# class -> its arrays
ARRAYS = {
    "ArrayColumn": ("values",),
    "RaggedColumn": ("values", "ends"),
    "ScalarColumn": ("values",),
    "TextColumn": ("codes", "buffer", "ends"),
    "PickleColumn": ("buffer", "ends"),
    "ConstantColumn": (),
}
CASTS = {"int": int, "float": float, "bool": bool}


class SafePickleColumn(kinds.PickleColumn):
    """Pickles that come from a file: plain data only."""

    def row(self, i: int) -> Any:
        """Value of record `i`."""
        start = self.ends[i - 1] if i else 0
        return DataUnpickler(io.BytesIO(self.buffer[start : self.ends[i]].data)).load()


def file_facts(path: str) -> list[Any]:
    """What a file is known by: its place, size and time of the last change.

    Raises:
        OSError: there is no such file.
    """
    facts = Path(path).stat()
    return [str(Path(path).resolve()), facts.st_size, facts.st_mtime_ns]


class RecordCache:
    """One entry: the records of an annotation file under certain settings.

    Args:
        path: file of the entry.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of(cls, ann_file: str | None, settings: list[Any]) -> RecordCache | None:
        """The entry of a file, `None` where it is small, missing, or the cache is off."""
        if os.environ.get("POISE_CACHE", "1") == "0" or not ann_file:
            return None
        try:
            source = file_facts(ann_file)
        except OSError:
            return None
        if source[1] < LEAST_BYTES:
            return None
        key = json.dumps([_code(), source, settings], default=str)
        name = f"{Path(ann_file).stem}-{hashlib.sha256(key.encode()).hexdigest()[:24]}.records"
        return cls(own_cache() / "annotations" / name)

    def read(self) -> tuple[Records, dict[str, Any]] | None:
        """Records and facts, `None` where there is no readable entry."""
        try:
            with self.path.open("rb") as file:
                header = _read_header(file)
            memory = np.memmap(self.path, dtype=np.uint8, mode="r")
            found = _records(header, memory), header["facts"]
            # marks it as used
            self.path.touch()
        except FileNotFoundError:
            return None
        except (OSError, ValueError, LookupError, TypeError, ArithmeticError, MemoryError) as error:
            # sizes of a broken header may be any number
            logger.warning("the cached annotations %s cannot be read: %s", self.path, error)
            return None
        return found

    def write(self, records: Records, facts: dict[str, Any]) -> None:
        """Keep records, and facts that JSON can hold; a full disk is no error."""
        try:
            header, arrays = _layout(records, facts)
        except TypeError:
            # a column that only this process can hold
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(self.path) as place, place.open("wb") as file:
                _write(file, header, arrays)
            _make_room(self.path.parent)
        except OSError as error:
            logger.info("annotations are not cached in %s: %s", self.path.parent, error)


@functools.cache
def _code() -> str:
    """Fingerprint of the readers: what another version parsed is not used."""
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _layout(
    records: Records, facts: dict[str, Any]
) -> tuple[dict[str, Any], list[tuple[int, np.ndarray]]]:
    """Header, and the arrays with their offsets behind it.

    Raises:
        TypeError: a column or fact cannot be kept.
    """
    rows: list[dict[str, Any]] = []
    arrays: list[tuple[int, np.ndarray]] = []
    offset = 0
    columns: dict[str, Any] = dict(records.columns)
    if records.rest is not None:
        columns[""] = records.rest
    for name, column in columns.items():
        kind = type(column).__name__.replace("Safe", "")
        if kind not in ARRAYS:
            raise TypeError(f"a {kind} cannot be kept")
        parts = {}
        for part in ARRAYS[kind]:
            values = np.ascontiguousarray(getattr(column, part))
            parts[part] = [values.dtype.str, list(np.shape(getattr(column, part))), offset]
            arrays.append((offset, values))
            offset += -(-values.nbytes // ALIGNMENT) * ALIGNMENT
        cast = getattr(getattr(column, "cast", None), "__name__", None)
        constant = getattr(column, "value", None)
        rows.append({"name": name, "kind": kind, "parts": parts, "cast": cast, "value": constant})
    header = {"size": records.size, "columns": rows, "facts": facts, "bytes": offset}
    json.dumps(header)
    return header, arrays


def _write(file: Any, header: dict[str, Any], arrays: list[tuple[int, np.ndarray]]) -> None:
    text = json.dumps(header).encode()
    file.write(MAGIC + len(text).to_bytes(8, "little") + text)
    start = _data_start(len(text))
    for offset, values in arrays:
        file.seek(start + offset)
        file.write(values.data if values.nbytes else b"")
    file.truncate(start + header["bytes"])


def _data_start(header_bytes: int) -> int:
    end = len(MAGIC) + 8 + header_bytes
    return -(-end // ALIGNMENT) * ALIGNMENT


def _read_header(file: BinaryIO) -> dict[str, Any]:
    if file.read(len(MAGIC)) != MAGIC:
        raise ValueError("not a file of records")
    size = int.from_bytes(file.read(8), "little")
    header: dict[str, Any] = json.loads(file.read(size))
    header["start"] = _data_start(size)
    return header


def _records(header: dict[str, Any], memory: np.ndarray) -> Records:
    if len(memory) != header["start"] + header["bytes"]:
        raise ValueError("the file is cut short")

    def array(dtype: str, shape: list[int], offset: int) -> np.ndarray:
        kind = np.dtype(dtype)
        start = header["start"] + offset
        size = kind.itemsize * int(np.prod(shape, dtype=np.int64))
        # a plain array: slices of a memmap are many times slower to make
        return np.asarray(memory)[start : start + size].view(kind).reshape(shape)

    columns: dict[str, Any] = {}
    for row in header["columns"]:
        parts = [array(*row["parts"][part]) for part in ARRAYS[row["kind"]]]
        if row["kind"] == "ScalarColumn":
            columns[row["name"]] = kinds.ScalarColumn(parts[0], CASTS.get(row["cast"]))
        elif row["kind"] == "ConstantColumn":
            columns[row["name"]] = kinds.ConstantColumn(row["value"])
        elif row["kind"] == "PickleColumn":
            columns[row["name"]] = SafePickleColumn(*parts)
        else:
            columns[row["name"]] = getattr(kinds, row["kind"])(*parts)
    rest = columns.pop("", None)
    return Records(columns, header["size"], rest)


def _make_room(folder: Path) -> None:
    """Remove the entries that were used least recently, beyond `MAX_BYTES`."""
    entries = sorted(folder.glob("*.records"), key=lambda p: p.stat().st_mtime, reverse=True)
    total = 0
    for entry in entries:
        total += entry.stat().st_size
        if total > MAX_BYTES:
            entry.unlink(missing_ok=True)
