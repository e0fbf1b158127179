"""Other places where the files of an address lie.

One host is not enough: that of the released weights was out of reach for days in June 2026.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from poise._files import is_file
from poise.errors import ConfigError

__all__ = ["MIRRORS_VARIABLE", "addresses_of", "mirrors_file"]

#: Names mirrors, separated by spaces.
MIRRORS_VARIABLE = "POISE_MIRRORS"
#: What a mirror without `FROM=` stands for.
ORIGIN = "https://download.openmmlab.com/"


def mirrors_file() -> Path:
    """The user's list of mirrors, one a line; it need not exist."""
    config = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(config).expanduser() / "poise" / "mirrors.txt"


def addresses_of(url: str) -> list[str]:
    """Addresses to try for a file: on the mirrors that have it, then the one that was asked for.

    A mirror is the start of addresses that stands for `https://download.openmmlab.com/`, or
    `FROM=TO` for another start.

    Example:
        >>> import os; os.environ["POISE_MIRRORS"] = "http://here/ http://a/=http://b/"
        >>> addresses_of("https://download.openmmlab.com/x.pth")
        ['http://here/x.pth', 'https://download.openmmlab.com/x.pth']
        >>> addresses_of("http://a/x.pth")
        ['http://b/x.pth', 'http://a/x.pth']
        >>> del os.environ["POISE_MIRRORS"]
    """
    found = [
        target + url.removeprefix(start) for start, target in _mirrors() if url.startswith(start)
    ]
    return list(dict.fromkeys([*found, url]))


def _mirrors() -> Iterator[tuple[str, str]]:
    for entry in os.environ.get(MIRRORS_VARIABLE, "").split():
        yield _pair(entry, MIRRORS_VARIABLE)
    path = mirrors_file()
    if is_file(path):
        for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
            entry = line.partition("#")[0].strip()
            if entry:
                yield _pair(entry, f"{path}, line {number}")


def _pair(entry: str, place: str) -> tuple[str, str]:
    start, separator, target = entry.partition("=")
    if not separator:
        start, target = ORIGIN, entry
    if not start.startswith(("http://", "https://")) or "://" not in target:
        raise ConfigError(
            f"{place}: '{entry}' is no mirror; expected https://host/folder/, which stands for "
            f"{ORIGIN}, or https://from/=https://to/"
        )
    return start, target.removesuffix("/") + "/"
