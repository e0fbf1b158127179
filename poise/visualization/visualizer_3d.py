"""`Pose3dLocalVisualizer`: 2D poses in the picture, and beside it each person in space."""

from __future__ import annotations

import functools
import os
from typing import Any

import numpy as np

from poise import schemas
from poise._arrays import Array
from poise._options import options_of
from poise.errors import DataError
from poise.registry import VISUALIZERS
from poise.schemas import conversions
from poise.structures import convert_keypoints, parse_pose_metainfo
from poise.visualization.drawing import field_of
from poise.visualization.scene3d import View, draw_poses_3d
from poise.visualization.style import Palette
from poise.visualization.visualizer import PoseLocalVisualizer, part_of

__all__ = ["Pose3dLocalVisualizer"]


@VISUALIZERS.register_module()
class Pose3dLocalVisualizer(PoseLocalVisualizer):
    """Draws data samples with 3D keypoints: a panel a person, the picture with the 2D poses left.

    Pictures are RGB, as in MMPose.

    Poise's own camera draws the 3D panels, from where matplotlib's would and about ten times
    quicker; `backend` is kept for configs, `alpha` is of the 2D drawing.

    Args:
        det_kpt_color: colours of the 2D keypoints; None: those of `dataset_2d`, or of the 3D ones
            where that is no schema of so many keypoints.
        det_dataset_skeleton: links of the 2D keypoints; None: likewise.
        det_dataset_link_color: their colours.

    The others are those of `PoseLocalVisualizer`.
    """

    @options_of(PoseLocalVisualizer, positional=True, line_width=1, radius=3, alpha=0.8)
    def __init__(
        self,
        *,
        det_kpt_color: Any = None,
        det_dataset_skeleton: Any = None,
        det_dataset_link_color: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.det_kpt_color = det_kpt_color
        self.det_dataset_skeleton = det_dataset_skeleton
        self.det_dataset_link_color = det_dataset_link_color

    def add_datasample(  # type: ignore[override]
        self,
        name: str,
        image: Array,
        data_sample: Any,
        det_data_sample: Any = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        draw_2d: bool = True,
        draw_bbox: bool = False,
        show_kpt_idx: bool = False,
        skeleton_style: str = "mmpose",
        dataset_2d: str = "coco",
        dataset_3d: str = "h36m",
        convert_keypoint: bool = True,
        axis_azimuth: float = 70,
        axis_limit: float = 1.7,
        axis_dist: float = 10.0,
        axis_elev: float = 15.0,
        num_instances: int = -1,
        show: bool = False,
        wait_time: float = 0,
        out_file: str | os.PathLike[str] | None = None,
        kpt_thr: float = 0.3,
        step: int = 0,
    ) -> Array:
        """Draw a 3D data sample.

        Args:
            name: of the picture.
            image: (H, W, 3) uint8 RGB, not changed.
            data_sample: `pred_instances` with `keypoints` (N, K, 3), z up; the ground truth as
                `lifting_target` or `keypoints_gt` of `gt_instances`.
            det_data_sample: `pred_instances` with the 2D keypoints, image space.
            draw_gt: add panels with the ground truth.
            draw_pred: add panels with the prediction.
            draw_2d: put the picture with the 2D poses on the left.
            draw_bbox: draw boxes of the 2D poses.
            show_kpt_idx: write the number of each keypoint.
            skeleton_style: `mmpose` or `openpose`, of the 2D poses.
            dataset_2d: schema of the 2D keypoints.
            dataset_3d: schema of the 3D ones, whose scores are made of the 2D ones'.
            convert_keypoint: do so; else the scores are used as they are.
            axis_azimuth, axis_elev, axis_dist, axis_limit: see `View`.
            num_instances: panels; -1: one for each person.
            show: open a window.
            wait_time: seconds that the window stays; 0: until a key.
            out_file: write the picture to this file, instead of to the backends.
            kpt_thr: keypoints with a lower score, in 2D or 3D, are not drawn.
            step: number that the backends get.

        Returns:
            the drawn picture, RGB.

        Raises:
            DataError: the ground truth is asked for and absent.
        """
        panels: list[Array] = []
        scores_2d = None
        detected = part_of(det_data_sample, "pred_instances")
        if draw_2d:
            picture = np.array(image, dtype=np.uint8, order="C")
            if detected is not None and len(detected):
                style = (kpt_thr, show_kpt_idx, skeleton_style)
                self._draw_2d(picture, detected, dataset_2d, *style)
                if draw_bbox:
                    self._draw_instances_bbox(picture, detected)
                scores_2d = field_of(detected, "keypoint_scores")
            panels.append(picture)
        if scores_2d is not None and convert_keypoint and dataset_2d != dataset_3d:
            scores_2d = _converted_scores(scores_2d, dataset_2d, dataset_3d)
        view = View(axis_azimuth, axis_elev, axis_dist, axis_limit)
        side = max(image.shape[:2])
        wanted = []
        if draw_pred:
            wanted.append(("Prediction", *_predicted(data_sample)))
        if draw_gt and part_of(data_sample, "gt_instances") is not None:
            wanted.append(("Ground Truth", *_true(data_sample)))
        for title, poses, scores in wanted:
            count = len(poses) if num_instances < 0 else num_instances
            for n in range(max(count, 0)):
                label = f"{title} ({n})"
                panels.append(
                    self._panel(
                        poses, scores, scores_2d, n, label, side, view, kpt_thr, show_kpt_idx
                    )
                )
        drawn = _side_by_side(panels, image)
        return self._hand_out(drawn, name, show, wait_time, out_file, step)

    def _draw_2d(
        self,
        picture: Array,
        detected: Any,
        dataset: str,
        kpt_thr: float,
        show_kpt_idx: bool,
        style: str,
    ) -> None:
        """2D keypoints in their own schema's colours."""
        keypoints = field_of(detected, "transformed_keypoints", "keypoints")
        if keypoints is None or not len(keypoints):
            return
        scores = field_of(detected, "keypoint_scores", "keypoints_visible")
        count = keypoints.shape[1] + (style == "openpose")
        known = (_schema_of(dataset), self.dataset_meta)
        palette = Palette.of(
            next((m for m in known if m and m.get("num_keypoints", count) == count), None),
            count,
            point_color=self.det_kpt_color,
            link_color=self.det_dataset_link_color,
            links=self.det_dataset_skeleton,
            order="rgb",
        )
        keypoints = keypoints[..., :2]
        self._draw_poses(picture, keypoints, scores, palette, kpt_thr, show_kpt_idx, style)

    def _panel(
        self,
        poses: Array,
        scores: Array,
        scores_2d: Array | None,
        number: int,
        title: str,
        side: int,
        view: View,
        kpt_thr: float,
        show_kpt_idx: bool,
    ) -> Array:
        """One person in space; an empty panel where there is none."""
        K = poses.shape[1]
        pose = poses[number : number + 1]
        score = scores[number : number + 1]
        if scores_2d is not None and len(scores_2d) > number and scores_2d.shape[1] == K:
            score = np.minimum(score, scores_2d[number : number + 1])
        return draw_poses_3d(
            pose,
            score,
            palette=self._palette(K),
            size=(side, side),
            view=view,
            keypoint_threshold=kpt_thr,
            title=title,
            show_indices=show_kpt_idx,
            order="rgb",
        )


@functools.cache
def _schema_of(dataset: str) -> dict[str, Any] | None:
    """Parsed schema of a dataset's name; None for one that is not known."""
    return parse_pose_metainfo({"from_file": dataset}) if schemas.known(dataset) else None


def _converted_scores(scores: Array, source: str, target: str) -> Array | None:
    """2D scores (N, K) as those of the 3D keypoints; None where no rule leads there."""
    try:
        mapping = conversions.find(source, target)
    except DataError:
        return None
    if scores.shape[1] != len(mapping.source_names):
        return None
    return convert_keypoints(np.zeros((*scores.shape, 2)), scores, mapping=mapping)[1]


def _predicted(data_sample: Any) -> tuple[Array, Array]:
    instances = part_of(data_sample, "pred_instances")
    keypoints = None if instances is None else field_of(instances, "keypoints")
    if keypoints is None:
        return np.zeros((0, 1, 3)), np.zeros((0, 1))
    scores = field_of(instances, "keypoint_scores")
    keypoints = _poses(keypoints)
    shape = keypoints.shape[:2]
    return keypoints, np.ones(shape) if scores is None else scores.reshape(shape)


def _true(data_sample: Any) -> tuple[Array, Array]:
    instances = part_of(data_sample, "gt_instances")
    keypoints = field_of(instances, "lifting_target", "keypoints_gt")
    if keypoints is None:
        raise DataError(
            "to visualize ground truth results, data sample must contain 'lifting_target' or "
            "'keypoints_gt'; draw_gt=False leaves it out"
        )
    keypoints = _poses(keypoints)
    return keypoints, np.ones(keypoints.shape[:2])


def _poses(keypoints: Array) -> Array:
    """(N, K, 3) of (N, K, 3) or (N, 1, K, 3)."""
    return keypoints.reshape(-1, *keypoints.shape[-2:])


def _side_by_side(panels: list[Array], image: Array) -> Array:
    """Panels in a row, white where one is lower."""
    if not panels:
        return np.array(image, dtype=np.uint8)
    height = max(p.shape[0] for p in panels)
    row = []
    for panel in panels:
        above = (height - panel.shape[0]) // 2
        below = height - panel.shape[0] - above
        row.append(np.pad(panel, ((above, below), (0, 0), (0, 0)), constant_values=255))
    return np.concatenate(row, axis=1)
