"""`MMPoseInferencer`: MMPose's all-in-one call, on top of `poise.Inferencer`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from poise._arguments import check_options
from poise.apis.inferencer_output import AnswerDrawer, AnswerFiles, people_of, sample_of
from poise.errors import ArgumentError, ConfigError
from poise.geometry import nearby_joints_nms
from poise.inference.detectors import NanoDetDetector, SelectingDetector
from poise.inference.inferencer import Inferencer
from poise.inference.lifting import is_lifter
from poise.inference.machine.devices import pick_device
from poise.inference.results.pose_result import PoseResult

__all__ = ["MMPoseInferencer"]

#: overlap above which MMPose takes two boxes of a detector for one person
NMS_THRESHOLD = 0.3
#: MMPose's options and their defaults
_OPTIONS: dict[str, Any] = {
    # where to look
    "bboxes": None,
    "bbox_thr": 0.3,
    "nms_thr": None,
    # what to keep
    "pose_based_nms": False,
    "merge_results": True,
    # who is who, and 3D
    "use_oks_tracking": False,
    "tracking_thr": None,
    "disable_norm_pose_2d": False,
    "disable_rebase_keypoint": False,
    # pictures
    "return_vis": False,
    "show": False,
    "wait_time": 0,
    "draw_bbox": False,
    "draw_heatmap": False,
    "radius": 3,
    "thickness": 1,
    "kpt_thr": 0.3,
    "skeleton_style": "mmpose",
    "black_background": False,
    "num_instances": 1,
    # files
    "vis_out_dir": "",
    "pred_out_dir": "",
    "return_datasample": None,
}
_CAMERA = "webcam"
#: MMPose's 2D model where only a lifter is named
_DEFAULT_2D = "human"


class MMPoseInferencer:
    """Poses of pictures, videos and cameras with MMPose's arguments and results.

    Unlike MMPose's it uses the boxes that it is given, and a picture in which nobody is has no
    predictions (docs/differences.md).

    Args:
        pose2d: model name, alias ("human" ...) or config file.
        pose2d_weights: checkpoint.
        pose3d: lifter ("human3d" ...): predictions are then 3D. `pose2d` is "human" unless
            something else is given. Or a model that gives 3D poses of pictures ("hand3d"), which
            takes the place of `pose2d`.
        pose3d_weights: checkpoint of that model.
        device: "cpu", "cuda:0" ...; None takes the best there is.
        scope: kept for scripts; Poise has every scope.
        det_model: "whole_image"; a name or config file of a detector, or another detector that
            `poise.Inferencer` takes; None is "auto".
        det_weights: checkpoint of the detector; None takes the released one of its name.
        det_cat_ids: classes that the detector keeps; None: those of what the model looks at.
        show_progress: show a progress bar.

    Raises:
        ConfigError: neither a 2D nor a 3D model.

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
        if pose2d is None and pose3d is None:
            raise ConfigError(
                "MMPoseInferencer needs a model: pose2d='human', a model name or a config file; "
                "or pose3d='human3d'"
            )
        place = pick_device(device or "auto")
        model_3d = None
        if pose3d is not None:
            from poise.models.build import load_model

            model_3d = load_model(pose3d, pose3d_weights, device=place)
        # "hand3d" looks at pictures itself
        looks = model_3d is not None and not is_lifter(model_3d)
        self.inferencer = Inferencer(
            model_3d if looks else pose2d or _DEFAULT_2D,
            None if looks else pose2d_weights,
            detector=_detector_spec(det_model, det_weights, det_cat_ids),
            device=place,
        )
        self.lifter = None if looks else model_3d
        self.show_progress = show_progress

    def __call__(
        self,
        inputs: Any,
        return_datasamples: bool = False,
        batch_size: int = 1,
        out_dir: str | os.PathLike[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[dict[str, Any]]:
        """One dict a picture or frame, lazily.

        Args:
            inputs: path of a picture or video, folder, "webcam:0", array (H, W, 3) in BGR order,
                or a list of these.
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
            ArgumentError: an option that MMPose has not, or a camera that has no number.
        """
        options = _checked_options(kwargs, out_dir)
        if options["return_datasample"] is not None:
            return_datasamples = options["return_datasample"]
        if isinstance(inputs, str) and inputs.startswith(_CAMERA):
            inputs, options["show"] = _camera_number(inputs), True
        self._tell_detector(options)
        results = self.inferencer.predict(
            inputs,
            boxes=options["bboxes"],
            batch_size=batch_size,
            keypoint_threshold=options["kpt_thr"],
            track=self._tracking(options),
            lift=self._lifting(options),
            heatmaps=bool(options["draw_heatmap"]),
        )
        return self._answers(results, options, return_datasamples)

    def _answers(
        self, results: Iterator[PoseResult], options: dict[str, Any], as_samples: bool
    ) -> Iterator[dict[str, Any]]:
        draw = AnswerDrawer(options)
        with AnswerFiles(options["pred_out_dir"], options["vis_out_dir"]) as files:
            for result in _with_progress(results) if self.show_progress else results:
                _filter(result, options)
                people = people_of(result)
                picture = draw(result)
                files.write(result, people, picture)
                kept = [picture] if options["return_vis"] else []
                yield {
                    "visualization": None if picture is None else kept,
                    "predictions": [sample_of(result) if as_samples else people],
                }

    # ------------------------------------------------------------------ options

    def _lifting(self, options: Mapping[str, Any]) -> Any:
        if self.lifter is None:
            return None
        return {
            "model": self.lifter,
            "window": "online",
            "normalize": not options["disable_norm_pose_2d"],
            "rebase": not options["disable_rebase_keypoint"],
        }

    def _tracking(self, options: Mapping[str, Any]) -> Any:
        # the lifter tells people apart by itself where nobody asks for more
        if self.lifter is None or not options["use_oks_tracking"]:
            return False
        least = options["tracking_thr"]
        return True if least is None else {"match": least}

    def _tell_detector(self, options: Mapping[str, Any]) -> None:
        if options["bboxes"] is not None:
            return
        detector = self.inferencer.detector
        if not isinstance(detector, SelectingDetector):
            return
        detector.score_threshold = options["bbox_thr"]
        if options["nms_thr"] is not None:
            detector.iou_threshold = options["nms_thr"]
        elif not isinstance(detector, NanoDetDetector):
            detector.iou_threshold = NMS_THRESHOLD


def _detector_spec(model: Any, weights: Any, categories: Any) -> Any:
    """What `build_detector` takes."""
    if model is not None and not isinstance(model, (str, os.PathLike)):
        return model
    spec = "auto" if model is None else "whole-image" if model == "whole_image" else model
    # MMPose, too, has no use for the other two without a named detector
    if spec in ("auto", "whole-image") or (weights is None and categories is None):
        return spec
    given = {"weights": weights, "categories": categories}
    return {"name": spec, **{key: value for key, value in given.items() if value is not None}}


def _camera_number(text: str) -> int:
    """Number in "webcam:1"; "webcam" alone is the first camera."""
    number = text.removeprefix(_CAMERA).removeprefix(":") or "0"
    if not number.isdecimal():
        raise ArgumentError(f"a camera is called 'webcam' or 'webcam:1', got '{text}'")
    return int(number)


def _checked_options(
    given: dict[str, Any], out_dir: str | os.PathLike[str] | None
) -> dict[str, Any]:
    check_options(given, _OPTIONS, "MMPoseInferencer")
    options = {**_OPTIONS, **given}
    if out_dir is not None:
        options["vis_out_dir"] = options["vis_out_dir"] or Path(out_dir) / "visualizations"
        options["pred_out_dir"] = options["pred_out_dir"] or Path(out_dir) / "predictions"
    return options


def _filter(result: PoseResult, options: Mapping[str, Any]) -> None:
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


def _with_progress(results: Iterator[PoseResult]) -> Any:
    from rich.console import Console
    from rich.progress import track

    # what a script prints may go elsewhere
    return track(results, description="Inference", console=Console(stderr=True))
