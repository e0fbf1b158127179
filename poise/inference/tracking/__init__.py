"""Who is who from frame to frame.

`stage` gives results their ids by `tracker`, which is made of `association` (who is like whom) and
`people` (a frame's people as arrays), or by a tracker of other `libraries`.
"""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "stage": "build_tracker Follow TrackingStage",
        "tracker": "PoseTracker NO_TRACK",
    },
)
