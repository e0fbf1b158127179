"""Loading of a COCO file: time, memory, cost of a record, private memory of a worker.

    python benchmarks/datasets.py                       # 57,000 images, 150,000 people
    python benchmarks/datasets.py --images 5000 --mode bottomup
    python benchmarks/datasets.py --peer ~/mmpose/bin/python

`--peer` names a Python that has MMPose; it measures the same file with MMPose's class. Each
measurement runs in a process of its own. Times are CPU seconds of one core.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PEOPLE_PER_IMAGE = 2.63
POLYGON_POINTS = 25
KEYPOINTS = 17
# a schema of its own, so that the reference needs no metadata files
SCHEMA = {
    "dataset_name": "benchmark",
    "keypoint_info": {k: {"name": f"k{k}", "id": k, "type": "upper"} for k in range(KEYPOINTS)},
    "skeleton_info": {},
    "joint_weights": [1.0] * KEYPOINTS,
    "sigmas": [0.05] * KEYPOINTS,
}


def write_coco(path: Path, images: int) -> None:
    """A file that is like COCO's train2017 in size, fields and digits."""
    draw = random.Random(0)
    rows, people = [], []
    for i in range(images):
        name = f"{i:012d}.jpg"
        rows.append({"id": i, "file_name": name, "width": 640, "height": 480, "license": 3})
    for n in range(int(images * PEOPLE_PER_IMAGE)):
        labelled = draw.random() > 0.05
        triples = []
        for _ in range(KEYPOINTS):
            visible = draw.choice((0, 1, 2, 2)) if labelled else 0
            place = (draw.randrange(640), draw.randrange(480)) if visible else (0, 0)
            triples += [*place, visible]
        people.append(
            {
                "segmentation": [
                    [round(draw.uniform(0, 640), 2) for _ in range(2 * POLYGON_POINTS)]
                ],
                "num_keypoints": sum(v > 0 for v in triples[2::3]),
                "area": round(draw.uniform(100, 90000), 4),
                "iscrowd": int(draw.random() < 0.007),
                "keypoints": triples,
                "image_id": draw.randrange(images),
                "bbox": [round(draw.uniform(0, 300), 2) for _ in range(4)],
                "category_id": 1,
                "id": n,
            }
        )
    content = {"images": rows, "annotations": people, "categories": [{"id": 1, "name": "person"}]}
    path.write_text(json.dumps(content))


def memory() -> tuple[float, float]:
    """Resident and highest resident memory of this process, MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    sizes = {k: v for k, _, v in (line.partition(":") for line in lines)}
    return tuple(float(sizes[k].split()[0]) / 1024 for k in ("VmRSS", "VmHWM"))  # type: ignore


def private_growth(dataset: object, touch: int) -> float:
    """Private memory that a forked worker gains by reading `touch` records, MB."""
    reader, writer = os.pipe()
    if os.fork() == 0:

        def private() -> int:
            rows = Path("/proc/self/smaps_rollup").read_text().splitlines()
            return sum(int(r.split()[1]) for r in rows if r.startswith("Private_"))

        before = private()
        for i in range(touch):
            dataset.get_data_info(i)
        os.write(writer, str((private() - before) / 1024).encode())
        os._exit(0)
    os.wait()
    return float(os.read(reader, 64))


def measure(side: str, path: str, mode: str) -> dict[str, float]:
    """Figures of one side in this process."""
    if side == "mmpose":
        from mmengine.registry import init_default_scope
        from mmpose.datasets import CocoDataset

        init_default_scope("mmpose")
    else:
        from poise.datasets import CocoDataset
    import numpy as np

    resident, _ = memory()
    start = time.process_time()
    dataset = CocoDataset(ann_file=path, data_mode=mode, metainfo=SCHEMA)
    loaded = time.process_time() - start
    after, peak = memory()
    places = np.random.RandomState(0).permutation(len(dataset))[:5000].tolist()
    start = time.process_time()
    for i in places:
        dataset.get_data_info(i)
    item = (time.process_time() - start) / len(places)
    stored = getattr(dataset.data_list, "nbytes", None) or dataset.data_bytes.nbytes
    return {
        "records": len(dataset),
        "load s": loaded,
        "grown MB": after - resident,
        "peak MB": peak - resident,
        "stored MB": stored / 2**20,
        "record us": item * 1e6,
        "worker MB": private_growth(dataset, len(dataset) // 3),
    }


def run(python: str, side: str, path: str, mode: str, **env: str) -> dict[str, float]:
    """Figures of one side in a new process."""
    script = str(Path(__file__).resolve())
    command = [python, script, "--side", side, "--file", path, "--mode", mode]
    settings = {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1", "OMP_NUM_THREADS": "1", **env}
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **settings})
    if done.returncode:
        raise SystemExit(f"{side}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Write the file, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=57_000)
    parser.add_argument("--mode", choices=("topdown", "bottomup"), default="topdown")
    parser.add_argument("--peer", help="Python that has MMPose")
    parser.add_argument("--file", help="a COCO keypoint file instead of a made-up one")
    parser.add_argument("--side", choices=("poise", "mmpose"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        sys.stdout.write(
            "\n" + json.dumps(measure(options.side, options.file, options.mode)) + "\n"
        )
        return
    with tempfile.TemporaryDirectory() as folder:
        path = options.file or str(Path(folder) / "coco.json")
        if not options.file:
            write_coco(Path(path), options.images)
        columns = {"poise": run(sys.executable, "poise", path, options.mode, POISE_CACHE="0")}
        # the first run fills the cache
        for _ in range(2):
            kept = run(sys.executable, "poise", path, options.mode, POISE_CACHE_DIR=folder)
        columns["with cache"] = kept
        if options.peer:
            columns["mmpose"] = run(options.peer, "mmpose", path, options.mode)
    size = "" if options.file else f", {options.images:,} images"
    lines = [f"{options.mode}{size}", f"{'':12}" + "".join(f"{side:>12}" for side in columns)]
    lines += [
        f"{name:12}" + "".join(f"{c[name]:12,.2f}" for c in columns.values())
        for name in columns["poise"]
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
