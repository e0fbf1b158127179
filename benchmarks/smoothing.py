"""Jitter, delay and error of the smoothers on made movements.

    python benchmarks/smoothing.py

A person of 100 pixels at 25 frames a second, noise of 1 pixel. Jitter: change from frame to frame
of somebody at rest, as a part of that without smoothing. Delay: frames behind a steady step of 4
pixels a frame. Error: pixels (RMS) of a sway of 20 pixels at 1 Hz; without smoothing it is 1.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np

FRAMES, FPS = 500, 25
BODY = np.array([[0, 0], [100, 0], [0, 100], [60, 80.0]])
METHODS = [
    "one-euro",
    "kalman",
    {"type": "kalman", "lag": 5},
    "savgol",
    {"type": "savgol", "window": 21},
    "gaussian",
]


def rms(values) -> float:
    return float(np.sqrt(np.mean(values**2)))


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    from poise.inference.smoothing import build_smoother, smooth_sequence

    rng = np.random.default_rng(0)
    t = np.arange(FRAMES)[:, None, None]
    noise = rng.normal(0, 1, (FRAMES, 4, 2))
    still, ramp = BODY + noise, BODY + 4.0 * t
    sway = BODY + 20 * np.sin(2 * np.pi * t / FPS)
    head = f"{'filter':34}{'waits':>6}{'jitter':>8}{'delay':>8}{'error':>8}{'ms a frame':>12}\n"
    sys.stdout.write(head)
    for method in METHODS:
        calm, _ = smooth_sequence(still, method=method)
        jitter = rms(np.diff(calm[50:], axis=0)) / rms(np.diff(still[50:], axis=0))
        behind = (ramp - smooth_sequence(ramp, method=method)[0])[100:-50].mean() / 4
        start = time.process_time()
        moved, _ = smooth_sequence(sway + noise, method=method)
        spent = (time.process_time() - start) * 1e3 / FRAMES
        error = rms((moved - sway)[50:-50])
        lag = build_smoother(method).lag
        sys.stdout.write(
            f"{method!s:34}{lag:6}{jitter:8.2f}{behind:8.2f}{error:8.2f}{spent:12.2f}\n"
        )


if __name__ == "__main__":
    main()
