"""Several cameras: calibration, who is who in all views, keypoints in metres."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "camera_files": "read_cameras write_cameras",
        "triangulating": "Reconstruction triangulate",
        "views": "match_cameras",
    },
)
