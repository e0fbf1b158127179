"""The R-CNNs, SSDLite and YOLOv3 of MMPose's demos: detectors that predict.

Trees have what prediction needs, in the words of MMDetection 3.x.
"""

from __future__ import annotations

from poise.zoo.parts import detection
from poise.zoo.parts.assembly import Tree

__all__ = ["recipe"]

_RGB: Tree = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True)
_BN: Tree = dict(type="BN", requires_grad=True)
_STRIDES = [4, 8, 16, 32]
_PROPOSALS: Tree = dict(
    nms_pre=1000, max_per_img=1000, nms=dict(type="nms", iou_threshold=0.7), min_bbox_size=0
)
_FOUND: Tree = dict(score_thr=0.05, nms=dict(type="nms", iou_threshold=0.5), max_per_img=100)
#: by what moves of boxes are divided in the stages of the cascade
_DEVIATIONS = (0.1, 0.2), (0.05, 0.1), (0.033, 0.067)


def recipe(stem: str) -> Tree:
    """Config tree of one of these detectors."""
    one = stem.endswith(("_1class", "_onehand"))
    classes = 1 if one else 80
    start = stem.partition("_")[0]
    if start == "ssdlite":
        return _whole(_ssdlite(classes), (320, 320), keep_ratio=False, hands=one)
    if start == "yolov3":
        return _whole(_yolov3(classes), (320, 320))
    return _whole(_rcnn(start, classes), (1333, 800))


def _whole(
    model: Tree, scale: tuple[int, int], *, keep_ratio: bool = True, hands: bool = False
) -> Tree:
    """The config around a model: how pictures come to it."""
    image, _ = detection.load({})
    fit = dict(type="Resize", scale=scale, keep_ratio=keep_ratio)
    pipeline = [image, fit, dict(type="PackDetInputs", meta_keys=detection.META_KEYS)]
    options: Tree = dict(metainfo=dict(classes=("hand",))) if hands else {}
    test = detection.loader("val", detection.coco("val", pipeline, **options), 1, 2)
    metric = detection.evaluator()
    return dict(
        default_scope="mmdet",
        model=model,
        test_pipeline=pipeline,
        test_dataloader=test,
        test_evaluator=metric,
        test_cfg=dict(type="TestLoop"),
    )


def _preprocessor(divisor: int, pixels: Tree = _RGB) -> Tree:
    return dict(type="DetDataPreprocessor", pad_size_divisor=divisor, **pixels)


def _rcnn(kind: str, classes: int) -> Tree:
    """Faster, Mask or Cascade R-CNN over a feature pyramid."""
    cascade = kind == "cascade"
    backbone: Tree = dict(
        type="ResNeXt" if cascade else "ResNet",
        depth=101 if cascade else 50,
        **(dict(groups=64, base_width=4) if cascade else {}),
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        frozen_stages=1,
        norm_cfg=_BN,
        norm_eval=True,
        style="pytorch",
    )
    heads = [_box_head(classes, *pair, alike=cascade) for pair in _DEVIATIONS]
    roi_head: Tree = dict(
        type="CascadeRoIHead" if cascade else "StandardRoIHead",
        bbox_roi_extractor=_extractor(7),
        bbox_head=heads if cascade else heads[0],
    )
    if cascade:
        roi_head |= dict(num_stages=3, stage_loss_weights=[1, 0.5, 0.25])
    if kind == "mask":
        roi_head |= dict(
            mask_roi_extractor=_extractor(14),
            mask_head=dict(
                type="FCNMaskHead",
                num_convs=4,
                in_channels=256,
                conv_out_channels=256,
                num_classes=classes,
            ),
        )
    return dict(
        type=f"{kind.capitalize()}RCNN",
        data_preprocessor=_preprocessor(32),
        backbone=backbone,
        neck=dict(type="FPN", in_channels=[256, 512, 1024, 2048], out_channels=256, num_outs=5),
        rpn_head=dict(
            type="RPNHead",
            in_channels=256,
            feat_channels=256,
            anchor_generator=dict(
                type="AnchorGenerator", scales=[8], ratios=[0.5, 1.0, 2.0], strides=[*_STRIDES, 64]
            ),
            bbox_coder=dict(type="DeltaXYWHBBoxCoder", target_stds=[1.0] * 4),
        ),
        roi_head=roi_head,
        test_cfg=dict(rpn=_PROPOSALS, rcnn=_FOUND),
    )


def _extractor(side: int) -> Tree:
    return dict(
        type="SingleRoIExtractor",
        roi_layer=dict(type="RoIAlign", output_size=side, sampling_ratio=0),
        out_channels=256,
        featmap_strides=_STRIDES,
    )


def _box_head(classes: int, way: float, growth: float, *, alike: bool) -> Tree:
    """Two layers over a place; `alike`: one box for all classes."""
    return dict(
        type="Shared2FCBBoxHead",
        in_channels=256,
        fc_out_channels=1024,
        roi_feat_size=7,
        num_classes=classes,
        bbox_coder=dict(type="DeltaXYWHBBoxCoder", target_stds=[way, way, growth, growth]),
        reg_class_agnostic=alike,
    )


def _ssdlite(classes: int) -> Tree:
    """SSDLite over MobileNetV2."""
    widths = (96, 1280, 512, 256, 256, 128)
    layers: Tree = dict(
        norm_cfg=dict(type="BN", eps=0.001, momentum=0.03), act_cfg=dict(type="ReLU6")
    )
    sizes = [48, 100, 150, 202, 253, 304, 320]
    return dict(
        type="SingleStageDetector",
        data_preprocessor=_preprocessor(1),
        backbone=dict(type="MobileNetV2", out_indices=(4, 7), norm_cfg=layers["norm_cfg"]),
        neck=dict(
            type="SSDNeck",
            in_channels=widths[:2],
            out_channels=widths,
            level_strides=(2,) * 4,
            level_paddings=(1,) * 4,
            l2_norm_scale=None,
            use_depthwise=True,
            **layers,
        ),
        bbox_head=dict(
            type="SSDHead",
            in_channels=widths,
            num_classes=classes,
            use_depthwise=True,
            **layers,
            anchor_generator=dict(
                type="SSDAnchorGenerator",
                scale_major=False,
                strides=[16, 32, 64, 107, 160, 320],
                ratios=[[2, 3]] * 6,
                min_sizes=sizes[:-1],
                max_sizes=sizes[1:],
            ),
            bbox_coder=dict(type="DeltaXYWHBBoxCoder", target_stds=[0.1, 0.1, 0.2, 0.2]),
        ),
        test_cfg=dict(
            nms_pre=1000,
            nms=dict(type="nms", iou_threshold=0.45),
            min_bbox_size=0,
            score_thr=0.02,
            max_per_img=200,
        ),
    )


def _yolov3(classes: int) -> Tree:
    """YOLOv3 over Darknet-53."""
    pixels: Tree = dict(mean=[0, 0, 0], std=[255.0, 255.0, 255.0], bgr_to_rgb=True)
    widths = [512, 256, 128]
    return dict(
        type="YOLOV3",
        data_preprocessor=_preprocessor(32, pixels),
        backbone=dict(type="Darknet", depth=53, out_indices=(3, 4, 5)),
        neck=dict(
            type="YOLOV3Neck", num_scales=3, in_channels=[1024, 512, 256], out_channels=widths
        ),
        bbox_head=dict(
            type="YOLOV3Head",
            num_classes=classes,
            in_channels=widths,
            out_channels=[1024, 512, 256],
            featmap_strides=[32, 16, 8],
        ),
        test_cfg=dict(
            nms_pre=1000,
            min_bbox_size=0,
            score_thr=0.05,
            conf_thr=0.005,
            nms=dict(type="nms", iou_threshold=0.45),
            max_per_img=100,
        ),
    )
