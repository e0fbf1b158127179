"""Backbones: networks from pictures to feature maps."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "base": "BaseBackbone",
        "csp": "CSPDarknet CSPNeXt",
        "hrnet": "HRNet",
        "mobilenet_v2": "MobileNetV2",
        "movenet": "MoveNetBackbone",
        "resnet": "ResNet ResNetV1d",
        "resnext": "ResNeXt",
    },
)
