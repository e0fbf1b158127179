"""Average precision per joint over video frames, as in the PoseTrack challenge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from poise._arrays import Array
from poise._options import options_of
from poise.errors import DataError, FileMissingError
from poise.metrics.base import BaseMetric
from poise.metrics.coco import CocoMetric, write_json
from poise.metrics.coco_table import read_coco
from poise.metrics.pose_columns import PoseColumns
from poise.registry import METRICS

__all__ = ["RATED_JOINTS", "LabelledJoints", "PoseTrack18Metric", "group_figures"]

# the order of the keypoints in predictions; PoseTrack annotates no ears
_KEYPOINTS = [
    "nose",
    "head_bottom",
    "head_top",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
]
RATED_JOINTS = [name for name in _KEYPOINTS if not name.endswith("_ear")]
# figure -> how its joints end
_FIGURES = {
    "Head AP": ("nose", "head_bottom", "head_top"),
    "Shou AP": ("shoulder",),
    "Elb AP": ("elbow",),
    "Wri AP": ("wrist",),
    "Hip AP": ("hip",),
    "Knee AP": ("knee",),
    "Ankl AP": ("ankle",),
}
# the head box's diagonal times this is the head size of PCKh
_HEAD_OF_BOX = 0.6
# in head sizes
_LARGEST_DISTANCE = 0.5


@dataclass(frozen=True)
class _Frame:
    """Annotated and predicted joints (G, 15, 3) and (P, 15, 3) of a frame, NaN where absent."""

    truth: Array
    heads: Array
    predicted: Array


@dataclass(frozen=True, eq=False)
class LabelledJoints:
    """Which predicted joints are right.

    Attributes:
        videos: V names.
        video: (P,) row of each predicted person's video.
        right: (P, 15) 1 where a joint is right.
        score: (P, 15) NaN where a joint is absent.
        annotated: (V, 15) number of annotated joints.
    """

    videos: Sequence[str]
    video: Array
    right: Array
    score: Array
    annotated: Array


@METRICS.register_module()
class PoseTrack18Metric(CocoMetric):
    """AP by joint on PoseTrack 2018, at half a head size (Andriluka et al., CVPR 2018).

    Annotations of each video are read from a folder beside `ann_file`: for
    `annotations/posetrack18_val.json` from `annotations/val/*.json`. Frames without annotated
    people do not count, nor do joints in regions that are marked to be ignored. Computed here;
    the package poseval is not needed.

    Args:
        ann_file: COCO-style annotation file; names the folder.
        score_mode, keypoint_score_thr, nms_mode, nms_thr: as in `CocoMetric`.
        format_only: write the result files and compute nothing.
        outfile_prefix: result files go to this path's folder, one per video.
        **options: those of `BaseMetric`.

    Raises:
        DataError: no `ann_file`, or result files would overwrite the annotations.
        FileMissingError: no folder of videos beside it.
    """

    default_prefix: str | None = "posetrack18"

    @options_of(BaseMetric, positional=True)
    def __init__(
        self,
        ann_file: str | None = None,
        score_mode: str = "bbox_keypoint",
        keypoint_score_thr: float = 0.2,
        nms_mode: str = "oks_nms",
        nms_thr: float = 0.9,
        format_only: bool = False,
        outfile_prefix: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            ann_file,
            # the annotations have no area, and nothing here needs one
            use_area=False,
            score_mode=score_mode,
            keypoint_score_thr=keypoint_score_thr,
            nms_mode=nms_mode,
            nms_thr=nms_thr,
            format_only=format_only,
            outfile_prefix=outfile_prefix,
            **options,
        )
        if ann_file is None:
            raise DataError(
                "PoseTrack18Metric needs `ann_file`, such as 'annotations/posetrack18_val.json'"
            )
        path = Path(ann_file)
        self.video_folder = path.parent / path.stem.split("_")[-1]
        if not self.video_folder.is_dir():
            raise FileMissingError(
                f"PoseTrack18Metric reads the videos' annotations from {self.video_folder}, which"
                " does not exist; unpack the official annotations there"
            )
        if outfile_prefix and Path(outfile_prefix).parent.resolve() == self.video_folder.resolve():
            raise DataError(f"results in {outfile_prefix} would overwrite the annotations")

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        """Seven groups of joints and 'AP', in percent."""
        if self.format_only:
            for _ in self._videos(results):
                pass  # each is written on the way
            return {}
        return _figures(self.labelled_joints(results))

    def labelled_joints(self, results: list[Any]) -> LabelledJoints:
        """Which predicted joints are right, video by video.

        Args:
            results: what `entries` gives.

        Raises:
            DataError: predictions of another number of keypoints.
        """
        names: list[str] = []
        count = len(RATED_JOINTS)
        right, score = [np.zeros((0, count))], [np.zeros((0, count))]
        video, annotated = [np.zeros(0, int)], [np.zeros((0, count), int)]
        for row, (name, frames) in enumerate(self._videos(results)):
            names.append(name)
            right += [_label(frame) for frame in frames]
            score += [frame.predicted[..., 2] for frame in frames]
            video.append(np.full(sum(len(frame.predicted) for frame in frames), row))
            total = sum((~np.isnan(frame.truth[..., 0])).sum(axis=0) for frame in frames)
            annotated.append(np.broadcast_to(total, (1, count)))
        rows_of = np.concatenate(video)
        return LabelledJoints(
            names, rows_of, np.concatenate(right), np.concatenate(score), np.concatenate(annotated)
        )

    def _videos(self, results: list[Any]) -> Iterator[tuple[str, list[_Frame]]]:
        """Name and frames of each video; result files are written on the way."""
        poses = self._poses(results, self._needed_meta())
        if len(poses) and poses.keypoints.shape[1] != len(_KEYPOINTS):
            raise DataError(
                f"PoseTrack has {len(_KEYPOINTS)} keypoints, got predictions of"
                f" {poses.keypoints.shape[1]}"
            )
        by_image: dict[Any, list[int]] = {}
        for row, image in enumerate(poses.image_id.tolist()):
            by_image.setdefault(image, []).append(row)
        joints = np.concatenate((poses.keypoints, poses.keypoint_scores[..., None]), axis=-1)
        for file in sorted(self.video_folder.glob("*.json")):
            video = read_coco(file)
            if self.outfile_prefix is not None:
                target = Path(self.outfile_prefix).parent / file.name
                write_json(str(target), _result_file(video, poses, joints, by_image))
            yield file.stem, _frames(video, joints, by_image)


def _result_file(
    video: Mapping[str, Any], poses: PoseColumns, joints: Array, rows: Mapping[Any, list[int]]
) -> dict[str, Any]:
    """Predictions of one video in PoseTrack's format."""
    annotations = [
        {
            "image_id": image["id"],
            "keypoints": joints[row].ravel().tolist(),
            "scores": joints[row, :, 2].tolist(),
            "score": float(poses.score[row]),
            "track_id": place,
        }
        for image in video["images"]
        for place, row in enumerate(rows.get(image["id"], []))
    ]
    images = [{"id": image["id"], "file_name": image["file_name"]} for image in video["images"]]
    return {"images": images, "categories": video["categories"], "annotations": annotations}


def _frames(video: Mapping[str, Any], joints: Array, rows: Mapping[Any, list[int]]) -> list[_Frame]:
    """Frames of a video that have annotated people."""
    names = video["categories"][0]["keypoints"]
    people: dict[Any, list[Mapping[str, Any]]] = {}
    for ann in video["annotations"]:
        people.setdefault(ann["image_id"], []).append(ann)
    frames: list[_Frame] = []
    for image in video["images"]:
        anns = people.get(image["id"], [])
        if not anns:
            continue
        truth = np.array([ann["keypoints"] for ann in anns], float).reshape(len(anns), -1, 3)
        truth = _rated(truth, names)
        heads = np.array([ann["bbox_head"][2:] for ann in anns], float)
        predicted = _rated(joints[rows.get(image["id"], [])].astype(float), _KEYPOINTS)
        regions = list(
            zip(image.get("ignore_regions_x", ()), image.get("ignore_regions_y", ()), strict=True)
        )
        if regions:
            truth[_inside(truth, regions)] = np.nan
            predicted[_inside(predicted, regions)] = np.nan
            left = ~np.isnan(truth[..., 0]).all(axis=1)
            truth, heads = truth[left], heads[left]
            predicted = predicted[~np.isnan(predicted[..., 0]).all(axis=1)]
        sizes = _HEAD_OF_BOX * np.linalg.norm(heads, axis=1)
        frames.append(_Frame(truth, sizes, predicted))
    return frames


def _rated(joints: Array, names: Sequence[str]) -> Array:
    """(N, 15, 3) of the rated joints, NaN where a joint is all zeros, that is absent."""
    chosen = joints[:, [names.index(name) for name in RATED_JOINTS]].copy()
    chosen[(chosen == 0).all(axis=-1)] = np.nan
    return chosen


def _inside(joints: Array, regions: Sequence[tuple[Sequence[float], Sequence[float]]]) -> Array:
    """(N, 15) which joints lie in one of some polygons, by the even-odd rule."""
    x, y = joints[..., 0, None], joints[..., 1, None]
    inside = np.zeros(joints.shape[:2], bool)
    for xs, ys in regions:
        x0, y0 = np.asarray(xs, float), np.asarray(ys, float)
        x1, y1 = np.roll(x0, 1), np.roll(y0, 1)
        crosses = (y0 > y) != (y1 > y)
        slope = (x1 - x0) / np.where(y1 == y0, 1, y1 - y0)
        right = crosses & (x < x0 + (y - y0) * slope)
        inside |= right.sum(axis=-1) % 2 == 1
    return inside


def _figures(labelled: LabelledJoints) -> dict[str, float]:
    """AP in percent by group of joints, and overall; -1 where nothing is annotated."""
    total = labelled.annotated.sum(axis=0)
    joint_ap = np.array(
        [
            _average_precision(right, score, number)
            for right, score, number in zip(labelled.right.T, labelled.score.T, total, strict=True)
        ]
    )
    figures = {name: float(value) for name, value in group_figures(joint_ap).items()}
    return {**figures, "AP": -1.0 if np.isnan(figures["AP"]) else figures["AP"]}


def group_figures(joint_ap: Array) -> dict[str, Array]:
    """Means over groups of joints, and 'AP' over all that are annotated.

    Args:
        joint_ap: (..., 15) of single joints, NaN where one is annotated nowhere.

    Returns:
        name -> (...), NaN where a joint of the group, for 'AP' every joint, is annotated nowhere.
    """
    figures = {
        figure: joint_ap[..., [name.endswith(ends) for name in RATED_JOINTS]].mean(axis=-1)
        for figure, ends in _FIGURES.items()
    }
    known = ~np.isnan(joint_ap)
    number = known.sum(axis=-1)
    mean = np.where(known, joint_ap, 0).sum(axis=-1) / np.maximum(number, 1)
    return {**figures, "AP": np.where(number > 0, mean, np.nan)}


def _label(frame: _Frame) -> Array:
    """(P, 15) 1 where a predicted joint is right.

    A person belongs to the annotated one with most joints near; of several the nearest counts.
    """
    right = np.zeros(frame.predicted.shape[:2])
    if not len(frame.truth) or not len(frame.predicted):
        return right
    offset = frame.predicted[:, None, :, :2] - frame.truth[None, :, :, :2]
    # absent joints are NaN, which is not near
    near = np.linalg.norm(offset, axis=-1) / frame.heads[:, None] <= _LARGEST_DISTANCE
    annotated = (~np.isnan(frame.truth[..., 0])).sum(axis=1)
    share = near.sum(axis=-1) / np.maximum(annotated, 1)
    own = share.argmax(axis=1)
    best = np.where(np.arange(len(frame.truth)) == own[:, None], share, 0)
    for person, rival in enumerate(best.argmax(axis=0)):
        if best[rival, person] > 0:
            right[rival] = near[rival, person]
    return right


def _average_precision(right: Array, score: Array, total: int) -> float:
    """Area under the precision envelope in percent; 0 without predictions, NaN without truth."""
    there = ~np.isnan(score)
    right, score = right[there], score[there]
    if not len(right):
        return 0.0
    if not total:
        return float("nan")
    hits = right[score.argsort()[::-1]].cumsum()
    precision = np.maximum.accumulate((hits / np.arange(1, len(hits) + 1))[::-1])[::-1]
    gained = np.diff(hits / total, prepend=0.0)
    return float((gained * precision).sum() * 100)
