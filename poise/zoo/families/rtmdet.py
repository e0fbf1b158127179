"""RTMDet (Lyu 2022): detectors of COCO's classes, of people and of hands."""

from __future__ import annotations

from poise.zoo.name import matched
from poise.zoo.parts import detection, mixtures
from poise.zoo.parts.assembly import Tree
from poise.zoo.parts.backbones import CSPNEXT_SIZES, CSPNEXT_WEIGHTS, pretrained
from poise.zoo.parts.detection import GREY
from poise.zoo.parts.pipelines import validated
from poise.zoo.parts.runtime import averaging
from poise.zoo.parts.schedules import cosine, flat_cosine_adamw

__all__ = ["recipe"]

_NAME = r"rtmdet_([a-z]+)(?:_8xb32-300e_(coco)|_\d+-8xb32_(coco-person|hand))"
_EPOCHS, _LAST, _RATE = detection.EPOCHS, 20, 0.004
_SYNC: Tree = dict(norm_cfg=dict(type="SyncBN"), act_cfg=dict(type="SiLU", inplace=True))
#: size -> classifier that the backbone starts from, named without its hash
_STARTS = {"tiny": "cspnext-tiny_imagenet_600e.pth", "s": "cspnext-s_imagenet_600e.pth"}
#: size -> range of the random sizes in training, where it is not the usual one
_SIZE_RANGES = {"nano": (0.5, 1.5), "tiny": (0.5, 2.0), "s": (0.5, 2.0)}
_PERSON: Tree = dict(metainfo=dict(classes=("person",)))
#: keys of pose schemas that a detector has no use for
_POSE_KEYS = (
    "CLASSES dataset_keypoint_weights dataset_name flip_indices flip_pairs keypoint_colors "
    "keypoint_id2name keypoint_name2id lower_body_ids num_keypoints num_skeleton_links sigmas "
    "skeleton_link_colors skeleton_links upper_body_ids"
)


def recipe(stem: str) -> Tree:
    """Config tree of a released RTMDet."""
    size, everything, one = matched(_NAME, stem).groups()
    tree = _tree(size, one_class=not everything)
    return _with_hands(tree) if one == "hand" else tree


def _tree(size: str, *, one_class: bool) -> Tree:
    nano = size == "nano"
    side = 320 if nano else 640
    options: Tree = {} if nano else dict(backend_args=None)
    full, last = _train_pipelines(size, side, options)
    test = detection.fitted(side, _pad(side), options, boxes=not nano)
    data: Tree = dict(backend_args=None) | (_PERSON if one_class else {})
    train = detection.coco("train", full, **data)
    val = detection.loader("val", detection.coco("val", test, **data), 5, 10)
    metric = detection.evaluator(format_only=False, backend_args=None, proposal_nums=(100, 1, 10))
    switch = dict(type="PipelineSwitchHook", switch_epoch=_EPOCHS - _LAST, switch_pipeline=last)
    tree = detection.runtime(16, **detection.many_sizes(0.6, _pad(960)))
    tree["train_cfg"] |= dict(dynamic_intervals=[(_EPOCHS - _LAST, 1)])
    tree |= dict(
        model=_model(size, one_class=one_class),
        train_pipeline=full,
        train_pipeline_stage2=last,
        test_pipeline=test,
        train_dataloader=detection.loader(
            "train", train, 32, 10, batch_sampler=None, pin_memory=True
        ),
        **validated(val, metric),
        optim_wrapper=flat_cosine_adamw(_RATE),
        param_scheduler=cosine(_EPOCHS, _RATE),
        stage2_num_epochs=_LAST,
        base_lr=_RATE,
        custom_hooks=[averaging(), switch],
    )
    if nano:
        tree["input_shape"] = side
    start = tree["model"]["backbone"].get("init_cfg")
    return tree if start is None else tree | dict(checkpoint=start["checkpoint"])


def _model(size: str, *, one_class: bool) -> Tree:
    # of one class, fewer and surer candidates
    limits = (1000, 0.05, 0.6, 100) if one_class else (30000, 0.001, 0.65, 300)
    candidates, threshold, overlap, count = limits
    backbone, neck = _features(size, one_class=one_class)
    return dict(
        type="RTMDet",
        data_preprocessor=dict(
            type="DetDataPreprocessor",
            mean=[103.53, 116.28, 123.675],
            std=[57.375, 57.12, 58.395],
            bgr_to_rgb=False,
            batch_augments=None,
        ),
        backbone=backbone,
        neck=neck,
        bbox_head=_head(size, neck["out_channels"], 1 if one_class else 80),
        train_cfg=dict(
            assigner=dict(type="DynamicSoftLabelAssigner", topk=13),
            allowed_border=-1,
            pos_weight=-1,
            debug=False,
        ),
        test_cfg=dict(
            nms_pre=candidates,
            min_bbox_size=0,
            score_thr=threshold,
            nms=dict(type="nms", iou_threshold=overlap),
            max_per_img=count,
        ),
    )


def _depthwise(size: str) -> Tree:
    return dict(use_depthwise=True) if size == "nano" else {}


def _features(size: str, *, one_class: bool) -> tuple[Tree, Tree]:
    """Backbone and neck."""
    deepen, widen, _ = CSPNEXT_SIZES[size]
    widths = detection.widths(widen)
    common = dict(expand_ratio=0.5) | _SYNC | _depthwise(size)
    backbone = dict(
        type="CSPNeXt",
        arch="P5",
        deepen_factor=deepen,
        widen_factor=widen,
        channel_attention=True,
        **common,
    )
    # detectors of one thing start from the classifier of medium size
    start = CSPNEXT_SIZES["m"][2] if one_class and size != "nano" else _STARTS.get(size)
    if start is not None:
        backbone["init_cfg"] = pretrained(f"{CSPNEXT_WEIGHTS}{start}", "backbone.")
    neck = dict(
        type="CSPNeXtPAFPN",
        in_channels=widths,
        out_channels=widths[0],
        num_csp_blocks=max(1, round(3 * deepen)),
        **common,
    )
    return backbone, neck


def _head(size: str, width: int, classes: int) -> Tree:
    return dict(
        type="RTMDetSepBNHead",
        num_classes=classes,
        in_channels=width,
        stacked_convs=2,
        feat_channels=width,
        anchor_generator=dict(type="MlvlPointGenerator", offset=0, strides=[8, 16, 32]),
        bbox_coder=dict(type="DistancePointBBoxCoder"),
        loss_cls=dict(type="QualityFocalLoss", use_sigmoid=True, beta=2.0, loss_weight=1.0),
        loss_bbox=dict(type="GIoULoss", loss_weight=2.0),
        with_objectness=False,
        exp_on_reg=size in ("m", "l", "x"),
        share_conv=size != "nano",
        pred_kernel_size=1,
        **_SYNC,
        **_depthwise(size),
    )


def _pad(side: int) -> Tree:
    return dict(type="Pad", size=(side, side), pad_val=dict(img=(GREY,) * 3))


def _train_pipelines(size: str, side: int, options: Tree) -> tuple[list[Tree], list[Tree]]:
    """Pipelines of the first stage, with mosaics, and of the last epochs."""
    square = (side, side)
    small = size in ("nano", "tiny")
    sizes = _SIZE_RANGES.get(size, (0.1, 2.0))

    def scaled(reach: int) -> list[Tree]:
        random = dict(
            type="RandomResize",
            scale=(side * reach, side * reach),
            ratio_range=sizes,
            keep_ratio=True,
        )
        crop = dict(type="RandomCrop", crop_size=square)
        return [random, crop, *detection.finish(_pad(side))]

    few = dict(max_cached_images=20, random_pop=False)
    mosaic: Tree = dict(type="CachedMosaic", img_scale=square, pad_val=float(GREY))
    blend: Tree = dict(
        type="CachedMixUp",
        img_scale=square,
        ratio_range=(1.0, 1.0),
        max_cached_images=20,
        pad_val=(GREY,) * 3,
    )
    if size == "tiny":
        blend |= dict(max_cached_images=10, random_pop=False, prob=0.5)
    read, pack = detection.load(options), dict(type="PackDetInputs")
    first = mosaic | few if small else mosaic
    blends = [] if size == "nano" else [blend]
    return [*read, first, *scaled(2), *blends, pack], [*read, *scaled(1), pack]


def _with_hands(tree: Tree) -> Tree:
    """The tree with the hand datasets in place of COCO."""

    def dataset(name: str, part: str, pipeline: list[Tree]) -> Tree:
        own = mixtures.member(name, part, pipeline, "topdown")
        return own | dict(type=f"mmpose.{own['type']}")

    parts = [
        dataset(name, "train", tree["train_pipeline"])
        for name in ("onehand10k", "freihand", "rhd", "halpehand")
    ]
    train = dict(type="ConcatDataset", datasets=parts, ignore_keys=_POSE_KEYS.split())
    test = dataset("onehand10k", "val", tree["test_pipeline"])
    val = tree["val_dataloader"] | dict(dataset=test)
    metric = tree["val_evaluator"] | dict(ann_file=f"data/{test['ann_file']}")
    # the two top-level keys keep the mark, as in the released file
    marked = dict(_delete_=True)
    return tree | dict(
        data_root="data/",
        data_mode="topdown",
        train_dataset=train | marked,
        test_dataset=test | marked,
        train_dataloader=tree["train_dataloader"] | dict(dataset=train),
        **validated(val, metric),
        train_cfg=tree["train_cfg"] | dict(val_interval=1),
    )
