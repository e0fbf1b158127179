"""Folders of Hugging Face's transformers, models on its hub, and where their files are here.

Nothing is downloaded here; `poise.zoo.downloads.hub` does that.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from poise._files import is_file
from poise.errors import CheckpointError, ConfigError
from poise.zoo.places import cache_folder, named_folders

__all__ = [
    "CONFIG",
    "PREFIX",
    "WEIGHTS",
    "HubModel",
    "hub_model",
    "is_foreign",
    "pieces_of",
    "shared_home",
    "split_part",
]

#: what a folder of transformers has
CONFIG = "config.json"
#: end of the name of a list that says in which piece each tensor of a large model is
INDEX = ".index.json"
#: files of weights, the best first
WEIGHTS = tuple(
    name + end for name in ("model.safetensors", "pytorch_model.bin") for end in ("", INDEX)
)


#: Start of the names of models on the hub.
PREFIX = "hf:"
#: Names another hub, as for Hugging Face's own programs.
ENDPOINT_VARIABLE = "HF_ENDPOINT"
_ENDPOINT = "https://huggingface.co"

_NAME = re.compile(r"hf:(?P<name>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")
#: what may stand behind "#" of an address and is the hash of its file
_HASH = "sha256="


def split_part(source: str | os.PathLike[str]) -> tuple[str, str | None]:
    """Name of a file, folder or model, and which of its datasets is meant, if that is said.

    Models of several datasets, such as ViTPose++, have a part for each: `NAME#ap10k`.

    Example:
        >>> split_part("vitpose+_base.pth#ap10k")
        ('vitpose+_base.pth', 'ap10k')
        >>> split_part("https://host/net.pth#sha256=81c58e40")[1] is None
        True
    """
    text = os.fspath(source)
    name, mark, part = text.rpartition("#")
    if not mark or not name or part.startswith(_HASH) or re.search(r"[/\\]", part):
        return text, None
    # a file that is called so is what is meant
    return (text, None) if Path(text).exists() else (name, part)


@dataclass(frozen=True)
class HubModel:
    """A model on the hub.

    Attributes:
        name: "ORGANISATION/NAME".
        revision: branch, tag or commit.
    """

    name: str
    revision: str = "main"

    @property
    def page(self) -> str:
        """The model's own page."""
        host = (os.environ.get(ENDPOINT_VARIABLE) or _ENDPOINT).rstrip("/")
        return f"{host}/{self.name}"

    def address(self, file: str) -> str:
        """Where a file of the model is offered."""
        return f"{self.page}/resolve/{self.revision}/{file}"

    @property
    def folder(self) -> Path:
        """Where Poise keeps its copies."""
        return cache_folder() / "huggingface" / self.name / self.revision.replace("/", "--")

    def local_copy(self, file: str) -> Path | None:
        """A file of the model that is on this machine: Poise's copy, or one of other programs.

        A list of pieces counts where all of them are beside it.
        """
        own = [folder / self.name for folder in named_folders()]
        theirs = [folder for folder in (self._snapshot(),) if folder is not None]
        for folder in (*own, self.folder, *theirs):
            path = folder / file
            if is_file(path) and all(map(is_file, pieces_of(path))):
                return path
        return None

    def _snapshot(self) -> Path | None:
        """Folder of this revision in the cache that Hugging Face's programs share."""
        home = Path(f"models--{self.name.replace('/', '--')}")
        cache = _shared_cache() / home
        reference = cache / "refs" / self.revision
        commit = (
            reference.read_text(encoding="utf-8").strip() if is_file(reference) else self.revision
        )
        return cache / "snapshots" / commit


def pieces_of(path: Path) -> list[Path]:
    """Files beside a list of pieces that together are its weights; none of another file.

    Raises:
        CheckpointError: a list that is none, or that names files elsewhere.
    """
    if not path.name.endswith(INDEX):
        return []
    try:
        names = sorted(set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values()))
        if not names or any(Path(name).name != name for name in names):
            raise ValueError(f"it names {names}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"cannot read {path} as a list of pieces: expected a 'weight_map' of tensors and files "
            f"beside it ({type(error).__name__}: {error})"
        ) from error
    return [path.with_name(name) for name in names]


def _shared_cache() -> Path:
    """Cache of Hugging Face's programs, where their variables say it is."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(variable):
            return Path(os.environ[variable]).expanduser()
    return shared_home() / "hub"


def shared_home() -> Path:
    """Folder of Hugging Face's programs: their copies, and the token of who logged in."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("HF_HOME") or f"{cache}/huggingface").expanduser()


def hub_model(name: str) -> HubModel | None:
    """Model of a name such as "hf:usyd-community/vitpose-base-simple"; None for other names.

    Raises:
        ConfigError: a name that begins so and is none.

    Example:
        >>> hub_model("hf:usyd-community/vitpose-base@v1")
        HubModel(name='usyd-community/vitpose-base', revision='v1')
    """
    if not name.startswith(PREFIX):
        return None
    found = _NAME.fullmatch(name)
    if found is None or ".." in name:
        raise ConfigError(
            f"'{name}' is no model of the hub; expected hf:ORGANISATION/NAME, perhaps with "
            "@REVISION behind, such as hf:usyd-community/vitpose-base-simple"
        )
    return HubModel(found["name"], found["revision"] or "main")


def is_foreign(name: str) -> bool:
    """Whether a name means a folder of transformers, or a model on the hub."""
    name, _ = split_part(name)
    return hub_model(name) is not None or is_file(Path(name).expanduser() / CONFIG)
