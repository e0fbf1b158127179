"""Pickled numbers without pickled code: camera files and arrays of dicts; and Matlab's files.

Pickle can run any program on loading. Annotation files need numbers, texts, arrays and
containers only, so everything else is refused.
"""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from poise.datasets.paths import require_file
from poise.errors import DataError

__all__ = ["DataUnpickler", "load_array", "load_arrays", "load_pickle", "read_mat", "unpickle"]

ALLOWED = frozenset(
    {
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy.core.multiarray", "scalar"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "scalar"),
        ("numpy.core.numeric", "_frombuffer"),
        ("numpy._core.numeric", "_frombuffer"),
        ("_codecs", "encode"),
        ("collections", "OrderedDict"),
    }
)


class DataUnpickler(pickle.Unpickler):
    """Unpickler that knows numbers, texts, containers and arrays only."""

    def find_class(self, module: str, name: str) -> Any:
        """The class or function of a name on the list; called by `load`."""
        if (module, name) not in ALLOWED:
            raise DataError(
                f"the file asks for {module}.{name}, which is not plain data and may run code; "
                "save numbers, texts, lists, dicts and numpy arrays only"
            )
        if module.startswith("numpy") and not hasattr(np, "_core"):
            module = module.replace("numpy._core", "numpy.core")
        return super().find_class(module, name)


def unpickle(stream: IO[bytes], path: str) -> Any:
    """Content of an open pickle file of plain data; `path` is for error texts.

    Raises:
        DataError: it is no pickle, or holds something else than plain data.
    """
    try:
        # latin1: files of Python 2 hold the bytes of arrays as text
        return DataUnpickler(stream, encoding="latin1").load()
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except Exception as error:
        # of broken bytes anything may come, also a TypeError or a MemoryError
        raise DataError(f"{path} is not a readable pickle file: {error}") from error


def load_pickle(path: str, what: str, *, owner: str) -> Any:
    """Content of a pickle file of plain data.

    Raises:
        FileMissingError: there is no such file.
        DataError: it is no pickle, or holds something else than plain data.
    """
    with Path(require_file(path, what, owner=owner)).open("rb") as stream:
        return unpickle(stream, path)


def load_arrays(path: str, what: str, *, owner: str) -> dict[str, Any]:
    """Arrays of a .npz file by name; an array of dicts is unpickled as plain data.

    Raises:
        FileMissingError: there is no such file.
        DataError: it is no .npz file, or holds something else than plain data.
    """
    require_file(path, what, owner=owner)
    try:
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if n.endswith(".npy")]
            return {name.removesuffix(".npy"): _read_array(archive, name, path) for name in names}
    except zipfile.BadZipFile as error:
        raise DataError(f"{owner}: {path} is not a readable .npz file: {error}") from error


def load_array(path: str, what: str, *, owner: str) -> Any:
    """The array of a .npy file; one of a dict is unpickled as plain data.

    Raises:
        FileMissingError: there is no such file.
        DataError: it is no .npy file, or holds something else than plain data.
    """
    with Path(require_file(path, what, owner=owner)).open("rb") as stream:
        return _array_of(stream, f"{owner}: {path}")


def read_mat(path: Path) -> dict[str, Any]:
    """Content of a file of Matlab, before version 7.3.

    Raises:
        DataError: it is absent or broken.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        found: dict[str, Any] = loadmat(path)
    except (OSError, ValueError, TypeError, NotImplementedError, MatReadError) as error:
        raise DataError(f"{path} cannot be read as a file of Matlab: {error}") from error
    return found


def _read_array(archive: zipfile.ZipFile, name: str, path: str) -> Any:
    with archive.open(name) as stream:
        return _array_of(stream, f"{path}: {name}")


def _array_of(stream: IO[bytes], path: str) -> Any:
    try:
        version = np.lib.format.read_magic(stream)
        first = version == (1, 0)
        read = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
        _, _, dtype = read(stream)
        if not dtype.hasobject:
            stream.seek(0)
            return np.lib.format.read_array(stream, allow_pickle=False)
    except ValueError as error:
        raise DataError(f"{path} is not a readable .npy file: {error}") from error
    return unpickle(stream, path)
