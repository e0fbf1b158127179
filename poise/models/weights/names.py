"""Names of pretrained backbones in configs -> addresses of their files.

Data: the model lists of MMClassification and MMEngine, for the families that Poise has.
"""
# ruff: noqa: E501 (addresses)

from __future__ import annotations

__all__ = ["MMCLS", "MMCLS_BASE", "OPENMMLAB", "OPENMMLAB_BASE", "RENAMED"]

#: names that are no longer used -> their present form
RENAMED = {
    "resnet50_caffe": "detectron/resnet50_caffe",
    "resnet50_caffe_bgr": "detectron2/resnet50_caffe_bgr",
    "resnet101_caffe": "detectron/resnet101_caffe",
    "resnet101_caffe_bgr": "detectron2/resnet101_caffe_bgr",
}

MMCLS_BASE = "https://download.openmmlab.com/mmclassification/v0/"

#: name after `mmcls://` -> path under MMCLS_BASE; their keys start with `backbone.`
MMCLS = {
    "vgg11": "vgg/vgg11_batch256_imagenet_20210208-4271cd6c.pth",
    "vgg13": "vgg/vgg13_batch256_imagenet_20210208-4d1d6080.pth",
    "vgg16": "vgg/vgg16_batch256_imagenet_20210208-db26f1a5.pth",
    "vgg19": "vgg/vgg19_batch256_imagenet_20210208-e6920e4a.pth",
    "vgg11_bn": "vgg/vgg11_bn_batch256_imagenet_20210207-f244902c.pth",
    "vgg13_bn": "vgg/vgg13_bn_batch256_imagenet_20210207-1a8b7864.pth",
    "vgg16_bn": "vgg/vgg16_bn_batch256_imagenet_20210208-7e55cd29.pth",
    "vgg19_bn": "vgg/vgg19_bn_batch256_imagenet_20210208-da620c4f.pth",
    "resnet18": "resnet/resnet18_8xb32_in1k_20210831-fbbb1da6.pth",
    "resnet34": "resnet/resnet34_8xb32_in1k_20210831-f257d4e6.pth",
    "resnet50": "resnet/resnet50_8xb32_in1k_20210831-ea4938fc.pth",
    "resnet101": "resnet/resnet101_8xb32_in1k_20210831-539c63f8.pth",
    "resnet152": "resnet/resnet152_8xb32_in1k_20210901-4d7582fa.pth",
    "resnet50_v1d": "resnet/resnetv1d50_b32x8_imagenet_20210531-db14775a.pth",
    "resnet101_v1d": "resnet/resnetv1d101_b32x8_imagenet_20210531-6e13bcd3.pth",
    "resnet152_v1d": "resnet/resnetv1d152_b32x8_imagenet_20210531-278cf22a.pth",
    "resnext50_32x4d": "resnext/resnext50_32x4d_b32x8_imagenet_20210429-56066e27.pth",
    "resnext101_32x4d": "resnext/resnext101_32x4d_b32x8_imagenet_20210506-e0fa3dd5.pth",
    "resnext101_32x8d": "resnext/resnext101_32x8d_b32x8_imagenet_20210506-23a247d5.pth",
    "resnext152_32x4d": "resnext/resnext152_32x4d_b32x8_imagenet_20210524-927787be.pth",
    "se-resnet50": "se-resnet/se-resnet50_batch256_imagenet_20200804-ae206104.pth",
    "se-resnet101": "se-resnet/se-resnet101_batch256_imagenet_20200804-ba5b51d4.pth",
    "resnest50": "resnest/resnest50_imagenet_converted-1ebf0afe.pth",
    "resnest101": "resnest/resnest101_imagenet_converted-032caa52.pth",
    "resnest200": "resnest/resnest200_imagenet_converted-581a60f2.pth",
    "resnest269": "resnest/resnest269_imagenet_converted-59930960.pth",
    "shufflenet_v1": "shufflenet_v1/shufflenet_v1_batch1024_imagenet_20200804-5d6cec73.pth",
    "shufflenet_v2": "shufflenet_v2/shufflenet_v2_batch1024_imagenet_20200812-5bf4721e.pth",
    "mobilenet_v2": "mobilenet_v2/mobilenet_v2_batch256_imagenet_20200708-3b2dc3af.pth",
    "mobilenet_v3_small": "mobilenet_v3/convert/mobilenet_v3_small-8427ecf0.pth",
    "mobilenet_v3_large": "mobilenet_v3/convert/mobilenet_v3_large-3ea3c186.pth",
    "swin_tiny": "swin-transformer/swin_tiny_224_b16x64_300e_imagenet_20210616_090925-66df6be6.pth",
    "swin_small": "swin-transformer/swin_small_224_b16x64_300e_imagenet_20210615_110219-7f9d988b.pth",
    "swin_base": "swin-transformer/convert/swin_base_patch4_window7_224_22kto1k-f967f799.pth",
    "swin_large": "swin-transformer/convert/swin_large_patch4_window7_224_22kto1k-5f0996db.pth",
    "vit_base_p16": "vit/finetune/vit-base-p16_in21k-pre-3rdparty_ft-64xb64_in1k-384_20210928-98e8652b.pth",
    "vit_base_p32": "vit/finetune/vit-base-p32_in21k-pre-3rdparty_ft-64xb64_in1k-384_20210928-9cea8599.pth",
    "vit_large_p16": "vit/finetune/vit-large-p16_in21k-pre-3rdparty_ft-64xb64_in1k-384_20210928-b20ba619.pth",
}

OPENMMLAB_BASE = "https://download.openmmlab.com/pretrain/third_party/"

#: name after `open-mmlab://` -> path under OPENMMLAB_BASE
OPENMMLAB = {
    "vgg16_caffe": "vgg16_caffe-292e1171.pth",
    "detectron/resnet50_caffe": "resnet50_caffe-788b5fa3.pth",
    "detectron2/resnet50_caffe": "resnet50_msra-5891d200.pth",
    "detectron/resnet101_caffe": "resnet101_caffe-3ad79236.pth",
    "detectron2/resnet101_caffe": "resnet101_msra-6cc46731.pth",
    "detectron2/resnext101_32x8d": "resnext101_32x8d-1516f1aa.pth",
    "resnext50_32x4d": "resnext50-32x4d-0ab1a123.pth",
    "resnext101_32x4d": "resnext101_32x4d-a5af3160.pth",
    "resnext101_64x4d": "resnext101_64x4d-ee2c6f71.pth",
    "contrib/resnet50_gn": "resnet50_gn_thangvubk-ad1730dd.pth",
    "detectron/resnet50_gn": "resnet50_gn-9186a21c.pth",
    "detectron/resnet101_gn": "resnet101_gn-cac0ab98.pth",
    "jhu/resnet50_gn_ws": "resnet50_gn_ws-15beedd8.pth",
    "jhu/resnet101_gn_ws": "resnet101_gn_ws-3e3c308c.pth",
    "jhu/resnext50_32x4d_gn_ws": "resnext50_32x4d_gn_ws-0d87ac85.pth",
    "jhu/resnext101_32x4d_gn_ws": "resnext101_32x4d_gn_ws-34ac1a9e.pth",
    "jhu/resnext50_32x4d_gn": "resnext50_32x4d_gn-c7e8b754.pth",
    "jhu/resnext101_32x4d_gn": "resnext101_32x4d_gn-ac3bb84e.pth",
    "msra/hrnetv2_w18_small": "hrnetv2_w18_small-b5a04e21.pth",
    "msra/hrnetv2_w18": "hrnetv2_w18-00eb2006.pth",
    "msra/hrnetv2_w32": "hrnetv2_w32-dc9eeb4f.pth",
    "msra/hrnetv2_w40": "hrnetv2_w40-ed0b031c.pth",
    "msra/hrnetv2_w48": "hrnetv2_w48-d2186c55.pth",
    "regnetx_400mf": "regnetx_400mf-a5b10d96.pth",
    "regnetx_800mf": "regnetx_800mf-1f4be4c7.pth",
    "regnetx_1.6gf": "regnetx_1.6gf-5791c176.pth",
    "regnetx_3.2gf": "regnetx_3.2gf-c2599b0f.pth",
    "regnetx_4.0gf": "regnetx_4.0gf-a88f671e.pth",
    "regnetx_6.4gf": "regnetx_6.4gf-006af45d.pth",
    "regnetx_8.0gf": "regnetx_8.0gf-3c68abe7.pth",
    "regnetx_12gf": "regnetx_12gf-4c2a3350.pth",
    "resnet18_v1c": "resnet18_v1c-b5776b93.pth",
    "resnet50_v1c": "resnet50_v1c-2cccc1ad.pth",
    "resnet101_v1c": "resnet101_v1c-e67eebb6.pth",
    "contrib/mobilenet_v3_large": "mobilenet_v3_large-bc2c3fd3.pth",
    "contrib/mobilenet_v3_small": "mobilenet_v3_small-47085aa1.pth",
    "resnest50": "resnest50_d2-7497a55b.pth",
    "resnest101": "resnest101_d2-f3b931b2.pth",
    "resnest200": "resnest200_d2-ca88e41f.pth",
}
