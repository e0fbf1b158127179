"""What `MMPoseInferencer` hands out: plain values, samples, drawn pictures, files."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from poise._files import write_whole
from poise.errors import DataError
from poise.inference.lifting import SPACE_3D
from poise.inference.results.pose_result import PoseResult
from poise.inference.sinks.base import SinkOptions
from poise.inference.sinks.json_files import JsonList
from poise.inference.sinks.video import VideoSink
from poise.structures import InstanceData, PixelData, PoseDataSample, split_instances
from poise.visualization.files import write_picture

__all__ = ["AnswerDrawer", "AnswerFiles", "people_of", "sample_of"]


def people_of(result: PoseResult) -> list[dict[str, Any]]:
    """A dict a person; of lifted results with the 3D keypoints, ordered by track."""
    if result.keypoints_3d is None:
        return result.to_mmpose()
    return split_instances(_lifted(result))


def sample_of(result: PoseResult) -> PoseDataSample:
    """A sample with `pred_instances`."""
    sample = PoseDataSample(metainfo={"img_path": file_name(result)})
    sample.pred_instances = result.instances if result.keypoints_3d is None else _lifted(result)
    return sample


def _lifted(result: PoseResult) -> InstanceData:
    """3D keypoints under the names that MMPose gives them."""
    found = result.instances
    scores = found.get("keypoint_scores_3d", found.keypoint_scores)
    lifted = InstanceData(keypoints=found.keypoints_3d, keypoint_scores=scores)
    ids = result.track_ids
    return lifted if ids is None else lifted[np.argsort(ids, kind="stable")]


def _view_of(result: PoseResult) -> dict[str, Any]:
    """From where to look at poses that are not a lifter's: from the front, at all of them."""
    poses = result.keypoints_3d
    if result.space_3d == SPACE_3D or poses is None or not len(poses):
        return {}
    return {"axis_azimuth": -110.0, "axis_limit": float(np.ptp(poses, axis=1).max()) * 1.05}


def file_name(result: PoseResult) -> str:
    """Name of a picture's file; pictures without a path are JPEGs."""
    name = Path(result.name).name
    return name if Path(name).suffix else f"{name}.jpg"


class AnswerDrawer:
    """Draws with MMPose's visualisers.

    Args:
        options: of `MMPoseInferencer`.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options
        self._wanted = bool(options["return_vis"] or options["show"] or options["vis_out_dir"])
        self._visualizer: Any = None

    def __call__(self, result: PoseResult) -> np.ndarray | None:
        """(H, W, 3) uint8 RGB; None where nobody wants one or there is no picture."""
        if not self._wanted or result.image is None:
            return None
        image = result.image[..., ::-1]
        if self._options["black_background"]:
            image = np.zeros_like(image)
        common = {
            "draw_gt": False,
            "draw_bbox": self._options["draw_bbox"],
            "skeleton_style": self._options["skeleton_style"],
            "show": self._options["show"],
            # a video does not wait for a key
            "wait_time": 1e-5 if result.moves else self._options["wait_time"],
            "kpt_thr": self._options["kpt_thr"],
        }
        draw = self._draw_2d if result.keypoints_3d is None else self._draw_3d
        return draw(result, image, common)

    def _draw_2d(self, result: PoseResult, image: Any, common: dict[str, Any]) -> np.ndarray:
        from poise.visualization import PoseLocalVisualizer

        visualizer = self._prepared(PoseLocalVisualizer, result.metainfo)
        sample = sample_of(result)
        if result.heatmap is not None:
            sample.pred_fields = PixelData(heatmaps=result.heatmap[None])
        return visualizer.add_datasample(
            result.name, image, sample, draw_heatmap=result.heatmap is not None, **common
        )

    def _draw_3d(self, result: PoseResult, image: Any, common: dict[str, Any]) -> np.ndarray:
        from poise.visualization import Pose3dLocalVisualizer

        visualizer = self._prepared(Pose3dLocalVisualizer, result.metainfo_3d or result.metainfo)
        visualizer.det_kpt_color = result.metainfo["keypoint_colors"]
        visualizer.det_dataset_skeleton = result.metainfo["skeleton_links"]
        visualizer.det_dataset_link_color = result.metainfo["skeleton_link_colors"]
        flat = sample_of(dataclasses.replace(result, instances=_without_3d(result.instances)))
        return visualizer.add_datasample(
            result.name,
            image,
            sample_of(result),
            det_data_sample=flat,
            dataset_2d=result.schema,
            dataset_3d=(result.metainfo_3d or {}).get("dataset_name", "h36m"),
            num_instances=self._options["num_instances"],
            convert_keypoint=False,
            **_view_of(result),
            **common,
        )

    def _prepared(self, kind: Any, metainfo: Mapping[str, Any]) -> Any:
        if self._visualizer is None:
            self._visualizer = kind(
                radius=self._options["radius"], line_width=self._options["thickness"]
            )
            self._visualizer.set_dataset_meta(metainfo, self._options["skeleton_style"])
        return self._visualizer


def _without_3d(instances: InstanceData) -> InstanceData:
    names = ("keypoints", "keypoint_scores", "bboxes", "bbox_scores")
    return InstanceData(**{name: instances[name] for name in names})


class AnswerFiles:
    """Files as MMPose names them: `NAME.json` and the drawn picture or video `NAME`.

    A video has one JSON file, a list of `frame_id` and `instances`, which is valid after every
    frame.

    Args:
        predictions: folder for JSON files; empty: none.
        pictures: folder for drawn pictures and videos, or the name of one file; empty: none.
    """

    def __init__(
        self, predictions: str | os.PathLike[str], pictures: str | os.PathLike[str]
    ) -> None:
        self._predictions = Path(predictions) if predictions else None
        self._pictures = Path(pictures) if pictures else None
        self._video: _NamedVideo | None = None
        self._list: JsonList | None = None

    def write(
        self, result: PoseResult, people: list[dict[str, Any]], picture: np.ndarray | None
    ) -> None:
        """Write what belongs to one result.

        Raises:
            DataError: the disk is full, or the folder is not writable.
        """
        try:
            if self._predictions is not None:
                self._write_people(self._predictions, result, people)
            if self._pictures is not None and picture is not None:
                self._write_picture(self._pictures, result, picture)
        except OSError as error:
            raise DataError(f"cannot write the results of {result.where}: {error}") from error

    def __enter__(self) -> AnswerFiles:
        return self

    def __exit__(self, *details: object) -> None:
        self._close(self._video)
        self._close(self._list)

    @staticmethod
    def _close(file: _NamedVideo | JsonList | None) -> None:
        if file is not None:
            file.close()

    def _write_people(self, folder: Path, result: PoseResult, people: Any) -> None:
        path = (folder / file_name(result)).with_suffix(".json")
        folder.mkdir(parents=True, exist_ok=True)
        if not result.moves:
            write_whole(path, json.dumps(people, indent=2).encode())
            return
        if self._list is None or self._list.path != path:
            self._close(self._list)
            self._list = JsonList(path)
        self._list.extend([{"frame_id": result.frame_index, "instances": people}])

    def _write_picture(self, place: Path, result: PoseResult, picture: np.ndarray) -> None:
        name = file_name(result)
        if result.moves:
            name = f"{Path(name).stem}.mp4"
        # a place with a suffix is a file
        path = place if place.suffix else place / name
        if result.moves:
            if self._video is None or self._video.path != path:
                self._close(self._video)
                path.parent.mkdir(parents=True, exist_ok=True)
                # the pictures that it gets are drawn already
                self._video = _NamedVideo(path, SinkOptions(draw=lambda drawn: drawn.image))
            pixels = np.ascontiguousarray(picture[..., ::-1])
            self._video.write(dataclasses.replace(result, image=pixels))
        else:
            write_picture(picture, path)


class _NamedVideo(VideoSink):
    """A video under the name that MMPose gives it."""

    def __init__(self, path: Path, options: SinkOptions) -> None:
        super().__init__(path.parent, options)
        self.path = path

    def _new_path(self, stem: Path, suffix: str | None = None) -> Path:
        return self.path
