"""Cameras calibrated by people, on made scenes whose cameras are known.

    python benchmarks/people_calibration.py [--draws 20] [--only NAME]

Somebody (or two) of a random build walks a random way for 16 seconds, turns, bends and lifts arms,
before cameras on an arc, whose focal length is drawn from 0.7 to 1.1 longer sides. Errors of a
keypoint (a deviation of 2 pixels in x and in y) have a part that is new in each frame, one that
lasts for some frames, and one that stays; some are missing, some far off, some people have left and
right exchanged. The height is told. The table has the median and the 90th per cent of draws, of the
worst camera against the first: degrees, parts of its distance, of the focal length; then the error
of distances between cameras, and of poses placed with these cameras and with the true ones (what a
perfect board would give) in millimetres, after the best rigid motion. "sure" is the error of the
turn in its own standard deviations. "refused" are draws without a result.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402
from scipy.interpolate import CubicSpline  # noqa: E402
from scipy.ndimage import gaussian_filter1d  # noqa: E402

FPS, FRAMES, SIZE = 25.0, 400, (1920, 1080)
#: Degrees of the arc on which so many cameras stand.
ARCS = {2: 80, 3: 140, 4: 270, 6: 300}
#: Scene -> what differs from the usual one.
SCENES = {
    "2 cameras": {"views": 2},
    "3 cameras": {},
    "4 cameras": {"views": 4},
    "6 cameras": {"views": 6},
    "3, 1 pixel": {"noise": 0.7},
    "3, 5 pixels": {"noise": 3.5},
    "3, 20 % missing": {"missing": 0.2},
    "3, 10 % swapped": {"swap": 0.1},
    "3, 2 people": {"people": 2},
    "3, offsets": {"offsets": True, "sync": True},
    "3, 100 frames": {"frames": 100},
    "3, one place": {"area": 0.3},
    "3, lenses known": {"known": True},
    "3, lenses differ": {"differ": True},
    "3, same lenses told": {"same_focal": True},
    "2, lenses known": {"views": 2, "known": True},
    "2, 5 pixels": {"views": 2, "noise": 3.5},
    "3, lens bends": {"bend": -0.08},
    "4, 2 people, offsets": {"views": 4, "people": 2, "offsets": True, "sync": True},
}


def limb(length, angle):
    """Vectors (T, 3) of a length that hang down, swung forward by angles (T,)."""
    return length * np.stack((np.sin(angle), 0 * angle, -np.cos(angle)), 1)


def walk(rng, height, area, frames):
    """(T, 17, 3) metres: COCO's keypoints of somebody who walks about."""
    t = np.arange(frames) / FPS
    part = {
        name: height * value * (1 + rng.normal(0, 0.03))
        for name, value in {
            "shank": 0.246, "thigh": 0.245, "trunk": 0.288, "arm": 0.186, "forearm": 0.146,
            "head": 0.118, "shoulders": 0.11, "hips": 0.075,
        }.items()
    }  # fmt: skip
    way = rng.uniform(-area, area, (int(t[-1]) + 4, 2))
    lengths = np.linalg.norm(np.diff(way, axis=0), axis=1) + 0.3 * area
    knots = np.concatenate(([0], np.cumsum(lengths)))
    spline = CubicSpline(knots * max(1, (t[-1] + 1) / knots[-1]), way)
    speed = np.linalg.norm(spline(t, 1), axis=1)
    course = gaussian_filter1d(np.unwrap(np.arctan2(*spline(t, 1).T[::-1])), 4)
    phase = np.cumsum(speed.clip(0.1, 2)) / FPS * 4.5 + rng.uniform(0, 6)
    swing = 0.4 * speed.clip(0.1, 1.5)
    drawn = rng.uniform(0, 6, 4)
    lean = 0.05 + 0.3 * np.clip(np.sin(0.23 * t + drawn[0]) - 0.6, 0, 1)
    trunk = -limb(part["trunk"], -lean)
    pose = np.zeros((frames, 17, 3))
    for i, side in enumerate((1, -1)):
        turn = phase + np.pi * i
        knee = np.array([0, side * part["hips"], 0]) + limb(part["thigh"], swing * np.sin(turn))
        bend = 0.15 + 1.3 * swing * np.clip(np.sin(turn + 1.9), 0, 1)
        pose[:, 11 + i, 1] = side * part["hips"]
        pose[:, 13 + i] = knee
        pose[:, 15 + i] = knee + limb(part["shank"], swing * np.sin(turn) - bend)
        lift = 1.6 * np.clip(np.sin(0.5 * t + drawn[1 + i]), 0, 1) - swing * np.sin(turn)
        shoulder = trunk + np.array([0, side * part["shoulders"], 0])
        elbow = shoulder + limb(part["arm"], lift)
        pose[:, 5 + i], pose[:, 7 + i] = shoulder, elbow
        pose[:, 9 + i] = elbow + limb(part["forearm"], lift + 0.5)
    head = trunk - limb(part["head"], -lean)
    look = 0.5 * np.sin(0.35 * t + drawn[3])[:, None]
    ahead, aside = (
        np.concatenate((np.cos(look + a), np.sin(look + a), 0 * look), 1) for a in (0, np.pi / 2)
    )
    for k, (forward, left, up) in enumerate(
        ((0.10, 0, -0.02), (0.08, 0.03, 0.02), (0.08, -0.03, 0.02), (0, 0.07, 0), (0, -0.07, 0))
    ):
        pose[:, k] = head + forward * ahead + left * aside + [0, 0, up]
    cos, sin = np.cos(course)[:, None], np.sin(course)[:, None]
    x, y = pose[..., 0].copy(), pose[..., 1].copy()
    pose[..., 0], pose[..., 1] = cos * x - sin * y, sin * x + cos * y
    pose[..., 2] += (0.039 * height - pose[:, 15:, 2].min(1))[:, None]
    pose[..., :2] += spline(t)[:, None]
    return pose


def arc(rng, views, differ, bend):
    """Cameras that look at the middle."""
    from poise.geometry import Camera

    start, focal, cameras = rng.uniform(0, 360), rng.uniform(0.7, 1.1), []
    for v in range(views):
        angle = np.deg2rad(start + ARCS[views] * v / (views - 1) + rng.uniform(-8, 8))
        away = rng.uniform(4, 6)
        place = np.array([away * np.cos(angle), away * np.sin(angle), rng.uniform(1, 2.6)])
        z = np.array([*rng.uniform(-0.3, 0.3, 2), rng.uniform(0.8, 1.2)]) - place
        z /= np.linalg.norm(z)
        x = np.cross(z, [rng.normal(0, 0.03), rng.normal(0, 0.03), 1])
        x /= np.linalg.norm(x)
        turn = np.stack((x, np.cross(z, x), z))
        f = SIZE[0] * (rng.uniform(0.7, 1.1) if differ else focal)
        matrix = [[f, 0, (SIZE[0] - 1) / 2], [0, f, (SIZE[1] - 1) / 2], [0, 0, 1]]
        lens = [bend, 0, 0, 0] if bend else []
        cameras.append(Camera(f"cam{v}", matrix, lens, turn, -turn @ place, SIZE))
    return cameras


def seen(rng, camera, bodies, metainfo, *, noise, missing, swap, offset):
    """Results of a camera, and its pixels (T, P, 17, 2) and scores."""
    from poise.inference.results.pose_result import PoseResult, SourceInfo
    from poise.structures import InstanceData

    sides = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
    pixels = camera.project(bodies)
    lasting = gaussian_filter1d(rng.normal(0, 1, pixels.shape), 5, axis=0)
    shape = (1, *pixels.shape[1:])
    for part, size in (
        (rng.normal(0, 1, pixels.shape), 1.0),
        (lasting / lasting.std(), 0.7),
        (rng.normal(0, 1, shape), 0.7),
    ):
        pixels = pixels + noise * size * part
    scores = rng.uniform(0.5, 0.95, pixels.shape[:-1])
    scores[rng.random(scores.shape) < missing] = 0.1
    wrong = rng.random(scores.shape) < 0.01
    pixels[wrong] += rng.normal(0, 60, (int(wrong.sum()), 2))
    exchanged = rng.random(scores.shape[:2]) < swap
    pixels[exchanged] = pixels[exchanged][:, sides]
    inside = ((pixels > 0) & (pixels < SIZE)).all(-1)
    scores[~inside] = 0.05
    results = []
    source = SourceInfo(f"{camera.name}.mp4", "video", fps=FPS)
    for t in range(len(pixels)):
        if t + offset < 0:
            continue
        who = np.flatnonzero((scores[t] > 0.3).sum(-1) >= 6)
        points = pixels[t, who].astype(np.float32)
        fields = InstanceData(
            keypoints=points,
            keypoint_scores=scores[t, who].astype(np.float32),
            bboxes=np.concatenate((points.min(1), points.max(1)), -1),
            bbox_scores=np.full(len(who), 0.9, np.float32),
            track_ids=who + 1,
        )
        result = PoseResult(
            None, fields, metainfo, source.name, frame_index=t + offset,
            time=(t + offset) / FPS, source=source, noted_size=SIZE,
        )  # fmt: skip
        results.append(result)
    return results, pixels, np.where(scores > 0.3, scores, 0)


def degrees(rotation):
    """Angle of a rotation."""
    return np.rad2deg(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1)))


def pose_error(pixels, scores, cameras, bodies, *, move):
    """Median millimetres of poses placed with some cameras."""
    from poise.geometry import triangulate_points

    points = triangulate_points(pixels, cameras, scores=scores, max_error=40).points
    known = np.isfinite(points).all(-1)
    p, q = points[known], bodies[known]
    if move:
        left, _, right = np.linalg.svd((p - p.mean(0)).T @ (q - q.mean(0)))
        flip = np.diag([1, 1, np.sign(np.linalg.det(left @ right))])
        p = (p - p.mean(0)) @ left @ flip @ right + q.mean(0)
    return 1000 * float(np.median(np.linalg.norm(p - q, axis=-1)))


def draw(
    seed, *, views=3, people=1, noise=1.5, missing=0.05, swap=0.03, area=1.5, frames=FRAMES,
    offsets=False, sync=False, known=False, differ=False, same_focal=False, bend=0.0,
):  # fmt: skip
    """Errors of one scene, by name; None where it was refused."""
    from poise.errors import DataError
    from poise.inference.multiview import calibrate_from_people
    from poise.structures import parse_pose_metainfo

    rng = np.random.default_rng(seed)
    metainfo = parse_pose_metainfo({"from_file": "configs/_base_/datasets/coco.py"})
    cameras = arc(rng, views, differ, bend)
    heights = rng.uniform(1.6, 1.9, people)
    bodies = np.stack([walk(rng, h, area, frames) for h in heights], 1)
    shifts = [0, *(rng.integers(-60, 60, views - 1).tolist() if offsets else [0] * (views - 1))]
    made = [
        seen(rng, camera, bodies, metainfo, noise=noise, missing=missing, swap=swap, offset=shift)
        for camera, shift in zip(cameras, shifts, strict=True)
    ]  # fmt: skip
    began = time.process_time()
    try:
        found = calibrate_from_people(
            [results for results, _, _ in made], names=[c.name for c in cameras],
            known=cameras if known else None, same_focal=same_focal,
            offsets="auto" if sync else None, height=float(heights.mean()),
        )  # fmt: skip
    except DataError as error:
        return str(error)
    seconds = time.process_time() - began
    pixels, scores = np.stack([p for _, p, _ in made]), np.stack([s for _, _, s in made])
    first, own = cameras[0], found.cameras[0]
    turns, places, sure = [], [], []
    for camera, got, accuracy in zip(
        cameras[1:], found.cameras[1:], found.accuracy[1:], strict=True
    ):
        turn = (got.rotation @ own.rotation.T).T @ camera.rotation @ first.rotation.T
        turns.append(degrees(turn))
        sure.append(turns[-1] / accuracy.turn)
        there, here = (
            first.rotation @ (camera.center - first.center),
            own.rotation @ (got.center - own.center),
        )
        places.append((there, here))
    there, here = (np.array(side) for side in zip(*places, strict=True))
    scale = (there * here).sum() / (here**2).sum()
    off = np.linalg.norm(scale * here - there, axis=1) / np.linalg.norm(there, axis=1)
    focal = [
        abs(g.matrix[0, 0] / c.matrix[0, 0] - 1)
        for c, g in zip(cameras, found.cameras, strict=True)
    ]
    up = own.rotation.T @ first.rotation @ [0, 0, 1]
    return {
        "turn °": max(turns),
        "place %": 100 * max(off),
        "focal %": 100 * max(focal),
        "scale %": 100 * abs(1 / scale - 1),
        "up °": float(np.rad2deg(np.arccos(min(up[2], 1.0)))),
        "pose mm": pose_error(pixels, scores, found.cameras, bodies, move=True),
        "true mm": pose_error(pixels, scores, cameras, bodies, move=False),
        "sure": float(np.median(sure)),
        "late": float(
            max(abs(found.offsets[c.name] - s) for c, s in zip(cameras, shifts, strict=True))
        ),
        "seconds": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--only", help="part of the scenes' names")
    args = parser.parse_args()
    head = False
    for name, settings in SCENES.items():
        if args.only and args.only not in name:
            continue
        drawn = [draw(seed, **settings) for seed in range(args.draws)]
        done = [row for row in drawn if isinstance(row, dict)]
        if not head and done:
            sys.stdout.write(
                f"{'':22}{'refused':>8}" + "".join(f"{key:>14}" for key in done[0]) + "\n"
            )
            head = True
        cells = [
            f"{np.median(values):.3g}, {np.quantile(values, 0.9):.3g}"
            for values in ([row[key] for row in done] for key in (done[0] if done else ()))
        ]
        sys.stdout.write(
            f"{name:22}{len(drawn) - len(done):>8}" + "".join(f"{c:>14}" for c in cells) + "\n"
        )
        for reason in sorted({row for row in drawn if isinstance(row, str)}):
            sys.stdout.write(f"    {reason}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
