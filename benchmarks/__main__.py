"""Runs the benchmarks, one table each: `python -m benchmarks [NAME ...]`.

A benchmark is a script of this folder that also runs by itself, with more options. What a
benchmark needs and does not find (data, a library, MMPose) is said, and the next one runs.
"""

from __future__ import annotations

import argparse
import difflib
import os
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common import CANNOT_RUN

FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Benchmark:
    """A script, and what to give it for a quick and for a full run."""

    says: str
    quick: tuple[str, ...] = ()
    full: tuple[str, ...] = ()
    has_peer: bool = True
    #: options that name data; without them it cannot run
    needs: tuple[str, ...] = ()


BENCHMARKS = {
    "startup": Benchmark(
        "import, --help, a config printed", ("--rounds", "3"), ("--rounds", "10"), has_peer=False
    ),
    "construction": Benchmark(
        "a model with the weights of a file", ("--rounds", "3"), ("--rounds", "9")
    ),
    "codecs": Benchmark("keypoints to targets and back", ("--rounds", "3"), ("--rounds", "15")),
    "transforms": Benchmark(
        "data pipelines on one core",
        ("--rounds", "3", "--samples", "8"),
        ("--rounds", "15", "--samples", "24"),
    ),
    "bottomup": Benchmark(
        "samples of one-stage and bottom-up models", ("--rounds", "2"), ("--rounds", "15")
    ),
    "datasets": Benchmark(
        "reading a COCO file, memory of a worker", ("--images", "8000"), ("--images", "57000")
    ),
    "models": Benchmark(
        "the forward pass of each family at batch 8",
        ("--rounds", "3", "--only", "HRNet,RTMPose,ResNet"),
        ("--rounds", "9"),
    ),
    "metrics": Benchmark("evaluation, from samples to figures", ("--quick",)),
    "evaluation": Benchmark(
        "intervals of figures and the breakdown of errors",
        ("--quick", "--resamples", "200"),
        has_peer=False,
    ),
    "visualization": Benchmark("drawing people", ("--rounds", "10"), ("--rounds", "30")),
    "tracking": Benchmark(
        "MOTA, IDF1 and time of the tracker on made clips",
        ("--frames", "300", "--seeds", "1"),
        ("--frames", "600", "--seeds", "3"),
        has_peer=False,
    ),
    "smoothing": Benchmark("jitter, delay and error of the smoothers", has_peer=False),
    "triangulation": Benchmark(
        "points of space from several cameras, beside loops over keypoints",
        ("--frames", "200", "--rounds", "3"),
        ("--frames", "1000", "--rounds", "9"),
        has_peer=False,
    ),
    "people_calibration": Benchmark(
        "cameras calibrated by made people who walk about",
        ("--draws", "1", "--only", "3 cameras"),
        ("--draws", "20"),
        has_peer=False,
    ),
    "inference": Benchmark(
        "a photo through the embedded models", ("--rounds", "3"), ("--rounds", "20"), has_peer=False
    ),
    "training_parity": Benchmark(
        "losses of short trainings, and times of a step", ("--only", "RTMPose-t, SGD"), ()
    ),
    "optim_parity": Benchmark(
        "learning rates and groups of drawn settings, against MMPose's",
        ("--curves", "300", "--groups", "60"),
    ),
    "training_options": Benchmark(
        "training steps with Poise's options",
        ("--rounds", "3", "--batch", "4"),
        ("--rounds", "9", "--batch", "16"),
        has_peer=False,
    ),
    "video": Benchmark(
        "a video of four people through RTMPose-t, drawn and written again",
        ("--frames", "40", "--rounds", "1"),
        ("--frames", "300", "--rounds", "3"),
    ),
    "serving": Benchmark(
        "requests a second of poise serve, with and without batches",
        ("--rounds", "1", "--requests", "32"),
        ("--rounds", "5", "--requests", "96"),
        has_peer=False,
    ),
    "tiles": Benchmark(
        "small people in large pictures, found with and without tiles",
        has_peer=False,
        needs=("annotations", "images"),
    ),
    "embedded_ap": Benchmark(
        "keypoint AP of the embedded models", has_peer=False, needs=("annotations", "images")
    ),
    "int8": Benchmark(
        "exported networks of 8 bits beside those of 32",
        ("movenet-lightning", "rtmpose-t_8xb256-420e_coco-256x192", "--rounds", "3"),
        has_peer=False,
    ),
    "calibration": Benchmark(
        "how often keypoints of a score are right", has_peer=False, needs=("annotations", "images")
    ),
    "covariances": Benchmark(
        "how far covariances of keypoints are those of errors",
        has_peer=False,
        needs=("annotations", "images"),
    ),
}


def listing() -> str:
    """The names with what they measure."""
    width = max(map(len, BENCHMARKS))
    return "\n".join(f"  {name:{width}}  {b.says}" for name, b in BENCHMARKS.items())


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Options of the command line; an unknown name is answered with the nearest."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks",
        description="Measure Poise; with --peer, MMPose beside it.",
        epilog=f"benchmarks:\n{listing()}\n\n"
        "Each is a script too: python benchmarks/codecs.py --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all of the list below")
    parser.add_argument("--peer", metavar="PYTHON", help="interpreter that can import mmpose")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="small sizes, few rounds (default)")
    size.add_argument("--full", action="store_true", help="the sizes of the published figures")
    parser.add_argument("--list", action="store_true", help="print the list and stop")
    parser.add_argument("--annotations", metavar="FILE", help="COCO keypoint file")
    parser.add_argument("--images", metavar="FOLDER", help="pictures of that file")
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in BENCHMARKS:
            near = difflib.get_close_matches(name, BENCHMARKS)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            parser.error(f"there is no benchmark '{name}'{hint} --list shows them all")
    return options


def run(name: str, options: argparse.Namespace) -> bool:
    """Run one and say how; False where it failed (not where it could not run)."""
    benchmark = BENCHMARKS[name]
    sys.stdout.write(f"\n## {name}: {benchmark.says}\n")
    absent = [n for n in benchmark.needs if getattr(options, n) is None]
    if absent:
        sys.stdout.write(f"skipped: needs data; give {' and '.join(f'--{n}' for n in absent)}\n")
        return True
    command = [sys.executable, f"{FOLDER.name}/{name}.py"]
    command += [getattr(options, n) for n in benchmark.needs]
    command += benchmark.full if options.full else benchmark.quick
    if options.peer and benchmark.has_peer:
        command += ["--peer", options.peer]
    sys.stdout.write(f"$ {shlex.join(['python', *command[1:]])}\n")
    sys.stdout.flush()
    start = time.perf_counter()
    settings = {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", **os.environ}
    done = subprocess.run(
        command, cwd=FOLDER.parent, stderr=subprocess.PIPE, text=True, env=settings, check=False
    )
    if done.returncode == 0:
        sys.stdout.write(f"({time.perf_counter() - start:.0f} s)\n")
        return True
    last = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
    if done.returncode == CANNOT_RUN or "ModuleNotFoundError" in last[-1]:
        sys.stdout.write(f"skipped: {last[-1]}\n")
        return True
    sys.stdout.write(f"failed:\n{done.stderr[-3000:]}\n")
    return False


def has_mmpose(python: str) -> bool:
    """Whether an interpreter is there and finds MMPose; if not, it is said why."""
    probe = "import importlib.util, sys; sys.exit(importlib.util.find_spec('mmpose') is None)"
    try:
        found = subprocess.run([python, "-c", probe], stderr=subprocess.DEVNULL, check=False)
    except OSError as error:
        sys.stdout.write(f"--peer {python}: {error.strerror}; measuring Poise alone\n")
        return False
    if found.returncode:
        sys.stdout.write(f"--peer {python} has no mmpose; measuring Poise alone\n")
    return not found.returncode


def main() -> int:
    """Run what was asked for; the exit status is the number of failures."""
    options = parse()
    if options.list:
        sys.stdout.write(f"{listing()}\n")
        return 0
    if options.annotations:
        options.annotations = str(Path(options.annotations).resolve())
    if options.images:
        options.images = str(Path(options.images).resolve())
    if options.peer and not has_mmpose(options.peer):
        options.peer = None
    sizes = "full sizes" if options.full else "quick sizes; --full for steadier figures"
    sys.stdout.write(f"{os.cpu_count()} CPU cores, {sizes}\n")
    return sum(not run(name, options) for name in options.names or BENCHMARKS)


if __name__ == "__main__":
    sys.exit(main())
