"""Requests a second of `poise serve` with 1, 4 and 16 clients, with and without batches.

    python benchmarks/serving.py [--requests 64] [--rounds 3] [--model movenet-thunder] [--boxes]

Two servers run side by side, with `--max-batch 8` and with `--max-batch 1`, and are asked in
turns; each client sends its next picture when the last one is answered. Medians of rounds. On a
busy machine the CPU time of the server for each request is to be trusted rather than the rates.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import re
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from common import cannot_run

PHOTO = Path(__file__).resolve().parents[1] / "examples/photos/astronaut.png"
CLIENTS = (1, 4, 16)
BATCHES = (1, 8)
BOX = "[[0,0,512,512]]"


class Served(NamedTuple):
    """A server and where it is."""

    process: subprocess.Popen[str]
    port: int

    def cpu_seconds(self) -> float:
        """What it has computed so far; NaN where the system does not tell."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return float("nan")
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Measured(NamedTuple):
    """One round: requests a second, median milliseconds of one, CPU milliseconds of one."""

    rate: float
    latency: float
    cpu: float


@contextlib.contextmanager
def server(arguments: list[str]) -> Iterator[Served]:
    """`poise serve` on a free port, ended at the end."""
    command = [sys.executable, "-m", "poise", "serve", "--port", "0", *arguments]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    try:
        # what it logs later would fill the pipe
        found = next(filter(None, (re.search(r":(\d+)/ ", line) for line in process.stdout)), None)
        if found is None:
            raise cannot_run("`poise serve` did not begin; run it by hand to see why")
        drain = ThreadPoolExecutor(1)
        drain.submit(lambda: [None for _ in process.stdout or ()])
        yield Served(process, int(found[1]))
    finally:
        process.terminate()
        process.wait(60)


def client(port: int, path: str, body: bytes, count: int) -> list[float]:
    """Seconds of requests, one after the other on one connection."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    seconds = []
    for _ in range(count):
        start = time.perf_counter()
        line.request("POST", path, body, {"Content-Type": "image/png"})
        answer = line.getresponse()
        text = answer.read()
        assert answer.status == 200, text
        seconds.append(time.perf_counter() - start)
    line.close()
    return seconds


def measure(served: Served, path: str, body: bytes, clients: int, requests: int) -> Measured:
    """One round."""
    each = max(1, requests // clients)
    before, start = served.cpu_seconds(), time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        calls = [pool.submit(client, served.port, path, body, each) for _ in range(clients)]
        seconds = [s for call in calls for s in call.result()]
    whole = time.perf_counter() - start
    cpu = (served.cpu_seconds() - before) / len(seconds)
    return Measured(len(seconds) / whole, 1000 * statistics.median(seconds), 1000 * cpu)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=64, help="of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="movenet-thunder")
    parser.add_argument("--mode", default="accurate")
    parser.add_argument("--backend", default="torch")
    parser.add_argument("--boxes", action="store_true", help="send a box: no detector")
    options = parser.parse_args()
    path = f"/predict?boxes={quote(BOX)}" if options.boxes else "/predict"
    body = PHOTO.read_bytes()
    common = ["-m", options.model, "--mode", options.mode, "--backend", options.backend]
    rounds: dict[tuple[int, int], list[Measured]] = defaultdict(list)
    with contextlib.ExitStack() as stack:
        servers = {
            size: stack.enter_context(server([*common, "--max-batch", str(size)]))
            for size in BATCHES
        }
        for served in servers.values():
            measure(served, path, body, 4, 8)
        for _ in range(options.rounds):
            for clients in CLIENTS:
                for size, served in servers.items():
                    found = measure(served, path, body, clients, options.requests)
                    rounds[clients, size].append(found)
    print(f"{'clients':>8}{'max-batch':>11}{'requests/s':>12}{'ms':>9}{'CPU ms':>9}")
    for (clients, size), found in rounds.items():
        rate, latency, cpu = (statistics.median(values) for values in zip(*found, strict=True))
        print(f"{clients:8}{size:11}{rate:12.1f}{latency:9.0f}{cpu:9.1f}")
    for clients in CLIENTS:
        gains = [
            own.rate / other.rate
            for own, other in zip(rounds[clients, 8], rounds[clients, 1], strict=True)
        ]
        print(f"{clients} clients: batches answer {statistics.median(gains):.2f} times as many")


if __name__ == "__main__":
    main()
