"""Boxes that no detector finds: the caller's, and those between two runs of the detector.

`files` checks and reads boxes, `given` hands out the caller's picture by picture, `propagation`
says where people are in frames that no detector saw.
"""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "files": "BoxFile Boxes check_boxes parse_boxes read_boxes",
        "given": "GivenBoxes",
        "propagation": "PoseBoxes interpolate_boxes",
    },
)
