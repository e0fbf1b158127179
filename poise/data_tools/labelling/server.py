"""Between the page and the store: HTTP for one person on one machine.

Pages of other sites must neither read nor change anything: every request names this machine as its
host (a name of elsewhere that leads here does not count), and has a token that only whoever saw the
printed address knows.
"""

from __future__ import annotations

import hmac
import json
import secrets
import sys
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from poise.data_tools.labelling.proposing import Proposer
from poise.data_tools.labelling.refusals import RefusedError
from poise.data_tools.labelling.showing import picture_pixels, shown_picture
from poise.data_tools.labelling.store import LabelStore
from poise.errors import ArgumentError, PoiseError

__all__ = ["FILES", "LabelServer"]

#: Address that only this machine reaches, and its names.
_HOST, _NAMES = "127.0.0.1", ("127.0.0.1", "localhost")
#: Where the files of the page are: a folder, or part of an archive that Python runs from.
_PAGE = resources.files(__package__) / "page"
#: Ending of such a file -> its type; browsers run no module of another.
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
#: Name of each -> the file.
FILES = {file.name: file for file in _PAGE.iterdir() if Path(file.name).suffix in _TYPES}
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; connect-src 'self'; img-src 'self' blob: "
    "data:; style-src 'self'; script-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_TOKEN = "X-Poise-Token"
#: Bytes that the people of a picture have at most.
_MOST_BYTES = 16_000_000
#: Seconds that a connection without requests stays.
_IDLE_SECONDS = 120


class LabelServer(ThreadingHTTPServer):
    """The page of a store.

    Args:
        store: the labels.
        port: of this machine; 0: any that is free.
        proposer: a model, where there is one.

    Raises:
        ArgumentError: somebody has the port already.
    """

    daemon_threads = True

    def __init__(self, store: LabelStore, *, port: int = 0, proposer: Proposer | None = None):
        self.store, self.proposer = store, proposer
        self.token = secrets.token_urlsafe(16)
        try:
            super().__init__((_HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            raise ArgumentError(
                f"cannot serve on port {port} of {_HOST}: {error}; --port takes another, 0 for any "
                "that is free"
            ) from error

    @property
    def address(self) -> str:
        """What a browser opens; the token is in a part that browsers send nowhere."""
        return f"http://{_HOST}:{self.server_port}/#{self.token}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say what went wrong, but not of browsers that went away."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS
    server: LabelServer

    def log_message(self, *args: Any) -> None:
        """Nothing: people look at the page."""

    def do_GET(self) -> None:
        """Page, overview, people or picture."""
        self._answer({"overview": self._overview, "people": self._people, "picture": self._picture})

    def do_POST(self) -> None:
        """Save people, ask the model, read the file again."""
        self._answer({"people": self._save, "proposal": self._propose, "reload": self._reload})

    def _answer(self, routes: dict[str, Any]) -> None:
        try:
            self._check_host()
            route, _, number = self.path.partition("?")[0].strip("/").partition("/")
            name = route or "page.html"
            if self.command == "GET" and not number and (file := FILES.get(name)):
                kind = f"{_TYPES[Path(name).suffix]}; charset=utf-8"
                self._send(200, file.read_bytes(), kind)
                return
            self._check_token()
            if route not in routes:
                raise RefusedError(404, f"there is no {self.command} {self.path[:80]}")
            content, kind = routes[route](number)
            if not isinstance(content, bytes):
                content = json.dumps(content, allow_nan=False).encode()
            self._send(200, content, kind)
        except RefusedError as error:
            self._refuse(error.status, str(error), stale=error.stale)
        except PoiseError as error:
            self._refuse(422, str(error))
        except (ConnectionError, TimeoutError):
            # nobody is there any more
            self.close_connection = True
        except Exception:
            traceback.print_exc()
            self._refuse(500, "a fault in poise data label; the window that it runs in says which")

    def _check_host(self) -> None:
        host = self.headers.get("Host", "").rpartition(":")
        if (host[0] or host[2]) not in _NAMES:
            raise RefusedError(403, f"this is {_HOST}, not {self.headers.get('Host', '')[:80]!r}")
        origin = self.headers.get("Origin")
        if origin is not None and origin != f"http://{self.headers['Host']}":
            raise RefusedError(403, f"pages of {origin[:80]} may not ask here")

    def _check_token(self) -> None:
        given = self.headers.get(_TOKEN, "").encode("latin-1", "replace")
        if not hmac.compare_digest(given, self.server.token.encode()):
            raise RefusedError(
                401,
                "this page is of an earlier run of poise data label; open the address that it "
                "printed last",
            )

    def _overview(self, _: str) -> tuple[Any, str]:
        more = {"model": self.server.proposer is not None}
        return self.server.store.overview() | more, _JSON

    def _people(self, number: str) -> tuple[Any, str]:
        return self.server.store.people(_index(number)), _JSON

    def _picture(self, number: str) -> tuple[Any, str]:
        return shown_picture(self.server.store.path(_index(number)))

    def _save(self, number: str) -> tuple[Any, str]:
        return self.server.store.save(_index(number), self._body()), _JSON

    def _reload(self, _: str) -> tuple[Any, str]:
        self._body()
        self.server.store.reload()
        return {}, _JSON

    def _propose(self, number: str) -> tuple[Any, str]:
        wanted, store, proposer = self._body(), self.server.store, self.server.proposer
        if proposer is None:
            raise RefusedError(404, "there is no model; start with --model NAME to have one")
        kinds = store.labels.kinds
        try:
            kind = kinds[wanted["category_id"]]
            box = np.array(wanted["box"], np.float64)
        except (KeyError, TypeError, ValueError) as error:
            raise RefusedError(400, "a proposal needs `category_id` and `box`") from error
        if box.shape != (4,) or not np.isfinite(box).all() or not (box[2:] > box[:2]).all():
            raise RefusedError(
                400, f"`box` is left, top, right, bottom in pixels, got {wanted['box']!r:.60}"
            )
        image = picture_pixels(store.path(_index(number)))
        return {"keypoints": proposer.propose(image, box, kind).tolist()}, _JSON

    def _body(self) -> Any:
        """JSON that came, read whole, so that the next request begins where it should."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _MOST_BYTES:
            self.close_connection = True
            raise RefusedError(413, f"a body of at most {_MOST_BYTES:,} bytes with its length")
        raw = self.rfile.read(int(length))
        if self.headers.get_content_type() != "application/json":
            raise RefusedError(415, "bodies are application/json")
        try:
            return json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise RefusedError(400, f"the body is no JSON: {error}") from error

    def _refuse(self, status: int, text: str, *, stale: str = "") -> None:
        # what was not read of the body would be taken for the next request
        self.close_connection = True
        self._send(status, json.dumps({"error": text, "stale": stale}).encode(), _JSON)

    def _send(self, status: int, content: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)


_JSON = "application/json"
#: of the number of a picture
_DIGITS = 9


def _index(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > _DIGITS:
        raise RefusedError(404, f"pictures are numbers from 0, got {text[:40]!r}")
    return int(text)
