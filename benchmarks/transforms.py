"""Samples per second of data pipelines, on one core; with `--peer`, MMPose's beside them.

    python benchmarks/transforms.py
    python benchmarks/transforms.py --peer /path/to/python-with-mmpose --images folder/of/jpegs

Each library works in a process of its own; rounds alternate between them, so that a busy machine
slows both down alike. Medians over rounds are printed, and the ratio of medians. `--cached` hands
over decoded pictures, which leaves the reading of JPEGs (the same in both) out.

Pipelines "by picture" get five samples of every two pictures one after another, as many as COCO
has people and in the order of `PictureSampler` or of a test; Poise then decodes each picture once
(`keep_decoded`, which data sets in test mode set by themselves), MMPose once a sample.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path

KEYPOINTS = 17
FLIP = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
INPUT = (192, 256)

UDP = dict(type="UDPHeatmap", input_size=INPUT, heatmap_size=(48, 64), sigma=2)
SIMCC = dict(
    type="SimCCLabel",
    input_size=INPUT,
    sigma=(4.9, 5.66),
    simcc_split_ratio=2.0,
    normalize=False,
    use_dark=False,
)
DROPOUT = dict(
    type="CoarseDropout",
    max_holes=1,
    max_height=0.4,
    max_width=0.4,
    min_holes=1,
    min_height=0.2,
    min_width=0.2,
    p=1.0,
)
START = [dict(type="LoadImage"), dict(type="GetBBoxCenterScale")]
PACK = [dict(type="PackPoseInputs")]
PIPELINES = {
    "udp heatmap, train": [
        *START,
        dict(type="RandomFlip", direction="horizontal"),
        dict(type="RandomHalfBody"),
        dict(type="RandomBBoxTransform"),
        dict(type="TopdownAffine", input_size=INPUT, use_udp=True),
        dict(type="GenerateTarget", encoder=UDP),
        *PACK,
    ],
    "udp heatmap, test": [
        *START,
        dict(type="TopdownAffine", input_size=INPUT, use_udp=True),
        *PACK,
    ],
    "simcc (rtmpose), train": [
        *START,
        dict(type="RandomFlip", direction="horizontal"),
        dict(type="RandomHalfBody"),
        dict(type="RandomBBoxTransform", scale_factor=[0.6, 1.4], rotate_factor=80),
        dict(type="TopdownAffine", input_size=INPUT),
        dict(type="mmdet.YOLOXHSVRandomAug"),
        dict(
            type="Albumentation",
            transforms=[dict(type="Blur", p=0.1), dict(type="MedianBlur", p=0.1), DROPOUT],
        ),
        dict(type="GenerateTarget", encoder=SIMCC),
        *PACK,
    ],
    "simcc (rtmpose), test": [*START, dict(type="TopdownAffine", input_size=INPUT), *PACK],
}
BY_PICTURE = ", by picture"
PIPELINES |= {name + BY_PICTURE: copy.deepcopy(PIPELINES[name]) for name in PIPELINES}


def samples(folder: Path, cached: bool) -> list[dict]:
    """What a top-down dataset hands to its pipeline, for each picture."""
    import cv2
    import numpy as np

    rng = np.random.default_rng(0)
    found = []
    for path in sorted(folder.glob("*.jpg")):
        picture = cv2.imread(str(path))
        size = np.array(picture.shape[1::-1])
        center, half = rng.uniform(0.35, 0.65, 2) * size, rng.uniform(0.15, 0.3, 2) * size
        keypoints = center + rng.uniform(-1, 1, (1, KEYPOINTS, 2)) * half
        found.append(
            dict(
                img_path=str(path),
                img_id=1,
                id=1,
                bbox=np.hstack([center - half, center + half])[None].astype(np.float32),
                bbox_score=np.ones(1, np.float32),
                keypoints=keypoints.astype(np.float32),
                keypoints_visible=np.ones((1, KEYPOINTS), np.float32),
                category_id=1,
                flip_indices=FLIP,
                upper_body_ids=list(range(11)),
                lower_body_ids=list(range(11, 17)),
                dataset_keypoint_weights=np.ones(KEYPOINTS, np.float32),
                **({"img": picture} if cached else {}),
            )
        )
    if not found:
        raise SystemExit(f"no *.jpg in {folder}")
    return found


def synthetic_pictures(folder: Path, count: int = 8) -> None:
    """640x480 JPEGs of about 150 KB, as large as COCO's."""
    import cv2
    import numpy as np

    rng = np.random.default_rng(0)
    for index in range(count):
        coarse = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
        picture = cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC)
        noise = rng.normal(0, 9, picture.shape)
        cv2.imwrite(str(folder / f"{index}.jpg"), np.clip(picture + noise, 0, 255).astype(np.uint8))


def worker(library: str, folder: Path, cached: bool) -> None:
    """Give seconds per sample of each pipeline that is asked for, and so many samples."""
    warnings.simplefilter("ignore")
    import cv2
    import numpy as np
    import torch
    from common import answer_questions

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    if library == "poise":
        from poise.transforms import Compose
    else:
        import mmdet.datasets.transforms  # noqa: F401
        import mmpose.codecs
        import mmpose.datasets  # noqa: F401
        from mmengine.dataset import Compose
        from mmengine.registry import init_default_scope

        init_default_scope("mmpose")
    configs = copy.deepcopy(PIPELINES)
    if library == "poise":
        for name, (load, *_) in configs.items():
            load["keep_decoded"] = int(name.endswith(BY_PICTURE))
    pipelines = {name: Compose(cfg) for name, cfg in configs.items()}
    records = samples(folder, cached)

    def answer(name: str, count: int) -> float:
        np.random.seed(0)
        random.seed(0)
        order = range(count)
        if name.endswith(BY_PICTURE):
            order = [i // 5 * 2 + (i % 5 > 2) for i in order]
        batch = [dict(records[i % len(records)]) for i in order]
        start = time.process_time()
        for record in batch:
            pipelines[name](record)
        return (time.process_time() - start) / len(batch)

    answer_questions(answer)


def compare(options: argparse.Namespace, folder: Path) -> dict:
    """Medians of all pipelines and libraries."""
    from common import Worker

    arguments = ["--images", str(folder), *(["--cached"] if options.cached else [])]
    workers = {"poise": Worker(sys.executable, __file__, "poise", *arguments)}
    if options.peer:
        workers["mmpose"] = Worker(options.peer, __file__, "mmpose", *arguments)
    report = {}
    for name in PIPELINES:
        times: dict[str, list[float]] = {library: [] for library in workers}
        for process in workers.values():
            process.ask(name, 8)
        for _ in range(options.rounds):
            for library, process in workers.items():
                times[library].append(process.ask(name, options.samples))
        report[name] = {library: statistics.median(t) for library, t in times.items()}
    for process in workers.values():
        process.stop()
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", help="python interpreter that has MMPose")
    parser.add_argument("--images", type=Path, help="folder of JPEGs; synthetic ones otherwise")
    parser.add_argument("--cached", action="store_true", help="hand over decoded pictures")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--samples", type=int, default=24, help="samples per round")
    parser.add_argument("--json", type=Path, help="write the medians here, seconds per sample")
    parser.add_argument("--worker", choices=("poise", "mmpose"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(options.worker, options.images, options.cached)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.images or Path(temporary)
        if options.images is None:
            synthetic_pictures(folder)
        report = compare(options, folder)
    from common import show

    ours, theirs = (
        {name: 1e3 * medians[library] for name, medians in report.items() if library in medians}
        for library in ("poise", "mmpose")
    )
    show("CPU milliseconds per sample", ours, theirs)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
