"""Results as other libraries hold them."""

from __future__ import annotations

from typing import Any

import numpy as np

from poise._lazy import needed
from poise.errors import DataError
from poise.inference.results.pose_result import PoseResult

__all__ = ["log_rerun", "to_fiftyone", "to_supervision"]

#: beside its siblings, for those who look for it here
to_supervision = PoseResult.to_supervision


def to_fiftyone(result: PoseResult) -> dict[str, Any]:
    """Fields of a FiftyOne sample: `poses` (`fiftyone.Keypoints`) and `people` (`Detections`).

    Coordinates are parts of the picture, as FiftyOne has them; keypoints that are not visible are
    NaN, which it does not draw. `sample.update_fields(to_fiftyone(result))` adds them.

    Raises:
        MissingDependencyError: the library is not installed.
        DataError: the result has no picture, so its size is not known.
    """
    fiftyone = needed("fiftyone", "to_fiftyone() needs the package fiftyone: pip install fiftyone")
    if result.image is None:
        raise DataError(f"{result.where} has no picture, and FiftyOne wants parts of its size")
    size = np.array(result.image.shape[1::-1], np.float64)
    points = np.where(result.visible[..., None], result.keypoints[..., :2] / size, np.nan)
    corners = result.bboxes.reshape(-1, 2, 2) / size
    boxes = np.concatenate((corners[:, 0], corners[:, 1] - corners[:, 0]), 1)
    ids = [None] * len(result) if result.track_ids is None else result.track_ids.tolist()
    scores, box_scores = result.probabilities.tolist(), result.bbox_scores.tolist()
    poses = [
        fiftyone.Keypoint(label="pose", points=list(map(tuple, p)), confidence=s, index=i)
        for p, s, i in zip(points.tolist(), scores, ids, strict=True)
    ]
    people = [
        fiftyone.Detection(label="person", bounding_box=b, confidence=s, index=i)
        for b, s, i in zip(boxes.tolist(), box_scores, ids, strict=True)
    ]
    return {
        "poses": fiftyone.Keypoints(keypoints=poses),
        "people": fiftyone.Detections(detections=people),
    }


def log_rerun(result: PoseResult, entity: str = "poses", *, picture: bool = True) -> None:
    """Log a result to the current Rerun recording: picture, links, keypoints, boxes, 3D poses.

    Args:
        result: what to log; its frame number becomes the time line `frame`.
        entity: path below which everything is logged.
        picture: also log the picture.

    Raises:
        MissingDependencyError: the library is not installed.
    """
    rerun = needed("rerun", "log_rerun() needs the package rerun-sdk: pip install rerun-sdk")
    from poise.visualization import Palette, id_color

    rerun.set_time("frame", sequence=result.frame_index)
    if picture and result.image is not None:
        rerun.log(entity, rerun.Image(result.image, color_model="BGR").compress())
    ids = np.full(len(result), -1) if result.track_ids is None else result.track_ids
    box_colors = [id_color(i, order="rgb") for i in ids.tolist()]
    boxes = rerun.Boxes2D(
        array=result.bboxes, array_format=rerun.Box2DFormat.XYXY, colors=box_colors
    )
    rerun.log(f"{entity}/boxes", boxes)
    flat = (result.keypoints[..., :2], result.visible, result.metainfo, "2D")
    whole = []
    if result.keypoints_3d is not None:
        seen = np.isfinite(result.keypoints_3d).all(-1)
        whole = [(result.keypoints_3d, seen, result.metainfo_3d or {}, "3D")]
    for points, seen, meta, kind in [flat, *whole]:
        palette = Palette.of(meta, points.shape[1], order="rgb")
        person, link = np.nonzero(seen[:, palette.links].all(-1))
        strips = points[person[:, None], palette.links[link]]
        link_colors = [palette.link_colors[i] or (128, 128, 128) for i in link.tolist()]
        lines = getattr(rerun, f"LineStrips{kind}")(strips, colors=link_colors)
        rerun.log(f"{entity}/links_{kind.lower()}", lines)
        colors = [palette.points[i] or (128, 128, 128) for i in np.nonzero(seen)[1].tolist()]
        dots = getattr(rerun, f"Points{kind}")(points[seen], colors=colors)
        rerun.log(f"{entity}/keypoints_{kind.lower()}", dots)
