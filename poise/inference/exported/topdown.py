"""Exported top-down networks: crops -> runtime -> codec, all numpy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from poise.inference.networks.crops import Crop, WarpCrops, WarpedCrops
from poise.inference.networks.network import Poses
from poise.inference.networks.topdown import decoded
from poise.runtimes import Session

__all__ = ["ExportedTopdown"]


class ExportedTopdown:
    """Top-down network of a runtime.

    Args:
        session: crops (B, H, W, 3) uint8 BGR -> what the codec decodes.
        crops: crop maker.
        decoder: codec.
        unflip: outputs of mirrored crops -> outputs mirrored back; None: no flip test.
        heatmaps: also keep where the network saw keypoints.
        covariances: options of the codec, to keep how unsure each keypoint is; None: not wanted.
        count: how many of the outputs the codec takes; None: all.
    """

    def __init__(
        self,
        session: Session,
        crops: WarpCrops,
        decoder: Any,
        unflip: Callable[[tuple[np.ndarray, ...]], tuple[np.ndarray, ...]] | None = None,
        *,
        heatmaps: bool = False,
        covariances: Mapping[str, Any] | None = None,
        count: int | None = None,
    ) -> None:
        self._count = count
        self._session, self._crops, self._decoder = session, crops, decoder
        self.batch_size, self.lanes = session.batch_size, session.lanes
        self._unflip, self._heatmaps, self._covariances = unflip, heatmaps, covariances

    def prepare(self, crops: Sequence[Crop]) -> WarpedCrops:
        """Warped crops."""
        return self._crops.warped(crops)

    def run(self, batch: WarpedCrops) -> tuple[np.ndarray, ...]:
        """What the codec decodes."""
        outputs = self._session(batch.pixels)
        if self._unflip is None:
            return outputs
        mirrored = self._session(np.ascontiguousarray(batch.pixels[:, :, ::-1]))
        return tuple(
            (straight + back) * 0.5
            for straight, back in zip(outputs, self._unflip(mirrored), strict=True)
        )

    def decode(self, outputs: tuple[np.ndarray, ...], batch: WarpedCrops) -> list[Poses]:
        """Keypoints of the whole batch by the codec."""
        return decoded(
            self._decoder,
            outputs[: self._count],
            batch,
            heatmaps=self._heatmaps,
            covariances=self._covariances,
        )
