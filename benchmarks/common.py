"""What the benchmarks share: the table they print, and the way to say that one cannot run.

Imported only where a table is printed: the same files also run in a Python that has MMPose
and not Poise.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["CANNOT_RUN", "cannot_run", "peer_times", "show"]

#: Exit status of a benchmark that lacks data or a library (EX_UNAVAILABLE).
CANNOT_RUN = 69
#: The peer's torch may refuse checkpoints and the peer may use every core without these.
_PEER_SETTINGS = {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1", "OMP_NUM_THREADS": "1"}


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
            command, capture_output=True, text=True, check=False, env=os.environ | _PEER_SETTINGS
        )
    except OSError as error:
        raise cannot_run(f"--peer {python}: {error.strerror}") from error
    if done.returncode:
        raise cannot_run(f"--peer {python} failed: {done.stderr.strip()[-600:]}")
    return json.loads(done.stdout.splitlines()[-1])


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
