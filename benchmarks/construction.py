"""From a config's name and a weights file to a model; with `--peer`, MMPose's `init_model` beside.

    python benchmarks/construction.py [--rounds 9] [--peer PYTHON]

"First" is a new process from its start to the model, imports included; the other rows are a
process that has built the same model before. CPU seconds, medians; libraries take turns.
"""

from __future__ import annotations

import argparse
import gc
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import PEER_SETTINGS, Worker, answer_questions, cannot_run, show

MODELS = {
    "RTMPose-m": "rtmpose-m_8xb256-420e_coco-256x192",
    "HRNet-W32": "td-hm_hrnet-w32_8xb64-210e_coco-256x192",
    "ViTPose-L": "td-hm_ViTPose-large_8xb64-210e_coco-256x192",
    "RTMO-s": "rtmo-s_8xb32-600e_body7-640x640",
}
FIRST = ", first"


def build(library: str, name: str, weights: str) -> None:
    """A model that is ready to use."""
    if library == "poise":
        from poise.apis import init_model
    else:
        import mmpose
        from mmpose.apis import init_model

        folder = Path(mmpose.__file__).parent / ".mim"
        name = str(next(folder.rglob(f"{name}.py")))
    init_model(name, weights, device="cpu")


def worker(library: str) -> None:
    """Answer with the CPU seconds of one construction."""

    def answer(name: str, weights: str) -> float:
        start = time.process_time()
        build(library, name, weights)
        spent = time.process_time() - start
        # models hold on to themselves by cycles, and large ones are soon too many
        gc.collect()
        return spent

    answer_questions(answer)


def first(python: str, library: str, name: str, weights: str) -> float:
    """CPU seconds of a process that builds one model."""
    command = [python, str(Path(__file__).resolve()), "--once", library, name, weights]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | PEER_SETTINGS
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise cannot_run(f"{' '.join(command)} failed: {done.stderr.strip()[-600:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def save_weights(folder: Path) -> dict[str, str]:
    """A file of made-up weights for each model, as training leaves them."""
    import torch

    import poise

    paths = {}
    for title, name in MODELS.items():
        paths[title] = str(folder / f"{title}.pth")
        torch.save({"meta": {}, "state_dict": poise.build_model(name).state_dict()}, paths[title])
    return paths


def compare(peer: str | None, rounds: int) -> dict[str, dict[str, float]]:
    """Library -> row -> median of CPU milliseconds."""
    pythons = {"poise": sys.executable, **({"mmpose": peer} if peer else {})}
    workers = {library: Worker(p, __file__, library) for library, p in pythons.items()}
    times: dict[str, dict[str, list[float]]] = {library: {} for library in pythons}
    with tempfile.TemporaryDirectory() as folder:
        for title, weights in save_weights(Path(folder)).items():
            name = MODELS[title]
            for process in workers.values():
                process.ask(name, weights)
            for turn in range(rounds):
                for library, python in pythons.items():
                    rows = times[library]
                    rows.setdefault(title, []).append(workers[library].ask(name, weights))
                    # a start costs ten times as much as what follows
                    if turn < (rounds + 2) // 3:
                        cost = first(python, library, name, weights)
                        rows.setdefault(title + FIRST, []).append(cost)
    for process in workers.values():
        process.stop()
    return {
        library: {row: 1e3 * statistics.median(t) for row, t in rows.items()}
        for library, rows in times.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", help="python interpreter that has MMPose")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--worker", choices=("poise", "mmpose"), help=argparse.SUPPRESS)
    parser.add_argument("--once", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(options.worker)
    elif options.once:
        build(*options.once)
    else:
        report = compare(options.peer, options.rounds)
        show("CPU milliseconds", report["poise"], report.get("mmpose"))


if __name__ == "__main__":
    main()
