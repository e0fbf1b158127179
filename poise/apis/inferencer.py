"""`MMPoseInferencer`: MMPose's all-in-one call, on top of `poise.Inferencer`."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from poise.errors import ArgumentError, ConfigError, DataError, nearest
from poise.geometry import nearby_joints_nms
from poise.inference.detectors import NanoDetDetector
from poise.inference.inferencer import Inferencer
from poise.inference.results import PoseResult
from poise.structures import PoseDataSample

__all__ = ["MMPoseInferencer"]

_LOG = logging.getLogger(__name__)

#: MMPose's options and their defaults
_OPTIONS: dict[str, Any] = {
    # where to look
    "bboxes": None,
    "bbox_thr": 0.3,
    "nms_thr": None,
    # what to keep
    "pose_based_nms": False,
    "merge_results": True,
    # pictures
    "return_vis": False,
    "show": False,
    "wait_time": 0,
    "draw_bbox": False,
    "radius": 3,
    "thickness": 1,
    "kpt_thr": 0.3,
    "skeleton_style": "mmpose",
    "black_background": False,
    # files
    "vis_out_dir": "",
    "pred_out_dir": "",
    "return_datasample": None,
}
#: options of MMPose's 3D and heatmap drawing, accepted so that scripts run, without effect
_IGNORED = frozenset(
    (
        "use_oks_tracking",
        "tracking_thr",
        "disable_norm_pose_2d",
        "disable_rebase_keypoint",
        "draw_heatmap",
        "num_instances",
    )
)


class MMPoseInferencer:
    """Poses of pictures with MMPose's arguments and results.

    Unlike MMPose's it uses the boxes that it is given, and a picture in which nobody is has no
    predictions (docs/differences.md).

    Args:
        pose2d: model name, alias ("human" ...) or config file.
        pose2d_weights: checkpoint.
        pose3d: not available here; see `inference_pose_lifter_model`.
        pose3d_weights: goes with `pose3d`.
        device: "cpu", "cuda:0" ...; None takes the best there is.
        scope: kept for scripts; Poise has every scope.
        det_model: "whole_image", or a detector as `poise.Inferencer` takes it; None is "auto".
        det_weights: not used: the embedded detector has its own.
        det_cat_ids: not used: the embedded detector finds people.
        show_progress: show a progress bar.

    Raises:
        ConfigError: no 2D model, or a 3D model.

    Example:
        result = next(MMPoseInferencer("human")("photo.jpg", return_vis=True))
        people, picture = result["predictions"][0], result["visualization"][0]
    """

    def __init__(
        self,
        pose2d: str | None = None,
        pose2d_weights: str | None = None,
        pose3d: str | None = None,
        pose3d_weights: str | None = None,
        device: str | None = None,
        scope: str = "mmpose",
        det_model: Any = None,
        det_weights: str | None = None,
        det_cat_ids: Any = None,
        show_progress: bool = False,
    ) -> None:
        if pose3d is not None:
            raise ConfigError(
                "MMPoseInferencer(pose3d=...) is not available; find the 2D poses with pose2d=..., "
                "and lift them with poise.apis.inference_pose_lifter_model"
            )
        if pose2d is None:
            raise ConfigError(
                "MMPoseInferencer needs a model: pose2d='human', a model name or a config file"
            )
        detector = {None: "auto", "whole_image": "whole-image"}.get(det_model, det_model)
        self.inferencer = Inferencer(
            pose2d, pose2d_weights, detector=detector, device=device or "auto"
        )
        self.show_progress = show_progress

    def __call__(
        self,
        inputs: Any,
        return_datasamples: bool = False,
        batch_size: int = 1,
        out_dir: str | os.PathLike[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[dict[str, Any]]:
        """One dict a picture, lazily.

        Args:
            inputs: path, folder, array (H, W, 3) in BGR order, or a list of these.
            return_datasamples: give `PoseDataSample`s instead of plain values.
            batch_size: crops per network call.
            out_dir: folder for `visualizations/` and `predictions/`.
            **kwargs: MMPose's options, among them `bboxes` (one array (N, 4 or 5) a picture),
                `bbox_thr`, `nms_thr`, `return_vis`, `draw_bbox`, `kpt_thr`, `vis_out_dir`,
                `pred_out_dir`.

        Yields:
            `predictions`: a list with the list of people of the picture, each a dict with
            `keypoints`, `keypoint_scores`, `bbox`, `bbox_score`; `visualization`: a list with
            the drawn picture (RGB), empty without `return_vis`, None where nothing is drawn.

        Raises:
            ArgumentError: an option that MMPose has not.
        """
        options = _checked_options(kwargs, out_dir)
        if options["return_datasample"] is not None:
            return_datasamples = options["return_datasample"]
        self._tell_detector(options)
        results = self.inferencer.predict(inputs, boxes=options["bboxes"], batch_size=batch_size)
        return self._answers(results, options, return_datasamples)

    def _answers(
        self, results: Iterator[PoseResult], options: dict[str, Any], as_samples: bool
    ) -> Iterator[dict[str, Any]]:
        for result in _with_progress(results) if self.show_progress else results:
            _filter(result, options)
            people = result.to_mmpose()
            if options["pred_out_dir"]:
                path = _below(options["pred_out_dir"], _file_name(result)).with_suffix(".json")
                path.write_text(json.dumps(people, indent=2))
            yield {
                "visualization": self._drawn(result, options),
                "predictions": [_sample(result) if as_samples else people],
            }

    def _tell_detector(self, options: dict[str, Any]) -> None:
        if options["bboxes"] is not None:
            return
        detector = self.inferencer.detector
        if isinstance(detector, NanoDetDetector):
            detector.score_threshold = options["bbox_thr"]
            if options["nms_thr"] is not None:
                detector.iou_threshold = options["nms_thr"]

    def _drawn(self, result: PoseResult, options: dict[str, Any]) -> list[np.ndarray] | None:
        if not (options["return_vis"] or options["show"] or options["vis_out_dir"]):
            return None
        from poise.visualization import PoseLocalVisualizer

        visualizer = PoseLocalVisualizer(radius=options["radius"], line_width=options["thickness"])
        style = options["skeleton_style"]
        visualizer.set_dataset_meta(result.metainfo, style)
        image = np.asarray(result.image)[..., ::-1]
        picture = visualizer.add_datasample(
            result.name,
            np.zeros_like(image) if options["black_background"] else image,
            _sample(result),
            draw_gt=False,
            draw_bbox=options["draw_bbox"],
            skeleton_style=style,
            show=options["show"],
            wait_time=options["wait_time"],
            kpt_thr=options["kpt_thr"],
        )
        if options["vis_out_dir"]:
            path = _below(options["vis_out_dir"], _file_name(result))
            if not cv2.imwrite(str(path), np.ascontiguousarray(picture[..., ::-1])):
                raise DataError(f"cannot write the drawn picture '{path}'")
        return [picture] if options["return_vis"] else []


def _checked_options(
    given: dict[str, Any], out_dir: str | os.PathLike[str] | None
) -> dict[str, Any]:
    unknown = [name for name in given if name not in _OPTIONS and name not in _IGNORED]
    if unknown:
        raise ArgumentError(
            f"MMPoseInferencer has no option '{unknown[0]}'{nearest(unknown[0], _OPTIONS)}"
        )
    if without_effect := sorted(_IGNORED & {name for name, value in given.items() if value}):
        _LOG.warning("options without effect here: %s", ", ".join(without_effect))
    options = {**_OPTIONS, **{k: v for k, v in given.items() if k in _OPTIONS}}
    if out_dir is not None:
        options["vis_out_dir"] = options["vis_out_dir"] or Path(out_dir) / "visualizations"
        options["pred_out_dir"] = options["pred_out_dir"] or Path(out_dir) / "predictions"
    return options


def _filter(result: PoseResult, options: dict[str, Any]) -> None:
    """Drop people with unsure boxes, and doubles where asked for."""
    found = result.instances
    if options["bbox_thr"] > 0:
        found = found[found.bbox_scores > options["bbox_thr"]]
    if options["pose_based_nms"] and len(found):
        poses = [
            {"keypoints": k, "score": s}
            for k, s in zip(found.keypoints, found.bbox_scores, strict=True)
        ]
        keep = nearby_joints_nms(poses, num_nearby_joints_thr=found.keypoints.shape[1] // 3)
        found = found[keep]
    result.instances = found


def _sample(result: PoseResult) -> PoseDataSample:
    sample = PoseDataSample(metainfo={"img_path": _file_name(result)})
    sample.pred_instances = result.instances
    return sample


def _file_name(result: PoseResult) -> str:
    name = Path(result.name).name
    return name if Path(name).suffix else f"{name}.jpg"


def _below(folder: str | os.PathLike[str], name: str) -> Path:
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


def _with_progress(results: Iterator[PoseResult]) -> Any:
    from rich.progress import track

    return track(results, description="Inference")
