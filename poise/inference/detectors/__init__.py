"""Who is where: from pictures to boxes, so that a top-down model knows where to look."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "base": "BatchDetector SelectingDetector",
        "build": "build_detector",
        "nanodet": "NanoDetDetector",
        "network": "NetworkDetector",
        "onnx_file": "OnnxDetector",
        "simple": "CallableDetector FixedBoxes WholeImage",
        "targets": "shows_people target_of",
        "torchvision_model": "TorchvisionDetector",
    },
)
