"""Files of models on Hugging Face's hub: from the folders and caches of this machine, or fetched.

The hub says the SHA-256 of large files before it sends them, which the download is checked by.
"""

from __future__ import annotations

import os
import re
import urllib.error
import urllib.parse
import urllib.request
from email.message import Message
from pathlib import Path
from typing import Any

from poise._files import is_file
from poise.errors import CheckpointError
from poise.zoo.downloads.download import TIMEOUT_S, request_for
from poise.zoo.downloads.fetching import fetch, offline_by
from poise.zoo.downloads.mirrors import addresses_of
from poise.zoo.hub import WEIGHTS, HubModel, pieces_of, shared_home

__all__ = ["access_token", "bring", "bring_weights"]

#: as Hugging Face's own programs; any of these forbids downloads
_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_REDIRECTS = 5
_ABSENT, _CLOSED = (404, 410), (401, 403)


def bring(model: HubModel, file: str, *, optional: bool = False) -> Path | None:
    """A file of a model, downloaded once.

    Args:
        model: on the hub.
        file: its name there.
        optional: None where the model has no such file, or where nothing may be downloaded.

    Raises:
        CheckpointError: no such model or file, one that needs leave, no network, or none allowed.
    """
    return model.local_copy(file) or _fetched(model, file, optional=optional)


def _fetched(model: HubModel, file: str, *, optional: bool = False) -> Path | None:
    """As `bring`, of a file that is in none of the folders where it could be."""
    address = model.address(file)
    by = offline_by(*_OFFLINE)
    if by is not None:
        if optional:
            return None
        raise CheckpointError(
            f"{file} of {model.name} is not on this machine and {by} is set, so it is not "
            f"downloaded. {_otherwise(model, file)}"
        )
    status, headers = _asked(address)
    if status in _ABSENT and optional:
        return None
    if status in (*_ABSENT, *_CLOSED):
        raise CheckpointError(_refused(model, file, address, status))
    tag = headers.get("X-Linked-ETag") or headers.get("ETag") or ""
    digest = tag.removeprefix("W/").strip('"')
    pinned = f"#sha256={digest}" if _SHA256.fullmatch(digest) else ""
    try:
        return fetch(f"{address}{pinned}", model.folder, token=access_token())
    except CheckpointError as error:
        error.add_note(f"  a model of the hub has several files: {_otherwise(model, file)}")
        raise


def bring_weights(model: HubModel) -> Path:
    """The best file of weights that a model has.

    Raises:
        CheckpointError: as of `bring`, or a model without weights of a kind that is read.
    """
    here = next(filter(None, map(model.local_copy, WEIGHTS)), None)
    if here is not None:
        return here
    may_ask = offline_by(*_OFFLINE) is None
    for file in WEIGHTS:
        found = bring(model, file, optional=may_ask)
        if found is not None:
            for piece in pieces_of(found):
                if not is_file(piece):
                    _fetched(model, piece.name)
            return found
    raise CheckpointError(
        f"{model.name} has no weights that can be read: expected {' or '.join(WEIGHTS)} at "
        f"{model.address('')}"
    )


def access_token() -> str | None:
    """Who asks the hub, as Hugging Face's own programs know it; None where nobody said it."""
    for variable in _TOKENS:
        if os.environ.get(variable, "").strip():
            return os.environ[variable].strip()
    path = Path(os.environ.get("HF_TOKEN_PATH") or shared_home() / "token").expanduser()
    return (path.read_text(encoding="utf-8").strip() or None) if is_file(path) else None


class _Stay(urllib.request.HTTPRedirectHandler):
    """Answers that lead elsewhere are kept: they say what the file is."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """Not followed."""


def _asked(address: str) -> tuple[int, Message]:
    """Status and headers of what an address has, of the first mirror that answers; 0 if none."""
    for place in addresses_of(address):
        token = access_token() if place == address else None
        for _ in range(_REDIRECTS):
            request = request_for(place, token=token, method="HEAD")
            try:
                with urllib.request.build_opener(_Stay).open(request, timeout=TIMEOUT_S) as answer:
                    return answer.status, answer.headers
            except urllib.error.HTTPError as error:
                error.close()
                status, headers = error.code, error.headers
            except (OSError, ValueError):
                # the download says what is wrong, and goes on to other mirrors
                break
            target = headers.get("Location") or ""
            if status // 100 != 3 or urllib.parse.urlparse(target).netloc:
                return status, headers
            # a model that was renamed: the hub leads to its new name by a path
            place = urllib.parse.urljoin(place, target)
    return 0, Message()


def _refused(model: HubModel, file: str, address: str, status: int) -> str:
    if status in _CLOSED:
        reason = "the model does not exist, is private, or must be asked for"
        if access_token() is None:
            reason += "; HF_TOKEN, or `hf auth login`, says who asks"
        else:
            reason += f", which is done at {model.page}; the token here has no leave yet"
    else:
        reason = f"there is no such file in revision '{model.revision}', or no such model"
    return f"cannot fetch {file} of {model.name}: {reason} (HTTP {status} of {address}). " + (
        _otherwise(model, file)
    )


def _otherwise(model: HubModel, file: str) -> str:
    """What to do without this download."""
    return (
        f"`hf download {model.name}` on a machine that can, and its folder as the model; or put "
        f"{file} into {model.folder}{os.sep}, or into {model.name}/ below a folder that "
        "POISE_WEIGHTS names"
    )
