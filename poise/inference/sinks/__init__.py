"""Where results go: pictures, videos, tables and other files; one module a kind."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "base": "FileSink Sink SinkOptions",
        "table": "SINKS open_sinks",
        "group": "SinkGroup",
    },
)
