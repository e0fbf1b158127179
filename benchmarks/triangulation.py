"""Points of space from several cameras: all at once, beside loops over keypoints.

    python benchmarks/triangulation.py [--frames 300] [--rounds 5]

One person of 26 keypoints, pixels with noise of 2 and a wrong keypoint in one view of every tenth.
The loops are how other programs go about it: `cv2.triangulatePoints` on two cameras a keypoint,
and an SVD a keypoint of the rows of all cameras, weighted by the scores, which leaves one camera
after the other out where the reprojection error exceeds 15 pixels (as Pose2Sim does). Times are
medians of CPU microseconds a keypoint, taken in turns.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import sys
import time

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import cv2  # noqa: E402
import numpy as np  # noqa: E402

KEYPOINTS, LIMIT = 26, 15.0


def ring(views):
    """Cameras without distortion on a circle of four metres."""
    from poise.geometry import Camera

    cameras = []
    for angle in np.linspace(0, 1.5 * np.pi, views):
        place = np.array([4 * np.cos(angle), 4 * np.sin(angle), 1.6])
        z = np.array([0, 0, 1.0]) - place
        z /= np.linalg.norm(z)
        x = np.cross(z, [0, 0, 1])
        x /= np.linalg.norm(x)
        turn = np.stack((x, np.cross(z, x), z))
        matrix = [[1000, 0, 640], [0, 1000, 360], [0, 0, 1]]
        cameras.append(Camera(f"{angle:.2f}", matrix, rotation=turn, translation=-turn @ place))
    return cameras


def scene(views, frames):
    """Cameras, points (T, K, 3), pixels (V, T, K, 2) and scores (V, T, K)."""
    rng = np.random.default_rng(0)
    cameras = ring(views)
    points = rng.uniform((-0.8, -0.8, 0.2), (0.8, 0.8, 1.8), (frames, KEYPOINTS, 3))
    pixels = np.stack([camera.project(points) for camera in cameras])
    pixels += rng.normal(0, 2, pixels.shape)
    wrong = rng.random((frames, KEYPOINTS)) < 0.1
    view = rng.integers(0, views, (frames, KEYPOINTS))
    t, k = np.nonzero(wrong)
    pixels[view[t, k], t, k] += rng.choice([-1, 1], (len(t), 2)) * 80
    return cameras, points, pixels, rng.uniform(0.5, 1, pixels.shape[:-1])


def pairs_in_a_loop(matrices, pixels):
    """cv2.triangulatePoints of the first two cameras, a keypoint at a time."""
    first, second = matrices[:2]
    _, T, K = pixels.shape[:3]
    out = np.empty((T, K, 3))
    for t in range(T):
        for k in range(K):
            four = cv2.triangulatePoints(first, second, pixels[0, t, k], pixels[1, t, k])
            out[t, k] = (four[:3] / four[3])[:, 0]
    return out


def rows_in_a_loop(matrices, pixels, scores):
    """An SVD a keypoint, cameras left out one by one where they do not agree."""
    V, T, K = pixels.shape[:3]
    out = np.full((T, K, 3), np.nan)
    for t in range(T):
        for k in range(K):
            for size in range(V, 1, -1):
                best, error = None, np.inf
                for chosen in itertools.combinations(range(V), size):
                    rows = []
                    for v in chosen:
                        x, y = pixels[v, t, k]
                        P, w = matrices[v], scores[v, t, k]
                        rows += [w * (P[0] - x * P[2]), w * (P[1] - y * P[2])]
                    four = np.linalg.svd(np.array(rows))[2][-1]
                    four = four / four[3]
                    away = []
                    for v in chosen:
                        seen = matrices[v] @ four
                        away.append(np.hypot(*(seen[:2] / seen[2] - pixels[v, t, k])))
                    if np.mean(away) < error:
                        best, error = four[:3], np.mean(away)
                if error < LIMIT:
                    out[t, k] = best
                    break
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    from poise.geometry import triangulate_points

    head = f"{'cameras':8}{'method':34}{'us a keypoint':>14}{'times ours':>12}{'median mm':>11}\n"
    sys.stdout.write(head)
    for views in (2, 4, 8):
        cameras, points, pixels, scores = scene(views, options.frames)
        matrices = [c.matrix @ np.c_[c.rotation, c.translation] for c in cameras]
        few = slice(0, max(options.frames // 20, 1))
        parts = {
            "all at once": (
                lambda p, s, c=cameras: triangulate_points(p, c, scores=s, max_error=LIMIT).points,
                slice(None),
            ),
            "all at once, linear, all believed": (
                lambda p, s, c=cameras: triangulate_points(p, c, scores=s, steps=0).points,
                slice(None),
            ),
            "loop of SVDs, cameras left out": (
                lambda p, s, m=matrices: rows_in_a_loop(m, p, s),
                few,
            ),
        }
        if views == 2:
            parts["loop of cv2.triangulatePoints"] = (
                lambda p, _, m=matrices: pairs_in_a_loop(m, p),
                few,
            )
        times = {name: [] for name in parts}
        errors = {}
        for _ in range(options.rounds):
            for name, (call, frames) in parts.items():
                some, weights = pixels[:, frames], scores[:, frames]
                start = time.process_time()
                found = call(some, weights)
                spent = time.process_time() - start
                times[name].append(1e6 * spent / found[..., 0].size)
                away = np.linalg.norm(found - points[frames], axis=-1)
                errors[name] = 1e3 * float(np.nanmedian(away))
        ours = statistics.median(times["all at once"])
        for name, values in times.items():
            spent = statistics.median(values)
            sys.stdout.write(
                f"{views:<8}{name:34}{spent:14.2f}{spent / ours:12.1f}{errors[name]:11.1f}\n"
            )


if __name__ == "__main__":
    main()
