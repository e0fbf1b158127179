"""Predictions in one file, with all that metrics need, to evaluate them at any time.

JSON lines: a header, a line for each sample, and a last line with their number, so that a file
that was cut off is noticed. Each sample is written when it comes; nothing is gathered in memory.
An array is an object with its dtype as the only key, `{"@float32": [[1.5, 2.0]]}`, and with
"shape" where it is empty, so what is read back equals what was written, bit by bit; NaN and
Infinity are written so. Reading runs no code.
"""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self

import numpy as np

from poise._arrays import host_array, is_tensor
from poise._files import put_in_place
from poise._words import counted
from poise.errors import DataError, FileMissingError
from poise.structures.element import BaseDataElement

__all__ = ["SUFFIXES", "PredictionWriter", "is_dump", "is_prediction_file", "read_predictions"]

SUFFIXES = (".jsonl", ".jsonl.gz")
FORMAT, VERSION = "poise-predictions", 1
END = "@samples"

logger = logging.getLogger("poise.metrics")

# maps of the size of the picture, and targets of training: no metric looks at them
_LEFT_OUT = frozenset(("pred_fields", "gt_fields", "gt_instance_labels"))
# masks are most of an annotation, and no keypoint metric uses them
_LEFT_OUT_OF_ANNOTATIONS = frozenset(("segmentation",))


def is_prediction_file(path: str | Path) -> bool:
    """Whether a file's name is that of such a file."""
    return str(path).endswith(SUFFIXES)


def is_dump(path: Path) -> bool:
    """Whether a file of JSON lines is one of these by its beginning, as no other is packed."""
    if path.suffix == ".gz":
        return True
    with path.open("rb") as stream:
        return FORMAT.encode() in stream.readline()


class PredictionWriter:
    """Writes a file of predictions, sample by sample.

    The file gets its name once it is whole; until then it ends with `.part`. In a `with` block it
    is closed at the end, and an error leaves nothing of it.

    Args:
        path: ends with .jsonl or .jsonl.gz.
        header: facts for all samples: 'meta' (the dataset's meta information), 'ann_file' (its
            annotation file), 'metrics' (configs) and 'scope' (whose names these have).

    Raises:
        DataError: another ending, or the file cannot be written.
    """

    def __init__(self, path: str | Path, header: Mapping[str, Any]) -> None:
        self.path = Path(path)
        if not is_prediction_file(path):
            raise DataError(f"a prediction file ends with {' or '.join(SUFFIXES)}, got {path}")
        self.count = 0
        self._part = self.path.with_name(self.path.name + ".part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._stream: IO[str] = _opened(self._part, self.path.suffix == ".gz", "w")
        except OSError as error:
            raise self._problem(error) from error
        self._line({"format": FORMAT, "version": VERSION, **header})

    def write(self, samples: Iterable[Any]) -> None:
        """Append samples, as data samples or dicts."""
        for sample in samples:
            tree = sample.to_dict() if isinstance(sample, BaseDataElement) else sample
            self._line({k: v for k, v in tree.items() if k not in _LEFT_OUT})
            self.count += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *details: object) -> None:
        if kind is None:
            self.close()
            return
        # what is left of the stream is of no use, whether or not the disk takes it
        with suppress(OSError):
            self._stream.close()
        self._part.unlink(missing_ok=True)

    def close(self) -> None:
        """Write the last line and give the file its name; may be called twice."""
        if self._stream.closed:
            return
        self._line({END: self.count})
        try:
            self._stream.close()
            put_in_place(self._part, self.path)
        except OSError as error:
            raise self._problem(error) from error

    def _line(self, tree: Mapping[str, Any]) -> None:
        try:
            self._stream.write(json.dumps(_plain(tree), separators=(",", ":")) + "\n")
        except OSError as error:
            raise self._problem(error) from error

    def _problem(self, error: OSError) -> DataError:
        return DataError(f"cannot write the predictions to {self.path}: {error.strerror or error}")


def read_predictions(path: str | Path) -> tuple[dict[str, Any], Iterator[dict[str, Any]]]:
    """Header and samples of a file.

    Returns:
        the header, and an iterator that reads one sample at a time.

    Raises:
        FileMissingError: there is no such file.
        DataError: it is another kind of file, or cut short (raised at its end).
    """
    file = Path(path)
    if not file.is_file():
        raise FileMissingError(f"there is no prediction file {file}")
    lines = _lines(file)
    header = next(lines, {})
    if header.get("format") != FORMAT:
        raise DataError(
            f"{file} is not a file of predictions, as `poise test --dump NAME.jsonl` writes it"
        )
    if header["version"] > VERSION:
        raise DataError(f"{file} has the version {header['version']}, this Poise knows {VERSION}")
    return header, _samples(file, lines)


def _samples(file: Path, lines: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    count = 0
    for line in lines:
        if END in line:
            if line[END] != count:
                raise DataError(
                    f"{file} has {counted(count, 'sample')}, its last line says {line[END]}"
                )
            return
        count += 1
        yield line
    raise DataError(
        f"{file} ends after {counted(count, 'sample')} without its last line; the test that wrote "
        "it was "
        "interrupted, or the copy is cut short"
    )


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    number = 0
    try:
        with _opened(file, file.suffix == ".gz", "r") as stream:
            for number, text in enumerate(stream, 1):
                tree = _read(json.loads(text))
                if not isinstance(tree, dict):
                    raise DataError(f"{file}, line {number} is not an object")
                yield tree
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        if number <= 1:
            raise DataError(f"{file} is not JSON lines: {error}") from error
        raise DataError(
            f"{file}, line {number}, is not valid JSON ({error}); the file is cut short or damaged"
        ) from error
    except (EOFError, OSError) as error:
        raise DataError(f"{file} cannot be read after line {number}: {error}") from error


def _opened(file: Path, packed: bool, mode: str) -> IO[Any]:
    opener: Any = gzip.open if packed else open
    stream: IO[Any] = opener(file, f"{mode}t", encoding="utf-8")
    return stream


def _plain(value: Any) -> Any:
    """A value as JSON can hold it."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if is_tensor(value):
        value = host_array(value)
    if isinstance(value, np.generic):
        value = np.asarray(value)
    if isinstance(value, np.ndarray):
        found: dict[str, Any] = {f"@{value.dtype}": value.tolist()}
        return found | {"shape": list(value.shape)} if not value.size else found
    if isinstance(value, BaseDataElement):
        value = value.to_dict()
    if isinstance(value, Mapping):
        return _plain_mapping(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(entry) for entry in value]
    logger.warning("a %s cannot be kept in a prediction file; it is written as text", type(value))
    return str(value)


def _plain_mapping(value: Mapping[Any, Any]) -> Any:
    is_annotation = "image_id" in value and "segmentation" in value
    left_out = _LEFT_OUT_OF_ANNOTATIONS if is_annotation else frozenset()
    entries = [(key, _plain(entry)) for key, entry in value.items() if key not in left_out]
    if all(isinstance(key, str) for key, _ in entries):
        return dict(entries)
    return {"@dict": [[_plain(key), entry] for key, entry in entries]}


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return [_read(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    first = next(iter(value), "")
    if first == END or not first.startswith("@"):
        return {key: _read(entry) for key, entry in value.items()}
    if first == "@dict":
        return {_key(key): _read(entry) for key, entry in value[first]}
    try:
        array = np.array(value[first], dtype=first[1:])
    except (TypeError, ValueError) as error:
        raise DataError(f"an array of the kind '{first}' cannot be read: {error}") from error
    return array.reshape(value["shape"]) if "shape" in value else array


def _key(key: Any) -> Any:
    key = _read(key)
    return tuple(key) if isinstance(key, list) else key
