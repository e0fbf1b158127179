"""CPU seconds from the start of Python to the end, for what should answer at once.

    python benchmarks/startup.py [--rounds 10]

Medians of CPU seconds, each in a new process. "python -c pass" is what Python itself takes,
"import torch" what a network at least takes.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from common import show

PHOTO = Path(__file__).parents[1] / "examples/photos/astronaut.png"
MODEL = "td-hm_hrnet-w32_8xb64-210e_coco-256x192"
CASES = {
    "python -c pass": ["-c", "pass"],
    "import poise": ["-c", "import poise"],
    "import poise.registry": ["-c", "import poise.registry"],
    "poise --help": ["-m", "poise", "--help"],
    "poise config show HRNet": ["-m", "poise", "config", "show", MODEL],
    "import torch": ["-c", "import torch"],
    "poise predict PHOTO": ["-m", "poise", "predict", str(PHOTO)],
}


def seconds(arguments: list[str]) -> float:
    """CPU seconds of a new Python; unlike wall-clock time the same on a busy machine."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True, cwd=folder)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    for arguments in CASES.values():
        seconds(arguments)  # files into the cache of the system
    times = {k: statistics.median(seconds(a) for _ in range(rounds)) for k, a in CASES.items()}
    show("CPU seconds", times)


if __name__ == "__main__":
    main()
