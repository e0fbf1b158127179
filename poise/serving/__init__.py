"""Poses over HTTP: an ASGI app around an `Inferencer`, its page, and the server that runs it."""

from __future__ import annotations

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "app": "create_app warm_up",
        "limits": "Limits",
        "running": "open_socket run_server",
    },
)
