"""From one dataset's keypoints to another's, for training on several datasets at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from poise.errors import ArgumentError, DataError
from poise.registry import TRANSFORMS
from poise.schemas import conversions
from poise.schemas.conversions.mapping import Pair
from poise.transforms.base import BaseTransform

__all__ = ["KeypointConverter", "SingleHandConverter"]


@TRANSFORMS.register_module()
class KeypointConverter(BaseTransform):
    """Put keypoints at their places in a target schema.

    Target keypoints that no pair names stay at 0 with visibility 0; the second channel of the
    new `keypoints_visible` is 1 where the source dataset says something about the keypoint and
    0 elsewhere, so that a visibility loss leaves those alone.

    Args:
        num_keypoints: `K'`, keypoints of the target schema.
        mapping: pairs (source, target); a source of two indices means their middle, visible
            when both are. Or the name of a mapping, such as "aic->coco"
            (`poise data mappings` lists them).
        derived: of a named mapping take also the middles of two keypoints, and keypoints that
            only lie nearby; else those alone that the annotations measured.

    Raises:
        ArgumentError: a pair of another form, an index outside the schema, or a named mapping to
            another number of keypoints.
        DataError: a source index that the annotations do not have.

    Example:
        >>> converter = KeypointConverter(3, [(0, 2), ((0, 1), 0)])
        >>> results = converter({"keypoints": np.array([[[0.0, 0.0], [4.0, 2.0]]])})
        >>> results["keypoints"].tolist()
        [[[2.0, 1.0], [0.0, 0.0], [0.0, 0.0]]]
        >>> results["keypoints_visible"][..., 0].tolist()
        [[1.0, 0.0, 1.0]]
    """

    def __init__(
        self, num_keypoints: int, mapping: Sequence[Pair] | str, *, derived: bool = False
    ) -> None:
        self.num_keypoints = num_keypoints
        if isinstance(mapping, str):
            mapping = _named_pairs(mapping, num_keypoints, derived)
        self.mapping = mapping
        pairs = [_checked_pair(pair, num_keypoints) for pair in mapping]
        self.source_index = [first for first, _, _ in pairs]
        self.target_index = [target for _, _, target in pairs]
        self._second_index = [second for _, second, _ in pairs]
        self.interpolation = any(isinstance(source, (list, tuple)) for source, _ in mapping)
        if self.interpolation:
            self.source_index2 = self._second_index

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change `keypoints` to (N, K', 2) and `keypoints_visible` to (N, K', 2), float64.

        With `keypoints_3d` that one is converted, too, and gives `keypoints` (its x and y) and
        `lifting_target`. `flip_indices` stays the source dataset's; with middles it is
        shortened to the mapping's length, as in MMPose.
        """
        # COCO-WholeBody has the key and no coordinates
        is_3d = results.get("keypoints_3d") is not None
        source = results["keypoints_3d" if is_3d else "keypoints"]
        people, have = results["keypoints"].shape[:2]
        self._check_sources(have)
        visible = results.get("keypoints_visible")
        if visible is None:
            visible = np.ones((people, have))
        if visible.ndim > 2:
            visible = visible[:, :, 0]

        keypoints = np.zeros((people, self.num_keypoints, 3))
        new_visible = np.zeros((people, self.num_keypoints))
        known = np.zeros((people, self.num_keypoints))
        known[:, self.target_index] = 1.0
        first, second, target = self.source_index, self._second_index, self.target_index
        if self.interpolation:
            moved = 0.5 * (source[:, first] + source[:, second])
            new_visible[:, target] = visible[:, first] * visible[:, second]
        else:
            moved = source[:, first]
            new_visible[:, target] = visible[:, first]
        keypoints[:, target, : source.shape[-1]] = moved

        results["keypoints"] = keypoints[..., :2]
        results["keypoints_visible"] = np.stack([new_visible, known], axis=2)
        if is_3d:
            frames = results["target_idx"]
            results["keypoints_3d"] = keypoints
            results["lifting_target"] = keypoints[frames]
            results["lifting_target_visible"] = new_visible[frames]
        results["flip_indices"] = self._flip_indices(results.get("flip_indices"))
        return results

    def _check_sources(self, have: int) -> None:
        highest = max(self.source_index + self._second_index, default=-1)
        if highest >= have:
            raise DataError(
                f"KeypointConverter maps source keypoint {highest}, but the annotations have "
                f"{have} keypoints (0..{have - 1}); does the mapping belong to this dataset?"
            )

    def _flip_indices(self, indices: list[int] | None) -> list[int] | None:
        """Flip partners; rewritten one by one where the mapping takes middles.

        Later entries see earlier rewrites, which is how MMPose's numbers come about.
        """
        if indices is None or not self.interpolation:
            return indices
        rewritten = list(indices)
        rewritten += range(len(rewritten), len(self.source_index))
        for place, (one, two) in enumerate(zip(self.source_index, self._second_index, strict=True)):
            partner = rewritten[one] if one == two else place
            rewritten[place] = partner if partner < self.num_keypoints else place
        return rewritten[: len(self.source_index)]


def _named_pairs(name: str, num_keypoints: int, derived: bool) -> list[Pair]:
    mapping = conversions.named(name)
    if len(mapping.joints) != num_keypoints:
        raise ArgumentError(
            f"KeypointConverter: '{name}' gives the {len(mapping.joints)} keypoints of "
            f"{mapping.target}, but num_keypoints={num_keypoints}"
        )
    return mapping.pairs(derived=derived)


def _checked_pair(pair: Any, num_keypoints: int) -> tuple[int, int, int]:
    """(first source, second source, target); both sources are equal for a plain pair."""
    is_pair = isinstance(pair, (list, tuple)) and len(pair) == 2
    source = pair[0] if is_pair else None
    if isinstance(source, (list, tuple)) and len(source) == 2:
        first, second = source
    else:
        first = second = source
    if not is_pair or not all(isinstance(n, (int, np.integer)) for n in (first, second, pair[1])):
        raise ArgumentError(
            "each pair of KeypointConverter's mapping is (source, target) or "
            f"((source, source), target), whole numbers, got {pair!r}"
        )
    if min(first, second) < 0:
        raise ArgumentError(f"KeypointConverter: source indices count from 0, got {pair!r}")
    if not 0 <= pair[1] < num_keypoints:
        raise ArgumentError(
            f"KeypointConverter: target index {pair[1]} of pair {pair!r} is outside the target's "
            f"num_keypoints={num_keypoints}"
        )
    return int(first), int(second), int(pair[1])


@TRANSFORMS.register_module()
class SingleHandConverter(BaseTransform):
    """Put the keypoints of a single hand at their places in a schema of two hands.

    Args:
        num_keypoints: keypoints of the target schema.
        left_hand_mapping, right_hand_mapping: pairs, or the name of a mapping such as
            "coco_wholebody_hand->coco_wholebody/left", as in `KeypointConverter`.
        mmpose_faults: MMPose's comparison takes every hand for a left one; False looks at the
            hand type.

    Raises:
        DataError: a hand type that is neither left, (0, 1), nor right, (1, 0).
    """

    def __init__(
        self,
        num_keypoints: int,
        left_hand_mapping: Sequence[Pair] | str,
        right_hand_mapping: Sequence[Pair] | str,
        *,
        mmpose_faults: bool = True,
    ) -> None:
        self.num_keypoints = num_keypoints
        self.left_hand_converter = KeypointConverter(num_keypoints, left_hand_mapping)
        self.right_hand_converter = KeypointConverter(num_keypoints, right_hand_mapping)
        self.mmpose_faults = mmpose_faults

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change keypoints as `KeypointConverter` does; `hand_type` (N, 2) says which hand."""
        hand_type = np.asarray(results["hand_type"], dtype=float)
        is_left = is_right = False
        if self.mmpose_faults:
            is_left = bool((hand_type - [0, 1]).sum() <= 1e-6)
        else:
            is_left = bool(np.allclose(hand_type, [0, 1]))
            is_right = bool(np.allclose(hand_type, [1, 0]))
        if not is_left and not is_right:
            raise DataError(
                "SingleHandConverter needs one hand a sample, hand_type (0, 1) for left or "
                f"(1, 0) for right, got {hand_type.tolist()}"
            )
        converter = self.left_hand_converter if is_left else self.right_hand_converter
        return converter(results)
