"""MoveNet's representation: one person by centre, regression, heatmaps and offsets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from poise._arrays import is_tensor
from poise.codecs.arrays import Array
from poise.codecs.base import BaseKeypointCodec
from poise.registry import KEYPOINT_CODECS

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MoveNetLabel"]

#: Distance, in cells, at which a score counts half as much as at no distance (released graph).
_HALF_DISTANCE = 1.8
#: Target heatmap values above which a cell also gets an offset target.
_OFFSET_FLOOR = 0.1


@KEYPOINT_CODECS.register_module(scope="poise")
class MoveNetLabel(BaseKeypointCodec):
    """Centre heatmap, keypoint regression from the centre, keypoint heatmaps and offsets.

    Decoding takes the best centre (the middle of the picture counts most), lets it point
    roughly at each keypoint, takes the heatmap's maximum near there, and adds the offset
    inside the cell. So the heatmaps decide where, the regression which person.

    Note: B: batch, K: keypoints, h w: output space, `input_size / stride`

    Args:
        input_size: (w, h) of the network's input, pixels.
        stride: input pixels per output cell.
        sigma: standard deviation of the training heatmaps, cells.
    """

    label_mapping_table = dict(keypoint_weights="keypoint_weights")
    field_mapping_table = dict(
        heatmaps="heatmaps", centers="centers", regressions="regressions", offsets="offsets"
    )

    def __init__(self, input_size: tuple[int, int], stride: int = 4, sigma: float = 2.0) -> None:
        super().__init__()
        self.input_size = (int(input_size[0]), int(input_size[1]))
        self.stride = stride
        self.sigma = sigma
        self.heatmap_size = (self.input_size[0] // stride, self.input_size[1] // stride)

    @property
    def support_batch_decoding(self) -> bool:
        """A whole batch is decoded at once."""
        return True

    def encode(self, keypoints: Array, keypoints_visible: Array | None = None) -> dict[str, Any]:
        """Training targets of one person.

        Args:
            keypoints: (1, K, 2), input space.
            keypoints_visible: (1, K), above 0.5 where labelled.

        Returns:
            heatmaps (K, h, w), centers (1, h, w), regressions and offsets (2K, h, w; pairs of
            dy, dx, in cells), keypoint_weights (1, K); all float32.
        """
        if keypoints_visible is None:
            keypoints_visible = np.ones(keypoints.shape[:2], dtype=np.float32)
        w, h = self.heatmap_size
        yx = keypoints[0, :, ::-1] / self.stride
        cell = np.floor(yx).astype(int)
        valid = (keypoints_visible[0] > 0.5) & (cell >= 0).all(1) & (cell < (h, w)).all(1)
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
        offsets = towards * near[:, None]
        middle = yx[valid].mean(0) if valid.any() else np.array([h / 2, w / 2])
        center = np.clip(np.floor(middle).astype(int), 0, (h - 1, w - 1))
        k = np.flatnonzero(valid)
        regressions = np.zeros((n, 2, h, w))
        regressions[k, :, center[0], center[1]] = yx[k] - center
        centers = np.exp(-((rows - center[0]) ** 2 + (cols - center[1]) ** 2) / (2 * self.sigma**2))
        return dict(
            heatmaps=heatmaps.astype(np.float32),
            centers=centers[None].astype(np.float32),
            regressions=regressions.reshape(2 * n, h, w).astype(np.float32),
            offsets=offsets.reshape(2 * n, h, w).astype(np.float32),
            keypoint_weights=valid[None].astype(np.float32),
        )

    def decode(
        self, heatmaps: Any, centers: Any, regressions: Any, offsets: Any
    ) -> tuple[Array, Array]:
        """Keypoints of one person: as `batch_decode`, without the batch axis.

        Returns:
            keypoints (1, K, 2) float32, input space; scores (1, K).
        """
        keypoints, scores = self.batch_decode(
            heatmaps[None], centers[None], regressions[None], offsets[None]
        )
        return keypoints[0], scores[0]

    def batch_decode(
        self, heatmaps: Any, centers: Any, regressions: Any, offsets: Any
    ) -> tuple[Array, Array]:
        """Keypoints of a batch of people; arrays are decoded without torch.

        Args:
            heatmaps: (B, K, h, w) in 0..1, output space; tensor or array, as the others.
            centers: (B, 1, h, w) in 0..1.
            regressions, offsets: (B, 2K, h, w), pairs of dy, dx in cells.

        Returns:
            keypoints (B, 1, K, 2) float32, input space; scores (B, 1, K) float32 in 0..1.
        """
        if not is_tensor(heatmaps):
            return self._decode_arrays(heatmaps, centers, regressions, offsets)
        import torch

        b, k, h, w = heatmaps.shape
        device = heatmaps.device
        row = torch.arange(h, device=device, dtype=torch.float32)
        col = torch.arange(w, device=device, dtype=torch.float32)

        to_middle = torch.hypot(row[:, None] - h / 2, col - w / 2) + _HALF_DISTANCE
        best = (centers.float()[:, 0] / to_middle).flatten(1).argmax(1)
        guess = _gather_pairs(regressions, best[:, None].expand(b, k))
        guess_row = guess[..., 0] + (best // w)[:, None]
        guess_col = guess[..., 1] + (best % w)[:, None]

        distance = torch.sqrt(
            (row[:, None] - guess_row[..., None, None]) ** 2
            + (col - guess_col[..., None, None]) ** 2
        )
        near = (heatmaps.float() / (distance + _HALF_DISTANCE)).flatten(2).argmax(2)
        scores = heatmaps.float().flatten(2).gather(2, near[..., None])[..., 0]
        offset = _gather_pairs(offsets, near)
        y = (near // w + offset[..., 0]) * self.stride
        x = (near % w + offset[..., 1]) * self.stride
        keypoints = torch.stack([x, y], -1)[:, None]
        return keypoints.cpu().numpy(), scores[:, None].cpu().numpy()

    def _decode_arrays(
        self, heatmaps: Array, centers: Array, regressions: Array, offsets: Array
    ) -> tuple[Array, Array]:
        b, k, h, w = heatmaps.shape
        row, col = np.arange(h, dtype=np.float32), np.arange(w, dtype=np.float32)
        people = np.arange(b)[:, None]
        joints = np.arange(k)

        def pairs(maps: Array, cells: Array) -> Array:
            return np.asarray(maps.reshape(b, k, 2, -1)[people, joints, :, cells], np.float32)

        to_middle = np.hypot(row[:, None] - h / 2, col - w / 2) + np.float32(_HALF_DISTANCE)
        best = (centers[:, 0] / to_middle).reshape(b, -1).argmax(1)[:, None]
        guess = pairs(regressions, np.broadcast_to(best, (b, k)))
        guess[..., 0] += best // w
        guess[..., 1] += best % w
        away = (row[:, None] - guess[..., 0, None, None]) ** 2
        away = np.sqrt(away + (col - guess[..., 1, None, None]) ** 2) + np.float32(_HALF_DISTANCE)
        near = (heatmaps / away).reshape(b, k, -1).argmax(2)
        scores = heatmaps.reshape(b, k, -1)[people, joints, near]
        offset = pairs(offsets, near)
        x, y = near % w + offset[..., 1], near // w + offset[..., 0]
        keypoints = (np.stack([x, y], -1) * self.stride).astype(np.float32)
        return keypoints[:, None], scores[:, None].astype(np.float32)


def _gather_pairs(maps: Tensor, cells: Tensor) -> Tensor:
    """Pair (dy, dx) of each keypoint at its cell.

    Args:
        maps: (B, 2K, h, w).
        cells: (B, K) flat indices of cells.

    Returns:
        (B, K, 2) float32.
    """
    b, k = cells.shape
    pairs = maps.float().reshape(b, k, 2, -1)
    return pairs.gather(3, cells[:, :, None, None].expand(b, k, 2, 1))[..., 0]
