"""Boxes around detectors: the caller's, those between two runs of a detector, those of tiles.

`files` checks and reads boxes, `given` hands out the caller's picture by picture, `propagation`
says where people are in frames that no detector saw, `tiling` cuts large pictures into tiles and
joins what was found in them.
"""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "files": "BoxFile Boxes check_boxes parse_boxes read_boxes",
        "given": "GivenBoxes",
        "propagation": "PoseBoxes interpolate_boxes",
        "tiling": "Tiling Views",
    },
)
