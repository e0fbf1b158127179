"""Log of a run: lines on the terminal, and all of them in a file."""

from __future__ import annotations

import json
import logging
import platform
import sys
import traceback
from functools import partial
from pathlib import Path
from typing import Any

import torch

import poise
from poise._files import write_whole
from poise._words import counted
from poise.errors import ConfigError, PoiseError
from poise.training.machine.environment import describe_environment

__all__ = ["open_log"]

_LINE = "%(asctime)s %(levelname).1s %(message)s"


def open_log(runner: Any, records: str) -> None:
    """Send the log of the run to the terminal and to `log_dir/TIMESTAMP.log`.

    A record with the attribute `only_file` does not go to the terminal. When the run is over, the
    log goes where it went before.

    Args:
        runner: the run, whose config and machine the log names.
        records: folder that gets the config and `environment.json`.
    """
    logger = logging.getLogger("poise")
    runner.closing.callback(_put_back, logger, logger.handlers, logger.level, logger.propagate)
    logger.handlers = []
    logger.setLevel(runner.cfg.get("log_level") or "INFO")
    logger.propagate = False
    if not runner.is_main:
        logger.addHandler(logging.NullHandler())
        return
    folder = Path(runner.log_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"cannot write to the work folder '{runner.work_dir}': {error.strerror}; give a folder "
            "that may be written with --work-dir"
        ) from error
    outputs: list[logging.Handler] = [
        logging.StreamHandler(sys.stderr),
        logging.FileHandler(folder / f"{runner.timestamp}.log", delay=True, encoding="utf-8"),
    ]
    outputs[0].addFilter(lambda record: not getattr(record, "only_file", False))
    for handler in outputs:
        handler.setFormatter(logging.Formatter(_LINE, "%Y-%m-%d %H:%M:%S"))
        logger.addHandler(handler)
    Path(records).mkdir(parents=True, exist_ok=True)
    environment = json.dumps(describe_environment(), indent=1)
    for name, text in (
        (f"{runner.experiment_name}.py", runner.cfg_text),
        ("environment.json", f"{environment}\n"),
    ):
        write_whole(Path(records) / name, text.encode())
    runner.closing.push(partial(_keep_traceback, folder / f"{runner.timestamp}.log"))
    logger.info(
        "Poise %s, torch %s, Python %s, %s, %s, seed %d",
        poise.__version__,
        torch.__version__,
        platform.python_version(),
        torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
        counted(torch.get_num_threads(), "thread"),
        runner.seed,
    )


def _keep_traceback(
    path: Path, kind: type[BaseException] | None, error: BaseException | None, _: Any
) -> None:
    """Write the traceback of what ends a run to its log file, and only there."""
    if not isinstance(error, Exception):
        return
    try:
        with path.open("a", encoding="utf-8") as log:
            log.writelines(traceback.format_exception(error))
    except OSError as fault:
        # the disk may be full, which is then what ends the run
        error.add_note(f"the traceback could not be written to {path}: {fault.strerror}")
        return
    if not isinstance(error, PoiseError):
        error.add_note(f"the whole traceback is in {path}")


def _put_back(
    logger: logging.Logger, handlers: list[logging.Handler], level: int, propagate: bool
) -> None:
    for handler in logger.handlers:
        handler.close()
    logger.handlers, logger.propagate = handlers, propagate
    logger.setLevel(level)
