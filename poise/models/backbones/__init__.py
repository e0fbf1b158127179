"""Backbones: networks from pictures to feature maps."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "alexnet": "AlexNet",
        "base": "BaseBackbone",
        "cpm": "CPM",
        "csp": "CSPDarknet CSPNeXt",
        "dstformer": "DSTFormer",
        "hourglass": "HourglassAENet HourglassNet",
        "hrformer": "HRFormer",
        "hrnet": "HRNet",
        "lite_hrnet": "LiteHRNet",
        "mobilenet_v2": "MobileNetV2",
        "mobilenet_v3": "MobileNetV3",
        "movenet": "MoveNetBackbone",
        "multi_stage": "MSPN RSN",
        "pvt": "PyramidVisionTransformer PyramidVisionTransformerV2",
        "regnet": "RegNet",
        "resnest": "ResNeSt",
        "resnet": "ResNet ResNetV1d",
        "resnext": "ResNeXt",
        "scnet": "SCNet",
        "seresnet": "SEResNeXt SEResNet",
        "shufflenet": "ShuffleNetV1 ShuffleNetV2",
        "swin": "SwinTransformer",
        "swin_v2": "SwinTransformerV2",
        "tcn": "TCN",
        "timm_backbone": "TIMMBackbone",
        "uniformer": "UniFormer",
        "v2v_net": "V2VNet",
        "vgg": "VGG",
        "vision_transformer": "VisionTransformer",
        "vipnas": "ViPNAS_MobileNetV3 ViPNAS_ResNet",
    },
)
