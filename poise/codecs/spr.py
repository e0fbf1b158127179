"""People as root points with vectors to their keypoints (SPR, the representation of DEKR)."""

from __future__ import annotations

from typing import Any

import numpy as np

from poise._arrays import is_tensor
from poise.codecs.arrays import Array, keypoint_labels_of, scale_between
from poise.codecs.base import BaseKeypointCodec
from poise.codecs.utils.gaussian_heatmap import generate_gaussian_heatmaps
from poise.codecs.utils.instance_property import get_diagonal_lengths, get_instance_root
from poise.codecs.utils.offset_heatmap import generate_displacement_heatmap
from poise.codecs.utils.post_processing import batch_heatmap_nms
from poise.errors import ConfigError
from poise.registry import KEYPOINT_CODECS

__all__ = ["SPR"]


@KEYPOINT_CODECS.register_module()
class SPR(BaseKeypointCodec):
    """A heatmap of people's roots, and at each pixel the way to all keypoints of its person.

    Structured pose representation (Nie 2019, arXiv:1908.09220), as DEKR (Geng 2021,
    arXiv:2104.02300) uses it.

    Args:
        input_size: (w, h) of the network's input.
        heatmap_size: (W, H) of its output.
        sigma: of the root gaussians, or (root, keypoint); None: by the size of the maps.
        generate_keypoint_heatmaps: make heatmaps of the keypoints, too.
        root_type: `kpt_center` or `bbox_center`; see `get_instance_root`.
        minimal_diagonal_length: people smaller than this, in pixels of the output, are not
            trained on.
        background_weight: weight of pixels without a target.
        decode_nms_kernel: width of the neighbourhood that a root's maximum rules, odd.
        decode_max_instances: people decoded at most.
        decode_thr: least score of a root.
    """

    field_mapping_table = {
        "heatmaps": "heatmaps",
        "heatmap_weights": "heatmap_weights",
        "displacements": "displacements",
        "displacement_weights": "displacement_weights",
    }

    def __init__(
        self,
        input_size: tuple[int, int],
        heatmap_size: tuple[int, int],
        sigma: float | tuple[float, ...] | None = None,
        generate_keypoint_heatmaps: bool = False,
        root_type: str = "kpt_center",
        minimal_diagonal_length: float = 5,
        background_weight: float = 0.1,
        decode_nms_kernel: int = 5,
        decode_max_instances: int = 30,
        decode_thr: float = 0.01,
    ) -> None:
        self.input_size = input_size
        self.heatmap_size = heatmap_size
        self.generate_keypoint_heatmaps = generate_keypoint_heatmaps
        self.root_type = root_type
        self.minimal_diagonal_length = minimal_diagonal_length
        self.background_weight = background_weight
        self.decode_nms_kernel = decode_nms_kernel
        self.decode_max_instances = decode_max_instances
        self.decode_thr = decode_thr
        self.scale_factor = scale_between(input_size, heatmap_size)
        if sigma is None:
            root_sigma = (heatmap_size[0] * heatmap_size[1]) ** 0.5 / 32
            sigma = (root_sigma, root_sigma // 2) if generate_keypoint_heatmaps else (root_sigma,)
        elif not isinstance(sigma, (tuple, list)):
            sigma = (sigma,)
        if generate_keypoint_heatmaps and len(sigma) != 2:
            raise ConfigError(
                "sigma for keypoints must be given if `generate_keypoint_heatmaps` is True, e.g. "
                f"sigma=(4, 2); got sigma={sigma}"
            )
        self.sigma = sigma

    def encode(self, keypoints: Array, keypoints_visible: Array | None = None) -> dict[str, Array]:
        """Maps of one sample.

        Args:
            keypoints: (N, K, 2) float, input space.
            keypoints_visible: (N, K) float; None means that all are labelled.

        Returns:
            `heatmaps` (1, H, W) of the roots, or (K + 1, H, W) with the keypoints first;
            `displacements` (2 K, H, W); `heatmap_weights` and `displacement_weights` of the
            same shapes; all float32.
        """
        labels = keypoint_labels_of(keypoints, keypoints_visible, axes=2)
        places = keypoints / self.scale_factor
        roots, rooted = get_instance_root(places, labels, self.root_type)
        sizes = get_diagonal_lengths(places, labels)
        rooted[sizes < self.minimal_diagonal_length] = 0
        heatmaps, _ = generate_gaussian_heatmaps(
            self.heatmap_size, roots[:, None], rooted[:, None], self.sigma[0]
        )
        if self.generate_keypoint_heatmaps:
            of_keypoints, _ = generate_gaussian_heatmaps(
                self.heatmap_size, places, labels, self.sigma[1]
            )
            heatmaps = np.concatenate((of_keypoints, heatmaps))
        displacements, displacement_weights = generate_displacement_heatmap(
            self.heatmap_size, places, labels, roots, rooted, sizes, self.sigma[0]
        )
        weights = np.where(heatmaps > 0, 1, self.background_weight).astype(np.float32)
        return {
            "heatmaps": heatmaps,
            "heatmap_weights": weights,
            "displacements": displacements,
            "displacement_weights": displacement_weights,
        }

    def decode(self, heatmaps: Any, displacements: Any) -> tuple[Any, tuple[Any, Any]]:
        """People of one sample, best first.

        Args:
            heatmaps: (1, H, W) or (K + 1, H, W), tensor or array.
            displacements: (2 K, H, W), of the same kind.

        Returns:
            keypoints (N, K, 2) in input space, and the pair of root scores (N,) and keypoint
            scores (N, K); the latter are None without keypoint heatmaps. Tensors for tensors.
        """
        k = displacements.shape[0] // 2
        choose = _best_tensor if is_tensor(heatmaps) else _best
        peaks = batch_heatmap_nms(heatmaps[None, -1:], self.decode_nms_kernel)
        scores, index = choose(peaks.reshape(-1), self.decode_max_instances)
        scores, index = scores[scores > self.decode_thr], index[scores > self.decode_thr]
        keypoints = _follow(displacements, index)
        keypoint_scores = None
        if self.generate_keypoint_heatmaps and heatmaps.shape[0] == k + 1:
            keypoint_scores = self.get_keypoint_scores(heatmaps[:k], keypoints)
        scale_x, scale_y = self.scale_factor.tolist()
        keypoints[..., 0] *= scale_x
        keypoints[..., 1] *= scale_y
        return keypoints, (scores, keypoint_scores)

    def get_keypoint_scores(self, heatmaps: Any, keypoints: Any) -> Any:
        """Responses (N, K) of heatmaps (K, H, W) at keypoints (N, K, 2), output space.

        Read by linear interpolation; places off the map read the nearest border.
        """
        H, W = heatmaps.shape[-2:]
        x, y = _on_grid(keypoints[..., 0], W), _on_grid(keypoints[..., 1], H)
        if is_tensor(heatmaps):
            left, top = x.floor().long(), y.floor().long()
            right, bottom = (left + 1).clamp(max=W - 1), (top + 1).clamp(max=H - 1)
        else:
            left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
            right, bottom = np.minimum(left + 1, W - 1), np.minimum(top + 1, H - 1)
        part_x, part_y = x - left, y - top
        flat = heatmaps.reshape(len(heatmaps), H * W)
        kinds = list(range(len(heatmaps)))
        above = flat[kinds, top * W + left] * (1 - part_x) + flat[kinds, top * W + right] * part_x
        below = (
            flat[kinds, bottom * W + left] * (1 - part_x) + flat[kinds, bottom * W + right] * part_x
        )
        return above * (1 - part_y) + below * part_y


def _on_grid(places: Any, size: int) -> Any:
    """Places along an axis of `size` pixels as the scores are read: moved, and within the map.

    The grid has `size` steps over a width of size - 1, as the released models were evaluated. By
    way of -1 to 1, and back in one rounding, since steep maps show the last bits.
    """
    unit = places / (size - 1) * 2 - 1
    if is_tensor(places):
        # Apple's GPUs have no float64
        wide = (unit.cpu() if unit.device.type == "mps" else unit).double()
        moved = (wide * (size / 2) + (size - 1) / 2).to(places)
    else:
        moved = (unit.astype(np.float64) * (size / 2) + (size - 1) / 2).astype(places.dtype)
    return moved.clip(0, size - 1)


def _best(scores: Array, count: int) -> tuple[Array, Array]:
    """The largest `count` scores, falling, and their indices."""
    order = np.argsort(-scores, kind="stable")[:count]
    return scores[order], order


def _best_tensor(scores: Any, count: int) -> tuple[Any, Any]:
    values, index = scores.topk(min(count, len(scores)))
    return values, index


def _follow(displacements: Any, index: Any) -> Any:
    """Keypoints (N, K, 2) in output space that the vectors at flat pixels (N,) point to."""
    C, H, W = displacements.shape
    vectors = displacements.reshape(C, H * W)[:, index].T.reshape(len(index), C // 2, 2)
    x, y = index % W, index // W
    keypoints = vectors * 1
    keypoints[..., 0] += x[:, None]
    keypoints[..., 1] += y[:, None]
    return keypoints
