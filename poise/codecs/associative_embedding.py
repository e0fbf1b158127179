"""People from heatmaps and tags: keypoints of one person carry equal tags."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from poise._arrays import as_numpy, is_tensor
from poise.codecs.arrays import Array, keypoint_labels_of, scale_between
from poise.codecs.base import BaseKeypointCodec
from poise.codecs.utils.blur import dilate_maps
from poise.codecs.utils.gaussian_heatmap import (
    generate_gaussian_heatmaps,
    generate_udp_gaussian_heatmaps,
)
from poise.codecs.utils.grouping import fill_missing, group_keypoints_by_tags
from poise.codecs.utils.refinement import (
    refine_keypoints,
    refine_keypoints_dark_udp,
    udp_log_density,
)
from poise.errors import DataError
from poise.registry import KEYPOINT_CODECS

__all__ = ["AssociativeEmbedding"]


@KEYPOINT_CODECS.register_module()
class AssociativeEmbedding(BaseKeypointCodec):
    """Heatmaps and pixel indices to learn from; heatmaps and tags to decode.

    Associative embedding (Newell 2017, arXiv:1611.05424), the representation of HigherHRNet.

    Args:
        input_size: (w, h) of the network's input.
        heatmap_size: (W, H) of its output.
        sigma: of the gaussians, pixels of the output; None: by the size of the maps.
        use_udp: unbiased data processing; see `UDPHeatmap`.
        decode_keypoint_order: order of grouping: torso first, limbs last.
        decode_nms_kernel: width of the neighbourhood that a maximum rules, odd.
        decode_gaussian_kernel: of the decoder's blur, odd; with UDP only.
        decode_keypoint_thr: least response of a candidate.
        decode_tag_thr: a candidate whose tag is further from all groups founds a new one.
        decode_topk: candidates per keypoint kind.
        decode_center_shift: added to decoded places, pixels of the output.
        decode_max_instances: people decoded at most; None for all.
    """

    def __init__(
        self,
        input_size: tuple[int, int],
        heatmap_size: tuple[int, int],
        sigma: float | None = None,
        use_udp: bool = False,
        decode_keypoint_order: Sequence[int] = (),
        decode_nms_kernel: int = 5,
        decode_gaussian_kernel: int = 3,
        decode_keypoint_thr: float = 0.1,
        decode_tag_thr: float = 1.0,
        decode_topk: int = 30,
        decode_center_shift: float = 0.0,
        decode_max_instances: int | None = None,
    ) -> None:
        self.input_size = input_size
        self.heatmap_size = heatmap_size
        self.use_udp = use_udp
        self.decode_keypoint_order = list(decode_keypoint_order)
        self.decode_nms_kernel = decode_nms_kernel
        self.decode_gaussian_kernel = decode_gaussian_kernel
        self.decode_keypoint_thr = decode_keypoint_thr
        self.decode_tag_thr = decode_tag_thr
        self.decode_topk = decode_topk
        self.decode_center_shift = decode_center_shift
        self.decode_max_instances = decode_max_instances
        self.scale_factor = scale_between(input_size, heatmap_size, less=int(use_udp))
        self.sigma = (heatmap_size[0] * heatmap_size[1]) ** 0.5 / 64 if sigma is None else sigma

    def encode(self, keypoints: Array, keypoints_visible: Array | None = None) -> dict[str, Array]:
        """Targets of one sample.

        Args:
            keypoints: (N, K, 2) float, input space.
            keypoints_visible: (N, K) float; None means that all are labelled.

        Returns:
            `heatmaps` (K, H, W) float32; `keypoint_indices` (N, K, 2) int64: the flat pixel of
            each keypoint, and 1 where it is labelled and on the map; `keypoint_weights` (N, K).
        """
        labels = keypoint_labels_of(keypoints, keypoints_visible, axes=2)
        places = keypoints / self.scale_factor
        draw = generate_udp_gaussian_heatmaps if self.use_udp else generate_gaussian_heatmaps
        heatmaps, weights = draw(self.heatmap_size, places, labels, self.sigma)
        with np.errstate(invalid="ignore"):
            x, y = np.moveaxis((places + 0.5).astype(np.int64), -1, 0)
        W, H = self.heatmap_size
        usable = (labels > 0.5) & (x >= 0) & (x < W) & (y >= 0) & (y < H)
        indices = np.stack([y * W + x, usable.astype(np.int64)], axis=-1)
        return {"heatmaps": heatmaps, "keypoint_indices": indices, "keypoint_weights": weights}

    def decode(self, encoded: Any) -> tuple[Any, Any]:
        """Not available: use `batch_decode`, with a batch of one."""
        raise NotImplementedError(
            "AssociativeEmbedding decodes batches only: batch_decode(heatmaps[None], tags[None])"
        )

    def batch_decode(
        self, batch_heatmaps: Any, batch_tags: Any
    ) -> tuple[list[Array], list[Array], list[Array]]:
        """People of all samples.

        Args:
            batch_heatmaps: (B, K, H, W), tensor or array.
            batch_tags: (B, L * K, H, W), of the same kind; L = 2 with flip test.

        Returns:
            lists over samples: keypoints (N, K, 2) in input space, their scores (N, K), and
            the people's scores (N,): the mean over keypoints before missing ones are filled.

        Raises:
            DataError: (a ValueError) if heatmaps and tags do not fit.
        """
        B, K, H, W = batch_heatmaps.shape
        if (
            batch_tags.shape[0] != B
            or tuple(batch_tags.shape[2:]) != (H, W)
            or batch_tags.shape[1] % K
        ):
            raise DataError(
                f"Mismatched shapes of heatmap ({tuple(batch_heatmaps.shape)}) and tagging map "
                f"({tuple(batch_tags.shape)}): both need the same B, H and W, and there are tags "
                "of each keypoint"
            )
        exact_order = is_tensor(batch_heatmaps)
        heatmaps, tags = as_numpy(batch_heatmaps), as_numpy(batch_tags)
        candidates = self._candidates(heatmaps, tags, exact_order)
        results = [
            self._decode_groups(
                group_keypoints_by_tags(
                    *sample,
                    keypoint_order=self.decode_keypoint_order,
                    val_thr=self.decode_keypoint_thr,
                    tag_thr=self.decode_tag_thr,
                    max_groups=self.decode_max_instances,
                ),
                heatmaps[i],
                tags[i],
            )
            for i, sample in enumerate(zip(*candidates, strict=True))
        ]
        keypoints, scores, people = ([result[part] for result in results] for part in range(3))
        return keypoints, scores, people

    def _candidates(
        self, heatmaps: Array, tags: Array, exact_order: bool
    ) -> tuple[Array, Array, Array]:
        """The best local maxima of each map, largest first; zeros fill up.

        Returns:
            responses (B, K, M), tags (B, K, M, L), places (B, K, M, 2) int64.
        """
        B, K, H, W = heatmaps.shape
        M = min(self.decode_topk, H * W)
        peaks = heatmaps * (heatmaps == dilate_maps(heatmaps, self.decode_nms_kernel))
        peaks = peaks.reshape(B * K, H * W)
        # whatever does not pass the threshold is never used: sort the few that do
        row, pixel = np.nonzero(peaks > self.decode_keypoint_thr)
        value = peaks[row, pixel]
        order = np.lexsort((-value, row))
        row, pixel, value = row[order], pixel[order], value[order]
        rank = np.arange(len(row)) - np.searchsorted(row, row)
        index = np.zeros((B * K, M), dtype=np.int64)
        response = np.zeros((B * K, M), dtype=heatmaps.dtype)
        best = rank < M
        index[row[best], rank[best]] = pixel[best]
        response[row[best], rank[best]] = value[best]
        if exact_order:
            equal = (row[1:] == row[:-1]) & (value[1:] == value[:-1]) & best[:-1]
            tied = np.unique(row[1:][equal])
            if len(tied):
                response[tied], index[tied] = _torch_topk(peaks[tied], M)
        L = tags.shape[1] // K
        fields = tags.reshape(B, L, K, H * W).transpose(0, 2, 3, 1).reshape(B * K, H * W, L)
        of_candidates = fields[np.arange(B * K)[:, None], index]
        places = np.stack([index % W, index // W], axis=-1)
        return (
            response.reshape(B, K, M),
            of_candidates.reshape(B, K, M, L),
            places.reshape(B, K, M, 2),
        )

    def _decode_groups(
        self, groups: Array, heatmaps: Array, tags: Array
    ) -> tuple[Array, Array, Array]:
        """Keypoints (N, K, 2) in input space, scores (N, K) and people's scores (N,)."""
        keypoints, scores = groups[..., :2].copy(), groups[..., 2].copy()
        people = scores.mean(axis=-1)
        if len(groups):
            if self.use_udp:
                kernel = self.decode_gaussian_kernel
                keypoints = refine_keypoints_dark_udp(keypoints, heatmaps, kernel)
                if (scores <= 0).any():
                    # the search below reads what the refinement left of the maps, as released
                    heatmaps = udp_log_density(heatmaps, kernel)
            else:
                keypoints = refine_keypoints(keypoints, heatmaps)
            keypoints += self.decode_center_shift * (scores > 0)[..., None].astype(np.float32)
            keypoints, scores = fill_missing(keypoints, scores, heatmaps, tags)
        return keypoints * self.scale_factor, scores, people


def _torch_topk(rows: Array, count: int) -> tuple[Array, Array]:
    """Largest values and their indices in torch's order, which among equals is its own.

    Called for tensors only: numpy users get equal values in the order of their pixels.
    """
    torch = sys.modules["torch"]
    values, index = torch.from_numpy(rows).topk(count, dim=-1)
    return values.numpy(), index.numpy()
