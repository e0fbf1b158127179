"""Several cameras: where they stand, who is who in all of them, keypoints in metres.

`calibrating` finds cameras by pictures of `boards` (`lens_calibration`, `placing`, `bundle`),
`people` by the people whom they see; `camera_files` reads and writes them. `triangulating` puts
views together: `views` are the numbers of each, `association` says who is who, `reconstruction`
places keypoints, and `summary` tells how well. `timing` finds offsets, for calibrated cameras and
others, by `tracks` of people and what two pictures of a point have in common (`epipolar`).
"""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "boards": "Board",
        "calibrating": "Calibrated calibrate_cameras",
        "camera_files": "read_cameras write_cameras",
        "people.calibrating": "calibrate_from_people",
        "triangulating": "Reconstruction triangulate",
        "views": "match_cameras",
    },
)
