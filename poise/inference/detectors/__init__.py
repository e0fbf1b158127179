"""Who is where: from pictures to boxes, so that a top-down model knows where to look.

`build` makes a detector of whatever a caller names, for what the model looks at (`targets`);
`base` says what a detector is. `nanodet` comes inside the package, `network` runs those of the zoo,
`exported` and `onnx_file` files, `torchvision_model` that library's;
`simple` ones look at no pixels, `tiled` is one that looks at large pictures in parts.
"""

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
        "tiled": "TiledDetector",
        "torchvision_model": "TorchvisionDetector",
    },
)
