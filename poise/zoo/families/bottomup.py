"""Bottom-up models on HRNet: associative embedding, CID, DEKR."""

from __future__ import annotations

from typing import Any

from poise.zoo.name import Name, parse
from poise.zoo.parts import schedules
from poise.zoo.parts.assembly import Tree, assembled, matching
from poise.zoo.parts.backbones import POSE_WEIGHTS, Backbone, backbone, pretrained
from poise.zoo.parts.codecs import feature_size
from poise.zoo.parts.datasets import Binding, binding, count
from poise.zoo.parts.heads import loss
from poise.zoo.parts.pipelines import META_KEYS, eval_loader, train_loader
from poise.zoo.parts.runtime import best_key, runtime
from poise.zoo.parts.topdown import PREPROCESSOR

__all__ = ["recipe"]

#: order in which people are put together: head, arms and hips from the middle outwards
_AE_ORDER = [0, 1, 2, 3, 4, 5, 6, 11, 12, 7, 8, 9, 10, 13, 14, 15, 16]
#: rescoring networks: schema -> (inputs, keypoints whose distance is the unit, weights)
_RESCORE = {
    "coco": (74, (5, 6), "kpt_rescore_coco-33d58c5c.pth"),
    "crowdpose": (59, (0, 1), "kpt_rescore_crowdpose-300c7efe.pth"),
}

_DIFFERENT: dict[str, Tree] = {
    "cid_*": dict(
        metric=dict(nms_thr=0.8, score_mode="keypoint"),
        # without warm-up
        scheduler=schedules.steps(140)[1:],
    ),
    "dekr_*": dict(
        size_factor=32,
        metric=dict(nms_mode="none", score_mode="keypoint"),
        find_unused_parameters=True,
    ),
    "dekr_*_crowdpose-*": dict(val_interval=20, mask=False),
    "ae_*": dict(
        metric=dict(nms_mode="none", score_mode="bbox"),
        lr=1.5e-3,
        interval=50,
        val_workers=2,
        # the released recipe is for testing only
        trains=False,
    ),
}


def recipe(stem: str) -> Tree:
    """Config tree of a released bottom-up model."""
    name = parse(stem)
    return _tree(name, binding(name.data).changed(boxes={}), **matching(_DIFFERENT, stem))


def _tree(
    name: Name,
    data: Binding,
    *,
    metric: Tree,
    lr: float = 1e-3,
    scheduler: list[Tree] | None = None,
    interval: int = 10,
    val_interval: int = 10,
    val_workers: int = 1,
    size_factor: int = 64,
    mask: bool = True,
    trains: bool = True,
    **more: Any,
) -> Tree:
    base = backbone(name.network)
    codec, model = _MODELS[name.method](name, base, data)
    train = _train(name, codec, mask=mask) if trains else []
    val: list[Tree] = [
        dict(type="LoadImage"),
        dict(
            type="BottomupResize",
            input_size=name.size,
            size_factor=size_factor,
            resize_mode="expand",
        ),
        dict(type="PackPoseInputs", meta_keys=META_KEYS),
    ]
    evaluator = data.evaluator(**metric)
    val_dataloader = eval_loader(data.dataset("val", val, "bottomup"), 1, val_workers)
    tree = runtime(best=best_key(evaluator), interval=interval)
    # bottom-up models learn slower for longer
    milestones = [200, 260] if name.epochs == 300 else None
    tree = assembled(
        tree,
        (data.type, "bottomup", data.root),
        epochs=name.epochs,
        every=val_interval,
        scale=name.gpus * name.batch,
        optimizer=schedules.adam(lr),
        curve=scheduler or schedules.steps(name.epochs, milestones),
        codec=codec,
        model=model,
        pipelines=dict(train_pipeline=train, val_pipeline=val),
        loaders=(
            train_loader(data.dataset("train", train, "bottomup"), name.batch),
            val_dataloader,
            val_dataloader,
        ),
        evaluators=(evaluator, evaluator),
    )
    return tree | more


def _train(name: Name, codec: Tree, *, mask: bool) -> list[Tree]:
    return [
        dict(type="LoadImage"),
        dict(type="BottomupRandomAffine", input_size=name.size),
        dict(type="RandomFlip", direction="horizontal"),
        dict(type="GenerateTarget", encoder=codec),
        *([dict(type="BottomupGetHeatmapMask")] if mask else ()),
        dict(type="PackPoseInputs"),
    ]


def _estimator(base: Tree, head: Tree, test_cfg: Tree, **more: Any) -> Tree:
    return dict(
        type="BottomupPoseEstimator",
        data_preprocessor=PREPROCESSOR,
        backbone=base,
        head=head,
        test_cfg=dict(multiscale_test=False, flip_test=True) | test_cfg,
        **more,
    )


def _all_branches(base: Backbone) -> tuple[Tree, int, Tree]:
    """HRNet with its four branches, the sum of their channels, and the neck that stacks them."""
    extra = base.cfg["extra"]
    last = extra["stage4"] | dict(multiscale_output=True)
    cfg = base.cfg | dict(extra=extra | dict(stage4=last))
    return cfg, 15 * base.channels, dict(type="FeatureMapProcessor", concat=True)


def _associative(name: Name, base: Backbone, data: Binding) -> tuple[Tree, Tree]:
    """Keypoints with tags that tell people apart (Newell 2017)."""
    points = count(data.schema)
    codec = dict(
        type="AssociativeEmbedding",
        input_size=name.size,
        heatmap_size=feature_size(name.size, base.stride),
        sigma=2,
        decode_topk=30,
        decode_center_shift=0.5,
        decode_keypoint_order=_AE_ORDER,
        decode_max_instances=30,
    )
    head = dict(
        type="AssociativeEmbeddingHead",
        in_channels=base.channels,
        num_keypoints=points,
        tag_dim=1,
        tag_per_keypoint=True,
        deconv_out_channels=None,
        keypoint_loss=loss(),
        tag_loss=dict(type="AssociativeEmbeddingLoss", loss_weight=0.001),
        # maps are enlarged to the input before they are decoded
        decoder=codec | dict(heatmap_size=name.size),
    )
    test = dict(shift_heatmap=False, restore_heatmap_size=True, align_corners=False)
    return codec, _estimator(base.cfg, head, test)


def _cid(name: Name, base: Backbone, data: Binding) -> tuple[Tree, Tree]:
    """Contextual instance decoupling: a map for each person (Wang 2022)."""
    codec = dict(
        type="DecoupledHeatmap",
        input_size=name.size,
        heatmap_size=feature_size(name.size, base.stride),
    )
    cfg, channels, neck = _all_branches(base)
    head = dict(
        type="CIDHead",
        in_channels=channels,
        num_keypoints=count(data.schema),
        gfd_channels=base.channels,
        coupled_heatmap_loss=dict(type="FocalHeatmapLoss", loss_weight=1.0),
        decoupled_heatmap_loss=dict(type="FocalHeatmapLoss", loss_weight=4.0),
        contrastive_loss=dict(type="InfoNCELoss", temperature=0.05, loss_weight=1.0),
        decoder=codec,
    )
    test = dict(shift_heatmap=False, align_corners=False)
    train = dict(max_train_instances=200)
    return codec, _estimator(cfg, head, test, neck=neck, train_cfg=train)


def _dekr(name: Name, base: Backbone, data: Binding) -> tuple[Tree, Tree]:
    """Offsets from each person's centre, each keypoint with its own branch (Geng 2021)."""
    codec = dict(
        type="SPR",
        input_size=name.size,
        heatmap_size=feature_size(name.size, base.stride),
        sigma=(4, 2),
        # people smaller than this have no offsets: the square root of 32 output pixels
        minimal_diagonal_length=32**0.5,
        generate_keypoint_heatmaps=True,
        decode_max_instances=30,
    )
    cfg, channels, neck = _all_branches(base)
    inputs, unit, weights = _RESCORE[data.schema]
    wide = {} if base.channels == 32 else dict(num_heatmap_filters=base.channels)
    head = dict(
        type="DEKRHead",
        in_channels=channels,
        num_keypoints=count(data.schema),
        **wide,
        heatmap_loss=loss(),
        displacement_loss=loss(
            "SoftWeightSmoothL1Loss",
            supervise_empty=False,
            beta=1 / 9,
            loss_weight=0.002 if data.schema == "coco" else 0.004,
        ),
        decoder=codec,
        rescore_cfg=dict(
            in_channels=inputs, norm_indexes=unit, init_cfg=pretrained(POSE_WEIGHTS + weights)
        ),
    )
    test = dict(nms_dist_thr=0.05, shift_heatmap=True, align_corners=False)
    return codec, _estimator(cfg, head, test, neck=neck)


_MODELS = {"ae": _associative, "cid": _cid, "dekr": _dekr}
