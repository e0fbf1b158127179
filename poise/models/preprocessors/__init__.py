"""From a batch of packed samples to what a model's `forward` takes."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "base": "BaseDataPreprocessor ImgDataPreprocessor",
        "batch_resize": "BatchSyncRandomResize",
        "detection": "DetDataPreprocessor",
        "pose": "PoseDataPreprocessor",
    },
)
