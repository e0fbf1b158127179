"""Estimators: whole models that answer `forward(inputs, data_samples, mode)`."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "base": "BasePoseEstimator",
        "bottomup": "BottomupPoseEstimator",
        "few_shot": "PoseAnythingModel",
        "lifter": "PoseLifter",
        "topdown": "TopdownPoseEstimator",
        "topdown_3d": "TopdownPoseEstimator3D",
    },
)
