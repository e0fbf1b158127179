"""The picture of a result with its poses drawn in, made once for all sinks that want it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from poise.errors import DataError, nearest, one_of
from poise.inference.lifting.poses import SPACE_3D
from poise.inference.results.pose_result import PoseResult
from poise.visualization import (
    Palette,
    Trails,
    View,
    draw_covariances,
    draw_heatmaps,
    draw_instances,
    draw_poses_3d,
    draw_tracks,
)

__all__ = ["Drawer", "drawer_of"]

#: Metres between people in the panel of 3D poses.
_APART = 1.2
#: Height to which poses in other units than metres are brought.
_TALL = 1.6
#: Word of `--style` -> option of the drawer it sets.
_WORDS: dict[str, dict[str, Any]] = {
    "mmpose": {"skeleton": "mmpose"},
    "openpose": {"skeleton": "openpose"},
    "black": {"black": True},
    "no-boxes": {"boxes": False},
    "no-ids": {"ids": False},
    "fade": {"weigh_by_score": True},
    "numbers": {"show_indices": True},
    "no-3d": {"panel_3d": False},
}


class Drawer:
    """Draws keypoints, links, boxes, and the numbers of tracked people.

    Several sinks may ask for the picture of the same result: it is drawn once and handed out
    again, so none of them may change it, nor keep it: the next one of a thread is drawn into the
    same memory. Lifted people stand in a panel to the right.

    Args:
        boxes: draw the boxes, too; those of tracked people in the colour of the id.
        ids: write the ids.
        skeleton: "mmpose" or "openpose" (coco and coco_wholebody).
        black: draw on black instead of on the picture.
        trails: frames for which the ways of tracked people are shown; 0: none.
        keypoints: names or indices of those that are drawn; None: all.
        panel_3d: show 3D poses where there are any.
        ellipses: share of the true places that lie within the ellipses about keypoints, where
            results have covariances; None: no ellipses.
        **style: further options of `poise.visualization.draw_keypoints`.

    Raises:
        DataError: another skeleton.
    """

    def __init__(
        self,
        *,
        boxes: bool = True,
        ids: bool = True,
        skeleton: str = "mmpose",
        black: bool = False,
        trails: int = 0,
        keypoints: Sequence[str | int] | None = None,
        panel_3d: bool = True,
        ellipses: float | None = None,
        **style: Any,
    ) -> None:
        one_of(skeleton, ("mmpose", "openpose"), "skeleton", DataError)
        self._boxes, self._ids, self._black = boxes, ids, black
        self._skeleton, self._keypoints, self._panel_3d = skeleton, keypoints, panel_3d
        self._style, self._ellipses = style, ellipses
        self._trails = Trails(trails) if trails else None
        # the palette that was used last, and what it is of: a run has one schema, as a rule
        self._last_palette: tuple[Any, Palette] | None = None
        self._video: str | None = None
        # a window and the files ask from different threads, each has pictures of its own
        self._own = threading.local()
        self._lock = threading.Lock()

    def __call__(self, result: PoseResult) -> np.ndarray:
        """(H, W, 3) uint8 BGR; a black picture where the result has none."""
        last = getattr(self._own, "last", None)
        if last is None or last[0] is not result:
            with self._lock:
                last = self._own.last = result, self._drawn(result)
        return last[1]

    def _drawn(self, result: PoseResult) -> np.ndarray:
        if result.image is None:
            return np.zeros((64, 64, 3), np.uint8)
        picture = self._ground(result.image)
        if result.heatmap is not None:
            np.copyto(picture, draw_heatmaps(picture, result.heatmap))
        tracked = result.track_ids is not None
        self._draw_ways(picture, result)
        if len(result):
            self._draw_doubts(picture, result)
            self._draw_people(picture, result, boxes=self._boxes and not tracked)
            if tracked and self._ids:
                draw_tracks(picture, result.track_ids, result.bboxes, boxes=self._boxes)
        if self._panel_3d and result.keypoints_3d is not None:
            picture = np.concatenate((picture, self._panel(result, picture.shape[0])), 1)
        return picture

    def _ground(self, image: np.ndarray) -> np.ndarray:
        """What to draw on; fresh memory for each frame would cost more than the drawing."""
        canvas = getattr(self._own, "canvas", None)
        if canvas is None or canvas.shape != image.shape:
            canvas = self._own.canvas = np.empty_like(image)
        np.copyto(canvas, 0 if self._black else image)
        return canvas

    def _draw_ways(self, picture: np.ndarray, result: PoseResult) -> None:
        if self._trails is None or result.track_ids is None:
            return
        if result.video != self._video:
            self._trails.clear()
            self._video = result.video
        self._trails.draw(picture, result.track_ids, result.keypoints, result.keypoint_scores)

    def _draw_people(self, picture: np.ndarray, result: PoseResult, *, boxes: bool) -> None:
        if self._skeleton == "openpose":
            from poise.visualization.openpose import draw_openpose

            palette = self._palette(result, result.keypoints.shape[1] + 1, "openpose")
            draw_openpose(
                picture,
                result.keypoints[..., :2],
                result.keypoint_scores,
                palette,
                keypoint_threshold=result.keypoint_threshold,
            )
            return
        draw_instances(
            picture,
            result.instances,
            keypoint_threshold=result.keypoint_threshold,
            boxes=boxes,
            palette=self._palette(result, result.keypoints.shape[1], "mmpose"),
            **self._style,
        )

    def _draw_doubts(self, picture: np.ndarray, result: PoseResult) -> None:
        """Ellipses, below links and keypoints."""
        if self._ellipses is None or result.keypoint_covariances is None:
            return
        draw_covariances(
            picture,
            result.keypoints,
            result.keypoint_covariances,
            self._palette(result, result.keypoints.shape[1], "mmpose"),
            scores=result.keypoint_scores,
            keypoint_threshold=result.keypoint_threshold,
            radius=result.covariance_radius(self._ellipses),
        )

    def _panel(self, result: PoseResult, side: int) -> np.ndarray:
        """People in space, side by side as they stand in the picture."""
        poses = _to_draw(result)
        order = np.argsort(result.bboxes[:, 0]) if len(poses) else np.zeros(0, int)
        rank = np.empty(len(poses))
        rank[order] = np.arange(len(poses)) - (len(poses) - 1) / 2
        # the lifters' x axis points to the left
        poses[..., 0] -= _APART * rank[:, None]
        wide = max(1.7, _APART * len(poses) + 0.6)
        return draw_poses_3d(
            poses,
            result.instances.get("keypoint_scores_3d"),
            result.metainfo_3d or {},
            size=(side, side),
            view=View(limit=wide, azimuth=75),
            keypoint_threshold=result.keypoint_threshold,
        )

    def _palette(self, result: PoseResult, count: int, skeleton: str) -> Palette:
        meta = result.metainfo
        last = self._last_palette
        # by identity, and kept, so that no other schema gets its place in memory
        if last is not None and last[0][0] is meta and last[0][1:] == (count, skeleton):
            return last[1]
        colored: Any = meta
        if skeleton == "openpose":
            from poise.visualization.visualizer import openpose_meta

            colored = openpose_meta(result.schema)
        palette = Palette.of(colored, count, order="bgr")
        if self._keypoints is not None:
            palette = palette.only(_indices(self._keypoints, result.keypoint_names))
        self._last_palette = (meta, count, skeleton), palette
        return palette


def _to_draw(result: PoseResult) -> np.ndarray:
    """Poses (N, K, 3) in the lifters' space: as tall as people, on the ground, x to the left."""
    poses = np.array(result.keypoints_3d, np.float64)
    # of several cameras some joints have no place, and people perhaps none at all
    there = np.isfinite(poses).all(-1).any(-1)
    if result.space_3d == SPACE_3D or not there.any():
        return poses
    own = poses[there]
    own -= np.nanmedian(own, axis=1, keepdims=True)
    tall = max(float((np.nanmax(own, axis=1) - np.nanmin(own, axis=1)).max()), 1e-6)
    own *= np.array([-1, 1, 1]) * min(_TALL / tall, 1.0)
    own[..., 2] -= np.nanmin(own[..., 2])
    poses[there] = own
    return poses


def _indices(keypoints: Sequence[str | int], names: list[str]) -> list[int]:
    """Indices of names or indices.

    Raises:
        DataError: a name that the schema has not.
    """
    out = []
    for entry in keypoints:
        if isinstance(entry, str) and entry not in names:
            raise DataError(f"there is no keypoint '{entry}'{nearest(entry, names)}")
        out.append(names.index(entry) if isinstance(entry, str) else int(entry))
    return out


def drawer_of(words: str) -> Drawer:
    """Drawer of words such as "openpose,black,trails=30,keypoints=left_wrist+right_wrist".

    Raises:
        DataError: an unknown word.
    """
    options: dict[str, Any] = {}
    for word in filter(None, (w.strip() for w in words.split(","))):
        name, _, value = word.partition("=")
        if name == "trails" and (value or "30").isdigit():
            options["trails"] = int(value or 30)
        elif name == "ellipses" and (value or "50").isdigit() and 0 < int(value or 50) < 100:
            options["ellipses"] = int(value or 50) / 100
        elif name == "keypoints" and value:
            options["keypoints"] = [int(k) if k.isdigit() else k for k in value.split("+")]
        elif word in _WORDS:
            options |= _WORDS[word]
        else:
            known = (*_WORDS, "trails", "keypoints", "ellipses")
            raise DataError(
                f"there is no style '{word}'; expected some of "
                f"{', '.join(_WORDS)}, trails=FRAMES, keypoints=NAME+NAME, ellipses=PERCENT"
                f"{nearest(name, known)}"
            )
    return Drawer(**options)
