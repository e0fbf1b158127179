"""Backbones: networks from pictures to feature maps."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "base": "BaseBackbone",
        "cpm": "CPM",
        "csp": "CSPDarknet CSPNeXt",
        "hourglass": "HourglassAENet HourglassNet",
        "hrnet": "HRNet",
        "mobilenet_v2": "MobileNetV2",
        "mobilenet_v3": "MobileNetV3",
        "movenet": "MoveNetBackbone",
        "multi_stage": "MSPN RSN",
        "resnest": "ResNeSt",
        "resnet": "ResNet ResNetV1d",
        "resnext": "ResNeXt",
        "scnet": "SCNet",
        "seresnet": "SEResNeXt SEResNet",
        "shufflenet": "ShuffleNetV1 ShuffleNetV2",
        "tcn": "TCN",
        "vgg": "AlexNet VGG",
        "vision_transformer": "VisionTransformer",
        "vipnas": "ViPNAS_MobileNetV3 ViPNAS_ResNet",
    },
)
