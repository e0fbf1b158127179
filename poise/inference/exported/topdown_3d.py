"""Exported networks of one person's 3D keypoints in a crop (RTMW3D, InterNet), all numpy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from poise._arrays import Array
from poise.inference.exported.people import FittedPicture, OfPictures, PictureSteps
from poise.inference.networks.direct3d import hand_poses, standing
from poise.inference.networks.network import Poses
from poise.runtimes import Session

__all__ = ["ExportedTopdown3D"]


class ExportedTopdown3D(OfPictures):
    """3D top-down network of a runtime.

    Args:
        session: crops (B, H, W, 3) uint8 BGR -> what the codec decodes.
        steps: cuts crops.
        decoder: codec.
        about: the file's metadata: `head`, and `focal` (pixels) of RTMW3D.
    """

    def __init__(
        self, session: Session, steps: PictureSteps, decoder: Any, about: Mapping[str, Any]
    ) -> None:
        self._session, self._steps, self._decoder = session, steps, decoder
        self._focal, self._read = about.get("focal"), _READERS[about["head"]]
        self.batch_size, self.lanes = session.batch_size, session.lanes

    def run(self, batch: list[FittedPicture]) -> tuple[Array, ...]:
        """What the codec decodes."""
        return self._session(np.stack([crop.pixels for crop in batch]))

    def decode(self, outputs: tuple[Array, ...], batch: list[FittedPicture]) -> list[Poses]:
        """Poses of each crop."""
        return [
            self._read(self, tuple(output[i : i + 1] for output in outputs), crop)
            for i, crop in enumerate(batch)
        ]

    def _body(self, outputs: tuple[Array, ...], crop: FittedPicture) -> Poses:
        """RTMW3D: keypoints of a camera whose focal length is assumed."""
        keypoints, _, scores = (part[0] for part in self._decoder.batch_decode(*outputs))
        flat = crop.to_image_space(keypoints[..., :2])
        center = np.asarray(crop.metainfo["ori_shape"]) / 2
        depth = (keypoints[..., 2] + crop.metainfo["root_z"])[..., None]
        xy = (flat - center) / np.asarray(self._focal) * depth
        in_space = standing(np.concatenate((xy, depth), -1))
        return Poses(flat, scores, None, None, in_space)

    def _hands(self, outputs: tuple[Array, ...], crop: FittedPicture) -> Poses:
        """InterNet: both hands."""
        keypoints, scores, depth, hands = self._decoder.decode(*(output[0] for output in outputs))
        keypoints[..., :2] = crop.to_image_space(keypoints[..., :2])
        in_space, scores = hand_poses(keypoints, scores, depth, hands)
        return Poses(keypoints[..., :2], scores, None, None, in_space)


#: Head of a model -> how its outputs are read.
_READERS: dict[str, Callable[[ExportedTopdown3D, tuple[Array, ...], FittedPicture], Poses]] = {
    "RTMW3DHead": ExportedTopdown3D._body,
    "InternetHead": ExportedTopdown3D._hands,
}
