"""A video of people through RTMPose-t, drawn and written again, and MMPose's beside it.

    python benchmarks/video.py [--peer PYTHON] [--frames 300] [--rounds 3] [--threads 2]

Frames a CPU second (all threads counted), or with several threads for each library frames a second
of the clock: reading, cropping, network, decoding, drawing, encoding. Boxes are given (MMPose takes
them through a detector that is mocked), weights are random. Both sides run in turn, a process each;
medians of the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

CONFIG = "rtmpose-t_8xb256-420e_coco-256x192"
PEOPLE = 4
SIZE = (1280, 720)
#: side -> (row of the table, options of the inferencer)
OURS = {
    "torch, accurate": {"mode": "accurate"},
    "torch, balanced": {"mode": "balanced"},
    "onnxruntime, balanced": {"mode": "balanced", "backend": "onnxruntime"},
    "openvino, balanced": {"mode": "balanced", "backend": "openvino"},
    "torch, fast (bf16)": {"mode": "fast"},
    "openvino, fast (bf16)": {"mode": "fast", "backend": "openvino"},
}
THEIRS = {"mmpose, default": True, "mmpose, no flip test": False}


def boxes_of(frame):
    """People (4, 5) who walk through the picture."""
    x = 60 + 300 * np.arange(PEOPLE) + frame % 60
    low = np.stack([x, np.full(PEOPLE, 160.0)], 1)
    high = low + np.array([180, 420])
    return np.concatenate((low, high, np.ones((PEOPLE, 1))), 1).astype(np.float32)


def make_clip(path, frames):
    import cv2

    rng = np.random.default_rng(0)
    ground = cv2.resize(rng.integers(0, 255, (18, 32, 3), dtype=np.uint8), SIZE)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25, SIZE)
    for frame in range(frames):
        picture = ground.copy()
        for x1, y1, x2, y2, _ in boxes_of(frame).astype(int).tolist():
            middle = (x1 + x2) // 2, (y1 + y2) // 2
            cv2.ellipse(picture, middle, (60, 200), 0, 0, 360, (40, 90, 200), -1)
        writer.write(picture)
    writer.release()


def ours(name, folder, codec, threads):
    import torch

    import poise
    from poise.inference import SinkGroup, SinkOptions, open_sinks

    torch.set_num_threads(threads)
    inferencer = poise.Inferencer(poise.build_model(CONFIG).eval(), device="cpu", **OURS[name])

    def work(clip):
        boxes = (boxes_of(n) for n in range(10**9))
        with SinkGroup(open_sinks("video,jsonl", folder, SinkOptions(codec=codec))) as group:
            count = 0
            for result in inferencer.predict(clip, boxes=boxes):
                group.write(result)
                count += len(result)
        return count

    return work, inferencer


class MockDetector:
    """What MMPose's inferencer asks of MMDetection's."""

    def __init__(self):
        self.frame = 0

    def __call__(self, inputs, **options):
        import torch
        from mmengine.structures import InstanceData

        boxes = torch.from_numpy(boxes_of(self.frame))
        self.frame += 1
        found = InstanceData(
            bboxes=boxes[:, :4], scores=boxes[:, 4], labels=torch.zeros(PEOPLE, dtype=torch.int)
        )
        return {"predictions": [type("Sample", (), {"pred_instances": found})()]}


def theirs(name, folder, threads):
    import mmpose
    import torch
    from mmengine import Config
    from mmpose.apis import MMPoseInferencer

    torch.set_num_threads(threads)
    configs = Path(mmpose.__file__).parent / ".mim" / "configs"
    config = Config.fromfile(next(configs.rglob(f"{CONFIG}.py")))
    config.model.test_cfg.flip_test = THEIRS[name]
    path = Path(folder) / "config.py"
    config.dump(path)
    inferencer = MMPoseInferencer(str(path), device="cpu", det_model="whole_image")
    inferencer.inferencer.detector = MockDetector()
    inferencer.inferencer.det_cat_ids = [0]

    def work(clip):
        found = 0
        inferencer.inferencer.detector.frame = 0
        for answer in inferencer(str(clip), vis_out_dir=folder, pred_out_dir=folder):
            found += len(answer["predictions"][0])
        return found

    return work, None


def one_run(args):
    """Measure one row in this process; prints JSON."""
    import cv2

    cv2.setNumThreads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        is_ours = args.row in OURS
        work, inferencer = (
            ours(args.row, folder, args.codec, args.threads)
            if is_ours
            else theirs(args.row, folder, args.threads)
        )
        # the first frames pay for what is made once
        work(Path(args.clip).with_name("short.mp4"))
        start, cpu = time.perf_counter(), time.process_time()
        found = work(args.clip)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    assert found == args.frames * PEOPLE, found
    answer = {"cpu": args.frames / cpu, "wall": args.frames / seconds}
    if inferencer is not None:
        answer["table"] = inferencer.timings.table()
    sys.stdout.write("\n" + json.dumps(answer) + "\n")


def measure(row, python, args, clip):
    command = [python, __file__, "--row", row, "--clip", str(clip), "--frames", str(args.frames)]
    threads = str(args.threads)
    settings = {**os.environ, "OMP_NUM_THREADS": threads, "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}
    if python != sys.executable:
        settings.pop("PYTHONPATH", None)
    done = subprocess.run(
        [*command, "--codec", args.codec, "--threads", threads],
        capture_output=True,
        text=True,
        env=settings,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{row} failed: {done.stderr[-1500:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", help="Python of an environment with MMPose")
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--codec", default="mpeg4", help="of our video; MMPose writes MPEG-4")
    parser.add_argument("--rows", nargs="+", default=list(OURS))
    parser.add_argument("--threads", type=int, default=1, help="of each library")
    parser.add_argument("--tables", action="store_true", help="also what our stages take")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    parser.add_argument("--clip", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.row:
        one_run(args)
        return
    kind = "cpu" if args.threads == 1 else "wall"
    rows = [(row, sys.executable) for row in args.rows]
    if args.peer:
        rows = [*((row, args.peer) for row in THEIRS), *rows]
    found = {row: [] for row, _ in rows}
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        make_clip(clip, args.frames)
        make_clip(clip.with_name("short.mp4"), 8)
        for _ in range(args.rounds):
            for row, python in rows:
                found[row].append(measure(row, python, args, clip))
                sys.stderr.write(f"{row}: {found[row][-1][kind]:.1f}\n")
    medians = {row: statistics.median(f[kind] for f in runs) for row, runs in found.items()}
    heads = ("of default", "of no flip")
    bases = {head: base for base, head in zip(THEIRS, heads, strict=True) if base in medians}
    columns = "".join(f"{head:>12}" for head in bases)
    sys.stdout.write(f"{f'frames a second, {kind}':38}{columns}".rstrip() + "\n")
    for row, value in medians.items():
        ratios = "".join(f"{value / medians[base]:12.2f}" for base in bases.values())
        sys.stdout.write(f"{row:30}{value:8.1f}{ratios}\n")
        if args.tables and "table" in found[row][-1]:
            sys.stdout.write(found[row][-1]["table"] + "\n")


if __name__ == "__main__":
    main()
