"""From 2D poses of a video to 3D poses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from poise.errors import DataError, one_of
from poise.inference.lifting.poses import average_place, conversion_to, lifter_item, moved_to
from poise.structures import PoseDataSample, convert_keypoints

__all__ = [
    "UnsupportedConversionError",
    "collate_pose_sequence",
    "convert_keypoint_definition",
    "extract_pose_sequence",
    "inference_pose_lifter_model",
]


class UnsupportedConversionError(DataError, NotImplementedError):
    """No rule leads from one set of keypoints to another."""


#: 2D skeletons that lifters take as they are
_UNCHANGED = frozenset(("h36m", "coco_wholebody"))
_TARGETS = ("h36m", "h3wb")


def convert_keypoint_definition(
    keypoints: np.ndarray, pose_det_dataset: str, pose_lift_dataset: str
) -> np.ndarray:
    """Keypoints of a 2D model as a lifter of another dataset expects them.

    Args:
        keypoints: (N, K, 2 or 3).
        pose_det_dataset: schema of the 2D model. h36m and coco_wholebody stay as they are; of
            others `poise.schemas.conversions` must know all 17 joints (MMPose: coco,
            posetrack18, aic, crowdpose).
        pose_lift_dataset: schema of the lifter: h36m or h3wb.

    Returns:
        (N, 17, 2 or 3), of the same dtype.

    Raises:
        DataError: another lifter.
        UnsupportedConversionError: some joints do not follow from the 2D model's.
    """
    one_of(pose_lift_dataset, _TARGETS, "pose_lift_dataset", DataError)
    if pose_det_dataset in _UNCHANGED:
        return keypoints
    try:
        mapping = conversion_to("h36m", pose_det_dataset)
    except DataError as error:
        raise UnsupportedConversionError(
            f"unsupported conversion from {pose_det_dataset} to {pose_lift_dataset}: {error}"
        ) from error
    converted, _ = convert_keypoints(keypoints[:, : len(mapping.source_names)], mapping=mapping)
    return converted


def extract_pose_sequence(
    pose_results: Sequence[Any], frame_idx: int, causal: bool, seq_len: int, step: int = 1
) -> list[Any]:
    """The frames around one frame that a lifter looks at.

    Args:
        pose_results: results of each frame of the video.
        frame_idx: frame in question.
        causal: it is the last of the sequence; else it is in the middle.
        seq_len: frames of the sequence.
        step: take every `step`-th frame.

    Returns:
        `seq_len` results, one less where it is even and `causal` is not; beyond an end of the video
        its last one stands in.
    """
    before = seq_len - 1 if causal else (seq_len - 1) // 2
    after = 0 if causal else before
    last = len(pose_results) - 1
    places = (frame_idx + step * offset for offset in range(-before, after + 1))
    return [pose_results[min(max(place, 0), last)] for place in places]


def collate_pose_sequence(
    pose_results_2d: Sequence[Sequence[Any]],
    with_track_id: bool = True,
    target_frame: int = -1,
    *,
    hold_last: bool = False,
) -> list[PoseDataSample]:
    """Frames of people -> people with frames.

    Args:
        pose_results_2d: T frames of samples with `pred_instances.keypoints` (B, K, C), and
            `track_id` where asked for.
        with_track_id: tell people apart by `track_id`; else by their place in the frame.
        target_frame: whose people are taken. Where somebody is missing in an earlier frame, the
            next frame stands in, from there to the beginning.
        hold_last: where somebody is missing in a later frame, the last one before stands in, too.
            False leaves zeros there, as MMPose does.

    Returns:
        A sample for each person of the target frame, `keypoints` (B, T, K, C).

    Raises:
        DataError: no frames; or without `track_id`, fewer people in a frame than in the target.
    """
    count = len(pose_results_2d)
    if count == 0:
        raise DataError("collate_pose_sequence needs at least one frame, got none")
    target = target_frame % count
    people = pose_results_2d[target]
    by_id = [_keypoints_by_id(frame) for frame in pose_results_2d] if with_track_id else []
    sequences = []
    for index, person in enumerate(people):
        if with_track_id:
            track = _followed(by_id, person.track_id, target, hold_last)
            track = track.astype(np.float32, copy=False)
        else:
            short = next((i for i, f in enumerate(pose_results_2d) if len(f) <= index), None)
            if short is not None:
                raise DataError(
                    f"with_track_id=False takes people by their place, and frame {short} has "
                    f"{len(pose_results_2d[short])} of the {len(people)} in frame {target}; track "
                    "them, or fill the frame up"
                )
            frames = [frame[index].pred_instances.keypoints for frame in pose_results_2d]
            track = np.stack(frames, axis=1)
        sequence = PoseDataSample()
        sequence.gt_instances = person.gt_instances.clone()
        sequence.pred_instances = person.pred_instances.clone()
        sequence.pred_instances.set_field(track, "keypoints")
        sequences.append(sequence)
    return sequences


def _keypoints_by_id(frame: Iterable[Any]) -> dict[Any, np.ndarray]:
    found: dict[Any, np.ndarray] = {}
    for sample in frame:
        found.setdefault(sample.track_id, sample.pred_instances.keypoints)
    return found


def _followed(
    frames: Sequence[Mapping[Any, np.ndarray]], track: Any, target: int, hold_last: bool
) -> np.ndarray:
    """(B, T, K, C) keypoints of one person, from where the track begins to where it ends."""
    first = last = target
    while first > 0 and track in frames[first - 1]:
        first -= 1
    while last < len(frames) - 1 and track in frames[last + 1]:
        last += 1
    known = [frames[place][track] for place in range(first, last + 1)]
    after = known[-1] if hold_last else np.zeros_like(known[-1])
    return np.stack(known[:1] * first + known + [after] * (len(frames) - 1 - last), axis=1)


def inference_pose_lifter_model(
    model: Any,
    pose_results_2d: Sequence[Sequence[Any]],
    with_track_id: bool = True,
    image_size: Sequence[int] | None = None,
    norm_pose_2d: bool = False,
    *,
    hold_last: bool = False,
) -> list[Any]:
    """3D poses of the people in the target frame of a sequence of 2D poses.

    Args:
        model: a lifter of `init_model`.
        pose_results_2d: T frames of samples, as for `collate_pose_sequence`, in the lifter's
            keypoints (`convert_keypoint_definition`), image space.
        with_track_id: as for `collate_pose_sequence`.
        image_size: (width, height) of the pictures, for lifters that normalise by the camera.
        norm_pose_2d: move and scale each person to the average box of the dataset, or of the
            sequence where the dataset's is not known.
        hold_last: as for `collate_pose_sequence`.

    Returns:
        A sample for each person with `pred_instances.keypoints`, in the lifter's space.

    Raises:
        DataError: `image_size` is not two numbers.
    """
    import torch

    from poise.inference.networks.crops import read_test_pipeline

    if image_size is not None and len(image_size) != 2:
        raise DataError(f"image_size must be (width, height), got {image_size}")
    dataset = model.cfg.test_dataloader.dataset
    target = -1 if dataset.get("causal", False) else len(pose_results_2d) // 2
    place = None
    if norm_pose_2d:
        boxes = [sample.pred_instances.bboxes for frame in pose_results_2d for sample in frame]
        place = average_place(model.dataset_meta, boxes)
    frames = [[_flat_sample(sample, place) for sample in frame] for frame in pose_results_2d]
    sequences = collate_pose_sequence(frames, with_track_id, target, hold_last=hold_last)
    if not sequences:
        return []
    pipeline = read_test_pipeline(model.cfg)
    items = [pipeline(_lifter_input(s, model.dataset_meta, image_size)) for s in sequences]
    batch = {key: [item[key] for item in items] for key in ("inputs", "data_samples")}
    with torch.no_grad():
        return list(model.test_step(batch))


def _flat_sample(sample: Any, place: tuple[np.ndarray, float] | None) -> PoseDataSample:
    """Copy of a sample with x and y only, moved to the average box where one is given."""
    copied = PoseDataSample()
    copied.gt_instances = sample.gt_instances.clone()
    copied.pred_instances = sample.pred_instances.clone()
    if "track_id" in sample:
        copied.track_id = sample.track_id
    keypoints = np.asarray(sample.pred_instances.keypoints)[..., :2]
    if place is not None:
        keypoints = moved_to(keypoints, sample.pred_instances.bboxes, place)
    copied.pred_instances.set_field(keypoints, "keypoints")
    return copied


def _lifter_input(
    sequence: PoseDataSample, metainfo: Mapping[str, Any], image_size: Sequence[int] | None
) -> dict[str, Any]:
    """`results` of one person's sequence."""
    keypoints = sequence.pred_instances.keypoints
    if keypoints.ndim == 4:
        keypoints = keypoints.squeeze(0)
    return lifter_item(keypoints, metainfo, image_size)
