"""`MMPoseInferencer` for one kind of model each, with the arguments of MMPose's classes."""

from __future__ import annotations

from typing import Any

from poise.apis.inferencer import MMPoseInferencer

__all__ = ["Hand3DInferencer", "Pose2DInferencer", "Pose3DInferencer", "get_model_aliases"]

#: name and checkpoint of a 2D and of a 3D model
_Models = tuple[str | None, str | None, str | None, str | None]


class Pose2DInferencer(MMPoseInferencer):
    """2D poses of pictures, videos and cameras; arguments and answers as of `MMPoseInferencer`.

    Args:
        model: model name, alias ("human" ...) or config file.
        weights: checkpoint.
    """

    def __init__(
        self,
        model: str,
        weights: str | None = None,
        device: str | None = None,
        scope: str = "mmpose",
        det_model: Any = None,
        det_weights: str | None = None,
        det_cat_ids: Any = None,
        show_progress: bool = False,
    ) -> None:
        detector = (det_model, det_weights, det_cat_ids)
        models = self._models(model, weights)
        super().__init__(*models, device, scope, *detector, show_progress)

    @staticmethod
    def _models(model: str, weights: str | None) -> _Models:
        """Names and checkpoints as `MMPoseInferencer` takes them: 2D, then 3D."""
        return model, weights, None, None


class Pose3DInferencer(MMPoseInferencer):
    """3D poses by a 2D model and a lifter.

    Args:
        model: lifter: model name, alias ("human3d") or config file.
        weights: its checkpoint.
        pose2d_model: 2D model; None is "human".
        pose2d_weights: its checkpoint.
    """

    def __init__(
        self,
        model: str,
        weights: str | None = None,
        pose2d_model: str | None = None,
        pose2d_weights: str | None = None,
        device: str | None = None,
        scope: str = "mmpose",
        det_model: Any = None,
        det_weights: str | None = None,
        det_cat_ids: Any = None,
        show_progress: bool = False,
    ) -> None:
        models = (pose2d_model, pose2d_weights, model, weights)
        detector = (det_model, det_weights, det_cat_ids)
        super().__init__(*models, device, scope, *detector, show_progress)


class Hand3DInferencer(Pose2DInferencer):
    """3D poses of hands in pictures.

    Args:
        model: model name, alias ("hand3d") or config file.
        weights: checkpoint.
    """

    @staticmethod
    def _models(model: str, weights: str | None) -> _Models:
        return None, None, model, weights


def get_model_aliases(scope: str = "mmpose") -> dict[str, str]:
    """Short names of models ("human", "rtmo" ...) and the models that they stand for."""
    from poise.zoo.index import models

    return {alias: model.name for model in models().values() for alias in model.aliases}
