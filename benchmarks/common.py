"""What the benchmarks share: the table they print, libraries at work in processes of their own.

The same files also run in a Python that has MMPose and not Poise, so this one imports neither.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

__all__ = [
    "CANNOT_RUN",
    "PEER_SETTINGS",
    "Worker",
    "answer_questions",
    "cannot_run",
    "peer_times",
    "show",
]

#: Exit status of a benchmark that lacks data or a library (EX_UNAVAILABLE).
CANNOT_RUN = 69
#: The peer's torch may refuse checkpoints and the peer may use every core without these.
PEER_SETTINGS = {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1", "OMP_NUM_THREADS": "1"}


def cannot_run(why: str) -> SystemExit:
    """End of a benchmark that cannot run here; `python -m benchmarks` goes on with the next."""
    sys.stderr.write(f"{why}\n")
    return SystemExit(CANNOT_RUN)


def peer_times(
    python: str, script: str, arguments: Iterable[str], package: str = "mmpose"
) -> dict[str, Any]:
    """Times of the same script in a Python with MMPose; the script's last line is JSON."""
    command = [python, str(Path(script).resolve()), "--package", package, "--json", *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=os.environ | PEER_SETTINGS
        )
    except OSError as error:
        raise cannot_run(f"--peer {python}: {error.strerror}") from error
    if done.returncode:
        raise cannot_run(f"--peer {python} failed: {done.stderr.strip()[-600:]}")
    return json.loads(done.stdout.splitlines()[-1])


class Worker:
    """A library in its own process, which answers questions: several of them take turns.

    Args:
        python: interpreter that has the library.
        script: benchmark that calls `answer_questions` when it is given `--worker LIBRARY`.
        library: "poise" or "mmpose".
        options: further arguments for the script.
    """

    def __init__(self, python: str, script: str, library: str, *options: str) -> None:
        command = [python, str(Path(script).resolve()), "--worker", library, *options]
        self._name = " ".join(command)
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=os.environ | PEER_SETTINGS,
            )
        except OSError as error:
            raise cannot_run(f"{python}: {error.strerror}") from error
        if self._process.stdout.readline() != "ready\n":
            raise cannot_run(f"{library} did not start; run: {self._name}")

    def ask(self, *question: Any) -> Any:
        """The answer to a question; both are values that JSON knows."""
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise cannot_run(f"stopped at {question}: {self._name}")
        return json.loads(answer)

    def stop(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait()


def answer_questions(answer: Callable[..., Any]) -> None:
    """Be a `Worker`'s other side: a question a line on stdin, its answer on stdout."""
    # what the library prints goes elsewhere
    out, sys.stdout = sys.stdout, sys.stderr
    print("ready", file=out, flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(*json.loads(line))), file=out, flush=True)


def show(unit: str, ours: Mapping[str, float], theirs: Mapping[str, float] | None = None) -> None:
    """Print a table: a row per case; MMPose's time over ours is "times faster"."""
    width = max(44, *(len(name) + 2 for name in ours))
    head = f"{unit:{width}}{'poise':>12}"
    if theirs:
        head += f"{'mmpose':>12}{'times faster':>14}"
    lines = [head]
    for name, value in ours.items():
        line = f"{name:{width}}{value:12,.2f}"
        other = theirs.get(name) if theirs else None
        if other:
            line += f"{other:12,.2f}{other / value:14.1f}"
        lines.append(line)
    sys.stdout.write("\n".join(lines) + "\n")
