"""From 2D poses to 3D poses.

`stage` lifts results, person by person, with one of the `networks`; `poses` brings keypoints into
the form that networks take, and what they give upright.
"""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "poses": "SPACE_3D upright",
        "stage": "LiftingStage build_lifter is_lifter",
    },
)
