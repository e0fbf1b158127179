"""Times of evaluation, from the samples that a model gives to the figures; MMPose's beside them.

    python benchmarks/metrics.py [--peer PYTHON] [--only coco] [--rounds 3]

Annotations and predictions are synthetic and the same for both: a COCO file of so many pictures,
people and predictions, with crowds, people without keypoints, ties, doubles and false alarms.
Measured is all that an evaluation costs: construction (which reads the file), `process` of
batches of 64, `evaluate`. With `--peer` rounds alternate between the libraries, and the largest
difference of any figure is printed. CPU seconds on one thread.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402

BATCH = 64
SIGMAS = np.array(
    [26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89], dtype=float
)
SIGMAS = SIGMAS / 1000
FEET, FACE, HAND = 6, 68, 21
#: case -> metric, its options, pictures, mean people per picture, predictions in all
CASES = {
    "coco 5,000 images, 13,000 poses": ("CocoMetric", {}, 5_000, 2.2, 13_000),
    "coco 5,000 images, 104,000 poses": ("CocoMetric", {}, 5_000, 2.2, 104_000),
    "coco 50,000 images, 132,000 poses": ("CocoMetric", {}, 50_000, 2.2, 132_000),
    "coco soft nms 5,000 images, 13,000 poses": (
        "CocoMetric",
        {"nms_mode": "soft_oks_nms"},
        5_000,
        2.2,
        13_000,
    ),
    "crowdpose 5,000 images, 30,000 poses": (
        "CocoMetric",
        {"use_area": False, "iou_type": "keypoints_crowd", "prefix": "crowdpose"},
        5_000,
        4.0,
        30_000,
    ),
    "wholebody 5,000 images, 13,000 poses": ("CocoWholeBodyMetric", {}, 5_000, 2.2, 13_000),
    "PCK 20,000 poses": ("PCKAccuracy", {"norm_item": ["bbox", "torso"]}, 20_000, 1, 20_000),
    "MPII PCKh 20,000 poses": ("MpiiPCKAccuracy", {"norm_item": "head"}, 20_000, 1, 20_000),
    "AUC 20,000 poses": ("AUC", {}, 20_000, 1, 20_000),
    "EPE 20,000 poses": ("EPE", {}, 20_000, 1, 20_000),
    "NME 20,000 poses": (
        "NME",
        {"norm_mode": "use_norm_item", "norm_item": "bbox_size"},
        20_000,
        1,
        20_000,
    ),
}
QUICK = ("5,000 images, 13,000", "20,000 poses")


def truth(rng, images, people, keypoints):
    """Columns of people: picture (G,), box (G, 4) xywh, keypoints (G, K, 3), crowd (G,)."""
    image = np.repeat(np.arange(images), rng.poisson(people, images))
    G = len(image)
    size = rng.uniform(20, 300, (G, 2)) * rng.uniform(0.2, 1, (G, 1))
    corner = rng.uniform(0, 1, (G, 2)) * ([640, 480] - np.minimum(size, 400))
    points = np.zeros((G, keypoints, 3))
    points[..., :2] = corner[:, None] + rng.uniform(0, 1, (G, keypoints, 2)) * size[:, None]
    points[..., 2] = rng.choice([0, 1, 2], (G, keypoints), p=[0.3, 0.2, 0.5])
    points[rng.random(G) < 0.05, :, 2] = 0
    points[..., :2] *= points[..., 2:] > 0
    return image, np.hstack([corner, size]), np.round(points, 2), rng.random(G) < 0.01


def write_coco(path, images, image, box, points, crowd):
    """A COCO file, with the fields of whole bodies where there are 133 keypoints."""
    annotations = []
    for i in range(len(image)):
        body = points[i, :17].ravel().tolist()
        ann = {
            "id": i + 1,
            "image_id": int(image[i]) + 1,
            "category_id": 1,
            "bbox": box[i].round(2).tolist(),
            "area": round(float(box[i, 2] * box[i, 3] * 0.6), 2),
            "iscrowd": int(crowd[i]),
            "keypoints": body,
            "num_keypoints": int((points[i, :17, 2] > 0).sum()),
            "segmentation": [box[i].round(2).tolist() * 8],
        }
        if points.shape[1] > 17:
            begin = 17
            for name, count in (
                ("foot", FEET),
                ("face", FACE),
                ("lefthand", HAND),
                ("righthand", HAND),
            ):
                ann[f"{name}_kpts"] = points[i, begin : begin + count].ravel().tolist()
                ann[f"{name}_valid"] = True
                begin += count
        annotations.append(ann)
    rows = [
        {
            "id": i + 1,
            "width": 640,
            "height": 480,
            "file_name": f"{i}.jpg",
            "crowdIndex": i % 101 / 100,
        }
        for i in range(images)
    ]
    category = {"id": 1, "name": "person", "keypoints": [], "skeleton": []}
    content = {"images": rows, "annotations": annotations, "categories": [category]}
    path.write_text(json.dumps(content))


def predictions(rng, total, images, image, box, points):
    """Columns of poses: picture (M,), keypoints (M, K, 2), scores (M, K), box score (M,)."""
    keypoints = points.shape[1]
    which = rng.integers(0, len(image), total)
    spread = np.sqrt(box[which, 2] * box[which, 3])[:, None, None] * rng.uniform(
        0, 0.12, (total, 1, 1)
    )
    poses = points[which, :, :2] + rng.normal(size=(total, keypoints, 2)) * spread
    place = image[which]
    false = rng.random(total) < 0.2
    place[false] = rng.integers(0, images, false.sum())
    double = np.flatnonzero(rng.random(total) < 0.1)[1:]
    poses[double], place[double] = poses[double - 1] + 0.5, place[double - 1]
    order = np.argsort(place, kind="stable")
    scores = rng.uniform(0.1, 1, (total, keypoints))
    # scores with few digits tie
    return place[order], poses[order], scores, rng.random(total).round(3)


def coco_samples(rng, total, images, image, box, points):
    """Samples as a top-down model gives them, a pose each."""
    place, poses, scores, box_score = predictions(rng, total, images, image, box, points)
    poses, scores = poses.astype(np.float32), scores.astype(np.float32)
    low, high = poses.min(axis=1) - 5, poses.max(axis=1) + 5
    boxes = np.hstack([low, high])
    for i in range(total):
        yield {
            "id": i,
            "img_id": int(place[i]) + 1,
            "category_id": 1,
            "pred_instances": {
                "keypoints": poses[i : i + 1],
                "keypoint_scores": scores[i : i + 1],
                "bboxes": boxes[i : i + 1],
                "bbox_scores": box_score[i : i + 1],
            },
            "gt_instances": {
                "bbox_scales": (high - low)[i : i + 1] * 1.25,
                "bbox_scores": box_score[i : i + 1],
            },
        }


def keypoint_samples(rng, total, keypoints):
    """Samples with their annotations, for metrics of distances."""
    places = rng.uniform(0, 300, (total, keypoints, 2)).astype(np.float32)
    guesses = places + rng.normal(size=places.shape).astype(np.float32) * 12
    visible = rng.random((total, keypoints)) < 0.8
    for i in range(total):
        yield {
            "id": i,
            "img_id": i,
            "pred_instances": {
                "keypoints": guesses[i : i + 1],
                "keypoint_scores": np.ones((1, keypoints), np.float32),
            },
            "gt_instances": {
                "keypoints": places[i : i + 1],
                "keypoints_visible": visible[i : i + 1],
                "bboxes": np.array([[0, 0, 300, 300]], np.float32),
                "bbox_size": np.array([[300]], np.float32),
                "head_size": np.array([[40]], np.float32),
            },
        }


def measure(package, only, quick, folder):
    """case -> (CPU seconds, figures)."""
    warnings.simplefilter("ignore")
    metrics = importlib.import_module(
        "poise.metrics" if package == "poise" else "mmpose.evaluation.metrics"
    )
    found = {}
    for case, (name, options, images, people, total) in CASES.items():
        if only.lower() not in case.lower() or (quick and not any(q in case for q in QUICK)):
            continue
        rng = np.random.default_rng(0)
        keypoints = {"CocoWholeBodyMetric": 133, "MpiiPCKAccuracy": 16}.get(name, 17)
        meta = {"dataset_name": "synthetic", "num_keypoints": keypoints, "CLASSES": None}
        meta["sigmas"] = np.resize(SIGMAS, keypoints)
        if "Coco" in name:
            image, box, points, crowd = truth(rng, images, people, keypoints)
            options = {**options, "ann_file": str(folder / f"{images}-{people}-{keypoints}.json")}
            if not Path(options["ann_file"]).exists():
                write_coco(Path(options["ann_file"]), images, image, box, points, crowd)
            samples = list(coco_samples(rng, total, images, image, box, points))
        else:
            samples = list(keypoint_samples(rng, total, keypoints))
        # the samples of a dataset are not kept in real runs: out of the collector's way
        gc.collect()
        gc.freeze()
        times = []
        # short ones are repeated: the first also fills caches
        while not times or (len(times) < 3 and sum(times) < 5):
            start = time.process_time()
            metric = getattr(metrics, name)(**options)
            metric.dataset_meta = dict(meta)
            for begin in range(0, total, BATCH):
                metric.process(None, samples[begin : begin + BATCH])
            figures = metric.evaluate(total)
            times.append(time.process_time() - start)
        found[case] = statistics.median(times), {k: float(v) for k, v in figures.items()}
        gc.unfreeze()
        del samples
    return found


def compare(ours, theirs):
    """Say how far the figures of both libraries are apart, and which differ most."""
    worst, where = 0.0, ""
    for case, (_, figures) in ours.items():
        other = theirs[case][1]
        for key in figures.keys() | other.keys():
            apart = abs(figures.get(key, np.inf) - other.get(key, np.inf))
            if not apart <= worst:
                worst, where = apart, f" ({case}: {key})"
    sys.stdout.write(f"largest difference of a figure: {worst:.1e}{where}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", help="python that can import mmpose")
    parser.add_argument("--rounds", type=int, default=1, help="each library runs so many times")
    parser.add_argument("--only", default="", help="part of the names to run")
    parser.add_argument("--quick", action="store_true", help="the small cases only")
    parser.add_argument("--package", default="poise", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.json:
        # what the library prints goes elsewhere
        out, sys.stdout = sys.stdout, sys.stderr
        out.write(json.dumps(measure(args.package, args.only, args.quick, args.folder)) + "\n")
        return
    from common import peer_times, show

    options = ["--only", args.only, *(["--quick"] if args.quick else [])]
    with tempfile.TemporaryDirectory() as temporary:
        options += ["--folder", temporary]
        rounds = {"poise": [], "mmpose": []}
        for _ in range(args.rounds):
            rounds["poise"].append(peer_times(sys.executable, __file__, options, "poise"))
            if args.peer:
                rounds["mmpose"].append(peer_times(args.peer, __file__, options))
    ours, theirs = (
        {case: statistics.median(r[case][0] for r in runs) for case in runs[0]} if runs else {}
        for runs in rounds.values()
    )
    show("CPU seconds", ours, theirs)
    if theirs:
        compare(rounds["poise"][0], rounds["mmpose"][0])


if __name__ == "__main__":
    main()
