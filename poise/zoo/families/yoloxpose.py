"""YOLOX-Pose (Maji 2022): a one-stage model that adds keypoints to each box."""

from __future__ import annotations

from poise.zoo.name import matched
from poise.zoo.parts import yolox
from poise.zoo.parts.assembly import Tree
from poise.zoo.parts.datasets import binding, count
from poise.zoo.parts.detection import FACTORS
from poise.zoo.parts.pipelines import validated
from poise.zoo.parts.runtime import runtime

__all__ = ["recipe"]

_STRIDES = [8, 16, 32]
_EPOCHS, _LAST = 300, 20
#: how the annotations of the smallest model are packed; the names are MMPose's defaults
_LABELS = dict(
    bbox="bboxes",
    bbox_labels="labels",
    keypoints="keypoints",
    keypoints_visible="keypoints_visible",
    area="areas",
)


def recipe(stem: str) -> Tree:
    """Config tree of a YOLOX-Pose model."""
    pattern = r"yoloxpose_(\w+?)_(\d)xb(\d+)-300e_coco-(\d+)"
    size, gpus, batch, side = matched(pattern, stem).groups()
    tiny = size == "tiny"
    input_size = (int(side),) * 2
    # the smallest model is trained like the others and tested on smaller pictures
    train_size = (640, 640)
    codec = dict(type="YOLOXPoseAnnotationProcessor", input_size=train_size)
    full = yolox.mosaic_stage(train_size, codec)
    plain = yolox.mosaic_stage(
        train_size, codec, mixup=None, pack=dict(extra_mapping_labels=_LABELS)
    )
    last = yolox.affine_stage(train_size, codec)
    val = yolox.evaluation(input_size)
    data = binding("coco").changed(boxes={}).below_data(("coco/train2017/", "coco/val2017/"))
    options = dict(filter_cfg=dict(filter_empty_gt=False, min_size=32))
    train = data.changed(options=options).dataset("train", full, "bottomup")
    val_dataloader = yolox.val_loader(data.dataset("val", val, "bottomup"))
    evaluator = data.evaluator(score_mode="bbox", nms_mode="none")
    deepen, widen = FACTORS[size]
    end = _EPOCHS - _LAST
    tree = runtime(
        max_keep=3,
        custom_hooks=yolox.switch_hooks(_LAST, last),
        train_cfg=dict(
            type="EpochBasedTrainLoop",
            max_epochs=_EPOCHS,
            val_interval=10,
            dynamic_intervals=[(end, 1)],
        ),
    )
    if size != "s":
        tree["checkpoint"] = yolox.STARTS[size]
    return tree | dict(
        auto_scale_lr=dict(base_batch_size=int(gpus) * int(batch)),
        optim_wrapper=yolox.optimizer(),
        param_scheduler=[*yolox.warmup_cosine(end), yolox.constant_part(end, _EPOCHS)],
        widen_factor=widen,
        deepen_factor=deepen,
        model=_model(size),
        input_size=input_size,
        codec=codec,
        train_pipeline_stage1=plain if tiny else full,
        train_pipeline_stage2=last,
        data_mode="bottomup",
        data_root=data.root,
        dataset_coco=train,
        train_dataloader=yolox.loader(train | dict(pipeline=plain if tiny else full), int(batch)),
        val_pipeline=val,
        **validated(val_dataloader, evaluator),
    )


def _model(size: str) -> Tree:
    _, widen = FACTORS[size]
    head = dict(
        type="YOLOXPoseHead",
        num_keypoints=count("coco"),
        featmap_strides=tuple(_STRIDES),
        head_module_cfg=dict(
            num_classes=1,
            in_channels=256,
            feat_channels=256,
            widen_factor=widen,
            stacked_convs=2,
            norm_cfg=yolox.NORM,
            act_cfg=yolox.SWISH,
        ),
        prior_generator=dict(type="MlvlPointGenerator", offset=0, strides=_STRIDES),
        assigner=dict(type="SimOTAAssigner", dynamic_k_indicator="oks"),
        overlaps_power=0.5,
        loss_cls=dict(type="BCELoss", reduction="sum", loss_weight=1.0),
        loss_bbox=yolox.BOX_LOSS,
        loss_obj=dict(type="BCELoss", use_target_weight=True, reduction="sum", loss_weight=1.0),
        loss_oks=yolox.oks_loss("coco") | dict(norm_target_weight=True),
        loss_vis=yolox.VISIBILITY_LOSS,
        loss_bbox_aux=yolox.BOX_LOSS_LATE,
    )
    neck = yolox.pyramid(size)
    return yolox.estimator(size, neck, head, dict(score_thr=0.01, nms_thr=0.65))
