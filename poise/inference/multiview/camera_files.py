"""Files of calibrated cameras: Pose2Sim's and anipose's TOML, OpenCV's storage, plain JSON."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poise._files import write_whole
from poise.errors import DataError, FileMissingError, UnknownNameError, one_of
from poise.geometry.camera_model import Camera

__all__ = ["CAMERA_SUFFIXES", "UNITS", "check_suffix", "read_cameras", "write_cameras"]

#: Metres of a unit of length.
UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001}
#: Cameras farther apart than this, in metres, are taken for cameras in another unit.
_FARTHEST = 100.0
#: Cameras nearer to one another than this, in metres, see nothing of depth.
_NEAREST = 1e-6
#: Our name -> names in files of other programs.
_KEYS = {
    "matrix": ("matrix", "camera_matrix", "K", "mtx", "intrinsic", "intrinsics"),
    "distortion": (
        *("distortions", "distortion", "distortion_coefficients", "dist_coeffs"),
        *("dist_coeff", "dist", "distCoef", "D"),
    ),
    "rotation": ("rotation", "Rot", "R", "rvec", "rotation_vector", "rotation_matrix"),
    "translation": ("translation", "tvec", "T", "t", "translation_vector"),
    "size": ("size", "image_size", "resolution"),
}
#: The files of EasyMocap's folders: lenses, then places.
_EASYMOCAP = ("intri.yml", "extri.yml")
#: Keys of a matrix as OpenCV stores it.
_MATRIX_KEYS = {"rows", "cols", "dt", "data"}


def read_cameras(path: Any, *, unit: str | None = None, placed: bool = True) -> list[Camera]:
    """Cameras of a file, in its order, lengths in metres.

    Args:
        path: `.toml` of Pose2Sim or anipose; `.yml`, `.yaml`, `.xml` or `.json` of
            `cv2.FileStorage`; `.json` of `write_cameras`. Cameras are tables with `matrix`,
            `distortions`, `rotation` (matrix or Rodrigues vector) and `translation`, also under
            the names that OpenCV's users give them (`camera_matrix`, `K`, `rvec`, `R`, `tvec` ...),
            or `K_NAME`, `dist_NAME`, `R_NAME`, `T_NAME` with a list `names`, as of EasyMocap; also
            the folder of its `intri.yml` and `extri.yml`.
        unit: of the file's lengths: "m", "cm" or "mm". None: what the file says in `unit`, else
            metres.
        placed: whether cameras must have places; without, lenses alone will do.

    Raises:
        FileMissingError: no such file.
        DataError: another kind of file; a camera that lacks something or has a wrong shape; lengths
            that are hardly metres.
        UnknownNameError: another unit.
    """
    file = Path(path)
    parts = [file / name for name in _EASYMOCAP] if file.is_dir() else [file]
    for part in parts:
        if not part.is_file():
            raise FileMissingError(f"there is no camera file '{part}' (looked in {Path.cwd()})")
    tree: dict[str, Any] = {}
    for part in parts:
        tree |= _tree_of(part)
    told = tree.get("unit") if unit is None else unit
    if told is not None:
        one_of(told, UNITS, "the unit of cameras", UnknownNameError)
    cameras = [_camera(name, values, file, placed) for name, values in _entries(tree, file)]
    names = [camera.name for camera in cameras]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{file}: the camera '{twice[0]}' is there {names.count(twice[0])} times")
    factor = UNITS[told or "m"]
    cameras = [dataclasses.replace(c, translation=c.translation * factor) for c in cameras]
    if placed:
        _check_places(cameras, file, known=told is not None)
    return cameras


def write_cameras(path: Any, cameras: Sequence[Camera], *, error: float | None = None) -> None:
    """Write cameras; the suffix chooses the form.

    Args:
        path: `.toml` (Pose2Sim and anipose read it), `.yml`, `.yaml` or `.xml` (OpenCV's
            storage), or `.json`.
        cameras: lengths in metres.
        error: RMS reprojection error of the calibration, pixels; TOML keeps it.

    Raises:
        DataError: another suffix.
    """
    file = check_suffix(path)
    writer = _WRITERS[file.suffix.lower()]
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, writer(cameras, error).encode())


def check_suffix(path: Any) -> Path:
    """The path, where its suffix is one that `write_cameras` knows.

    Raises:
        DataError: it is not.
    """
    file = Path(path)
    if file.suffix.lower() not in _WRITERS:
        raise DataError(
            f"cameras are written as {', '.join(CAMERA_SUFFIXES)}, got the name '{file.name}'"
        )
    return file


# ---------------------------------------------------------------------- reading


def _tree_of(file: Path) -> Mapping[str, Any]:
    """Plain values and arrays of a file."""
    readers: dict[str, Callable[[str], Any]] = {
        ".toml": tomllib.loads,
        ".json": lambda text: _with_arrays(json.loads(text)),
        **dict.fromkeys((".yml", ".yaml", ".xml"), _opencv_tree),
    }
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise DataError(
            f"'{file}' is no camera file that is known; expected one of {', '.join(readers)}"
        )
    try:
        tree = reader(file.read_text(encoding="utf-8-sig"))
    except (ValueError, TypeError) as error:
        raise DataError(f"'{file}' cannot be read as {file.suffix[1:]}: {error}") from error
    if not isinstance(tree, Mapping):
        raise DataError(f"'{file}' holds a {type(tree).__name__}, and cameras by name are expected")
    return tree


def _opencv_tree(text: str) -> Any:
    import cv2

    try:
        storage = cv2.FileStorage(text, cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)
    except cv2.error as error:
        raise ValueError(str(error).strip().splitlines()[-1]) from error
    except SystemError as error:
        raise ValueError("OpenCV cannot read it") from error
    try:
        return _opencv_node(storage.root())
    finally:
        storage.release()


def _opencv_node(node: Any) -> Any:
    if node.isMap():
        # OpenCV 4 misreads matrices of doubles that are written without a point: not by mat()
        return _matrix_or({key: _opencv_node(node.getNode(key)) for key in node.keys()})  # noqa: SIM118
    if node.isSeq():
        return [_opencv_node(node.at(i)) for i in range(node.size())]
    return node.string() if node.isString() else node.real()


def _with_arrays(value: Any) -> Any:
    """JSON values, with OpenCV's matrices as arrays."""
    if isinstance(value, list):
        return [_with_arrays(v) for v in value]
    if not isinstance(value, dict):
        return value
    return _matrix_or({key: _with_arrays(v) for key, v in value.items()})


def _matrix_or(values: dict[str, Any]) -> Any:
    """The matrix that OpenCV stores as a map, else the map."""
    if set(values) >= _MATRIX_KEYS:
        return np.reshape(values["data"], (int(values["rows"]), int(values["cols"])))
    return values


def _entries(tree: Mapping[str, Any], file: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Name and values of each camera."""
    inner = tree.get("cameras", tree)
    if isinstance(inner, list):
        inner = {str(i): values for i, values in enumerate(inner)}
    if not isinstance(inner, Mapping):
        inner = {}
    tables = {k: v for k, v in inner.items() if isinstance(v, Mapping)}
    found = {k: v for k, v in tables.items() if any(key in v for key in _KEYS["matrix"])}
    if isinstance(tree.get("names"), list) and not found:
        found = {
            name: {
                key: tree[f"{key}_{name}"]
                for keys in _KEYS.values()
                for key in keys
                if f"{key}_{name}" in tree
            }
            for name in map(str, tree["names"])
        }
    if not found:
        there = ", ".join(list(tree)[:8]) or "nothing"
        raise DataError(
            f"'{file}' holds no cameras: expected a table for each with matrix, distortions, "
            f"rotation and translation; got {there}"
        )
    lost = [k for k in tables if k not in found and "rotation" in tables[k]]
    if lost:
        raise DataError(f"{file}: the camera '{lost[0]}' has no matrix")
    for key, values in found.items():
        yield str(values.get("name", key)), values


def _camera(name: str, values: Mapping[str, Any], file: Path, placed: bool) -> Camera:
    given: dict[str, Any] = {}
    for field, keys in _KEYS.items():
        present = [key for key in keys if key in values]
        if present:
            given[field] = values[present[0]]
    needed = ("matrix", "rotation", "translation") if placed else ("matrix",)
    lacks = [field for field in needed if field not in given]
    if lacks:
        raise DataError(
            f"{file}: the camera '{name}' has no {' and no '.join(lacks)}; its keys are "
            f"{', '.join(values)}. Poses in space need the place of each camera, too"
        )
    try:
        given["size"] = _size(given.get("size"), values)
        # a lens has its coefficients in a row, a column or a list
        given["distortion"] = np.ravel(given.get("distortion", []))
        return Camera(name, **given, fisheye=bool(values.get("fisheye", False)))
    except DataError as error:
        raise DataError(f"{file}: {error}") from error
    except ValueError as error:
        raise DataError(f"{file}: numbers of the camera '{name}': {error}") from error


def _size(given: Any, values: Mapping[str, Any]) -> tuple[int, int] | None:
    if given is None and "image_width" in values and "image_height" in values:
        given = (values["image_width"], values["image_height"])
    if given is None:
        return None
    width, height = np.ravel(np.asarray(given, float)).tolist()
    if not 0 < min(width, height) <= max(width, height) < np.inf:
        raise ValueError(f"a size is two numbers above 0, width and height; got {given}")
    return int(width), int(height)


def _check_places(cameras: Sequence[Camera], file: Path, *, known: bool) -> None:
    """See that lengths may be metres."""
    places = np.stack([camera.center for camera in cameras])
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1)
    if len(cameras) > 1 and apart.max() < _NEAREST:
        raise DataError(
            f"{file}: all cameras stand at the same place; the file seems to lack extrinsics"
        )
    if apart.max() > _FARTHEST and not known:
        unit = "millimetres" if apart.max() > 10 * _FARTHEST else "centimetres or millimetres"
        a, b = np.unravel_index(apart.argmax(), apart.shape)
        raise DataError(
            f"{file}: '{cameras[a].name}' and '{cameras[b].name}' stand {apart.max():.0f} apart, "
            f"which looks like {unit}, and metres are expected; unit='mm' (--unit mm) converts "
            "them, unit='m' says that they are metres"
        )


# ---------------------------------------------------------------------- writing


def _plain(camera: Camera) -> dict[str, Any]:
    values = {
        "name": camera.name,
        "size": None if camera.size is None else list(camera.size),
        "matrix": camera.matrix.tolist(),
        # other programs want four at least
        "distortions": camera.distortion.tolist() or [0.0] * 4,
        "rotation": camera.rodrigues.tolist(),
        "translation": camera.translation.tolist(),
        "fisheye": bool(camera.fisheye),
    }
    return {key: value for key, value in values.items() if value is not None}


def _toml(cameras: Sequence[Camera], error: float | None) -> str:
    lines = []
    for camera in cameras:
        values = _plain(camera)
        if "size" in values:
            # Pose2Sim writes them so
            values["size"] = [float(v) for v in values["size"]]
        # keys and texts of TOML are written as those of JSON
        lines += [f"[{json.dumps(camera.name)}]"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
        lines += [""]
    lines += ["[metadata]", "adjusted = false", f"error = {0.0 if error is None else error!r}"]
    return "\n".join(lines) + "\n"


def _json(cameras: Sequence[Camera], _: float | None) -> str:
    return json.dumps({"unit": "m", "cameras": [_plain(c) for c in cameras]}, indent=1) + "\n"


def _opencv(suffix: str) -> Callable[[Sequence[Camera], float | None], str]:
    def write(cameras: Sequence[Camera], _: float | None) -> str:
        import cv2

        storage = cv2.FileStorage(suffix, cv2.FILE_STORAGE_WRITE | cv2.FILE_STORAGE_MEMORY)
        storage.write("unit", "m")
        storage.startWriteStruct("cameras", cv2.FileNode_SEQ)
        for camera in cameras:
            storage.startWriteStruct("", cv2.FileNode_MAP)
            storage.write("name", camera.name)
            if camera.size is not None:
                storage.write("image_width", camera.size[0])
                storage.write("image_height", camera.size[1])
            storage.write("fisheye", int(camera.fisheye))
            storage.write("camera_matrix", camera.matrix)
            coefficients = camera.distortion if len(camera.distortion) else np.zeros(4)
            storage.write("distortion_coefficients", coefficients[None])
            storage.write("rotation", camera.rotation)
            storage.write("translation", camera.translation[:, None])
            storage.endWriteStruct()
        storage.endWriteStruct()
        return storage.releaseAndGetString()

    return write


_WRITERS = {
    ".toml": _toml,
    ".json": _json,
    ".yml": _opencv(".yml"),
    ".yaml": _opencv(".yaml"),
    ".xml": _opencv(".xml"),
}
#: What `write_cameras` writes.
CAMERA_SUFFIXES = tuple(_WRITERS)
