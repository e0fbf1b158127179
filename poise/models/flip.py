"""Flip test: predict a picture and its mirror image, mirror the second answer back, average.

Written once for all heads. A head says how its outputs are mirrored (`BaseHead.unflip`), with
the functions of this module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from poise.errors import DataError, KeypointCountError, one_of

__all__ = [
    "aggregate_heatmaps",
    "flip_coordinates",
    "flip_heatmaps",
    "flip_sequences",
    "flip_test",
    "flip_vectors",
    "flip_visibility",
    "unflip_coordinates",
    "unflip_heatmaps",
    "unflip_vectors",
]

#: flip mode -> (channels a keypoint, index of the channel that holds x offsets); in "offset"
#: mode a keypoint has all channels that the number of keypoints leaves it, x first
_FLIP_MODES: dict[str, tuple[int, int | None]] = {
    "heatmap": (1, None),
    "udp_combined": (3, 1),
    "offset": (2, 0),
}


def _check_flip_indices(flip_indices: Sequence[int], count: int, what: str) -> None:
    if len(flip_indices) != count:
        raise KeypointCountError(
            f"flip test: the head predicts {what} for {count} keypoints, but the dataset's "
            f"metainfo has {len(flip_indices)} flip indices. Train and test on the same "
            "keypoints, give the model `metainfo` with as many, or set "
            "test_cfg=dict(flip_test=False)"
        )


def flip_heatmaps(
    heatmaps: Tensor,
    flip_indices: Sequence[int] | None = None,
    flip_mode: str = "heatmap",
    shift_heatmap: bool = True,
) -> Tensor:
    """Mirror heatmaps and swap those of left and right keypoints.

    Args:
        heatmaps: (B, C, H, W), output space; not changed.
        flip_indices: index of each keypoint's mirror image; None swaps nothing.
        flip_mode: "heatmap" (a channel a keypoint), "udp_combined" (response, x and y
            offset a keypoint) or "offset" (x and y a keypoint); x offsets change sign.
        shift_heatmap: move the result one pixel to the right, as pictures that were scaled
            by size and not by size - 1 need (Huang 2020, UDP, section 3.2).

    Raises:
        ConfigError: unknown `flip_mode`.
        DataError: as many flip indices as keypoints are needed.
    """
    size, x_channel = _FLIP_MODES[one_of(flip_mode, _FLIP_MODES, "flip_mode")]
    keypoints = heatmaps.shape[1] // size
    if flip_indices is not None:
        _check_flip_indices(flip_indices, keypoints, "heatmaps")
    maps = heatmaps.unflatten(1, (keypoints, -1)).flip(-1)
    if flip_indices is not None:
        maps = maps[:, list(flip_indices)]
    if x_channel is not None:
        maps[:, :, x_channel] *= -1
    maps = maps.flatten(1, 2)
    if shift_heatmap:
        # the first column stays as it is
        maps[..., 1:] = maps[..., :-1].clone()
    return maps


def flip_vectors(
    x_labels: Tensor, y_labels: Tensor, flip_indices: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Mirror distributions over x bins; swap left and right in both.

    Args:
        x_labels: (B, K, Wx).
        y_labels: (B, K, Wy).
        flip_indices: index of each keypoint's mirror image.

    Raises:
        DataError: as many flip indices as keypoints are needed.
    """
    _check_flip_indices(flip_indices, x_labels.shape[1], "x distributions")
    _check_flip_indices(flip_indices, y_labels.shape[1], "y distributions")
    order = list(flip_indices)
    return x_labels[:, order].flip(-1), y_labels[:, order]


def flip_coordinates(
    coords: Tensor,
    flip_indices: Sequence[int],
    shift_coords: bool,
    input_size: Sequence[int],
) -> Tensor:
    """Mirror coordinates that are normalised to 0..1; swap left and right.

    Args:
        coords: (B, K, D), x first; not changed.
        flip_indices: index of each keypoint's mirror image.
        shift_coords: move the result one input pixel to the left.
        input_size: (width, height) of the input in pixels.

    Raises:
        DataError: as many flip indices as keypoints are needed.
    """
    _check_flip_indices(flip_indices, coords.shape[1], "coordinates")
    coords = coords[:, list(flip_indices)]
    x = 1.0 - coords[..., :1]
    if shift_coords:
        x = x - 1.0 / input_size[0]
    # joined, not written into: exported graphs have no such writing
    return torch.cat((x, coords[..., 1:]), dim=-1)


def flip_visibility(vis: Tensor, flip_indices: Sequence[int]) -> Tensor:
    """Swap left and right in visibilities (B, K).

    Raises:
        DataError: as many flip indices as keypoints are needed.
    """
    _check_flip_indices(flip_indices, vis.shape[1], "visibility")
    return vis[:, list(flip_indices)]


def aggregate_heatmaps(
    heatmaps: Sequence[Tensor],
    size: tuple[int, int] | None,
    align_corners: bool = False,
    mode: str = "average",
) -> Tensor:
    """Bring heatmaps of several stages or scales to one size and join them.

    Args:
        heatmaps: each (B, C, h, w).
        size: (width, height) of the result; None takes the first one's.
        align_corners: as in `torch.nn.functional.interpolate`.
        mode: "average", or "concat" along the channels.

    Raises:
        ConfigError: unknown `mode`.
        DataError: heatmaps that cannot be joined.
    """
    one_of(mode, ("average", "concat"), "mode")
    axes = 2 if mode == "average" else 1
    if any(h.shape[:axes] != heatmaps[0].shape[:axes] for h in heatmaps):
        raise DataError(f"cannot {mode} heatmaps of shapes {[tuple(h.shape) for h in heatmaps]}")
    target = tuple(heatmaps[0].shape[2:]) if size is None else (size[1], size[0])
    resized = [
        h
        if tuple(h.shape[2:]) == target
        else F.interpolate(h, size=target, mode="bilinear", align_corners=align_corners)
        for h in heatmaps
    ]
    if mode == "concat":
        return torch.cat(resized, dim=1)
    return torch.stack(resized).mean(dim=0)


def _mean(first: Any, second: Any) -> Any:
    """Average of two outputs of the same form; outputs that are None stay None."""
    if isinstance(first, (tuple, list)):
        return type(first)(_mean(a, b) for a, b in zip(first, second, strict=True))
    return None if first is None else (first + second) * 0.5


def flip_test(
    forward: Callable[[Any], Any],
    unflip: Callable[[Any, Mapping[str, Any], Mapping[str, Any]], Any],
    feats: Any,
    data_samples: Sequence[Any],
    test_cfg: Mapping[str, Any],
) -> Any:
    """Outputs for a test, averaged with those of the mirrored pictures where that is asked.

    Args:
        forward: features -> outputs (tensor, or nested tuples of tensors).
        unflip: (outputs of the mirror image, metainfo, test_cfg) -> outputs mirrored back.
        feats: features; with `test_cfg["flip_test"]` a list of two: picture, mirror image.
        data_samples: the first one's metainfo gives `flip_indices` and `input_size`.
        test_cfg: `flip_test`, and what `unflip` reads.

    Raises:
        DataError: flip test without two sets of features.
    """
    if not test_cfg.get("flip_test", False):
        return forward(feats)
    if not isinstance(feats, list) or len(feats) != 2:
        raise DataError(
            "flip test needs the features as a list of two: of the picture and of its mirror "
            f"image; got {type(feats).__name__}. Call the estimator, not the head, or set "
            "test_cfg=dict(flip_test=False)"
        )
    straight, mirrored = feats
    answer = forward(straight)
    return _mean(answer, unflip(forward(mirrored), data_samples[0].metainfo, test_cfg))


def unflip_heatmaps(
    outputs: Tensor, metainfo: Mapping[str, Any], test_cfg: Mapping[str, Any]
) -> Tensor:
    """`unflip` of heads that predict heatmaps; reads `flip_mode` and `shift_heatmap`."""
    return flip_heatmaps(
        outputs,
        flip_indices=metainfo["flip_indices"],
        flip_mode=test_cfg.get("flip_mode", "heatmap"),
        shift_heatmap=test_cfg.get("shift_heatmap", False),
    )


def unflip_coordinates(
    outputs: Tensor, metainfo: Mapping[str, Any], test_cfg: Mapping[str, Any]
) -> Tensor:
    """`unflip` of heads that predict normalised coordinates; reads `shift_coords`."""
    return flip_coordinates(
        outputs,
        flip_indices=metainfo["flip_indices"],
        shift_coords=test_cfg.get("shift_coords", True),
        input_size=metainfo["input_size"],
    )


def unflip_vectors(
    outputs: tuple[Tensor, Tensor], metainfo: Mapping[str, Any], test_cfg: Mapping[str, Any]
) -> tuple[Tensor, Tensor]:
    """`unflip` of heads that predict distributions over x and y bins."""
    return flip_vectors(*outputs, flip_indices=metainfo["flip_indices"])


def flip_sequences(
    outputs: Tensor, metainfo: Mapping[str, Any], test_cfg: Mapping[str, Any]
) -> Tensor:
    """Mirror keypoint sequences (B, T, K, D); `unflip` of heads that predict such.

    With `shift_coords` (the default) the mirror is at 0, else at 0.5.
    """
    mirrored = flip_coordinates(
        outputs.flatten(0, 1),
        flip_indices=metainfo["flip_indices"],
        shift_coords=test_cfg.get("shift_coords", True),
        input_size=(1, 1),
    )
    return mirrored.view_as(outputs)
