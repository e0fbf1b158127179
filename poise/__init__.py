"""Poise: pose estimation for PyTorch, with MMPose's configs, weights and numbers."""

from poise._lazy import attach

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "poise.config": "Config ConfigDict",
        "poise.zoo": "load_config",
        "poise.models.build": "build_model load_model",
        "poise.inference": "Inferencer",
        "poise.inference.multiview": "triangulate",
        "poise.structures": "InstanceData PixelData MultilevelPixelData PoseDataSample",
        "poise.errors": "PoiseError ConfigError DataError CheckpointError UnknownNameError",
    },
)
