"""MOTA, IDF1, HOTA and speed of the tracker on clips whose truth is known.

    python benchmarks/tracking.py [--frames 600] [--people 8] [--posetrack FOLDER]

People walk through a 1280 x 720 picture, cross, hide one another, leave and come back; the
detections jitter, are missed, are unsure where somebody is half hidden, and there are false ones;
the camera shakes. `--dump FILE` writes truth and detections, for other trackers.

With `--posetrack`, a folder of PoseTrack18 with `annotations` and `images`, the models inside the
package find, pose and follow people in its labelled pictures, over each of which a camera is moved
(the small sample of MMPose's tests has labels of one picture a video).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path

import numpy as np

WIDTH, HEIGHT = 1280, 720
#: A standing person in COCO's 17 keypoints; width 1, height 1, origin in the middle of the box.
STANDING = np.array([
    [0, -0.44], [0.06, -0.46], [-0.06, -0.46], [0.12, -0.45], [-0.12, -0.45],
    [0.28, -0.3], [-0.28, -0.3], [0.36, -0.12], [-0.36, -0.12], [0.38, 0.04], [-0.38, 0.04],
    [0.17, 0.03], [-0.17, 0.03], [0.18, 0.26], [-0.18, 0.26], [0.19, 0.47], [-0.19, 0.47],
])  # fmt: skip
#: How far each keypoint swings sideways in a step, in parts of the box's height.
SWING = np.array([0, 0, 0, 0, 0, 0, 0, 3, -3, 6, -6, 0, 0, -4, 4, -8, 8]) / 100


@dataclasses.dataclass
class Frame:
    """Truth and detections of a frame; boxes xyxy, keypoints (N, 17, 2), all pixels."""

    true_ids: np.ndarray
    true_boxes: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    keypoints: np.ndarray
    keypoint_scores: np.ndarray


@dataclasses.dataclass(frozen=True)
class Troubles:
    """What goes wrong in a clip; all rates are per person (or frame) and frame."""

    missed: float = 0.05
    false: float = 0.2
    jitter: float = 0.02
    shake: float = 8.0
    occlusion: bool = True
    leaves: bool = True


def make_clip(frames=600, people=8, seed=0, troubles=None) -> list[Frame]:
    """A clip of walking people."""
    trouble = troubles or Troubles()
    rng = np.random.default_rng(seed)
    size = rng.uniform(130, 260, people)
    depth = np.argsort(np.argsort(-size))
    # some walk there and back across the picture, so that they meet; some leave it for a while
    margin = np.where(np.arange(people) % 3 == 0, -0.15 if trouble.leaves else 0.1, 0.1)
    period = rng.uniform(180, 420, people)
    phase = rng.uniform(0, 2 * np.pi, people)
    ground = 360 + (size - 195) * 1.2
    shake = np.zeros(2)
    clip = []
    for t in range(frames):
        shake = 0.7 * shake + rng.normal(0, trouble.shake, 2)
        turn = 2 * np.pi * t / period + phase
        x = (0.5 - 0.5 * np.cos(turn)) * (1 - 2 * margin) + margin
        centers = np.stack((x * WIDTH, ground + 10 * np.sin(turn * 3)), 1) + shake
        boxes = np.concatenate(
            (centers - size[:, None] / [5, 2], centers + size[:, None] / [5, 2]), 1
        )
        stride = np.sin(2 * np.pi * t / 30 + phase)[:, None] * SWING
        keypoints = centers[:, None] + STANDING * size[:, None, None] * [0.4, 1.0]
        keypoints[..., 0] += stride * size[:, None]
        clip.append(_seen(rng, trouble, boxes, keypoints, depth))
    return clip


def _seen(rng, trouble, boxes, keypoints, depth) -> Frame:
    """One frame: who is truly in it, and what a detector would find."""
    inside = (boxes[:, 2] > 20) & (boxes[:, 0] < WIDTH - 20)
    ids = np.flatnonzero(inside)
    height = boxes[:, 3] - boxes[:, 1]
    hidden = np.zeros(len(boxes))
    if trouble.occlusion:
        for i in ids:
            for j in ids[depth[ids] < depth[i]]:
                low, high = (
                    np.maximum(boxes[i, :2], boxes[j, :2]),
                    np.minimum(boxes[i, 2:], boxes[j, 2:]),
                )
                area = np.prod(np.clip(high - low, 0, None))
                hidden[i] = max(hidden[i], area / np.prod(boxes[i, 2:] - boxes[i, :2]))
    found = ids[(hidden[ids] < 0.6) & (rng.random(len(ids)) > trouble.missed)]
    noise = rng.normal(0, trouble.jitter, (len(found), 4)) * height[found, None]
    scores = np.clip(0.9 - hidden[found] + rng.normal(0, 0.05, len(found)), 0.05, 1)
    pose = (
        keypoints[found]
        + rng.normal(0, trouble.jitter, (len(found), 17, 2)) * height[found, None, None]
    )
    pose_scores = np.clip(rng.normal(0.8, 0.1, (len(found), 17)) - hidden[found, None] / 2, 0, 1)
    ghosts = rng.poisson(trouble.false)
    places = rng.uniform([0, 0], [WIDTH, HEIGHT], (ghosts, 2))
    ghost_size = rng.uniform(80, 260, (ghosts, 1))
    ghost_boxes = np.concatenate((places - ghost_size / [5, 2], places + ghost_size / [5, 2]), 1)
    ghost_pose = places[:, None] + rng.normal(0, 0.2, (ghosts, 17, 2)) * ghost_size[:, None]
    return Frame(
        true_ids=ids,
        true_boxes=boxes[ids],
        boxes=np.concatenate((boxes[found] + noise, ghost_boxes)),
        scores=np.concatenate((scores, rng.uniform(0.3, 0.7, ghosts))),
        keypoints=np.concatenate((pose, ghost_pose)),
        keypoint_scores=np.concatenate((pose_scores, rng.uniform(0.1, 0.6, (ghosts, 17)))),
    )


def track(clip, **options):
    """Ids of each frame, and CPU milliseconds a frame."""
    from poise.geometry.oks import COCO_SIGMAS
    from poise.inference.tracking import PoseTracker

    tracker = PoseTracker(sigmas=COCO_SIGMAS, **options)
    start = time.process_time()
    ids = [tracker.update(f.keypoints, f.keypoint_scores, f.boxes, f.scores) for f in clip]
    return ids, (time.process_time() - start) * 1e3 / len(clip)


def moving_pictures(folder: Path, frames: int):
    """Per labelled picture of PoseTrack18 what a moving camera sees.

    Yields:
        pictures; ids (N,) and boxes (N, 4) of the labelled people in each; masks (H, W) of the
        crowds that have no labels in each.
    """
    import cv2

    content = json.loads(next((folder / "annotations").glob("*_val.json")).read_text())
    for image in content["images"]:
        picture = cv2.imread(str(folder / image["file_name"]))
        height, width = picture.shape[:2]
        people = [a for a in content["annotations"] if a["image_id"] == image["id"]]
        ids = np.array([person["track_id"] for person in people])
        corners = np.array([person["bbox"] for person in people], float).reshape(-1, 2, 2)
        corners[:, 1] += corners[:, 0]
        crowd = np.zeros((height, width), np.uint8)
        regions = zip(image["ignore_regions_x"], image["ignore_regions_y"], strict=True)
        for region in regions:
            cv2.fillPoly(crowd, [np.stack(region, 1).astype(np.int32)], 1)
        seen, truth, crowds = [], [], []
        for angle in np.linspace(0, 2 * np.pi, frames):
            zoom = 1.15 + 0.1 * np.sin(angle)
            shift = (1 - zoom) / 2 * np.array([width, height]) * (1 + 0.6 * np.cos(angle))
            matrix = np.array([[zoom, 0, shift[0]], [0, zoom, shift[1]]])
            seen.append(cv2.warpAffine(picture, matrix, (width, height)))
            crowds.append(cv2.warpAffine(crowd, matrix, (width, height)))
            boxes = (corners * zoom + shift).clip(0, (width, height)).reshape(-1, 4)
            visible = ((boxes[:, 2:] - boxes[:, :2]) > 8).all(1)
            truth.append((ids[visible], boxes[visible]))
        yield seen, truth, crowds


def follow_pictures(folder: Path, frames: int) -> None:
    """Print the figures of the package's own models on moving pictures."""
    import poise
    from poise.metrics import track_scores

    for number, (seen, truth, crowds) in enumerate(moving_pictures(folder, frames)):
        inferencer = poise.Inferencer("movenet-lightning", detector="auto")
        start = time.process_time()
        results = list(inferencer.predict(seen, track=True))
        spent = (time.process_time() - start) * 1e3 / len(seen)
        found = [
            (np.where(inside(crowd, r.bboxes), -1, r.track_ids), r.bboxes)
            for r, crowd in zip(results, crowds, strict=True)
        ]
        scores = track_scores(truth, found)
        name = f"PoseTrack {number}, {len(truth[0][0])} people"
        print_row(name, figures_of(scores, spent))


def inside(mask: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Whether at least half of each box (N, 4) xyxy lies on a mask (H, W)."""
    corners = boxes.clip(0).astype(int)
    return np.array([mask[y1:y2, x1:x2].mean() >= 0.5 for x1, y1, x2, y2 in corners], bool)


def figures_of(scores, spent: float) -> tuple[float, ...]:
    parts = scores.mota, scores.idf1, scores.hota, scores.det_a, scores.ass_a
    return *parts, scores.switches, scores.recall, spent


def print_row(name: str, figures) -> None:
    *parts, switches, recall, spent = figures
    row = "".join(f"{part:8.3f}" for part in parts)
    sys.stdout.write(f"{name:26}{row}{switches:10.1f}{recall:8.3f}{spent:12.2f}\n")


CLIPS = {
    "nothing wrong": Troubles(0, 0, 0.005, 0, occlusion=False, leaves=False),
    "jitter, missed, false": Troubles(0.1, 0.3, 0.03, 0, occlusion=False, leaves=False),
    "people hide one another": Troubles(0.02, 0, 0.02, 0, leaves=False),
    "leave and come back": Troubles(0.02, 0, 0.02, 0, occlusion=False),
    "camera shakes": Troubles(0.02, 0, 0.02, 30, occlusion=False, leaves=False),
    "all of it": Troubles(),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--people", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3, help="clips of each kind")
    parser.add_argument("--posetrack", type=Path, help="folder of PoseTrack18, or its sample")
    parser.add_argument("--dump", type=Path, help="write the clips to this JSON file, and stop")
    options = parser.parse_args()
    clips = {
        name: [make_clip(options.frames, options.people, s, t) for s in range(options.seeds)]
        for name, t in CLIPS.items()
    }
    if options.dump:
        plain = {
            name: [[{k: v.tolist() for k, v in vars(f).items()} for f in c] for c in several]
            for name, several in clips.items()
        }
        options.dump.write_text(json.dumps(plain))
        return
    from poise.metrics import track_scores

    names = "".join(f"{name:>8}" for name in ("MOTA", "IDF1", "HOTA", "DetA", "AssA"))
    sys.stdout.write(f"{'clip':26}{names}{'switches':>10}{'recall':>8}{'ms a frame':>12}\n")
    for name, several in clips.items():
        rows = []
        for clip in several:
            ids, spent = track(clip)
            scores = track_scores(
                [(f.true_ids, f.true_boxes) for f in clip],
                [(i, f.boxes) for i, f in zip(ids, clip, strict=True)],
            )
            rows.append(figures_of(scores, spent))
        print_row(name, np.mean(rows, 0))
    if options.posetrack:
        follow_pictures(options.posetrack, min(options.frames, 60))


if __name__ == "__main__":
    main()
