"""MMEngine's way to log, over Python's own loggers."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from poise.errors import ArgumentError

__all__ = ["MMLogger", "get_root_logger", "print_log"]

NAME = "poise"


class MMLogger:
    """Stand-in for MMEngine's logger class: gives out Python loggers."""

    @staticmethod
    def get_current_instance() -> logging.Logger:
        """The logger of Poise."""
        return logging.getLogger(NAME)

    @staticmethod
    def get_instance(name: str = NAME, **options: Any) -> logging.Logger:
        """Logger of a name."""
        return get_root_logger(options.get("log_file"), options.get("log_level", 0), name=name)


def get_root_logger(
    log_file: str | Path | None = None, log_level: int | str = logging.INFO, *, name: str = NAME
) -> logging.Logger:
    """Logger of Poise, which also writes to a file if one is given."""
    logger = logging.getLogger(name)
    if log_level:
        logger.setLevel(log_level)
    known = {getattr(h, "baseFilename", None) for h in logger.handlers}
    if log_file is not None and str(Path(log_file).absolute()) not in known:
        logger.addHandler(logging.FileHandler(log_file, encoding="utf-8"))
    return logger


def print_log(msg: Any, logger: logging.Logger | str | None = None, level: int = 20) -> None:
    """Log a message.

    Args:
        msg: the message.
        logger: a logger or its name; "silent" logs nothing; None and "current" mean Poise's.
        level: level of the message.
    """
    if isinstance(logger, logging.Logger):
        logger.log(level, msg)
    elif logger is None or isinstance(logger, str):
        if logger != "silent":
            name = NAME if logger in (None, "current") else logger
            logging.getLogger(name).log(level, msg)
    else:
        raise ArgumentError(f"logger is a Logger, its name or None, got {type(logger).__name__}")
