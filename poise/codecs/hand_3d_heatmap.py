"""Two hands as volumes, with the distance between their roots (InterNet)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from poise._arrays import as_numpy
from poise.codecs.arrays import Array, keypoint_labels_of
from poise.codecs.base import BaseKeypointCodec
from poise.codecs.utils.post_processing import get_heatmap_3d_maximum
from poise.codecs.utils.volume_heatmap import generate_3d_gaussian_heatmaps
from poise.registry import KEYPOINT_CODECS

__all__ = ["Hand3DHeatmap"]


@KEYPOINT_CODECS.register_module()
class Hand3DHeatmap(BaseKeypointCodec):
    """A volume per hand keypoint, the relative depth of the hands' roots, and which hands.

    InterNet (Moon 2020, arXiv:2008.09309). Depths are in the dataset's unit, millimetres for
    InterHand2.6M.

    Args:
        image_size: (w, h) of the network's input.
        root_heatmap_size: bins of the root depth, for decoding.
        heatmap_size: (W, H, D) of the volumes.
        heatmap3d_depth_bound: range of depth that the volumes span.
        heatmap_size_root: bins of the root depth, for encoding.
        root_depth_bound: range of relative root depth that the bins span.
        depth_size: bins of depth of the volumes, for decoding.
        use_different_joint_weights: weigh keypoints by the dataset's weights.
        sigma: of the gaussians, voxels.
        joint_indices: keypoints to use; None for all.
        max_bound: height of the gaussians.
    """

    auxiliary_encode_keys = {
        "dataset_keypoint_weights",
        "rel_root_depth",
        "rel_root_valid",
        "hand_type",
        "hand_type_valid",
        "focal",
        "principal_pt",
    }
    instance_mapping_table = {
        "keypoints": "keypoints",
        "keypoints_visible": "keypoints_visible",
        "keypoints_cam": "keypoints_cam",
    }
    label_mapping_table = {
        "keypoint_weights": "keypoint_weights",
        "root_depth_weight": "root_depth_weight",
        "type_weight": "type_weight",
        "root_depth": "root_depth",
        "type": "type",
    }

    def __init__(
        self,
        image_size: Sequence[int] = (256, 256),
        root_heatmap_size: int = 64,
        heatmap_size: Sequence[int] = (64, 64, 64),
        heatmap3d_depth_bound: float = 400.0,
        heatmap_size_root: int = 64,
        root_depth_bound: float = 400.0,
        depth_size: int = 64,
        use_different_joint_weights: bool = False,
        sigma: float = 2,
        joint_indices: list[int] | None = None,
        max_bound: float = 1.0,
    ) -> None:
        self.image_size = np.array(image_size)
        self.root_heatmap_size = root_heatmap_size
        self.heatmap_size = np.array(heatmap_size)
        self.heatmap3d_depth_bound = heatmap3d_depth_bound
        self.heatmap_size_root = heatmap_size_root
        self.root_depth_bound = root_depth_bound
        self.depth_size = depth_size
        self.use_different_joint_weights = use_different_joint_weights
        self.sigma = sigma
        self.joint_indices = joint_indices
        self.max_bound = max_bound
        self.scale_factor = (self.image_size / self.heatmap_size[:-1]).astype(np.float32)

    def encode(  # type: ignore[override]
        self,
        keypoints: Array,
        keypoints_visible: Array | None,
        dataset_keypoint_weights: Array | None,
        rel_root_depth: float,
        rel_root_valid: float,
        hand_type: Array,
        hand_type_valid: Array,
        focal: Array,
        principal_pt: Array,
    ) -> dict[str, Array]:
        """Targets of one sample.

        Args:
            keypoints: (N, K, 3) float: x, y in input space, depth relative to the hand's root.
            keypoints_visible: (N, K) float; None means that all are labelled.
            dataset_keypoint_weights: (K,) float, used with `use_different_joint_weights`.
            rel_root_depth: depth of the left root relative to the right one.
            rel_root_valid: 1 if that depth is known.
            hand_type: (1, 2) float, right and left hand.
            hand_type_valid: (1,) float.
            focal: of the camera; not used here, required by the pipeline's contract.
            principal_pt: as `focal`.

        Returns:
            `heatmaps` (K * D, H, W), `keypoint_weights` (N, K), `root_depth` (1,) in bins and
            its `root_depth_weight` (1,), `type` and `type_weight` as given.

        Raises:
            ArgumentError: (a TypeError) where the dataset's weights are wanted and missing.
        """
        heatmaps, weights = generate_3d_gaussian_heatmaps(
            heatmap_size=tuple(self.heatmap_size.tolist()),
            keypoints=keypoints,
            keypoints_visible=keypoint_labels_of(keypoints, keypoints_visible),
            sigma=self.sigma,
            image_size=tuple(self.image_size.tolist()),
            heatmap3d_depth_bound=self.heatmap3d_depth_bound,
            joint_indices=self.joint_indices,
            max_bound=self.max_bound,
            use_different_joint_weights=self.use_different_joint_weights,
            dataset_keypoint_weights=dataset_keypoint_weights,
        )
        if not np.ndim(rel_root_depth):
            # numpy 2 would stay in the float32 of a dataset's scalar
            rel_root_depth = float(rel_root_depth)
        depth = (rel_root_depth / self.root_depth_bound + 0.5) * self.heatmap_size_root
        known = rel_root_valid * (depth >= 0) * (depth <= self.heatmap_size_root)
        one = np.ones(1, dtype=np.float32)
        return {
            "heatmaps": heatmaps,
            "keypoint_weights": weights,
            "root_depth": depth * one,
            "root_depth_weight": known * one,
            "type": hand_type,
            "type_weight": hand_type_valid,
        }

    def decode(
        self, heatmaps: Any, root_depth: Any, hand_type: Any
    ) -> tuple[Array, Array, Array, Array]:
        """Keypoints of one sample.

        Args:
            heatmaps: (K, D, H, W).
            root_depth: (1,) predicted root depth, bins.
            hand_type: (2,) or (1, 2) logits of right and left hand.

        Returns:
            keypoints (1, K, 3): x, y in input space and depth in the dataset's unit; scores
            (1, K); relative root depth (1,); hand type (1, 2) of 0 and 1.
        """
        places, scores = get_heatmap_3d_maximum(as_numpy(heatmaps))
        places[..., 2] = (places[..., 2] / self.depth_size - 0.5) * self.heatmap3d_depth_bound
        places[..., :2] *= self.scale_factor
        depth = (as_numpy(root_depth) / self.root_heatmap_size - 0.5) * self.root_depth_bound
        hands = (as_numpy(hand_type) > 0).reshape(1, -1).astype(int)
        return places[None], scores[None], depth, hands
