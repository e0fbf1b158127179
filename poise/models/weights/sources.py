"""Where weights files come from: paths, addresses, and names of pretrained backbones."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from os import PathLike, fspath
from pathlib import Path

import torch

from poise.errors import CheckpointError, FileMissingError, nearest
from poise.models.weights import names

__all__ = ["comes_with_prefix", "fetch", "locate"]

_LOG = logging.getLogger(__name__)

#: seconds without an answer after which a download is given up
TIMEOUT_S = 30
BLOCK_BYTES = 1 << 20
#: files of torch and OpenMMLab end with the first digits of their SHA-256, perhaps with a date
#: behind: name-788b5fa3.pth, name-e48f03d0_20230504.pth; a date alone is no hash
_HASH = re.compile(r"[-_](?!20\d{6}\.)([a-f0-9]{7,})(?:[-_]\d{8})?\.[a-z]+$")


def locate(source: str | PathLike[str]) -> Path:
    """Local path of a weights file, downloaded first where it is elsewhere.

    Args:
        source: path; http(s) address; or a name: "torchvision://resnet50",
            "mmcls://mobilenet_v2", "open-mmlab://msra/hrnetv2_w32".

    Raises:
        FileMissingError: no such file.
        CheckpointError: a name that is not known, or a failed download.
    """
    text = fspath(source)
    scheme, separator, name = text.partition("://")
    if not separator:
        path = Path(text).expanduser()
        if not path.is_file():
            what = "that is a folder" if path.is_dir() else "there is no weights file there"
            raise FileMissingError(f"{text} can not be found: {what}{_checkpoints_near(path)}")
        return path
    if scheme == "file":
        return locate(urllib.parse.unquote(name))
    if scheme in ("http", "https"):
        return fetch(text)
    if scheme in _ADDRESSES:
        return fetch(_ADDRESSES[scheme](name))
    raise CheckpointError(
        f"cannot read weights from '{text}': '{scheme}' is not one of file, http, https, "
        f"{', '.join(_ADDRESSES)}"
    )


def _checkpoints_near(path: Path) -> str:
    """End of an error text: the checkpoints in the folder where one was looked for."""
    folder = path if path.is_dir() else path.parent
    if not folder.is_dir():
        return f" (there is no folder {folder.absolute()} either)"
    files = sorted(
        p.name for p in folder.iterdir() if p.suffix in (".pth", ".ckpt", ".safetensors")
    )
    if not files:
        return f" (looked in {folder.absolute()})"
    hint = nearest(path.name, files)
    return hint or f"; {folder.absolute()} has: {', '.join(files[-5:])}"


def comes_with_prefix(source: str | PathLike[str]) -> str | None:
    """Prefix of the backbone's keys that a name's scheme implies; None for no such scheme."""
    return "backbone" if fspath(source).startswith("mmcls://") else None


def _torchvision_address(name: str) -> str:
    """Address of torchvision's weights, "resnet50" or "resnet50.imagenet1k_v2"."""
    from torchvision import models

    model, _, variant = name.partition(".")
    known = models.list_models(module=models)
    if model not in known:
        raise CheckpointError(f"torchvision has no weights for '{name}'{nearest(model, known)}")
    weights = models.get_model_weights(model)
    if variant in ("", "default"):
        # a bare name has always meant the first release, which configs were tuned with
        first = next(iter(weights))
        return (weights.DEFAULT if variant else first).url
    variants = {w.name.lower(): w for w in weights}
    if variant.lower() not in variants:
        raise CheckpointError(
            f"torchvision has the weights {', '.join(variants)} for {model}, not '{variant}'"
        )
    return variants[variant.lower()].url


def _mmcls_address(name: str) -> str:
    return names.MMCLS_BASE + _entry(names.MMCLS, name, "mmcls")


def _openmmlab_address(name: str) -> str:
    name = names.RENAMED.get(name, name)
    return names.OPENMMLAB_BASE + _entry(names.OPENMMLAB, name, "open-mmlab")


def _entry(table: dict[str, str], name: str, scheme: str) -> str:
    if name not in table:
        raise CheckpointError(f"no weights are known as '{scheme}://{name}'{nearest(name, table)}")
    return table[name]


_ADDRESSES = {
    "torchvision": _torchvision_address,
    "modelzoo": _torchvision_address,
    "mmcls": _mmcls_address,
    "open-mmlab": _openmmlab_address,
    "openmmlab": _openmmlab_address,
}


def fetch(url: str, folder: str | PathLike[str] | None = None) -> Path:
    """Local copy of a file at an address; downloaded once, checked, put in place whole.

    Args:
        url: http(s) address. Hexadecimal digits at the end of the name are checked against
            the SHA-256 of the content.
        folder: where copies are kept; None is torch's own folder, which MMPose uses, too
            (`TORCH_HOME` moves it).

    Raises:
        CheckpointError: no network, a refused address, or another content than the name says.
    """
    place = Path(folder) if folder is not None else Path(torch.hub.get_dir()) / "checkpoints"
    name = Path(urllib.parse.urlparse(url).path).name
    path = place / name
    if path.is_file():
        return path
    _LOG.info("downloading %s to %s", url, path)
    place.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=place, prefix=f".{name}.")
    os.close(handle)
    part = Path(temporary)
    try:
        digest = _download(url, part)
        expected = _HASH.search(name)
        if expected and not digest.startswith(expected[1]):
            raise CheckpointError(
                f"{url} came with SHA-256 {digest[:16]}..., but its name says {expected[1]}: "
                f"the download is damaged or the file was replaced. Nothing was kept; try again"
            )
        part.replace(path)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise CheckpointError(
            f"could not download {url}: {reason}. Without a network, bring the file by other "
            f"means and put it at {path}"
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return path


def _download(url: str, target: Path) -> str:
    """Write the content of an address to a file and return its SHA-256."""
    request = urllib.request.Request(url, headers={"User-Agent": "poise"})
    digest = hashlib.sha256()
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer, target.open("wb") as out:
        size = int(answer.headers.get("Content-Length") or 0) or None
        with _progress(Path(url).name, size) as advance:
            while block := answer.read(BLOCK_BYTES):
                digest.update(block)
                out.write(block)
                advance(len(block))
    return digest.hexdigest()


@contextlib.contextmanager
def _progress(name: str, size: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on stderr that moves by bytes; nothing where nobody watches."""
    if not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    columns = (name, BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(name, total=size)
        yield lambda count: progress.advance(task, count)
