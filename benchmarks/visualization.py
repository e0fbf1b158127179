"""Time of drawing people into a 1280 x 720 picture, and MMPose's beside it.

    python benchmarks/visualization.py [--peer PYTHON] [--rounds 30]

Medians of CPU microseconds on one thread. "in place" draws into the caller's picture;
"datasample" is `PoseLocalVisualizer.add_datasample`, which both have.
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import time

import cv2
import numpy as np


def median_time(call, rounds):
    call()
    times = []
    for _ in range(rounds):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return statistics.median(times) * 1e6


def people(count):
    """Keypoints (count, 17, 2) of people of about 200 pixels."""
    rng = np.random.default_rng(0)
    center = rng.uniform([150, 150], [1130, 570], (count, 1, 2))
    return (center + rng.normal(size=(count, 17, 2)) * 50).astype(np.float32)


def measure(package, rounds):
    cv2.setNumThreads(1)
    structures = importlib.import_module(f"{package}.structures")
    instance_data = importlib.import_module(
        "mmengine.structures" if package == "mmpose" else "poise.structures"
    ).InstanceData
    visualization = importlib.import_module(f"{package}.visualization")
    parse = importlib.import_module(
        "mmpose.datasets.datasets.utils" if package == "mmpose" else "poise.structures.metainfo"
    ).parse_pose_metainfo
    meta = parse({"from_file": "configs/_base_/datasets/coco.py"})
    results = {}
    for count in (1, 10):
        image = np.full((720, 1280, 3), 90, np.uint8)
        sample = structures.PoseDataSample()
        sample.pred_instances = instance_data(
            keypoints=people(count), keypoints_visible=np.ones((count, 17), np.float32)
        )
        visualizer = visualization.PoseLocalVisualizer()
        visualizer.set_dataset_meta(meta)
        draw = lambda v=visualizer, i=image, s=sample: v.add_datasample(  # noqa: E731
            "x", i, s, draw_gt=False
        )
        results[f"datasample, {count} people"] = median_time(draw, rounds)
        if package != "poise":
            continue
        visualizer.antialias = False
        results[f"datasample, {count} people, not smoothed"] = median_time(draw, rounds)
        # MMPose's default sizes, for like to be compared with like
        visualizer.line_width, visualizer.radius = 1, 3
        results[f"datasample, {count} people, its sizes"] = median_time(draw, rounds)
        for smooth in (True, False):
            name = f"in place, {count} people" + (", smoothed" if smooth else ", its sizes")
            sizes = {} if smooth else {"line_width": 1, "radius": 3}
            palette, keypoints = visualization.Palette.of(meta, 17), people(count)
            draw_in = lambda p=palette, i=image, k=keypoints, a=smooth, s=sizes: (  # noqa: E731
                visualization.draw_keypoints(i, k, palette=p, antialias=a, **s)
            )
            results[name] = median_time(draw_in, rounds)
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", help="python that can import mmpose")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--package", default="poise", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print the times as JSON")
    args = parser.parse_args()
    times = measure(args.package, args.rounds)
    if args.json:
        print(json.dumps(times))
        return
    from common import peer_times, show

    peer = peer_times(args.peer, __file__, ["--rounds", str(args.rounds)]) if args.peer else {}
    # every way of drawing is compared with the one that MMPose has
    theirs = {name: peer.get(f"datasample, {name.split(', ')[1]}", 0.0) for name in times}
    show("CPU microseconds", times, theirs if peer else None)


if __name__ == "__main__":
    main()
