"""Exported networks of whole pictures of any size: their outputs -> people, all numpy."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from poise._arrays import Array
from poise.geometry import nearby_joints_nms
from poise.inference.exported.people import FittedPicture, OfPictures, PictureSteps
from poise.inference.networks.network import Poses
from poise.runtimes import Session

__all__ = ["ExportedMaps"]


class People(NamedTuple):
    """What is found in a picture, input space.

    Attributes:
        keypoints: (N, K, 2). scores: (N, K).
        people: (N,) scores; None: of their keypoints.
        boxes: (N, 4) xyxy; None: around their keypoints.
    """

    keypoints: Array
    scores: Array
    people: Array | None = None
    boxes: Array | None = None


class ExportedMaps(OfPictures):
    """Bottom-up network of a runtime.

    Args:
        session: pictures (B, H, W, 3) uint8 BGR -> maps.
        steps: fits pictures into the input.
        decoder: codec.
        about: the file's metadata: `head`, `test_cfg`, `dataset_meta`, `rescore`.
    """

    #: pictures of a batch differ in size, and padding would change their maps
    batch_size = 1

    def __init__(
        self, session: Session, steps: PictureSteps, decoder: Any, about: Mapping[str, Any]
    ) -> None:
        self._session, self._steps, self._decoder = session, steps, decoder
        self._about, self._cfg = about, about["test_cfg"]
        self._people = _READERS[about["head"]]
        self._rescore = None if about.get("rescore") is None else _Rescore(about["rescore"])
        self.lanes = session.lanes

    def run(self, batch: list[FittedPicture]) -> list[tuple[Array, ...]]:
        """Maps of each picture, (1, ...)."""
        return [self._session(picture.pixels[None]) for picture in batch]

    def decode(self, outputs: list[tuple[Array, ...]], batch: list[FittedPicture]) -> list[Poses]:
        """People of each picture."""
        found = []
        for maps, picture in zip(outputs, batch, strict=True):
            own = self._people(self, maps, picture)
            boxes = None if own.boxes is None else picture.boxes_to_image_space(own.boxes)
            keypoints = picture.to_image_space(own.keypoints)
            found.append(Poses(keypoints, own.scores, boxes, own.people))
        return found

    def _embedded(self, maps: tuple[Array, ...], picture: FittedPicture) -> People:
        keypoints, scores, people = self._decoder.batch_decode(*maps)
        return People(keypoints[0], scores[0], people[0])

    def _displaced(self, maps: tuple[Array, ...], picture: FittedPicture) -> People:
        keypoints, (roots, own) = self._decoder.decode(maps[0][0], maps[1][0])
        skeleton = self._about["dataset_meta"].get("skeleton_links")
        if self._rescore is not None and skeleton and len(keypoints):
            factor = self._rescore(keypoints, own, skeleton)
            roots = roots * np.where(np.isnan(factor), 0, factor)
        scores = roots[:, None] * own
        near = self._cfg.get("nms_dist_thr", 0)
        if len(keypoints) and near > 0:
            people = [
                {"keypoints": points, "score": score}
                for points, score in zip(keypoints, own, strict=True)
            ]
            most = self._cfg.get("max_num_people", 30)
            kept = nearby_joints_nms(
                people, near, self._cfg.get("nms_joints_thr"), score_per_joint=True, max_dets=most
            )
            keypoints, scores = keypoints[kept], scores[kept]
        return People(keypoints, scores)

    def _decoupled(self, maps: tuple[Array, ...], picture: FittedPicture) -> People:
        heatmaps, roots = maps[0][0], maps[1][0]
        sure = roots > self._cfg.get("score_threshold", 0.01)
        if not sure.any():
            joints = heatmaps.shape[1]
            return People(np.zeros((0, joints, 2), np.float32), np.zeros((0, joints), np.float32))
        keypoints, scores = self._decoder.decode(heatmaps[sure], roots[sure, None])
        # coordinates are those of pixel corners; half a heatmap pixel leads to the centres
        size = np.asarray(heatmaps.shape[:1:-1])
        keypoints[..., :2] += np.asarray(picture.metainfo["input_size"]) / size / 2.0
        return People(keypoints, scores)

    def _queried(self, maps: tuple[Array, ...], picture: FittedPicture) -> People:
        boxes, scores, keypoints = (output[0] for output in maps)
        size = np.asarray(picture.metainfo["input_size"])
        boxes, keypoints, scores = self._decoder.decode(size, scores, boxes, keypoints)
        return People(keypoints, scores, None, boxes)


#: Head of a model -> how its maps are read.
_READERS: dict[str, Callable[[ExportedMaps, tuple[Array, ...], FittedPicture], People]] = {
    "AssociativeEmbeddingHead": ExportedMaps._embedded,
    "DEKRHead": ExportedMaps._displaced,
    "CIDHead": ExportedMaps._decoupled,
    "EDPoseHead": ExportedMaps._queried,
}


class _Rescore:
    """DEKR's guess how good a pose is, from its limbs and scores (Geng 2021, section 3.3).

    Args:
        about: `norm_indexes`, and `weights` as the export wrote them.
    """

    def __init__(self, about: Mapping[str, Any]) -> None:
        self._norm = about["norm_indexes"]
        self._weights = {
            name: np.frombuffer(base64.b64decode(text), np.float32).reshape(shape)
            for name, (shape, text) in about["weights"].items()
        }

    def __call__(self, keypoints: Array, scores: Array, skeleton: Sequence[Any]) -> Array:
        """Factors (N,) of poses (N, K, 2) with scores (N, K)."""
        start, end = (list(side) for side in zip(*skeleton, strict=True))
        limbs = keypoints[:, start] - keypoints[:, end]
        lengths = np.linalg.norm(limbs, axis=2)
        unit = np.maximum(lengths[:, self._norm[:2]].mean(1, keepdims=True), 1)
        parts = ((limbs / unit[..., None]).reshape(len(limbs), -1), lengths / unit, scores)
        x = np.concatenate(parts, 1).astype(np.float32)
        for layer in ("l1", "l2"):
            x = np.maximum(self._layer(layer, x), 0)
        return self._layer("l3", x)[:, 0]

    def _layer(self, name: str, x: Array) -> Array:
        return x @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]
