"""Models as files that other runtimes read."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "accuracy": "Accuracy",
        "exporting": "Pictured export_model export_onnx",
        "detector": "export_detector",
        "description": "describe_model",
        "looking": "needs_boxes",
        "parity": "Difference Report",
        "pictures": "Pictures",
    },
)
