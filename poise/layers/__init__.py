"""Layers that networks share: blocks, builders by config, and how weights start."""

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "base": "BaseModule ModuleDict ModuleList Sequential",
        "init": "bias_init_with_prob caffe2_xavier_init constant_init kaiming_init normal_init "
        "trunc_normal_ trunc_normal_init uniform_init xavier_init",
        "initializers": "Caffe2XavierInit ConstantInit Initializer KaimingInit NormalInit "
        "TruncNormalInit UniformInit XavierInit initialize",
        "builders": "build_activation_layer build_conv_layer build_dropout build_norm_layer "
        "build_padding_layer build_plugin_layer build_upsample_layer infer_abbr is_norm",
        "conv2d": "Conv2d",
        "linear": "Linear",
        "conv_module": "ConvModule DepthwiseSeparableConvModule",
        "deform_conv": "DeformConv2d DeformConv2dPack ModulatedDeformConv2d "
        "ModulatedDeformConv2dPack",
        "activations": "Clamp HSigmoid Swish",
        "norms": "FrozenBatchNorm2d LayerNorm2d",
        "context": "ContextBlock",
        "drop": "DropPath Dropout drop_path drop_path_rates",
        "scale": "ChannelWiseScale LayerScale RMSNorm Scale ScaleNorm",
        "upsample": "PixelShufflePack resize",
        "channels": "channel_shuffle interleave make_divisible",
        "pooling": "MaxPool2d max_pool2d",
        "squeeze_excite": "SELayer",
        "inverted_residual": "InvertedResidual",
        "residual": "BasicBlock Bottleneck ResLayer get_expansion make_shortcut",
        "csp": "CSPLayer CSPNeXtBlock ChannelAttention DarknetBottleneck Focus SPPBottleneck",
        "rep_vgg": "RepVGGBlock",
        "patches": "AdaptivePadding PatchEmbed PatchMerging nchw_to_nlc nlc_to_nchw",
        "transformer": "FFN DetrTransformerEncoder DetrTransformerEncoderLayer MultiheadAttention",
        "window_attention": "WindowMSA",
        "recompute": "maybe_checkpoint",
    },
)
