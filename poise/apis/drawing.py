"""One call that draws keypoints into a picture."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from poise.apis.inference import pixels_of
from poise.errors import DataError, one_of
from poise.inference.sources.pictures import to_bgr
from poise.structures import InstanceData, PoseDataSample, parse_pose_metainfo

__all__ = ["visualize"]


def visualize(
    img: np.ndarray | str | os.PathLike[str],
    keypoints: np.ndarray,
    keypoint_score: np.ndarray | None = None,
    metainfo: str | Mapping[str, Any] | None = None,
    visualizer: Any = None,
    show_kpt_idx: bool = False,
    skeleton_style: str = "mmpose",
    show: bool = False,
    kpt_thr: float = 0.3,
) -> np.ndarray:
    """Picture with keypoints and links.

    Args:
        img: path, or pixels (H, W, 3) in BGR order; not changed.
        keypoints: (N, K, 2), image space.
        keypoint_score: (N, K); None: all are sure.
        metainfo: schema: its name, a metadata file, or such a file's dict.
        visualizer: a `PoseLocalVisualizer` whose style is wanted.
        show_kpt_idx: write the number of each keypoint.
        skeleton_style: "mmpose" or "openpose".
        show: open a window.
        kpt_thr: keypoints with a lower score are not drawn.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        DataError: another style, or an unreadable picture.
    """
    from poise.visualization import PoseLocalVisualizer

    one_of(skeleton_style, ("mmpose", "openpose"), "skeleton_style", DataError)
    visualizer = PoseLocalVisualizer() if visualizer is None else copy.deepcopy(visualizer)
    if metainfo is not None:
        raw = metainfo if isinstance(metainfo, Mapping) else {"from_file": metainfo}
        visualizer.set_dataset_meta(parse_pose_metainfo(raw), skeleton_style=skeleton_style)
    picture, _ = pixels_of(img)
    keypoints = np.asarray(keypoints)
    scores = np.ones(keypoints.shape[:2]) if keypoint_score is None else np.asarray(keypoint_score)
    sample = PoseDataSample()
    sample.pred_instances = InstanceData(keypoints=keypoints, keypoint_scores=scores)
    return visualizer.add_datasample(
        "visualization",
        to_bgr(picture)[..., ::-1],
        sample,
        draw_gt=False,
        show_kpt_idx=show_kpt_idx,
        skeleton_style=skeleton_style,
        show=show,
        kpt_thr=kpt_thr,
    )
