"""People who walk about, and what virtual cameras see of them."""

import dataclasses
import json

import cv2
import numpy as np

from poise.geometry import Camera
from poise.inference.results.pose_result import PoseResult, SourceInfo
from poise.structures import InstanceData, parse_pose_metainfo

COCO = parse_pose_metainfo({"from_file": "configs/_base_/datasets/coco.py"})
FPS = 25.0
SIZE = (1280, 720)
#: x to the person's left, y to the back, z up; metres, of a person 1.7 m tall.
BODY = np.array([
    [0, -0.1, 1.6], [0.03, -0.09, 1.64], [-0.03, -0.09, 1.64], [0.07, 0, 1.62], [-0.07, 0, 1.62],
    [0.2, 0, 1.4], [-0.2, 0, 1.4], [0.25, 0, 1.1], [-0.25, 0, 1.1], [0.25, -0.05, 0.85],
    [-0.25, -0.05, 0.85], [0.12, 0, 0.95], [-0.12, 0, 0.95], [0.12, 0, 0.5], [-0.12, 0, 0.5],
    [0.12, 0, 0.08], [-0.12, 0, 0.08],
])  # fmt: skip


def ring(views=3, radius=5.0, distortion=(-0.2, 0.05, 0.001, -0.001, 0.0), **options):
    """Cameras on a circle, a quarter of it apart at most; they look at its middle."""
    cameras = []
    for v in range(views):
        angle = 2 * np.pi * v / max(views, 4) + 0.3
        place = np.array([radius * np.cos(angle), radius * np.sin(angle), 2.0 + 0.4 * (v % 2)])
        z = np.array([0, 0, 1.0]) - place
        z /= np.linalg.norm(z)
        x = np.cross(z, [0, 0, 1])
        x /= np.linalg.norm(x)
        turn = np.stack((x, np.cross(z, x), z))
        matrix = [[900 + 20 * v, 0, 640], [0, 900 + 20 * v, 360], [0, 0, 1]]
        cameras.append(
            Camera(f"cam{v}", matrix, distortion, turn, -turn @ place, size=SIZE, **options)
        )
    return cameras


def walk(frames=50, people=1, seed=0):
    """(T, P, 17, 3) metres: people on circles, with swinging arms and legs."""
    rng = np.random.default_rng(seed)
    time = np.arange(frames)[:, None, None] / FPS
    phase = rng.uniform(0, 6, (1, people, 1))
    swing = 0.3 * np.sin(2 * np.pi * 1.1 * time + phase)
    bodies = np.broadcast_to(BODY, (frames, people, 17, 3)).copy()
    sides = np.array([0, 0, 0, 0, 0, 0, 0, 0.5, -0.5, 1, -1, 0, 0, -0.5, 0.5, -1, 1])
    bodies[..., 1] += swing * sides
    bodies[..., 2] += 0.15 * np.abs(swing) * np.abs(sides) + 0.02 * np.sin(9 * time + phase)
    turn = (0.5 * time + phase)[..., 0]
    c, s = np.cos(turn), np.sin(turn)
    x, y = bodies[..., 0].copy(), bodies[..., 1].copy()
    bodies[..., 0] = c[..., None] * x - s[..., None] * y
    bodies[..., 1] = s[..., None] * x + c[..., None] * y
    around = 2 * np.pi * np.arange(people) / people + 0.4 * time[..., 0]
    radius = 0.3 if people == 1 else 1.2
    bodies[..., 0] += radius * np.cos(around)[..., None]
    bodies[..., 1] += radius * np.sin(around)[..., None]
    return bodies


def see(camera, bodies, *, noise=0.0, seed=0, missing=0.0, start=0, name=None, ids=False):
    """Results of a camera that begins with frame `start`; people in an order that changes."""
    rng = np.random.default_rng(seed)
    name = name or f"{camera.name}.mp4"
    source = SourceInfo(name, "video", fps=FPS)
    for t, people in enumerate(bodies[start:]):
        pixels = camera.project(people)
        pixels = (pixels + rng.normal(0, noise, pixels.shape)).astype(np.float32)
        order = rng.permutation(len(people))
        scores = rng.uniform(0.6, 0.95, pixels.shape[:2]).astype(np.float32)
        scores[rng.random(scores.shape) < missing] = 0.05
        boxes = np.concatenate((pixels.min(1), pixels.max(1)), -1)
        fields = InstanceData(
            keypoints=pixels[order],
            keypoint_scores=scores[order],
            bboxes=boxes[order],
            bbox_scores=np.full(len(order), 0.9, np.float32),
        )
        if ids:
            fields.set_field(order + 1, "track_ids")
        yield PoseResult(
            None, fields, COCO, name, frame_index=t, time=t / FPS, source=source
        )  # fmt: skip


def poster_cameras():
    """Three cameras before a poster of a metre, which stands in the plane y = 0."""
    cameras = []
    for v, angle in enumerate((-0.5, 0.0, 0.45)):
        place = np.array([2.2 * np.sin(angle), -2.2 * np.cos(angle), 1.1 + 0.2 * v])
        z = np.array([0, 0, 1.0]) - place
        z /= np.linalg.norm(z)
        x = np.cross(z, [0, 0, 1])
        x /= np.linalg.norm(x)
        turn = np.stack((x, np.cross(z, x), z))
        matrix = [[900, 0, 320], [0, 900, 240], [0, 0, 1]]
        bend = [-0.1, 0.02, 0, 0]
        cameras.append(Camera(f"cam{v}", matrix, bend, turn, -turn @ place, (640, 480)))
    return cameras


def picture_of_poster(photo, camera, rays, shift):
    """What a camera sees of the poster, moved by metres."""
    start = camera.center - shift
    hit = start - start[1] / rays[..., 1:2] * rays
    side = len(photo)
    x, y = (hit[..., 0] + 0.5) * side - 0.5, (1.5 - hit[..., 2]) * side - 0.5
    return cv2.remap(
        photo, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT, borderValue=(120, 130, 125),
    )  # fmt: skip


def write_lines(path, results, size=SIZE):
    """A file as `--save jsonl` writes it."""
    with path.open("w") as file:
        for result in results:
            line = {**result.to_dict(), "width": size[0], "height": size[1]}
            file.write(json.dumps(line) + "\n")
    return path


def turned(camera, rotation):
    """The camera in a world turned by a rotation."""
    return dataclasses.replace(camera, rotation=camera.rotation @ np.asarray(rotation).T)
