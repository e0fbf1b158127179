"""Running the app: a port, and an end that loses nothing."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from types import FrameType
from typing import Any

from poise._lazy import needed
from poise.errors import ArgumentError

__all__ = ["check_libraries", "open_socket", "run_server"]

#: What the extra `serve` installs.
_LIBRARIES = ("fastapi", "uvicorn", "python_multipart", "PIL")
#: Seconds that requests which are under way at the end have left.
_GRACE_SECONDS = 30
#: Exit status of a program that a signal has ended, as shells say it, without the signal's number.
_BY_SIGNAL = 128


def check_libraries() -> None:
    """See that all are there, before a model is loaded for nothing.

    Raises:
        MissingDependencyError: one is not installed.
    """
    for name in _LIBRARIES:
        needed(name, f'serving over HTTP needs the package {name}: pip install "poise[serve]"')


def open_socket(host: str, port: int) -> socket.socket:
    """The port, taken before a model is loaded; clients are refused until the server runs.

    Args:
        host: name or address of this machine; "127.0.0.1" for nobody else.
        port: number; 0: any that is free.

    Raises:
        ArgumentError: no such address, or somebody has it already.
    """
    try:
        family, kind, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind)
    except (OSError, OverflowError) as error:
        raise ArgumentError(f"--host {host} --port {port} is no address: {error}") from error
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind(address)
    except OSError as error:
        found.close()
        raise ArgumentError(
            f"cannot serve on port {port} of {host}: {error.strerror}; --port takes another, 0 for "
            "any that is free"
        ) from error
    return found


def run_server(app: Any, listener: socket.socket, *, started: Callable[[], None]) -> None:
    """Serve until Ctrl-C or SIGTERM; what is under way then is finished, what is new refused.

    A second Ctrl-C ends the program at once.

    Args:
        app: of `create_app`.
        listener: of `open_socket`.
        started: called when clients can come.

    Raises:
        KeyboardInterrupt: after Ctrl-C, when all is done.
    """
    check_libraries()
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            started()

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            super().handle_exit(sig, frame)
            if self.force_exit:
                # a second Ctrl-C: a thread that is in the model cannot be ended in a better way
                os._exit(_BY_SIGNAL + sig)

    config = uvicorn.Config(
        app,
        lifespan="on",
        log_level="info",
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    Server(config).run([listener])
