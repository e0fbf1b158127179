"""The 3D poses of a data set as arrays, in the order of their videos."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from poise.data_tools.audit.findings import Finding
from poise.data_tools.audit.people import side_pairs
from poise.data_tools.audit.projection import Projection, project_poses
from poise.datasets.people import parsed_metainfo, picture_path
from poise.errors import DataError

__all__ = ["Poses3D", "gather_poses", "is_spatial"]

#: the last digits of a picture's name are the frame's number, the rest is its video
_FRAME = re.compile(r"^(.*?)(\d+)(\D*)$", re.DOTALL)
_TINY = 1e-9


@dataclass
class Poses3D:
    """F poses with K keypoints.

    Attributes:
        pictures: paths. image_ids, ids: as the data set has them; ids are None in files of arrays.
        raw: (F, K, 3) as they are labelled, in the file's unit, NaN and infinity included.
        points: (F, K, 3) float64, 0 where one is not labelled or is not a number.
        labelled: (F, K) bool. seen: (F, K) bool, labelled with numbers.
        flat: (F, K, 2) 2D labels, image space, NaN where there are none.
        boxes: (F, 4) xyxy, image space, NaN where there are none.
        projection: where the picture shows the poses; None where nothing says it.
        video: (F,) number of each one's video. frame: (F,) its number there.
        before, after: (F,) the poses next to it in its video, -1 where there is none as near as
            frames of the video are.
        names: of keypoints. pairs: (P, 2) of each left and right. links: (L, 2).
        metainfo: parsed schema.
    """

    pictures: list[str]
    image_ids: list[Any]
    ids: list[Any]
    raw: np.ndarray
    points: np.ndarray
    labelled: np.ndarray
    seen: np.ndarray
    flat: np.ndarray
    boxes: np.ndarray
    projection: Projection | None
    video: np.ndarray
    frame: np.ndarray
    before: np.ndarray
    after: np.ndarray
    names: list[str]
    pairs: np.ndarray
    links: np.ndarray
    metainfo: dict[str, Any]

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def sizes(self) -> np.ndarray:
        """(F,) how far keypoints are from their middle, in the file's unit: usual in the video."""
        count = np.maximum(self.seen.sum(axis=1), 1)[:, None]
        middle = self.points.sum(axis=1) / count
        square = ((self.points - middle[:, None]) ** 2).sum(axis=-1)
        own = np.sqrt(np.where(self.seen, square, 0).sum(axis=1) / count[:, 0])
        sizes = np.empty(len(self))
        for rows in self.videos():
            sizes[rows] = np.median(own[rows])
        return np.maximum(sizes, _TINY)

    def videos(self) -> Iterator[np.ndarray]:
        """Numbers of the poses of each video, in order."""
        yield from _by_video(self.video, self.frame)

    def finding(self, pose: int, kind: str, sure: float, keypoints: Any, about: str) -> Finding:
        """A finding about some keypoints, by number, of a pose."""
        return Finding(
            kind=kind,
            sure=float(sure),
            picture=self.pictures[pose],
            image_id=self.image_ids[pose],
            id=self.ids[pose],
            person=int(pose),
            keypoints=[self.names[k] for k in keypoints],
            about=about,
        )


def is_spatial(dataset: Any) -> bool:
    """Whether a data set has 3D labels, by its first record."""
    if not len(dataset):
        return False
    record = dataset.get_data_info(0)
    points = record.get("keypoints")
    return _field(record) is not None or (points is not None and np.shape(points)[-1] == 3)


def _field(record: Mapping[str, Any]) -> str | None:
    """Where a record has its 3D keypoints, in the camera's coordinates if it says these."""
    fields = ("keypoints_cam", "keypoints_3d")
    return next((name for name in fields if record.get(name) is not None), None)


def gather_poses(dataset: Any) -> Poses3D:
    """The poses of a data set of 3D keypoints, each frame once.

    Args:
        dataset: with `get_data_info` and `metainfo`; records hold frames, or sequences of them.

    Raises:
        DataError: nobody is there.
    """
    meta = parsed_metainfo(dataset)
    rows: dict[str, list[Any]] = {
        name: [] for name in ("picture", "image", "id", "raw", "labelled", "flat", "box", "camera")
    }
    known: set[str] = set()
    for number in range(len(dataset)):
        record = dataset.get_data_info(number)
        for row in _frames(record):
            # windows on a video share frames; pictures of single frames may have several people
            if row["several"] and row["picture"] in known:
                continue
            known.add(row["picture"])
            for name, values in rows.items():
                values.append(row[name])
    if not rows["raw"]:
        raise DataError("the data set has nobody with 3D keypoints to look at")
    raw = np.stack(rows["raw"]).astype(np.float64)
    labelled = np.stack(rows["labelled"])
    seen = labelled & np.isfinite(raw).all(axis=-1)
    points = np.where(seen[..., None], raw, 0)
    flat, boxes = np.stack(rows["flat"]), np.stack(rows["box"])
    # files of UBody have no more keypoints than COCO-WholeBody, its schema has four
    count = raw.shape[1]
    pairs = side_pairs(meta["flip_indices"])
    links = np.asarray(meta["skeleton_links"], np.int64).reshape(-1, 2)
    video, frame = _numbered(rows["picture"])
    return Poses3D(
        rows["picture"],
        rows["image"],
        rows["id"],
        raw,
        points,
        labelled,
        seen,
        flat,
        boxes,
        project_poses(points, seen, flat, rows["camera"], video),
        video,
        frame,
        *_neighbours(video, frame),
        names=[str(meta["keypoint_id2name"][k]) for k in range(count)],
        pairs=pairs[(pairs < count).all(axis=1)],
        links=links[(links < count).all(axis=1)],
        metainfo=dict(meta),
    )


def _frames(record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What is known of each frame of a record."""
    field = _field(record)
    if field is None:
        raise DataError(
            f"a record has no 3D keypoints, expected keypoints_3d or keypoints_cam; it has "
            f"{', '.join(record)}"
        )
    points = np.asarray(record[field], np.float64)
    shape = points.shape[:2]
    seen = record.get("keypoints_3d_visible", record.get("keypoints_visible"))
    seen = np.ones(shape, bool) if seen is None else np.asarray(seen).reshape(shape) > 0
    flat = np.asarray(record.get("keypoints", np.zeros((*shape, 0))), np.float64)
    if field == "keypoints_cam" or flat.shape != (*shape, 2):
        # what is in the picture was made of the 3D keypoints, and says nothing new
        flat = np.full((*shape, 2), np.nan)
    visible = np.asarray(record.get("keypoints_visible", np.ones(shape))).reshape(shape) > 0
    flat = np.where((visible & (flat != 0).any(axis=-1))[..., None], flat, np.nan)
    paths = record.get("img_paths") or [picture_path(record)]
    images = record.get("img_ids") or [record.get("img_id")]
    boxes = np.asarray(record.get("bbox", np.full((1, 4), np.nan)), np.float64).reshape(-1, 4)
    several = len(points) > 1
    for n, values in enumerate(points):
        yield {
            "picture": str(paths[n % len(paths)]),
            "image": images[n % len(images)],
            "id": record.get("id") if field == "keypoints_cam" else None,
            "raw": values,
            "labelled": seen[n],
            "flat": flat[n],
            "box": boxes[n] if len(boxes) == len(points) else np.full(4, np.nan),
            "camera": _camera_of(record),
            "several": several,
        }


def _camera_of(record: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Parameters of a record's camera."""
    camera = record.get("camera_param")
    if isinstance(camera, (list, tuple)):
        camera = camera[0] if camera else None
    if camera is None and "focal" in record and "principal_pt" in record:
        return {"f": record["focal"], "c": record["principal_pt"]}
    return camera


def _numbered(pictures: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """(F,) number of the video and (F,) of the frame, by the names of pictures."""
    videos: dict[tuple[str, str], int] = {}
    video, frame = np.zeros(len(pictures), np.int64), np.zeros(len(pictures), np.int64)
    for place, picture in enumerate(pictures):
        found = _FRAME.match(picture)
        before, number, behind = found.groups() if found else (picture, "0", "")
        video[place] = videos.setdefault((before, behind), len(videos))
        # more digits than a frame's number has are a date or a hash
        frame[place] = int(number[-15:])
    return video, frame


def _by_video(video: np.ndarray, frame: np.ndarray) -> list[np.ndarray]:
    """Rows of each video, in the order of its frames."""
    order = np.lexsort((frame, video))
    return np.split(order, np.flatnonzero(np.diff(video[order])) + 1)


def _neighbours(video: np.ndarray, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(F,) and (F,) the poses before and after each one, -1 where there is none near.

    Near is the usual distance of a video's frames. A video whose frames have several people tells
    nothing of who is who.
    """
    before, after = np.full((2, len(video)), -1)
    for rows in _by_video(video, frame):
        gaps = np.diff(frame[rows])
        if not len(gaps) or (gaps == 0).any():
            continue
        near = np.flatnonzero(gaps == np.median(gaps).astype(int))
        after[rows[near]] = rows[near + 1]
        before[rows[near + 1]] = rows[near]
    return before, after
