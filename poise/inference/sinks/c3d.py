"""C3D: the binary file of motion laboratories (https://www.c3d.org/docs/C3D_User_Guide.pdf)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poise.inference.sinks.spool import Motion, PersonSink, right_handed

__all__ = ["C3dSink"]

#: Everything stands in blocks of this many bytes.
_BLOCK = 512
#: First byte of header and parameters; and numbers as Intel processors write them.
_KEY, _INTEL = 0x50, 84
#: Frame numbers of the header have 16 bits; where they do not fit, TRIAL has them.
_HEADER_FRAMES = 65_535
_MILLIMETRES = 1000.0
#: Residual of a marker that was not seen.
_NOT_SEEN = -1.0


class C3dSink(PersonSink):
    """`NAME.c3d` of a person, `NAME_ID.c3d` of several: millimetres, z up, y away."""

    suffix = ".c3d"

    def encode(self, name: str, motion: Motion, identity: int) -> bytes:
        """See `encode_c3d`."""
        first, points, _ = motion.track(identity)
        places = right_handed(points, motion.space) * _MILLIMETRES
        return encode_c3d(places, motion.names, motion.fps, first + 1)


def encode_c3d(places: NDArray[Any], names: Sequence[str], fps: float, first: int = 1) -> bytes:
    """Content of a C3D file with markers.

    Args:
        places: (T, K, 3) millimetres; NaN where a marker was not seen.
        names: of the K markers.
        fps: frames a second.
        first: number of the first frame, from 1.
    """
    T, K = places.shape[:2]
    last = first + T - 1
    # the parameters say where the data begin, and their length does not depend on it
    blocks = len(_parameters(names, fps, first, last, 0)) // _BLOCK
    start = 2 + blocks
    header = bytearray(_BLOCK)
    struct.pack_into("<BB", header, 0, 2, _KEY)
    numbers = (K, 0, min(first, _HEADER_FRAMES), min(last, _HEADER_FRAMES), 0)
    struct.pack_into("<5H", header, 2, *numbers)
    # a negative scale says that the data are floats
    struct.pack_into("<fHHf", header, 12, -1.0, start, 0, fps)
    data = np.zeros((T, K, 4), "<f4")
    seen = np.isfinite(places).all(-1)
    data[..., :3] = np.where(seen[..., None], places, 0)
    data[..., 3] = np.where(seen, 0.0, _NOT_SEEN)
    body = data.tobytes()
    padding = b"\0" * (-len(body) % _BLOCK)
    return bytes(header) + _parameters(names, fps, first, last, start) + body + padding


def _parameters(names: Sequence[str], fps: float, first: int, last: int, start: int) -> bytes:
    frames = last - first + 1
    two_words = (
        struct.pack("<HH", first & 0xFFFF, first >> 16),
        struct.pack("<HH", last & 0xFFFF, last >> 16),
    )
    groups: list[tuple[str, list[tuple[str, int, tuple[int, ...], bytes]]]] = [
        (
            "POINT",
            [
                _integer("USED", len(names)),
                _real("SCALE", -1.0),
                _real("RATE", fps),
                _integer("DATA_START", start),
                _integer("FRAMES", min(frames, _HEADER_FRAMES)),
                _texts("LABELS", names),
                _texts("DESCRIPTIONS", [""] * len(names)),
                _texts("UNITS", ["mm"]),
                _texts("X_SCREEN", ["+X"]),
                _texts("Y_SCREEN", ["+Z"]),
            ],
        ),
        ("ANALOG", [_integer("USED", 0), _real("RATE", 0.0), _real("GEN_SCALE", 1.0)]),
        ("FORCE_PLATFORM", [_integer("USED", 0)]),
        (
            "TRIAL",
            [
                ("ACTUAL_START_FIELD", 2, (2,), two_words[0]),
                ("ACTUAL_END_FIELD", 2, (2,), two_words[1]),
                _real("CAMERA_RATE", fps),
            ],
        ),
    ]
    out = bytearray()
    for number, (name, entries) in enumerate(groups, start=1):
        out += struct.pack("<bb", len(name), -number) + name.encode() + struct.pack("<HB", 3, 0)
        for label, kind, dimensions, content in entries:
            shape = struct.pack(f"<bB{len(dimensions)}B", kind, len(dimensions), *dimensions)
            size = 2 + len(shape) + len(content) + 1
            out += struct.pack("<bb", len(label), number) + label.encode()
            out += struct.pack("<H", size) + shape + content + b"\0"
    # an entry without a name ends the list
    out += b"\0\0"
    blocks = -(-(len(out) + 4) // _BLOCK)
    return (struct.pack("<BBBB", 1, _KEY, blocks, _INTEL) + bytes(out)).ljust(
        blocks * _BLOCK, b"\0"
    )


def _integer(name: str, value: int) -> tuple[str, int, tuple[int, ...], bytes]:
    return name, 2, (), struct.pack("<H", value)


def _real(name: str, value: float) -> tuple[str, int, tuple[int, ...], bytes]:
    return name, 4, (), struct.pack("<f", value)


def _texts(name: str, values: Sequence[str]) -> tuple[str, int, tuple[int, ...], bytes]:
    width = max([1, *(len(v.encode()) for v in values)])
    content = b"".join(v.encode().ljust(width) for v in values)
    return name, -1, (width, len(values)), content
