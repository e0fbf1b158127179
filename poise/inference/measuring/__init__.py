"""Measures of motion: joint angles, their rates and ranges, steps.

`joints` makes angles of `points` that keypoints give, with signs by `views`; `people` measures
whole tracks; `steps` finds contacts of feet; `files` writes tables. The angles themselves are in
`poise.schemas.angles`.
"""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "joints": "JointAngles joint_angles",
        "people": "Measured Measuring Person measure_person",
        "steps": "Steps find_steps",
    },
)
