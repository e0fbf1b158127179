"""Where each registered name of the kind `models` lives."""

TABLE: dict[str, dict[str, str]] = {
    "mmpose": {
        # layers
        "poise.layers.norms": "FrozenBatchNorm2d",
        # backbones
        # necks
    },
    # torch's own layers under MMCV's names; plain torch names need no row
    "mmcv": {
        "torch.nn": "Conv=Conv2d deconv=ConvTranspose2d deconv3d=ConvTranspose3d "
        "BN=BatchNorm2d BN1d=BatchNorm1d BN2d=BatchNorm2d BN3d=BatchNorm3d SyncBN=SyncBatchNorm "
        "GN=GroupNorm LN=LayerNorm IN=InstanceNorm2d IN1d=InstanceNorm1d IN2d=InstanceNorm2d "
        "IN3d=InstanceNorm3d HSwish=Hardswish zero=ZeroPad2d reflect=ReflectionPad2d "
        "replicate=ReplicationPad2d nearest=Upsample bilinear=Upsample",
        "poise.layers.activations": "Clamp Clip=Clamp HSigmoid Swish",
        "poise.layers.conv_module": "ConvModule DepthwiseSeparableConvModule",
        "poise.layers.deform_conv": "DeformConv=DeformConv2d DCN=DeformConv2dPack "
        "DCNv2=ModulatedDeformConv2dPack",
        "poise.layers.drop": "DropPath Dropout",
        "poise.layers.upsample": "pixel_shuffle=PixelShufflePack",
    },
    # no scope of MMPose has these, but its configs may name them bare
    "poise": {
        "poise.layers.norms": "LN2d=LayerNorm2d",
    },
    "mmpretrain": {
        "poise.layers.norms": "LN2d=LayerNorm2d",
    },
    "poise": {
        "poise.models.backbones.movenet": "MoveNetBackbone",
        "poise.models.heads.movenet": "MoveNetHead",
        "poise.models.necks.movenet": "MoveNetFPN",
    },
}
