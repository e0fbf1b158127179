"""Where weights files come from: paths, addresses, and names of pretrained backbones."""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path

from poise._files import path_of_address
from poise.errors import CheckpointError, FileMissingError, nearest
from poise.models.weights import names
from poise.zoo.downloads.fetching import fetch
from poise.zoo.downloads.hub import bring_weights
from poise.zoo.hub import hub_model, split_part

__all__ = ["comes_with_prefix", "locate"]


def locate(source: str | PathLike[str]) -> Path:
    """Local path of a weights file, downloaded first where it is elsewhere.

    Args:
        source: path; http(s) address; or a name: "torchvision://resnet50",
            "mmcls://mobilenet_v2", "open-mmlab://msra/hrnetv2_w32", or of a model of Hugging
            Face's hub: "hf:usyd-community/vitpose-base". What is behind "#" chooses a part of the
            file, which `read_checkpoint` does.

    Raises:
        FileMissingError: no such file.
        CheckpointError: a name that is not known, or a failed download.
    """
    text, _ = split_part(source)
    model = hub_model(text)
    if model is not None:
        return bring_weights(model)
    scheme, separator, name = text.partition("://")
    if not separator:
        path = Path(text).expanduser()
        if not path.is_file():
            what = "that is a folder" if path.is_dir() else "there is no weights file there"
            raise FileMissingError(f"{text} can not be found: {what}{_checkpoints_near(path)}")
        return path
    if scheme == "file":
        return locate(path_of_address(text))
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
