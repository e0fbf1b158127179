"""What an exported file says about itself, read without any runtime."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO
from xml.etree import ElementTree

__all__ = ["METADATA_FILE", "METADATA_KEY", "read_metadata"]

#: Where an exported file keeps what Poise needs to use it (schema, codec, pipeline), as JSON.
METADATA_KEY = "poise"
#: The same in the zip that stands behind the weights of NCNN's and TFLite's files.
METADATA_FILE = f"{METADATA_KEY}.json"
#: Field of `metadata_props` in ONNX's ModelProto, and of key and value in an entry of it.
_METADATA_PROPS, _KEY, _VALUE = 14, 1, 2
#: Kinds of protobuf fields.
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What the export wrote into a file; empty for files of others and for what is no such file."""
    path = Path(path)
    read = _READERS.get(path.suffix.lower())
    if read is None or not path.is_file():
        return {}
    try:
        text = read(path)
        found = {} if text is None else json.loads(text)
    # a broken file has nothing to say here; what runs it says what is wrong
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, ElementTree.ParseError):
        return {}
    return found if isinstance(found, dict) else {}


def _of_onnx(path: Path) -> str | None:
    with path.open("rb") as file:
        size = path.stat().st_size
        for number, kind, value in _fields(file, size):
            if number == _METADATA_PROPS and kind == _BYTES:
                file.seek(value[0])
                entry = {n: v for n, k, v in _fields(file, sum(value)) if k == _BYTES}
                texts = {n: _bytes(file, *v).decode() for n, v in entry.items()}
                if texts.get(_KEY) == METADATA_KEY:
                    return texts.get(_VALUE)
                file.seek(sum(value))
    return None


def _fields(file: BinaryIO, end: int) -> Iterator[tuple[int, int, Any]]:
    """Number, kind and value of each field of a protobuf message; of bytes (place, length)."""
    while file.tell() < end:
        tag = _varint(file)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            yield number, kind, _varint(file)
        elif kind in (_FIXED64, _FIXED32):
            yield number, kind, file.read(8 if kind == _FIXED64 else 4)
        elif kind == _BYTES:
            length = _varint(file)
            place = file.tell()
            yield number, kind, (place, length)
            file.seek(place + length)
        else:
            raise ValueError(f"no protobuf message: a field of kind {kind}")


def _varint(file: BinaryIO) -> int:
    value = shift = 0
    while True:
        byte = file.read(1)
        if not byte:
            raise EOFError("the file ends within a number")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
        shift += 7


def _bytes(file: BinaryIO, place: int, length: int) -> bytes:
    file.seek(place)
    return file.read(length)


def _of_openvino(path: Path) -> str | None:
    for _, element in ElementTree.iterparse(path):
        if element.tag == METADATA_KEY:
            return element.get("value")
        if element.tag == "layer":
            # a network has thousands, and none of them is wanted
            element.clear()
    return None


def _of_torch(path: Path) -> str | None:
    with zipfile.ZipFile(path) as file:
        for name in file.namelist():
            if name.endswith(f"extra/{METADATA_KEY}"):
                return file.read(name).decode()
    return None


def _of_appended(path: Path) -> str:
    with zipfile.ZipFile(path) as file:
        return file.read(METADATA_FILE).decode()


def _of_ncnn(path: Path) -> str | None:
    weights = path.with_suffix(".bin")
    return _of_appended(weights) if weights.is_file() else None


#: Ending -> reader of the JSON text.
_READERS = {
    ".onnx": _of_onnx,
    ".xml": _of_openvino,
    ".pt2": _of_torch,
    ".param": _of_ncnn,
    ".tflite": _of_appended,
}
