"""`poise`: the command that leads to all others.

A command's module is imported when the command runs, so `poise --help` answers at once.
"""

from __future__ import annotations

import importlib
import itertools
import os
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

import poise
from poise._failures import Failure
from poise.cli.interrupts import INTERRUPTED
from poise.errors import ArgumentError, PoiseError, nearest

__all__ = ["app", "main"]

#: command -> (module:object, the line that --help shows). An object named `app` is a group.
COMMANDS = {
    "predict": (
        "poise.cli.predict:predict",
        "Find poses in pictures, videos, folders and cameras.",
    ),
    "serve": ("poise.cli.serve:serve", "Serve poses over HTTP, with a page to try it."),
    "smooth": ("poise.cli.smooth:smooth", "Smooth poses of an earlier run; other formats."),
    "measure": ("poise.cli.measure:measure", "Joint angles, ranges and steps of saved poses."),
    "triangulate": (
        "poise.cli.triangulate:triangulate",
        "Poses in metres from several cameras.",
    ),
    "cameras": ("poise.cli.cameras:app", "Calibrate cameras; show and convert their files."),
    "check": (
        "poise.cli.check:check",
        "See whether a config, its data and a checkpoint fit together.",
    ),
    "train": ("poise.cli.train:train", "Train a model from a config."),
    "test": ("poise.cli.test:test", "Evaluate a checkpoint with a config's metrics."),
    "eval": ("poise.cli.evaluate:evaluate", "Evaluate saved predictions with any metrics."),
    "data": ("poise.cli.data:app", "Draw, count, check and convert data; list skeletons."),
    "analyze": ("poise.cli.analyze:app", "Tables and curves of finished runs."),
    "config": ("poise.cli.config:app", "Show and compare configs."),
    "zoo": ("poise.cli.zoo:app", "List released models; fetch, publish and convert weights."),
    "export": (
        "poise.cli.export:export",
        "Write a model for ONNX, OpenVINO, torch, NCNN, TFLite or a web page.",
    ),
    "bench": ("poise.cli.bench:bench", "Measure how fast models are on this machine."),
    "migrate": ("poise.cli.migrate:migrate", "Rewrite a file's MMPose imports to Poise's."),
    "doctor": (
        "poise.cli.doctor:doctor",
        "Say what is installed, what works, and what is wrong.",
    ),
}


#: Options that may stand alone, and the value they mean then.
BARE_OPTIONS = {
    "train": {"--resume": "auto", "--amp": "auto"},
    "eval": {"--interval": "0.95"},
}


#: options of MMPose's tools that no command has -> what does the same
MOVED_OPTIONS = {
    "--cfg-options": "--set KEY=VALUE, once for each setting",
    "--launcher": "--devices N, which starts as many processes",
    "--work_dir": "--work-dir",
    "--no_validate": "--no-validate",
    "--wait-time": "--set default_hooks.visualization.wait_time=SECONDS",
    "--vis-out-dir": "--out FOLDER",
    "--pred-out-dir": "--out FOLDER",
    "--pose2d": "--model NAME",
    "--pose2d-weights": "--weights FILE",
    "--pose3d": "--lift NAME",
    "--pose3d-weights": "--lift-weights FILE",
    "--det-model": "--detector NAME",
    "--det-weights": "--detector-weights FILE",
    "--kpt-thr": "--keypoint-threshold SCORE",
    "--draw-heatmap": "--draw-heatmaps",
}


class LazyGroup(TyperGroup):
    """Command group that knows its commands by name and imports the one that is called."""

    _listing = False

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help page, for which no command's own module is needed."""
        self._listing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._listing = False

    def list_commands(self, ctx: Any) -> list[str]:
        """Names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Command of a name; a stand-in with the help line while only listing."""
        if cmd_name not in COMMANDS:
            return None
        target, help_line = COMMANDS[cmd_name]
        if self._listing:
            return TyperCommand(cmd_name, help=help_line)
        module, _, name = target.partition(":")
        found = getattr(importlib.import_module(module), name)
        if isinstance(found, typer.Typer):
            return typer.main.get_command(found)
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(name=cmd_name, help=None)(found)
        return typer.main.get_command(single)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a Ctrl-C that it does not end by itself is said in one line."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, ImportError) as error:
            if not _is_interruption(error):
                raise
            typer.echo("stopped by Ctrl-C", err=True)
            raise typer.Exit(INTERRUPTED) from None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Command of the first argument; an unknown one is answered with the nearest."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            hint = nearest(args[0], COMMANDS)
            ctx.fail(
                f"there is no command '{args[0]}'{hint or '. Commands: ' + ', '.join(COMMANDS)}"
            )
        return super().resolve_command(ctx, args)


def _is_interruption(error: BaseException | None) -> bool:
    """Whether Ctrl-C is at the root: a compiled module that is being imported hides it."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


app = typer.Typer(
    cls=LazyGroup,
    name="poise",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"poise {poise.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Pose estimation for PyTorch: people, hands, faces, animals, in 2D and 3D."""


def fill_bare_options(args: list[str]) -> list[str]:
    """Arguments in which `--resume` and `--amp` without a value have one.

    Example:
        >>> fill_bare_options(["train", "a.py", "--resume", "--amp", "fp16"])
        ['train', 'a.py', '--resume', 'auto', '--amp', 'fp16']
    """
    values = BARE_OPTIONS.get(args[0], {}) if args else {}
    filled = []
    for arg, following in itertools.zip_longest(args, args[1:], fillvalue="-"):
        filled.append(arg)
        if arg in values and following.startswith("-"):
            filled.append(values[arg])
    return filled


def refuse_moved_options(args: list[str]) -> None:
    """Say what to write instead of an option of MMPose's tools.

    Raises:
        ArgumentError: there is one among the arguments.
    """
    for arg in args[1:]:
        if arg == "--":
            return
        name = arg.partition("=")[0]
        if name in MOVED_OPTIONS:
            raise ArgumentError(
                f"poise {args[0]} has no option {name}, which is one of MMPose's tools; here it is "
                f"{MOVED_OPTIONS[name]}. poise {args[0]} --help shows all"
            )


def _of_system(error: OSError) -> str:
    """What the system refused, and at which file."""
    reason = error.strerror or str(error) or type(error).__name__
    return f"{reason}: '{error.filename}'" if error.filename else reason


def _told(error: Exception) -> str | None:
    """An error for people; None for a fault of Poise itself, whose traceback is wanted."""
    failure = Failure(error)
    lines = [failure.text, *failure.lines()]
    if isinstance(error, OSError) and not isinstance(error, PoiseError) and not failure.frames:
        lines[0] = _of_system(error)
    elif failure.frames:
        lines.append("POISE_TRACEBACK=1 shows the whole traceback")
    elif isinstance(error, (TypeError, ValueError, KeyError, AttributeError)) and not isinstance(
        error, PoiseError
    ):
        # a class got a setting it cannot use; the notes say where the config builds it
        if not any(note.startswith("while building") for note in failure.notes):
            return None
        lines.append(
            "  is a setting there of the wrong kind? POISE_TRACEBACK=1 shows where it failed"
        )
    elif not isinstance(error, (PoiseError, OSError)):
        return None
    return "\n".join(lines)


def _say_warnings() -> None:
    """Show what Poise warns of as its other texts, once, without the line of code it comes from."""
    usual, home, said = warnings.showwarning, Path(__file__).parents[1], set()
    # of old configs; Python hides such warnings from those who only call a program
    shown = (UserWarning, DeprecationWarning)
    warnings.filterwarnings("default", category=DeprecationWarning, module=r"poise\.")

    def show(
        message: Any, category: Any, filename: str, lineno: int, file: Any = None, line: Any = None
    ) -> None:
        if category not in shown or home not in Path(filename).parents:
            usual(message, category, filename, lineno, file, line)
        elif str(message) not in said:
            said.add(str(message))
            sys.stderr.write(f"warning: {message}\n")

    warnings.showwarning = show


def main() -> None:
    """Run the command line; errors meant for people are shown as one text, without a traceback.

    `POISE_TRACEBACK=1` shows the traceback, as faults of Poise itself do.
    """
    if getattr(sys.stdout, "errors", None) == "strict":
        # in a file or pipe, Windows writes few letters: names of files may have others
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    _say_warnings()
    try:
        refuse_moved_options(sys.argv[1:])
        app(fill_bare_options(sys.argv[1:]), prog_name="poise")
    except Exception as error:
        text = None if os.environ.get("POISE_TRACEBACK") else _told(error)
        if text is None:
            raise
        sys.stderr.write(f"error: {text}\n")
        raise SystemExit(1) from None
