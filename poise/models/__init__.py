"""Models: backbones, necks, heads, and the estimators that join them."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "build": "build_model load_model",
        "estimators.base": "BasePoseEstimator",
        "estimators.topdown": "TopdownPoseEstimator",
        "heads": "",
        "heads.base": "BaseHead",
        "backbones": "",
        "estimators": "",
        "necks": "",
        "preprocessors": "",
        "preprocessors.pose": "PoseDataPreprocessor",
    },
)
