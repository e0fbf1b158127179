"""Where heatmaps may be trained: not on people without keypoint annotations."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from poise._lazy import needed
from poise.geometry.pictures import warp_picture
from poise.registry import TRANSFORMS
from poise.transforms.base import BaseTransform
from poise.transforms.image import flip_image, resize_image

__all__ = ["BottomupGetHeatmapMask"]

#: a resized mask counts where more than half of a pixel is set
THRESHOLD = 0.5


@TRANSFORMS.register_module()
class BottomupGetHeatmapMask(BaseTransform):
    """Make `heatmap_mask`, which is True where the loss counts, from `invalid_segs`.

    Args:
        get_invalid: make the mask of the people to ignore instead.
        mmpose_faults: skip segments given as run lengths (crowds), like MMPose; False masks them,
            too.
    """

    def __init__(self, get_invalid: bool = False, *, mmpose_faults: bool = True) -> None:
        self.get_invalid = get_invalid
        self.mmpose_faults = mmpose_faults

    def _segs_to_mask(self, segs: list[Any], img_shape: tuple[int, int]) -> np.ndarray:
        """Pixels (H, W) uint8 that COCO polygons (or run lengths) cover, image space."""
        wanted = (list, tuple) if self.mmpose_faults else (list, tuple, dict)
        # people without an outline have an empty list
        segs = [seg for seg in segs if seg and isinstance(seg, wanted)]
        if not segs:
            return np.zeros(img_shape, np.uint8)
        coco = needed(
            "pycocotools.mask", "masks of COCO segments need pycocotools: pip install pycocotools"
        )
        runs: list[Any] = []
        for seg in segs:
            if isinstance(seg, dict) and isinstance(seg.get("counts"), (str, bytes)):
                runs.append(seg)
                continue
            encoded = coco.frPyObjects(seg, *img_shape)
            runs += encoded if isinstance(encoded, list) else [encoded]
        with warnings.catch_warnings():
            # pycocotools 2.0.11 itself calls numpy 2 in a way that numpy dislikes
            warnings.simplefilter("ignore", DeprecationWarning)
            mask: np.ndarray = coco.decode(coco.merge(runs))
        return mask

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add `heatmap_mask`: (h, w) bool, or a list over the levels of `heatmaps`.

        Without `heatmaps` it has the input's size.
        """
        # without a warp nothing says how large the input is
        size = results["input_size"] if "warp_mat" in results else None
        mask = self._segs_to_mask(results.get("invalid_segs") or [], results["img_shape"][:2])
        if not self.get_invalid:
            mask = 1 - mask
        soft = mask.astype(np.float32)
        if size is not None:
            soft = warp_picture(soft, results["warp_mat"], size)
        if results.get("flip") and results["flip_direction"] is not None:
            soft = flip_image(soft, results["flip_direction"])

        maps = results.get("heatmaps")
        if isinstance(maps, list):
            results["heatmap_mask"] = [_at_size_of(m, soft) for m in maps]
        elif maps is not None:
            results["heatmap_mask"] = _at_size_of(maps, soft)
        else:
            results["heatmap_mask"] = soft > THRESHOLD
        return results


def _at_size_of(heatmaps: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mask (h, w) bool of the size of heatmaps (K, h, w)."""
    height, width = heatmaps.shape[1:3]
    return resize_image(mask, (width, height)) > THRESHOLD
