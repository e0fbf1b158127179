"""What the covariances of a model are worth, and the calibration that makes them those of errors.

    python benchmarks/covariances.py ANNOTATIONS.json IMAGES/ [--model movenet-lightning]

Takes the people of a COCO keypoint file, with their boxes; keypoints are matched by name. Prints
how many labels lie within ellipses that should hold 50, 90 and 95 % of them, and the rank
correlation with the errors, each half of the people calibrated by the other one; then the
calibration of all (`poise.inference.results.calibration.FITTED` has those of LSPET's validation
set), the coverage of the one that the model has, and the OKS it lets expect beside the true one.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from poise import load_model
from poise.geometry import bbox_area, mahalanobis_distances
from poise.geometry.boxes import AREA_PER_BOX
from poise.inference import Inferencer
from poise.inference.results.calibration import FITTED
from poise.inference.results.covariances import (
    KeypointErrors,
    fit_covariances,
    report_covariances,
)

#: Times that a run with and one without covariances is measured.
_ROUNDS = 5


def errors_of(inferencer, annotations: Path, images: Path) -> KeypointErrors:
    """Labelled keypoints of everybody in a COCO file, as the model finds and doubts them."""
    from calibration import labelled_people

    truth = json.loads(annotations.read_text())
    numbers = inferencer.metainfo["keypoint_name2id"]
    names = truth["categories"][0]["keypoints"]
    theirs = [i for i, name in enumerate(names) if name in numbers]
    ours = np.array([numbers[names[i]] for i in theirs])
    paths, boxes, labels = zip(*labelled_people(truth, images), strict=True)
    results = list(inferencer.predict(paths, boxes=list(boxes), covariances=True))
    truth = np.concatenate(labels)[:, theirs]
    people, column = np.nonzero(truth[..., 2] > 0)
    found, spread, scores = (
        np.concatenate([getattr(result, name)[:, ours] for result in results])
        for name in ("keypoints", "keypoint_covariances", "keypoint_scores")
    )
    offsets = (found[..., :2] - truth[..., :2])[people, column]
    return KeypointErrors(
        offsets,
        spread[people, column],
        scores[people, column],
        ours[column],
        people,
        len(numbers),
    )


def people_oks(inferencer, annotations: Path, images: Path) -> tuple[np.ndarray, ...]:
    """Of each person with a label: OKS with the labels, what was expected, and the mean score."""
    from calibration import labelled_people

    truth = json.loads(annotations.read_text())
    numbers = inferencer.metainfo["keypoint_name2id"]
    names = truth["categories"][0]["keypoints"]
    theirs = [i for i, name in enumerate(names) if name in numbers]
    ours = [numbers[names[i]] for i in theirs]
    constants = 2 * inferencer.metainfo["sigmas"][ours]
    paths, boxes, labels = zip(*labelled_people(truth, images), strict=True)
    people = []
    results = inferencer.predict(paths, boxes=list(boxes), covariances=True)
    for result, box, label in zip(results, boxes, labels, strict=True):
        places, seen = label[0, theirs, :2], label[0, theirs, 2] > 0
        squares = ((result.keypoints[0, ours] - places) ** 2).sum(-1)
        unit = 2 * constants**2 * bbox_area(box[0]) * AREA_PER_BOX
        if seen.any():
            oks = np.exp(-squares / unit)[seen].mean()
            people.append((oks, result.expected_oks()[0], result.keypoint_scores.mean()))
    return tuple(np.transpose(people))


def cost(inferencer, annotations: Path, images: Path) -> float:
    """CPU time of a run with covariances over that of one without; median of turns."""
    from calibration import labelled_people

    truth = json.loads(annotations.read_text())
    paths, boxes, _ = zip(*labelled_people(truth, images), strict=True)
    paths, boxes = paths[:64], list(boxes[:64])
    taken = {False: [], True: []}
    for _ in range(_ROUNDS):
        for wanted in (False, True):
            begin = time.process_time()
            list(inferencer.predict(paths, boxes=boxes, covariances=wanted))
            taken[wanted].append(time.process_time() - begin)
    return float(np.median(taken[True]) / np.median(taken[False]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("annotations", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--model", default="movenet-thunder")
    args = parser.parse_args()
    # a built model has no calibration that goes without saying
    inferencer = Inferencer(load_model(args.model))
    errors = errors_of(inferencer, args.annotations, args.images)
    report = report_covariances(errors)
    print(f"{report.keypoints:,} labels of {len(np.unique(errors.people))} people")
    print("share that should lie within ", "  ".join(f"{level:5.0%}" for level in report.levels))
    for title, shares in (
        ("as the model tells them", report.raw),
        ("calibrated, normal radii", report.normal),
        ("calibrated, fitted radii", report.fitted),
    ):
        print(f"{title:29s}", "  ".join(f"{share:5.1%}" for share in shares))
    print(
        f"rank correlation with errors: deviations {report.rank_raw:.3f}, scores "
        f"{report.rank_score:.3f}, calibrated deviations {report.rank_fitted:.3f}"
    )
    own = FITTED.get(args.model)
    if own is not None and own.covariances is not None:
        scale = np.array(own.covariances.factors)[errors.kinds]
        scale *= np.maximum(errors.scores, 0.01) ** own.covariances.power
        within = mahalanobis_distances(errors.offsets, errors.covariances) / scale
        shares = (f"{(within <= own.covariances.radius(p)).mean():5.1%}" for p in report.levels)
        print(f"{'by the calibration it comes with':29s}", "  ".join(shares))
        true, expected, score = people_oks(Inferencer(args.model), args.annotations, args.images)
        for title, guess in (("expected OKS", expected), ("mean score", score)):
            print(
                f"{title}: mean {guess.mean():.3f} where OKS is {true.mean():.3f}, off by "
                f"{abs(guess - true).mean():.3f}, rank correlation {spearmanr(guess, true)[0]:.3f}"
            )
    print(fit_covariances(errors))
    print(f"CPU time with covariances: {cost(inferencer, args.annotations, args.images):.3f} times")


if __name__ == "__main__":
    main()
