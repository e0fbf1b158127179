"""Times of evaluation, from the samples that a model gives to the figures; MMPose's beside them.

    python benchmarks/metrics.py [--peer PYTHON] [--only coco] [--rounds 3]

Annotations and predictions are synthetic and the same for both: a COCO file of so many pictures,
people and predictions, with crowds, people without keypoints, ties, doubles and false alarms.
Measured is all that an evaluation costs: construction (which reads the file), `process` of
batches of 64, `evaluate`. With `--peer` each library works in its own process and evaluations
alternate, case by case, so that a busy machine slows both down alike; the garbage collector is on
in both and skips the samples, which were made before. CPU seconds on one thread, medians of the
rounds; `apart` is the largest difference of any figure. Those of boxes are MMDetection's, which
rounds to three digits.
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
    "boxes of 80 classes 5,000 images, 100,000 boxes": (
        "DetectionCocoMetric",
        {"classes": 80},
        5_000,
        7.3,
        100_000,
    ),
    "boxes of people 5,000 images, 100,000 boxes": (
        "DetectionCocoMetric",
        {"classes": 1},
        5_000,
        2.2,
        100_000,
    ),
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
#: class of the other library where it is not MMPose's of the same name
PEERS = {"DetectionCocoMetric": ("mmdet.evaluation.metrics", "CocoMetric")}
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


def write_boxes(path, images, image, box, label, crowd, classes):
    """A COCO file of boxes."""
    annotations = [
        {
            "id": i + 1,
            "image_id": int(image[i]) + 1,
            "category_id": int(label[i]) + 1,
            "bbox": box[i].round(2).tolist(),
            "area": round(float(box[i, 2] * box[i, 3] * 0.6), 2),
            "iscrowd": int(crowd[i]),
        }
        for i in range(len(image))
    ]
    pictures = [{"id": i + 1, "width": 640, "height": 480} for i in range(images)]
    categories = [{"id": c + 1, "name": f"class {c}"} for c in range(classes)]
    content = {"images": pictures, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(content))


def box_samples(rng, total, images, image, box, label, classes):
    """Samples as a detector gives them, a picture each."""
    import torch

    which = rng.integers(0, len(image), total)
    found = box[which] + rng.normal(size=(total, 4)) * box[which, 2:].min(1)[:, None] * 0.1
    found[:, 2:] = found[:, :2] + found[:, 2:].clip(1)
    place, labels = image[which], label[which]
    false = rng.random(total) < 0.3
    place[false] = rng.integers(0, images, false.sum())
    labels[rng.random(total) < 0.1] = rng.integers(0, classes)
    scores = rng.random(total).round(3)
    order = np.lexsort((-scores, place))
    bounds = np.searchsorted(place[order], np.arange(images + 1))
    boxes, scores, labels = (
        torch.from_numpy(values[order]) for values in (found.astype(np.float32), scores, labels)
    )
    for i in range(images):
        own = slice(bounds[i], bounds[i + 1])
        predicted = {"bboxes": boxes[own], "scores": scores[own], "labels": labels[own]}
        yield {"img_id": i + 1, "ori_shape": (480, 640), "pred_instances": predicted}


def prepared_boxes(case, folder):
    """`prepared` for cases of boxes."""
    name, options, images, things, total = CASES[case]
    rng = np.random.default_rng(0)
    classes = options["classes"]
    image, box, _, crowd = truth(rng, images, things, 1)
    label = rng.integers(0, classes, len(image))
    file = folder / f"boxes-{images}-{things}-{classes}.json"
    if not file.exists():
        write_boxes(file, images, image, box, label, crowd, classes)
    meta = {"classes": tuple(f"class {c}" for c in range(classes))}
    samples = list(box_samples(rng, total, images, image, box, label, classes))
    return name, {"ann_file": str(file)}, meta, samples


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


def prepared(case, folder):
    """Class and options of the metric, meta information, and samples of a case."""
    name, options, images, people, total = CASES[case]
    if name == "DetectionCocoMetric":
        return prepared_boxes(case, folder)
    rng = np.random.default_rng(0)
    keypoints = {"CocoWholeBodyMetric": 133, "MpiiPCKAccuracy": 16}.get(name, 17)
    meta = {"dataset_name": "synthetic", "num_keypoints": keypoints, "CLASSES": None}
    meta["sigmas"] = np.resize(SIGMAS, keypoints)
    if "Coco" not in name:
        return name, options, meta, list(keypoint_samples(rng, total, keypoints))
    image, box, points, crowd = truth(rng, images, people, keypoints)
    file = folder / f"{images}-{people}-{keypoints}.json"
    if not file.exists():
        write_coco(file, images, image, box, points, crowd)
    samples = list(coco_samples(rng, total, images, image, box, points))
    return name, {**options, "ann_file": str(file)}, meta, samples


def class_of(name, library):
    """The metric's class."""
    own = "poise.metrics" if library == "poise" else "mmpose.evaluation.metrics"
    module, name = (own, name) if library == "poise" else PEERS.get(name, (own, name))
    return getattr(importlib.import_module(module), name)


def evaluated(metric_class, options, meta, samples):
    """(CPU seconds, figures) of one evaluation."""
    gc.collect()
    start = time.process_time()
    metric = metric_class(**options)
    metric.dataset_meta = dict(meta)
    for begin in range(0, len(samples), BATCH):
        metric.process(None, samples[begin : begin + BATCH])
    figures = metric.evaluate(len(samples))
    return time.process_time() - start, {key: float(value) for key, value in figures.items()}


def worker(library, folder):
    """Give the time and the figures of a run of each case that is asked for."""
    warnings.simplefilter("ignore")
    from common import answer_questions

    held, work = "", None

    def answer(case):
        nonlocal held, work
        if case != held:
            gc.unfreeze()
            work = None
            held, work = case, prepared(case, folder)
            # the samples of a dataset are not kept in real runs: out of the collector's way
            gc.collect()
            gc.freeze()
        name, *rest = work
        return evaluated(class_of(name, library), *rest)

    answer_questions(answer)


def row_of(case, workers, rounds):
    """A row of the table: seconds of each library, their ratio, how far the figures are apart."""
    # one more than is counted: the first fills caches
    runs = list(zip(*([w.ask(case) for w in workers] for _ in range(rounds + 1)), strict=True))
    seconds = [statistics.median(time for time, _ in run[1:]) for run in runs]
    row = f"{case:44}" + "".join(f"{value:12.3f}" for value in seconds)
    if len(runs) > 1:
        ours, theirs = (run[0][1] for run in runs)
        keys = ours.keys() | theirs.keys()
        apart = max(abs(ours.get(key, np.inf) - theirs.get(key, np.inf)) for key in keys)
        row += f"{seconds[1] / seconds[0]:14.1f}{apart:10.0e}"
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", help="python that can import mmpose")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each library that count")
    parser.add_argument("--only", default="", help="part of the names to run")
    parser.add_argument("--quick", action="store_true", help="the small cases only")
    parser.add_argument("--worker", choices=("poise", "mmpose"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        worker(args.worker, args.folder)
        return
    from common import Worker

    with tempfile.TemporaryDirectory() as folder:
        workers = [Worker(sys.executable, __file__, "poise", "--folder", folder)]
        if args.peer:
            workers.append(Worker(args.peer, __file__, "mmpose", "--folder", folder))
        head = f"{'CPU seconds':44}{'poise':>12}"
        print(head + (f"{'mmpose':>12}{'times faster':>14}{'apart':>10}" if args.peer else ""))
        for case in CASES:
            if args.only.lower() in case.lower() and (
                not args.quick or any(part in case for part in QUICK)
            ):
                print(row_of(case, workers, args.rounds), flush=True)
        for process in workers:
            process.stop()


if __name__ == "__main__":
    main()
