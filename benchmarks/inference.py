"""What a person costs besides the network: decoding, cropping, packing, decoding of outputs.

Usage: python benchmarks/inference.py CONFIG PHOTO [--people 1 8 32] [--peer PYTHON]

The network's outputs are computed once and handed out again, so that only the rest is timed.
CONFIG: a top-down config file that both frameworks read, such as MMPose's
rtmpose-t_8xb256-420e_coco-256x192.py. With --peer, the Python of an environment with MMPose runs
the same work by `mmpose.apis.inference_topdown`. Times are CPU milliseconds, medians.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np


def boxes_of(people: int, width: int, height: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 0.5, (people, 2)) * (width, height)
    size = rng.uniform(0.2, 0.5, (people, 2)) * (width, height)
    return np.concatenate((low, low + size), 1).astype(np.float32)


def without_network(model: Any, people: int) -> None:
    """Let a model answer with outputs that are there already."""
    import torch

    width, height = model.head.input_size
    with torch.no_grad():
        feats = model.extract_feat(torch.zeros(1, 3, height, width))
        outputs = model.head.forward(feats)
    outputs = [torch.rand(people, *o.shape[1:]) for o in outputs]
    model.extract_feat = lambda inputs: feats
    model.head.forward = lambda _feats: tuple(outputs)


def work_of(side: str, config: str, photo: str, people: int) -> Any:
    """One call: the poses of `people` boxes of a photo file."""
    import cv2

    height, width = cv2.imread(photo).shape[:2]
    boxes = boxes_of(people, width, height)
    options = {"model.test_cfg.flip_test": False}
    if side == "mmpose":
        from mmpose.apis import inference_topdown, init_model

        model = init_model(config, None, "cpu", options)
        without_network(model, people)
        return lambda: inference_topdown(model, photo, boxes)
    from poise.apis import init_model
    from poise.inference import Inferencer

    inferencer = Inferencer(init_model(config, None, "cpu", options), device="cpu")
    without_network(inferencer.model, people)
    return lambda: list(inferencer.predict(photo, boxes=boxes, batch_size=people))


def measure(side: str, args: argparse.Namespace) -> dict[str, float]:
    import torch

    torch.set_num_threads(1)
    found = {}
    for people in args.people:
        work = work_of(side, args.config, args.photo, people)
        work()
        times = []
        for _ in range(args.repeats):
            start = time.process_time()
            work()
            times.append(time.process_time() - start)
        found[str(people)] = 1000 * statistics.median(times) / people
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config")
    parser.add_argument("photo")
    parser.add_argument("--people", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--peer", help="Python of an environment with MMPose")
    parser.add_argument("--side", default="poise", choices=["poise", "mmpose"])
    args = parser.parse_args()
    if args.side == "mmpose":
        sys.stdout.write(json.dumps(measure("mmpose", args)) + "\n")
        return
    ours = measure("poise", args)
    theirs: dict[str, float] = {}
    if args.peer:
        command = [args.peer, __file__, *sys.argv[1:], "--side", "mmpose"]
        environment = {**os.environ, "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        theirs = json.loads(done.stdout.splitlines()[-1])
    for people, cost in ours.items():
        line = f"{people:>3} people: {cost:.2f} ms a person besides the network"
        if people in theirs:
            line += f"; MMPose {theirs[people]:.2f} ms, {theirs[people] / cost:.1f} times"
        print(line)


if __name__ == "__main__":
    main()
