"""Models as files that other runtimes read; `export_model` is where to begin.

`plans` says what of each kind of model goes into a file, `forms` writes files, `checks` runs a file
beside its model; `exporting` does one after the other, `int8` finds what can have 8 bits, and `web`
makes web pages of files.
"""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "exporting": "Pictured export_detector export_model export_onnx",
        "checks.accuracy": "Accuracy",
        "checks.looking": "finds_boxes needs_boxes",
        "checks.parity": "Difference Report",
        "checks.pictures": "Pictures",
        "plans.description": "describe_model",
        "web.page": "export_page",
    },
)
