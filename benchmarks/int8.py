"""Files of 8 bits beside those of 32: time, size, and how far poses move.

Usage: python benchmarks/int8.py [MODEL ...] [--data ANNOTATIONS.json] [--batch 8] [--json]

Models are exported with 32 bits, and again with all layers but the first and last ones at 8, whose
ranges are learnt from views of one photo or from --data. Both run in turn with ONNX Runtime and
OpenVINO: CPU milliseconds an input, medians. How far poses move is measured where weights are at
hand (the models inside the package), on --data; those of others are made up, and as fast.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from poise.export.checks.accuracy import Trial
from poise.export.checks.looking import looker_of
from poise.export.checks.pictures import Pictures
from poise.export.forms.quantiser import Quantiser
from poise.export.forms.writers import write_onnx
from poise.export.plans.kinds import plan_of
from poise.inference.detectors import NanoDetDetector
from poise.runtimes import open_session

PHOTO = Path(__file__).resolve().parents[1] / "examples" / "photos" / "astronaut.png"
MODELS = (
    "movenet-lightning",
    "movenet-thunder",
    "nanodet",
    "rtmpose-t_8xb256-420e_coco-256x192",
    "rtmpose-m_8xb256-420e_coco-256x192",
    "td-hm_hrnet-w32_8xb64-210e_coco-256x192",
)
EMBEDDED = ("movenet-lightning", "movenet-thunder", "nanodet")
RUNTIMES = ("onnxruntime", "openvino")


def plan_named(name: str) -> Any:
    if name == "nanodet":
        return plan_of(NanoDetDetector())
    import torch

    import poise

    if name in EMBEDDED:
        return plan_of(poise.load_model(name, device="cpu"))
    torch.manual_seed(0)
    return plan_of(poise.build_model(name).eval())


def views(folder: Path) -> Pictures:
    """Sixteen views of the photo, each with a box around everything."""
    photo, boxes = cv2.imread(str(PHOTO)), []
    for i in range(16):
        view = (photo[:, ::-1] if i % 2 else photo)[: 512 - 10 * i, : 512 - 5 * i] // (1 + i % 4)
        cv2.imwrite(str(folder / f"{i:02}.png"), view)
        boxes.append(np.array([[0, 0, view.shape[1], view.shape[0]]], np.float32))
    return Pictures([str(folder / f"{i:02}.png") for i in range(16)], boxes)


def milliseconds(sessions: dict[str, Any], sample: np.ndarray, rounds: int) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in sessions}
    for session in sessions.values():
        session(sample)
    for _ in range(rounds):
        for name, session in sessions.items():
            start = time.process_time()
            session(sample)
            times[name].append(1000 * (time.process_time() - start) / len(sample))
    return {name: statistics.median(own) for name, own in times.items()}


def measure(name: str, pictures: Pictures, folder: Path, args: argparse.Namespace) -> list[Any]:
    plan = plan_named(name)
    kind = plan.metadata.get("kind")
    files = {"32": folder / "whole.onnx", "8": folder / "int8.onnx"}
    plan.metadata["bits"] = 8
    write_onnx(plan, files["32"])
    inputs = looker_of(files["32"], kind).inputs(pictures, 48)
    quantiser = Quantiser(files["32"], inputs, folder)
    quantiser.write(files["8"], range(len(quantiser.parts)))
    moved: dict[str, float] = {}
    if name in EMBEDDED and pictures.labelled:
        found = Trial(looker_of(plan.model, kind), pictures)(looker_of(files["8"], kind))
        moved = {"median px": found.apart.median, "95 % px": found.apart.p95}
        moved["likeness"] = found.likeness
    size = {bits: file.stat().st_size / 1e6 for bits, file in files.items()}
    sample = np.concatenate([inputs[i % len(inputs)] for i in range(args.batch)])
    rows = []
    for runtime in RUNTIMES:
        sessions = {bits: open_session(file, runtime) for bits, file in files.items()}
        times = milliseconds(sessions, sample, args.rounds)
        rows.append({"model": name, "runtime": runtime, "ms": times, "MB": size, **moved})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--data", type=Path, help="COCO keypoint file, its pictures beside it")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = views(folder)
        if args.data is not None:
            from poise.data_tools.opening import open_dataset

            pictures = Pictures.of(open_dataset(args.data, mode="topdown"))
        rows = []
        for model in args.models:
            for row in measure(model, pictures, folder, args):
                rows.append(row)
                if not args.json:
                    ms, size = row["ms"], row["MB"]
                    more = "".join(f", {k} {row[k]:.2f}" for k in list(row)[4:])
                    print(
                        f"{model:42} {row['runtime']:12} 32 bits {ms['32']:6.2f} ms, 8 bits "
                        f"{ms['8']:6.2f} ms, {ms['32'] / ms['8']:.2f} times as fast; "
                        f"{size['32']:.1f} -> {size['8']:.1f} MB{more}",
                        flush=True,
                    )
    if args.json:
        sys.stdout.write(json.dumps(rows) + "\n")


if __name__ == "__main__":
    main()
