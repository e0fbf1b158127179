"""MoveNet's representation: one person by centre, regression, heatmaps and offsets."""

from __future__ import annotations

from typing import Any

import numpy as np

from poise._arrays import as_numpy
from poise.codecs.arrays import Array, keypoint_labels_of
from poise.codecs.base import BaseKeypointCodec
from poise.codecs.utils.widths import map_covariances
from poise.errors import DataError
from poise.registry import KEYPOINT_CODECS

__all__ = ["MoveNetLabel"]

#: Distance, in cells, at which a score counts half as much as at no distance (released graph).
HALF_DISTANCE = 1.8
#: Target heatmap values above which a cell also gets an offset target.
_OFFSET_FLOOR = 0.1


@KEYPOINT_CODECS.register_module(scope="poise")
class MoveNetLabel(BaseKeypointCodec):
    """Centre heatmap, keypoint regression from the centre, keypoint heatmaps and offsets.

    Decoding takes the best centre (the middle of the picture counts most), lets it point
    roughly at each keypoint, takes the heatmap's maximum near there, and adds the offset
    inside the cell. So the heatmaps decide where, the regression which person.

    Args:
        input_size: (w, h) of the network's input, pixels.
        stride: input pixels per output cell.
        sigma: standard deviation of the training heatmaps, cells.
    """

    label_mapping_table = {"keypoint_weights": "keypoint_weights"}
    field_mapping_table = {
        "heatmaps": "heatmaps",
        "centers": "centers",
        "regressions": "regressions",
        "offsets": "offsets",
    }

    def __init__(self, input_size: tuple[int, int], stride: int = 4, sigma: float = 2.0) -> None:
        self.input_size = (int(input_size[0]), int(input_size[1]))
        self.stride = stride
        self.sigma = sigma
        self.heatmap_size = (self.input_size[0] // stride, self.input_size[1] // stride)

    def encode(self, keypoints: Array, keypoints_visible: Array | None = None) -> dict[str, Any]:
        """Training targets of one person.

        Args:
            keypoints: (1, K, 2), input space.
            keypoints_visible: (1, K), above 0.5 where labelled; None means that all are.

        Returns:
            `heatmaps` (K, h, w), `centers` (1, h, w), `regressions` and `offsets` (2K, h, w;
            pairs of dy, dx, in cells), `keypoint_weights` (1, K); all float32. h and w are those of
            the output, `input_size / stride`.

        Raises:
            DataError: (a ValueError) for several people.
        """
        labels = keypoint_labels_of(keypoints, keypoints_visible, axes=2)
        if len(keypoints) != 1:
            raise DataError(f"MoveNetLabel encodes one person, got keypoints {keypoints.shape}")
        w, h = self.heatmap_size
        yx = keypoints[0, :, ::-1] / self.stride
        with np.errstate(invalid="ignore"):  # what is not finite is a cell far off
            cell = np.floor(yx).astype(int)
        valid = (labels[0] > 0.5) & (cell >= 0).all(1) & (cell < (h, w)).all(1)
        n = len(yx)
        rows, cols = np.arange(h)[:, None], np.arange(w)
        heatmaps = np.exp(
            -((rows - cell[:, 0, None, None]) ** 2 + (cols - cell[:, 1, None, None]) ** 2)
            / (2 * self.sigma**2)
        )
        heatmaps[~valid] = 0
        # cells near the peak know the way too: the maximum may fall on a neighbour
        near = heatmaps > _OFFSET_FLOOR
        towards = np.zeros((n, 2, h, w))
        towards[:, 0] = yx[:, 0, None, None] - rows
        towards[:, 1] = yx[:, 1, None, None] - cols
        # a keypoint that is not there may be NaN
        offsets = np.where(near[:, None], towards, 0)
        middle = yx[valid].mean(0) if valid.any() else np.array([h / 2, w / 2])
        center = np.clip(np.floor(middle).astype(int), 0, (h - 1, w - 1))
        k = np.flatnonzero(valid)
        regressions = np.zeros((n, 2, h, w))
        regressions[k, :, center[0], center[1]] = yx[k] - center
        centers = np.exp(-((rows - center[0]) ** 2 + (cols - center[1]) ** 2) / (2 * self.sigma**2))
        encoded = {
            "heatmaps": heatmaps,
            "centers": centers[None],
            "regressions": regressions.reshape(2 * n, h, w),
            "offsets": offsets.reshape(2 * n, h, w),
            "keypoint_weights": valid[None],
        }
        return {name: values.astype(np.float32) for name, values in encoded.items()}

    def decode(
        self, heatmaps: Any, centers: Any, regressions: Any, offsets: Any
    ) -> tuple[Array, Array]:
        """Keypoints of one person: as `batch_decode`, without the batch axis.

        Returns:
            keypoints (1, K, 2) float32, input space; scores (1, K).
        """
        maps = [as_numpy(a)[None] for a in (heatmaps, centers, regressions, offsets)]
        keypoints, scores = self.batch_decode(*maps)
        return keypoints[0], scores[0]

    def batch_decode(
        self, heatmaps: Any, centers: Any, regressions: Any, offsets: Any
    ) -> tuple[Array, Array]:
        """Keypoints of a batch of people.

        Args:
            heatmaps: (B, K, h, w) in 0..1, output space; arrays or tensors on any device, as
                all others.
            centers: (B, 1, h, w) in 0..1.
            regressions, offsets: (B, 2K, h, w), pairs of dy, dx in cells.

        Returns:
            keypoints (B, 1, K, 2) float32, input space; scores (B, 1, K) float32 in 0..1.
        """
        heatmaps, centers, regressions, offsets = (
            as_numpy(m).astype(np.float32, copy=False)
            for m in (heatmaps, centers, regressions, offsets)
        )
        near = self._cells(heatmaps, centers, regressions)
        B, K, h, w = heatmaps.shape
        flat = heatmaps.reshape(B, K, h * w)
        scores = np.take_along_axis(flat, near[..., None], 2)[..., 0]
        cell = np.stack(np.divmod(near, w), -1).astype(np.float32)
        yx = (cell + _pairs_at(offsets, near)) * np.float32(self.stride)
        return yx[:, None, :, ::-1].copy(), scores[:, None]

    def batch_decode_covariance(
        self, heatmaps: Any, centers: Any, regressions: Any, offsets: Any
    ) -> Array:
        """Covariances of the peaks of the heatmaps that the keypoints were read from.

        See `poise.codecs.utils.widths` for the fit. Nothing is taken away: nobody but its makers
        knows how wide the labels of the released network were, and many of its peaks are narrower
        than `sigma`, the width of the labels that `encode` makes.

        Args:
            heatmaps, centers, regressions, offsets: as for `batch_decode`.

        Returns:
            (B, 1, K, 2, 2) float32, pixels² of the input; NaN where a map has no response.
        """
        heatmaps, centers, regressions = (
            as_numpy(m).astype(np.float32, copy=False) for m in (heatmaps, centers, regressions)
        )
        y, x = np.divmod(self._cells(heatmaps, centers, regressions), heatmaps.shape[-1])
        factors = np.full(2, self.stride)
        return map_covariances(heatmaps, factors, sigma=self.sigma, deconvolve=False, places=(x, y))

    def _cells(self, heatmaps: Array, centers: Array, regressions: Array) -> Array:
        """Flat indices (B, K) of the cells that the keypoints lie in."""
        B, K, h, w = heatmaps.shape
        row, col = np.arange(h, dtype=np.float32), np.arange(w, dtype=np.float32)

        to_middle = np.hypot(row[:, None] - h / 2, col - w / 2) + HALF_DISTANCE
        best = (centers[:, 0] / to_middle).reshape(B, h * w).argmax(1)[:, None]
        cell = np.stack(np.divmod(best, w), -1).astype(np.float32)
        guess = _pairs_at(regressions, np.broadcast_to(best, (B, K))) + cell

        down = (row - guess[..., :1]) ** 2
        across = (col - guess[..., 1:]) ** 2
        distance = np.sqrt(down[..., :, None] + across[..., None, :])
        flat = heatmaps.reshape(B, K, h * w)
        return np.asarray((flat / (distance + HALF_DISTANCE).reshape(B, K, h * w)).argmax(2))


def _pairs_at(maps: Array, cells: Array) -> Array:
    """Pair (dy, dx) of each keypoint at its cell.

    Args:
        maps: (B, 2K, h, w).
        cells: (B, K) flat indices of cells.

    Returns:
        (B, K, 2).
    """
    B, K = cells.shape
    pairs = maps.reshape(B, K, 2, -1)
    return np.take_along_axis(pairs, cells[..., None, None], 3)[..., 0]
