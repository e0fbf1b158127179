"""A file from one of several addresses: resumed where it was cut, checked, put in place whole.

Beside the file `NAME` stand, while it comes, `NAME.part` (what there is so far) and
`NAME.part.json` (of which content that is). Both stay after a failure, so that the next try goes
on from there.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from poise._files import put_in_place
from poise.zoo.downloads.progress import progress

__all__ = ["DiskFullError", "Download", "Failure", "WrongContentError", "request_for"]

#: seconds without an answer after which an address is given up
TIMEOUT_S = 30.0
BLOCK_BYTES = 1 << 20
#: tries of one address that get no further
TRIES = 3
#: seconds before the second try; twice as long before the third
PAUSE_S = 0.5
#: answers that another try may change: too many requests, and faults of the server
_TEMPORARY = {408, 425, 429, 500, 502, 503, 504}
#: numbers of errors that mean that nothing more can be written: ENOSPC, EDQUOT, EFBIG
_FULL = {28, 122, 27}


class DiskFullError(OSError):
    """There is no room for the file."""


class WrongContentError(Exception):
    """What came is not what the name or the caller says."""


class _StaleError(Exception):
    """What is there already cannot be gone on with."""


@dataclass(frozen=True)
class Failure:
    """An address that gave nothing, and why."""

    address: str
    reason: str


def request_for(
    address: str, *, token: str | None = None, method: str = "GET"
) -> urllib.request.Request:
    """A request to a server, which alone gets the token: hosts it leads to do not."""
    request = urllib.request.Request(address, method=method, headers={"User-Agent": "poise"})
    if token is not None:
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    return request


@dataclass
class Download:
    """One file to be fetched.

    Attributes:
        path: where it belongs.
        addresses: where it may come from, in the order in which they are tried.
        sha256: first digits of its hash, or all; empty where nothing is known.
        token: told to the last address, the file's own; neither to mirrors nor to where it leads.
        failures: addresses that failed.
    """

    path: Path
    addresses: list[str]
    sha256: str = ""
    token: str | None = None
    failures: list[Failure] = field(default_factory=list)

    @property
    def part(self) -> Path:
        """What has come so far."""
        return self.path.with_name(f"{self.path.name}.part")

    @property
    def note(self) -> Path:
        """Says of which content the part is."""
        return self.path.with_name(f"{self.path.name}.part.json")

    def run(self) -> bool:
        """Bring the file; False where every address failed, see `failures`.

        Raises:
            DiskFullError: no room.
            OSError: the folder cannot be written to.
        """
        for address in self.addresses:
            reason = self._from(address)
            if reason is None:
                return True
            self.failures.append(Failure(address, reason))
        return False

    def _from(self, address: str) -> str | None:
        """Reason why an address does not give the file, or None if it did."""
        tries = 0
        while True:
            before = self._size()
            try:
                self._transfer(address)
                self._put_in_place()
                return None
            except WrongContentError as error:
                self._forget()
                # a part of something else may have been in front
                if before and tries < TRIES:
                    tries += 1
                    continue
                return str(error)
            except _StaleError:
                self._forget()
                tries += 1
                reason = "the server does not go on where it was cut"
            except urllib.error.HTTPError as error:
                reason = f"HTTP {error.code} {error.reason}"
                if error.code not in _TEMPORARY:
                    return reason
                tries += 1
            except (OSError, http.client.HTTPException) as error:
                if isinstance(error, DiskFullError) or not _of_network(error):
                    raise
                reason = str(getattr(error, "reason", error)) or type(error).__name__
                # as long as something comes, going on is worth it
                tries = tries + 1 if self._size() <= before else 1
            if tries >= TRIES:
                return reason
            time.sleep(PAUSE_S * 2 ** (tries - 1))

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def _forget(self) -> None:
        self.part.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    # ------------------------------------------------------------------ one answer

    def _transfer(self, address: str) -> None:
        """Ask for what is missing and append it to the part."""
        token = self.token if address == self.addresses[-1] else None
        request = request_for(address, token=token)
        have, known = self._size(), self._known()
        if have and self._may_resume(address, known):
            request.add_header("Range", f"bytes={have}-")
            if known.get("address") == address and known.get("validator"):
                request.add_header("If-Range", known["validator"])
        else:
            have = 0
        try:
            answer = urllib.request.urlopen(request, timeout=TIMEOUT_S)
        except urllib.error.HTTPError as error:
            # it holds the connection open
            error.close()
            if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                if have and have == known.get("size"):
                    return
                raise _StaleError from error
            raise
        with answer:
            start, size = _extent(answer, have)
            if have and start and known.get("size") not in (None, size):
                raise _StaleError
            self._check_room(size, start)
            self._remember(address, answer, size)
            with self.part.open("ab" if start else "wb") as out:
                self._copy(answer, out, start, size)
        if size is not None and self._size() != size:
            raise ConnectionError(
                f"the connection was cut after {self._size():,} of {size:,} bytes"
            )

    def _copy(self, answer: Any, out: IO[bytes], start: int, size: int | None) -> None:
        with progress(self.path.name, start, size) as advance:
            while block := answer.read(BLOCK_BYTES):
                try:
                    out.write(block)
                    out.flush()
                except OSError as error:
                    raise _as_full(error, self.part) from error
                advance(len(block))

    def _may_resume(self, address: str, known: dict[str, Any]) -> bool:
        """Whether a part can be gone on with: the same content, or content that is checked."""
        same = known.get("address") == address and bool(known.get("validator"))
        return bool(known) and (same or bool(self.sha256))

    def _known(self) -> dict[str, Any]:
        try:
            content = json.loads(self.note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) and "address" in content else {}

    def _remember(self, address: str, answer: Any, size: int | None) -> None:
        tag = answer.headers.get("ETag") or ""
        # a weak tag does not promise the same bytes
        validator = tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified")
        note = dict(address=address, validator=validator, size=size)
        self.note.write_text(json.dumps(note), encoding="utf-8")

    def _check_room(self, size: int | None, have: int) -> None:
        if size is None:
            return
        free = shutil.disk_usage(self.path.parent).free
        if size - have > free:
            raise DiskFullError(
                f"{self.path.name} needs {size - have:,} bytes, {free:,} are free in "
                f"{self.path.parent}"
            )

    # ------------------------------------------------------------------ at the end

    def _put_in_place(self) -> None:
        digest = hashlib.sha256()
        # for writing, too: Windows refuses to flush what is open for reading alone
        with self.part.open("r+b") as file:
            while block := file.read(BLOCK_BYTES):
                digest.update(block)
            os.fsync(file.fileno())
        found = digest.hexdigest()
        if not found.startswith(self.sha256):
            shown = self.sha256 if len(self.sha256) < 16 else f"{self.sha256[:16]}..."
            raise WrongContentError(
                f"its SHA-256 is {found[:16]}..., expected {shown}: damaged, or another file"
            )
        put_in_place(self.part, self.path)
        self.note.unlink(missing_ok=True)


def _extent(answer: Any, have: int) -> tuple[int, int | None]:
    """Where an answer's data begin in the file, and the file's whole size, if it is said."""
    length = answer.headers.get("Content-Length")
    if answer.status != http.client.PARTIAL_CONTENT:
        return 0, int(length) if length else None
    unit, _, rest = (answer.headers.get("Content-Range") or "").partition(" ")
    extent, _, whole = rest.partition("/")
    first = extent.partition("-")[0]
    if unit != "bytes" or not first.isdigit() or int(first) != have:
        raise _StaleError
    return have, int(whole) if whole.isdigit() else None


def _of_network(error: Exception) -> bool:
    kinds = (urllib.error.URLError, ConnectionError, TimeoutError, ssl.SSLError)
    return isinstance(error, (*kinds, http.client.HTTPException))


def _as_full(error: OSError, part: Path) -> OSError:
    if error.errno not in _FULL:
        return error
    size = part.stat().st_size
    return DiskFullError(f"no room left after {size:,} bytes of {part}: {error.strerror}")
