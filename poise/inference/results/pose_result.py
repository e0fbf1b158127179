"""What an inference gives: one `PoseResult` a picture or frame."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from poise._lazy import needed
from poise._words import counted
from poise.errors import DataError
from poise.geometry.boxes import AREA_PER_BOX, bbox_area
from poise.geometry.covariances import ellipse_radius
from poise.geometry.oks import expected_oks
from poise.inference.results.calibration import Calibration
from poise.inference.results.probabilities import probabilities_of
from poise.structures import InstanceData, keypoint_names, split_instances

__all__ = ["RESULT_VERSION", "PoseResult", "SourceInfo", "empty_instances"]

#: Version of the JSON layout; raised when a key changes its meaning or goes.
RESULT_VERSION = 1

#: Decimals in the files: a hundredth of a pixel, the square of that, a ten-thousandth of a score, a
#: microsecond, a tenth of a millimetre.
_PIXEL_DECIMALS, _SCORE_DECIMALS, _TIME_DECIMALS, _DECIMALS_3D = 2, 4, 6, 4
_COVARIANCE_DECIMALS = 4
#: In a higher layer, hence by its name.
_DRAWER = "poise.inference.sinks.drawing:Drawer"
#: Pixels; larger pictures are made smaller in notebooks.
_SHOWN_SIDE = 1600


@dataclasses.dataclass(frozen=True)
class SourceInfo:
    """Where pictures come from.

    Attributes:
        name: path or address as it was given; "array-3" for the fourth picture without one.
        kind: "picture", "video", "camera" or "stream".
        relative: path below the folder that was asked for; result files keep it.
        path: file on this machine, or None.
        fps: frames a second, where known.
        frames: how many there are, where known.
    """

    name: str
    kind: str = "picture"
    relative: Path = Path()
    path: Path | None = None
    fps: float | None = None
    frames: int | None = None

    @property
    def moves(self) -> bool:
        """Whether frames follow one another in time."""
        return self.kind != "picture"

    @property
    def live(self) -> bool:
        """Whether frames come whether or not somebody takes them."""
        return self.kind in ("camera", "stream")


@dataclasses.dataclass(repr=False)
class PoseResult:
    """The people (hands, animals ...) of one picture or frame. A notebook shows them drawn.

    Attributes:
        image: (H, W, 3) uint8 BGR, as it was read.
        instances: numpy fields, all in image space: `keypoints` (N, K, 2) float32 pixels,
            `keypoint_scores` (N, K), `bboxes` (N, 4) xyxy, `bbox_scores` (N,). N may be 0.
            Trackers add `track_ids` (N,) int64, lifters `keypoints_3d` (N, K3, 3) float32,
            several cameras also `keypoint_errors` (N, K) pixels and `keypoint_views` (N, K);
            where asked for, `keypoint_covariances` (N, K, 2, 2) float32, pixels²; where boxes came
            with some, `categories` (N,) int64. A keypoint that a category does not have is NaN.
        metainfo: parsed schema: names, links, colours, sigmas.
        name: path of the file, or "array-3" for the fourth picture without one.
        error: why the picture could not be used; then `instances` is empty.
        frame_index: number of the frame in its source, from 0; 0 for a still picture.
        time: seconds from the beginning of the video; None for still pictures.
        source: where it comes from; None for results that a caller made.
        score_kind: how the model makes its scores (`SCORE_KINDS` of
            `poise.inference.results.probabilities`).
        calibration: map from scores to probabilities that was fitted to labelled pictures.
        keypoint_threshold: keypoints with a lower score are not `visible`.
        metainfo_3d: parsed schema of `keypoints_3d`.
        space_3d: space and unit of `keypoints_3d`, in words.
        heatmap: (h, w) float32 over the whole picture: where the network saw keypoints, if asked.
        noted_size: (width, height) of a picture that is not there, where somebody wrote it down.
    """

    image: np.ndarray | None
    instances: InstanceData
    metainfo: Mapping[str, Any]
    name: str
    error: str | None = None
    frame_index: int = 0
    time: float | None = None
    source: SourceInfo | None = None
    score_kind: str = "heatmap"
    calibration: Calibration | None = None
    keypoint_threshold: float = 0.3
    metainfo_3d: Mapping[str, Any] | None = None
    space_3d: str | None = None
    heatmap: np.ndarray | None = None
    noted_size: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self.instances)

    def __repr__(self) -> str:
        """What was found where, in a line: fields are long arrays."""
        if self.error is not None:
            return f"PoseResult({self.where}: {self.error})"
        kind = f" ({self.schema})" if self.schema else ""
        poses, points = counted(len(self), "pose"), counted(self.keypoints.shape[1], "keypoint")
        return f"PoseResult({self.where}: {poses} of {points}{kind})"

    # ------------------------------------------------------------------- fields

    @property
    def keypoints(self) -> np.ndarray:
        """(N, K, 2) float32, pixels of the picture."""
        return self.instances.keypoints

    @property
    def keypoint_scores(self) -> np.ndarray:
        """(N, K) float32, as the model gives them."""
        return self.instances.keypoint_scores

    @property
    def probabilities(self) -> np.ndarray:
        """(N, K) float32 in 0..1 of the scores: by `calibration`, else by `score_kind`.

        Of results that were read from a file, those that it holds.
        """
        known = self.instances.get("keypoint_probabilities")
        if known is not None and np.isfinite(known).all():
            return known
        if self.calibration is not None:
            own = self.calibration(self.keypoint_scores)
        else:
            own = probabilities_of(self.keypoint_scores, self.score_kind)
        return own if known is None else np.where(np.isfinite(known), known, own)

    @property
    def keypoint_covariances(self) -> np.ndarray | None:
        """(N, K, 2, 2) float32, pixels² of the picture; None where nobody asked.

        NaN where the model says nothing of a keypoint's place.
        """
        return self.instances.get("keypoint_covariances")

    def covariance_radius(self, level: float) -> float:
        """Deviations within which a share `level` of the true places should lie.

        By `calibration`, where it knows covariances, else that of a normal distribution.

        Raises:
            DataError: a level that is not between 0 and 1.
        """
        known = None if self.calibration is None else self.calibration.covariances
        return ellipse_radius(level) if known is None else known.radius(level)

    def expected_oks(self) -> np.ndarray:
        """OKS (N,) float64 with the true poses that `keypoint_covariances` let expect.

        A score of whole people that means the same for every model: how near the poses should be,
        in the measure of COCO's AP. The area is 0.53 of the box, as where masks are not known.
        NaN without box, or where nothing is known of any keypoint.

        Raises:
            DataError: there are no covariances, or the schema has no sigmas.
        """
        if self.keypoint_covariances is None:
            raise DataError("expected OKS needs covariances: predict(..., covariances=True)")
        sigmas = np.asarray(self.metainfo.get("sigmas", ()))
        if not len(sigmas):
            raise DataError(
                f"the schema {self.metainfo.get('dataset_name', '')!r} has no sigmas, which OKS"
                " needs; `poise data sigmas` measures them"
            )
        areas = bbox_area(self.bboxes) * AREA_PER_BOX
        return expected_oks(self.keypoint_covariances, areas, sigmas)

    @property
    def visible(self) -> np.ndarray:
        """(N, K) bool: the score reaches `keypoint_threshold`."""
        return self.keypoint_scores >= self.keypoint_threshold

    @property
    def in_frame(self) -> np.ndarray:
        """(N, K) bool: the keypoint lies inside the picture."""
        points = self.keypoints[..., :2]
        if self.image is None:
            return np.zeros(points.shape[:2], bool)
        height, width = self.image.shape[:2]
        inside = (points >= 0) & (points <= (width - 1, height - 1))
        return np.asarray(inside.all(-1))

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the picture; zeros where nobody knows it."""
        if self.image is not None:
            return self.image.shape[1], self.image.shape[0]
        return self.noted_size or (0, 0)

    @property
    def bboxes(self) -> np.ndarray:
        """(N, 4) float32 xyxy, pixels of the picture."""
        return self.instances.bboxes

    @property
    def bbox_scores(self) -> np.ndarray:
        """(N,) float32."""
        return self.instances.bbox_scores

    @property
    def track_ids(self) -> np.ndarray | None:
        """(N,) int64, who is who from frame to frame; None without tracking."""
        return self.instances.get("track_ids")

    @property
    def categories(self) -> np.ndarray | None:
        """(N,) int64, ids of what the boxes are said to hold; None where nobody said it."""
        return self.instances.get("categories")

    @property
    def keypoints_3d(self) -> np.ndarray | None:
        """(N, K3, 3) float32 in `space_3d`; None where nothing lifted them."""
        return self.instances.get("keypoints_3d")

    @property
    def schema(self) -> str:
        """`dataset_name` of the keypoint schema."""
        return self.metainfo.get("dataset_name", "")

    @property
    def keypoint_names(self) -> list[str]:
        """K names, in the order of `keypoints`."""
        return keypoint_names(self.metainfo)

    @property
    def fps(self) -> float | None:
        """Frames a second of the source, where known."""
        return None if self.source is None else self.source.fps

    @property
    def moves(self) -> bool:
        """Whether it is one of the frames of a video, which follow one another in time."""
        return self.source is not None and self.source.moves

    @property
    def video(self) -> str:
        """What results of one video have in common; still pictures in a row count as one."""
        return self.name if self.moves else ""

    @property
    def where(self) -> str:
        """How a text names this result: "clip.mp4, frame 12"."""
        return f"{self.name}, frame {self.frame_index}" if self.moves else self.name

    # ------------------------------------------------------------- other layouts

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as the JSON file holds them (docs/reference/result-json.md)."""
        width, height = self.size
        out: dict[str, Any] = {
            "version": RESULT_VERSION,
            "image": self.name,
            **self._moment(),
            "width": width,
            "height": height,
            "schema": self.schema,
            "keypoint_names": self.keypoint_names,
            "instances": self._rows(),
        }
        if self.keypoints_3d is not None and self.metainfo_3d is not None:
            out["schema_3d"] = self.metainfo_3d.get("dataset_name", "")
            out["keypoint_names_3d"] = keypoint_names(self.metainfo_3d)
            out["space_3d"] = self.space_3d
        if self.error is not None:
            out["error"] = self.error
        return out

    def _moment(self) -> dict[str, Any]:
        """Which frame, for those of a video; when, where it could be read."""
        when = {} if self.time is None else {"time": round(self.time, _TIME_DECIMALS)}
        return {"frame": self.frame_index, **when} if self.moves or when else {}

    def _rows(self) -> list[dict[str, Any]]:
        fields = self.instances
        columns = {
            "bbox": _plain(fields.bboxes, _PIXEL_DECIMALS),
            "bbox_score": _plain(fields.bbox_scores, _SCORE_DECIMALS),
            "keypoints": _plain(fields.keypoints, _PIXEL_DECIMALS),
            "keypoint_scores": _plain(fields.keypoint_scores, _SCORE_DECIMALS),
            "keypoint_probabilities": _plain(self.probabilities, _SCORE_DECIMALS),
        }
        if self.keypoint_covariances is not None:
            spread = _plain(self.keypoint_covariances, _COVARIANCE_DECIMALS)
            columns["keypoint_covariances"] = spread
            if len(self.metainfo.get("sigmas", ())):
                columns["expected_oks"] = _plain(self.expected_oks(), _SCORE_DECIMALS)
        if self.categories is not None:
            columns["category_id"] = self.categories.tolist()
        if self.track_ids is not None:
            columns["track_id"] = self.track_ids.tolist()
        if self.keypoints_3d is not None:
            columns["keypoints_3d"] = _plain(self.keypoints_3d, _DECIMALS_3D)
            if "keypoint_scores_3d" in fields:
                columns["keypoint_scores_3d"] = _plain(fields.keypoint_scores_3d, _SCORE_DECIMALS)
        if "keypoint_errors" in fields:
            columns["keypoint_errors"] = _plain(fields.keypoint_errors, _PIXEL_DECIMALS)
            columns["keypoint_views"] = fields.keypoint_views.tolist()
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def to_mmpose(self) -> list[dict[str, Any]]:
        """Plain values as MMPose's inferencer gives them: a dict a person, nothing rounded."""
        rows = split_instances(self.instances)
        if not np.isfinite(self.keypoints).all():
            for row in rows:
                # MMPose has no way to say that a keypoint is not there, and JSON no NaN
                row["keypoints"] = np.nan_to_num(row["keypoints"]).tolist()
        return rows

    def to_rows(self) -> list[dict[str, Any]]:
        """A flat dict a person, for tables: `pandas.DataFrame(result.to_rows())`.

        Keys: `image`, `frame`, `time`, `person`, `track_id`, where boxes came with some
        `category_id`, `bbox_x1` ... `bbox_score`, and
        `NAME_x`, `NAME_y`, `NAME_score` of each keypoint, then, where there are covariances,
        `NAME_var_x`, `NAME_cov_xy`, `NAME_var_y`; None where something is not known.
        """
        columns = self.row_keys
        ids = [None] * len(self) if self.track_ids is None else self.track_ids.tolist()
        frame = self._moment().get("frame")
        rows = []
        for person, (box, values) in enumerate(zip(self._boxes(), self._values(), strict=True)):
            kind = () if self.categories is None else (int(self.categories[person]),)
            row = (self.name, frame, self.time, person, ids[person], *kind, *box, *values)
            rows.append(dict(zip(columns, row, strict=True)))
        return rows

    @property
    def row_keys(self) -> list[str]:
        """Keys of `to_rows`, also where nobody is."""
        axes = "xyz"[: self.keypoints.shape[-1]]
        parts = [f"{name}_{part}" for name in self.keypoint_names for part in (*axes, "score")]
        if self.keypoint_covariances is not None:
            parts += [f"{name}_{part}" for name in self.keypoint_names for part in _SPREAD_COLUMNS]
        if self.keypoints_3d is not None and self.metainfo_3d is not None:
            parts += [
                f"{name}_3d_{axis}" for name in keypoint_names(self.metainfo_3d) for axis in "xyz"
            ]
        kind = [] if self.categories is None else ["category_id"]
        return ["image", "frame", "time", "person", "track_id", *kind, *_BOX_COLUMNS, *parts]

    def _boxes(self) -> list[list[float | None]]:
        return _known(np.concatenate((self.bboxes, self.bbox_scores[:, None]), 1))

    def _values(self) -> list[list[float | None]]:
        """All numbers of each person's keypoints, one list a person."""
        count = len(self)
        joined = np.concatenate((self.keypoints, self.keypoint_scores[..., None]), -1)
        flat = [joined.reshape(count, joined[0].size if count else 0)]
        if self.keypoint_covariances is not None and count:
            xx, xy, yy = (self.keypoint_covariances[..., i, j] for i, j in ((0, 0), (0, 1), (1, 1)))
            flat.append(np.stack((xx, xy, yy), -1).reshape(count, -1))
        if self.keypoints_3d is not None and self.metainfo_3d is not None:
            flat.append(self.keypoints_3d.reshape(count, -1) if count else flat[0])
        return _known(np.concatenate(flat, 1))

    def draw(self, **style: Any) -> np.ndarray:
        """The picture with boxes, links and keypoints, (H, W, 3) uint8 BGR; black without one.

        Args:
            style: as `poise.inference.sinks.Drawer` takes it: `boxes=False`, `black=True` ...
        """
        module, _, name = _DRAWER.partition(":")
        return getattr(importlib.import_module(module), name)(**style)(self).copy()

    def _repr_jpeg_(self) -> bytes | None:
        """What notebooks show; None leaves them the text."""
        if self.image is None:
            return None
        from poise.visualization.files import encoded

        picture = self.draw()
        step = -(-max(picture.shape[:2]) // _SHOWN_SIDE)
        return encoded(np.ascontiguousarray(picture[::step, ::step]), ".jpg", self.name)

    def to_supervision(self) -> Any:
        """`supervision.KeyPoints`, for that library's annotators.

        It has places, probabilities and, where the library's version takes them, visibilities.

        Raises:
            MissingDependencyError: the library is not installed.
        """
        text = "to_supervision() needs the package supervision: pip install supervision"
        supervision = needed("supervision", text)
        if not len(self):
            return supervision.KeyPoints.empty()
        known = {field.name for field in dataclasses.fields(supervision.KeyPoints)}
        values = {
            # the name up to version 0.28
            "confidence": self.probabilities,
            "keypoint_confidence": self.probabilities,
            "detection_confidence": self.bbox_scores,
            "visible": self.visible,
        }
        return supervision.KeyPoints(
            xy=self.keypoints[..., :2].astype(np.float32),
            class_id=np.zeros(len(self), int),
            data={} if self.track_ids is None else {"tracker_id": self.track_ids},
            **{name: value for name, value in values.items() if name in known},
        )


_SPREAD_COLUMNS = ("var_x", "cov_xy", "var_y")
_BOX_COLUMNS = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "bbox_score")


def _plain(values: np.ndarray, decimals: int) -> list[Any]:
    """Lists of rounded floats; None where a number is not finite, since JSON has no NaN."""
    # float32 rounded in numpy prints as 0.8999999, float64 as 0.9
    return _known(np.round(np.asarray(values, np.float64), decimals))


def _known(values: np.ndarray) -> list[Any]:
    """Lists of floats; None where a number is not finite."""
    finite = np.isfinite(values)
    if finite.all():
        return values.tolist()
    objects = values.astype(object)
    objects[~finite] = None
    return objects.tolist()


def empty_instances(num_keypoints: int) -> InstanceData:
    """Instances of a picture in which nobody is."""
    return InstanceData(
        keypoints=np.zeros((0, num_keypoints, 2), np.float32),
        keypoint_scores=np.zeros((0, num_keypoints), np.float32),
        bboxes=np.zeros((0, 4), np.float32),
        bbox_scores=np.zeros((0,), np.float32),
    )
