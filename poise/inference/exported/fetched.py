"""Exported networks that lie in a zip archive, or at an address."""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from poise._files import BROKEN_ZIP, own_cache
from poise.errors import CheckpointError, FileMissingError

__all__ = ["local_network"]

#: What of an archive is unpacked: the network, and what says how it is used.
_WANTED = (".onnx", ".json")


def local_network(source: str | os.PathLike[str]) -> Path:
    """File of an exported network on this machine.

    Archives are unpacked once, into `$POISE_CACHE_DIR/unpacked` or the user's cache folder; what
    lies at an address is downloaded once, as weights are.

    Args:
        source: path or http(s) address of an exported file, or of a zip archive that holds one.

    Raises:
        FileMissingError: there is no such archive.
        CheckpointError: a download that fails, or an archive that is broken or does not hold just
            one ONNX file.
    """
    text = os.fspath(source)
    if text.startswith(("http://", "https://")):
        from poise.zoo.downloads.fetching import fetch

        path = fetch(text)
    else:
        path = Path(text)
    return _unpacked(path) if path.suffix.lower() == ".zip" else path


def _unpacked(archive: Path) -> Path:
    """The ONNX file of an archive, in a folder of the archive's name."""
    if not archive.is_file():
        raise FileMissingError(f"there is no archive '{archive}' (looked in {Path.cwd()})")
    facts = archive.stat()
    key = hashlib.sha256(f"{archive.absolute()} {facts.st_size} {facts.st_mtime_ns}".encode())
    # the name tells which model it is
    folder = own_cache() / "unpacked" / key.hexdigest()[:12] / archive.stem
    if not folder.is_dir():
        partial = own_cache() / "unpacked" / f".{key.hexdigest()[:12]}.{os.getpid()}"
        try:
            partial.mkdir(parents=True, exist_ok=True)
            _extract(archive, partial)
            folder.parent.mkdir(exist_ok=True)
            partial.rename(folder)
        except OSError as error:
            # of several processes one comes first
            if not folder.is_dir():
                raise CheckpointError(
                    f"cannot unpack '{archive}' into {folder}: {error.strerror or error}; "
                    "POISE_CACHE_DIR names another folder"
                ) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return next(folder.glob("*.onnx"))


def _extract(archive: Path, folder: Path) -> None:
    """Write the ONNX file of an archive and the JSON files beside it into a folder.

    Raises:
        CheckpointError: it holds no ONNX file, or several.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            network = _network_in(archive, file.namelist())
            for name in file.namelist():
                member = PurePosixPath(name)
                if member.parent == network.parent and member.suffix.lower() in _WANTED:
                    with file.open(name) as source, (folder / member.name).open("wb") as target:
                        shutil.copyfileobj(source, target)
    except CheckpointError:
        raise
    # RuntimeError is what zipfile says of encrypted files
    except (*BROKEN_ZIP, RuntimeError) as error:
        raise CheckpointError(f"'{archive}' is no zip archive that can be read: {error}") from error


def _network_in(archive: Path, names: Sequence[str]) -> PurePosixPath:
    networks = [PurePosixPath(name) for name in names if name.lower().endswith(".onnx")]
    if len(networks) != 1:
        found = ", ".join(map(str, networks)) or ", ".join(names[:5]) or "nothing"
        raise CheckpointError(
            f"'{archive}' should hold one ONNX file, and holds {found}; unpack it and give the file"
        )
    return networks[0]
