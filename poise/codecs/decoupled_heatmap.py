"""Heatmaps of all people together and of each person alone (CID)."""

from __future__ import annotations

import random

import numpy as np

from poise._arrays import as_numpy
from poise.codecs.arrays import Array, keypoint_labels_of, scale_between
from poise.codecs.base import BaseKeypointCodec
from poise.codecs.utils.gaussian_heatmap import Gaussians
from poise.codecs.utils.instance_property import (
    get_diagonal_lengths,
    get_instance_bbox,
    get_instance_root,
)
from poise.codecs.utils.post_processing import get_heatmap_maximum
from poise.codecs.utils.refinement import refine_keypoints
from poise.codecs.utils.widths import map_covariances
from poise.registry import KEYPOINT_CODECS

__all__ = ["DecoupledHeatmap"]

#: Of labels of people of a usual size, pixels of the output; says how far peaks are looked at.
TYPICAL_SIGMA = 2.0
#: Of people without a size, pixels of the output.
_LEAST_SIGMA = 1e-6


@KEYPOINT_CODECS.register_module()
class DecoupledHeatmap(BaseKeypointCodec):
    """Global maps find people by their root; each person then has keypoint maps of its own.

    Contextual instance decoupling (Wang and Zhang 2022, CVPR).

    Args:
        input_size: (w, h) of the network's input.
        heatmap_size: (W, H) of its output.
        root_type: `kpt_center` or `bbox_center`; see `get_instance_root`.
        heatmap_min_overlap: gaussians are so wide that a box moved by three sigma still has
            this overlap with the person's box.
        encode_max_instances: people per sample that are trained on; a random choice of more.
    """

    # a person's size, and so its sigma, is that of its box
    auxiliary_encode_keys = {"bbox"}
    label_mapping_table = {
        "keypoint_weights": "keypoint_weights",
        "instance_coords": "instance_coords",
    }
    field_mapping_table = {"heatmaps": "heatmaps", "instance_heatmaps": "instance_heatmaps"}
    no_covariances = "it has no batches; decode_covariance takes the maps of a sample's people"

    def __init__(
        self,
        input_size: tuple[int, int],
        heatmap_size: tuple[int, int],
        root_type: str = "kpt_center",
        heatmap_min_overlap: float = 0.7,
        encode_max_instances: int = 30,
    ) -> None:
        self.input_size = input_size
        self.heatmap_size = heatmap_size
        self.root_type = root_type
        self.encode_max_instances = encode_max_instances
        self.heatmap_min_overlap = heatmap_min_overlap
        self.scale_factor = scale_between(input_size, heatmap_size)

    def encode(
        self,
        keypoints: Array,
        keypoints_visible: Array | None = None,
        bbox: Array | None = None,
    ) -> dict[str, Array]:
        """Maps of one sample. Draws from `numpy.random` and `random`.

        Args:
            keypoints: (N, K, 2) float, input space.
            keypoints_visible: (N, K) float; None means that all are labelled.
            bbox: (N, 8) or (N, 4, 2) float, corners in input space: left top, left bottom,
                right top, right bottom; None: boxes around the keypoints.

        Returns:
            `heatmaps` (K + 1, H, W) float32, the last one of the roots; of the M chosen people
            `instance_heatmaps` (M * K, H, W), `keypoint_weights` (M, K) and `instance_coords`
            (M, 2) int32, root pixels.
        """
        labels = keypoint_labels_of(keypoints, keypoints_visible, axes=2)
        if bbox is None:
            left, top, right, bottom = get_instance_bbox(keypoints, labels).T
            bbox = np.stack([left, top, left, bottom, right, top, right, bottom], axis=-1)
        places = keypoints / self.scale_factor
        roots, rooted = get_instance_root(places, labels, self.root_type)
        sigmas = self._sigmas(bbox.reshape(-1, 4, 2) / self.scale_factor)
        gaussians = Gaussians.around(
            self.heatmap_size,
            np.concatenate((places, roots[:, None]), axis=1),
            np.concatenate((labels, rooted[:, None]), axis=1),
            sigmas,
        )
        sizes = get_diagonal_lengths(places, labels)
        people, pixels = self._choose(roots, gaussians.weights[:, -1], sizes)
        W, H = self.heatmap_size
        own = gaussians.of(people, kinds=keypoints.shape[1])
        return {
            "heatmaps": gaussians.shared_maps(),
            "instance_heatmaps": own.own_maps().reshape(-1, H, W),
            # without people a flat array, the shape that collating expects
            "keypoint_weights": own.weights if len(people) else own.weights.reshape(0),
            "instance_coords": pixels,
        }

    def _sigmas(self, corners: Array) -> Array:
        """Sigmas (N,) float32 of boxes (N, 4, 2) in output space.

        A third of the radius that CornerNet (Law 2018, section 3.2) allows: corners may stray
        so far before the overlap falls below the minimum. Each of the three cases (both
        corners out, both in, one each) is a quadratic in the radius.
        """
        size = corners[:, :1] - corners[:, 1:3]
        height, width = np.sqrt(np.power(size, 2).sum(axis=-1)).astype(np.float64).T
        overlap = self.heatmap_min_overlap
        total, area = height + width, height * width
        quadratics = (
            (1.0, total, area * (1 - overlap) / (1 + overlap)),
            (4.0, 2 * total, area * (1 - overlap)),
            (4 * overlap, -2 * overlap * total, area * (overlap - 1)),
        )
        # Divided by 2, not by 2 a: the formula that the released models were trained with.
        radii = [(b + np.sqrt(b**2 - 4 * a * c)) / 2 for a, b, c in quadratics]
        # a box without a size has a gaussian of one pixel, not of NaN
        return np.maximum(np.min(radii, axis=0) / 3, _LEAST_SIGMA).astype(np.float32)

    def _choose(self, roots: Array, visible: Array, sizes: Array) -> tuple[Array, Array]:
        """Which people (M,) to train on, small ones first, and their root pixels (M, 2) int32.

        Roots are moved at random by up to a pixel; of several on one place the smallest person
        keeps it.
        """
        people = np.argsort(sizes)
        people = people[~(visible[people] < 1)]
        moved = roots[people] + np.random.randint(-1, 2, (len(people), 2))
        W, H = self.heatmap_size
        moved = np.maximum(0, np.minimum(moved, [W - 1, H - 1]))
        # a place as one complex number, since numpy sorts rows slowly
        _, first = np.unique(moved.view(np.complex128)[:, 0], return_index=True)
        chosen = np.sort(first)
        if len(chosen) > self.encode_max_instances:
            chosen = chosen[random.sample(range(len(chosen)), self.encode_max_instances)]
        return people[chosen], moved[chosen].astype(np.int32)

    def decode(self, instance_heatmaps: object, instance_scores: object) -> tuple[Array, Array]:
        """Keypoints of one sample.

        Args:
            instance_heatmaps: (N, K, H, W), maps of each person.
            instance_scores: (N, 1), confidence of the roots.

        Returns:
            keypoints (N, K, 2) float32 in input space, and scores (N, K): maximum times
            confidence.
        """
        maps = as_numpy(instance_heatmaps)
        N, K, H, W = maps.shape
        stack = maps.reshape(N * K, H, W)
        places, scores = get_heatmap_maximum(stack)
        # to the refinement, everybody's maps are the maps of one person
        refined = refine_keypoints(places[None], stack).reshape(N, K, 2)
        return refined * self.scale_factor, scores.reshape(N, K) * as_numpy(instance_scores)

    def decode_covariance(self, instance_heatmaps: object) -> Array:
        """Covariances of the peaks of each person's maps.

        See `poise.codecs.utils.widths` for the fit. Nothing is taken away: labels are as wide as
        the person is large, and the maps do not tell how large that is.

        Args:
            instance_heatmaps: (N, K, H, W), maps of each person.

        Returns:
            (N, K, 2, 2) float32, pixels² of the input; NaN where a map has no response.
        """
        maps = as_numpy(instance_heatmaps)
        found = map_covariances(maps, self.scale_factor, sigma=TYPICAL_SIGMA, deconvolve=False)
        return np.asarray(found[:, 0])
