"""The local copy of an address: from the user's folders, the cache, or a download."""

from __future__ import annotations

import logging
import os
import re
from contextlib import suppress
from os import PathLike
from pathlib import Path

from poise._files import is_file
from poise.errors import CheckpointError
from poise.zoo.downloads.download import DiskFullError, Download
from poise.zoo.downloads.mirrors import addresses_of
from poise.zoo.places import FOLDER_VARIABLE, cache_folder, local_copy, weights_file

__all__ = ["OFFLINE_VARIABLE", "fetch", "hash_in_name", "offline_by"]

_LOG = logging.getLogger(__name__)

#: Any value but 0: nothing is downloaded.
OFFLINE_VARIABLE = "POISE_OFFLINE"

#: files of torch and OpenMMLab end with the first digits of their SHA-256, perhaps with a date
#: behind: name-788b5fa3.pth, name-e48f03d0_20230504.pth; a date alone is no hash, and an exported
#: network has the name of its weights, whose hash is not its own
_HASH = re.compile(r"[-_](?!20\d{6}\.)([a-f0-9]{7,})(?:[-_]\d{8})?\.(?!zip|onnx)[a-z]+$")
_PINNED = re.compile(r"sha256=([a-f0-9]{7,64})$")


def hash_in_name(name: str) -> str:
    """First digits of the SHA-256 that a file's name says; empty where it says none.

    Example:
        >>> hash_in_name("rtmpose-m-e48f03d0_20230504.pth"), hash_in_name("net-256x192.pth")
        ('e48f03d0', '')
    """
    found = _HASH.search(name)
    return found[1] if found else ""


def offline_by(*others: str) -> str | None:
    """The variable that forbids downloads, where one is set.

    Args:
        others: variables that do so beside Poise's own.
    """
    names = (OFFLINE_VARIABLE, *others)
    return next((name for name in names if os.environ.get(name, "0") not in ("", "0")), None)


def fetch(url: str, folder: str | PathLike[str] | None = None, *, token: str | None = None) -> Path:
    """Local copy of a file at an address; downloaded once, checked, put in place whole.

    Looked for in the folders of `POISE_WEIGHTS` and in the cache first. Mirrors are tried before
    the address itself. A download that was cut is gone on with; of several processes one
    downloads and the others wait.

    Args:
        url: http(s) address. Hexadecimal digits at the end of the name are checked against
            the SHA-256 of the content; `#sha256=...` behind the address gives all of them.
        folder: where copies are kept; None is torch's own folder, which MMPose uses, too
            (`TORCH_HOME` moves it).
        token: says to the address, and to no mirror, who asks.

    Raises:
        CheckpointError: no network, offline mode, no room, a refused address, or another content
            than the name says.
    """
    url, _, fragment = url.partition("#")
    name = weights_file(url)
    place = Path(folder) if folder is not None else cache_folder()
    path = place / name
    here = path if is_file(path) else local_copy(url) if folder is None else None
    if here is not None:
        return here
    pinned = _PINNED.search(fragment)
    digest = pinned[1] if pinned else hash_in_name(name)
    job = Download(path, addresses_of(url), digest, token)
    if offline_by():
        raise CheckpointError(
            f"{name} is not on this machine and {OFFLINE_VARIABLE} is set, so it is not "
            f"downloaded.\n{_by_hand(job)}"
        )
    try:
        place.mkdir(parents=True, exist_ok=True)
        _bring(job)
    except DiskFullError as error:
        raise CheckpointError(
            f"{error}. What has come is kept in {job.part} and will be gone on with; make room, "
            f"or take another folder with TORCH_HOME"
        ) from error
    except OSError as error:
        raise CheckpointError(
            f"cannot keep {name} in {place}: {error.strerror or error}. Give another folder with "
            f"`poise zoo download --out`, or set TORCH_HOME.\n{_by_hand(job)}"
        ) from error
    return path


def _bring(job: Download) -> None:
    # not needed for what is here already, as most times
    from filelock import FileLock, Timeout

    lock = FileLock(f"{job.path}.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        _LOG.warning(
            "waiting for another process, which downloads %s and holds %s",
            job.path.name,
            lock.lock_file,
        )
        lock.acquire()
    try:
        if job.path.is_file():
            return
        _LOG.info("downloading %s to %s", job.addresses[0], job.path)
        if job.run():
            return
    finally:
        # while it is held, so that nobody else's goes; Windows keeps it while it is open
        with suppress(PermissionError):
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()
    tried = "\n".join(f"  {failure.address}: {failure.reason}" for failure in job.failures)
    raise CheckpointError(f"could not download {job.path.name}:\n{tried}\n{_by_hand(job)}")


def _by_hand(job: Download) -> str:
    """How to get the file by other means."""
    url = job.addresses[-1]
    return (
        f"To fetch it by hand:\n  curl -L --create-dirs -o {job.path} {url}\n"
        f"or put it into a folder that {FOLDER_VARIABLE} names. POISE_MIRRORS adds other hosts"
    )
