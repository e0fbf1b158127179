"""Who is who from frame to frame."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "stage": "build_tracker Follow TrackingStage",
        "tracker": "PoseTracker NO_TRACK",
    },
)
