"""How often keypoints of a score are right, and the map from scores to that.

    python benchmarks/calibration.py ANNOTATIONS.json IMAGES/ [--model movenet-lightning]

Takes the people of a COCO keypoint file, with their boxes; keypoints are matched by name. Prints
the map (`poise.inference.results.calibration.FITTED` has those of LSPET's validation set) and
the mean distance of scores, of the map the model has, and of the fitted map from how often
keypoints are right.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from poise.inference import Inferencer
from poise.inference.results.calibration import (
    calibration_error,
    fit_calibration,
    held_out_error,
    rated_keypoints,
)

#: A person with fewer pixels is no test of keypoints.
LEAST_AREA = 32**2


def labelled_people(truth, images):
    """Path, box (1, 4) xyxy and keypoints (1, K, 3) of each person."""
    files = {image["id"]: images / image["file_name"] for image in truth["images"]}
    for person in truth["annotations"]:
        x, y, w, h = person["bbox"]
        if person.get("iscrowd") or not any(person["keypoints"]) or w * h < LEAST_AREA:
            continue
        box = np.array([[x, y, x + w, y + h]], np.float32)
        yield files[person["image_id"]], box, np.reshape(person["keypoints"], (1, -1, 3))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("annotations", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--model", default="movenet-thunder")
    args = parser.parse_args()
    truth = json.loads(args.annotations.read_text())
    inferencer = Inferencer(args.model)
    numbers = inferencer.metainfo["keypoint_name2id"]
    names = truth["categories"][0]["keypoints"]
    theirs = [i for i, name in enumerate(names) if name in numbers]
    ours = [numbers[names[i]] for i in theirs]
    paths, boxes, labels = zip(*labelled_people(truth, args.images), strict=True)
    samples = [
        {
            "pred_instances": {
                "keypoints": result.keypoints[:, ours],
                "keypoint_scores": result.keypoint_scores[:, ours],
            },
            "gt_instances": {
                "keypoints": label[:, theirs, :2],
                "keypoints_visible": label[:, theirs, 2],
                "bboxes": box,
            },
        }
        for result, box, label in zip(
            inferencer.predict(paths, boxes=list(boxes)), boxes, labels, strict=True
        )
    ]
    scores, right = rated_keypoints(samples, inferencer.metainfo["sigmas"][ours])
    fitted = fit_calibration(scores, right)
    print(f"{len(samples)} people, {len(scores)} keypoints, {right.mean():.3f} of them right")
    print("scores ", fitted.scores)
    print("chances", fitted.chances)
    print(f"error of the scores:    {calibration_error(scores.clip(0, 1), right):.3f}")
    if inferencer.calibration is not None:
        own = calibration_error(inferencer.calibration(scores), right)
        print(f"error of the model's map: {own:.3f}")
    print(f"error of a map fitted here: {held_out_error(scores, right):.3f} (held out)")


if __name__ == "__main__":
    main()
