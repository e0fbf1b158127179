"""Head settings of MMPose before 1.0.0rc2, moved to where they are now.

Selecting and resizing feature maps was the head's task once; today a neck does it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from poise.errors import one_of

__all__ = ["modernise"]

#: arguments that heads no longer have
_OUTDATED = ("input_transform", "input_index", "align_corners", "extra", "has_final_layer")


def _final_layer(kernel_size: int) -> dict[str, int]:
    if kernel_size > 1:
        return {"kernel_size": kernel_size, "padding": kernel_size // 2}
    return {"kernel_size": kernel_size}


def _select(head: dict[str, Any], index: Any, align_corners: bool) -> dict[str, Any]:
    """Neck that picks feature maps; the head's `in_channels` follow."""
    neck: dict[str, Any] = {"type": "FeatureMapProcessor", "select_index": index}
    channels = head["in_channels"]
    if isinstance(channels, (list, tuple)):
        many = isinstance(index, (list, tuple))
        head["in_channels"] = tuple(channels[i] for i in index) if many else channels[index]
    return {**neck, "align_corners": True} if align_corners else neck


def _concat(head: dict[str, Any], index: Any, align_corners: bool) -> dict[str, Any]:
    """Neck that resizes feature maps and joins their channels."""
    head["in_channels"] = sum(head["in_channels"][i] for i in index)
    neck = {"type": "FeatureMapProcessor", "concat": True, "select_index": index}
    return {**neck, "align_corners": True} if align_corners else neck


def modernise(neck: Any, head: Any) -> tuple[Any, Any]:
    """Return neck and head configs in today's form; anything but an old config as it is.

    Args:
        neck: config, module or None.
        head: config, module or None.

    Raises:
        ConfigError: `input_transform` is unknown.
    """
    if not isinstance(head, Mapping) or not any(key in head for key in _OUTDATED):
        return neck, head
    new = {key: value for key, value in head.items() if key not in _OUTDATED}
    transform = one_of(
        head.get("input_transform", "select"), ("select", "resize_concat"), "head: input_transform"
    )
    index = head.get("input_index", (-1,))
    align_corners = head.get("align_corners", False)
    added: dict[str, Any] = {}
    if transform == "resize_concat":
        added = _concat(new, index, align_corners)
    elif index not in ((-1,), [-1]):
        added = _select(new, index, align_corners)
    extra = head.get("extra") or {}
    if "final_conv_kernel" in extra:
        new["final_layer"] = _final_layer(extra["final_conv_kernel"])
    if "upsample" in extra:
        added |= {
            "type": "FeatureMapProcessor",
            "scale_factor": float(extra["upsample"]),
            "apply_relu": True,
        }
    if not head.get("has_final_layer", True):
        new.setdefault("final_layer", None)
    used = [key for key in _OUTDATED if key in head]
    warnings.warn(
        f"the head's settings {used} are outdated; the same today: head={new}"
        + (f", neck={added}" if added else ""),
        stacklevel=4,
    )
    return ({**(neck or {}), **added} or None) if added else neck, new
