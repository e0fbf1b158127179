"""RTMO (Lu 2023): one-stage pose estimation with coordinate classification in each box."""

from __future__ import annotations

from poise.zoo.name import Name, parse
from poise.zoo.parts import yolox
from poise.zoo.parts.assembly import Tree, matching
from poise.zoo.parts.blends import BODY7, body_members
from poise.zoo.parts.datasets import Binding, binding, count, metainfo_of
from poise.zoo.parts.detection import FACTORS, widths
from poise.zoo.parts.mixtures import combined, named_mapping
from poise.zoo.parts.pipelines import validated
from poise.zoo.parts.runtime import runtime

__all__ = ["recipe"]

_STRIDES = [16, 32]
#: the rough augmentation of small sets
_ROUGH = dict(affine=dict(shift_factor=0.2, rotate_factor=30, scale_factor=(0.5, 1.5)))

_DIFFERENT: dict[str, Tree] = {
    "rtmo-[lm]_*": dict(start_weight=0.01, still=False),
    "rtmo-[st]_*": dict(start_weight=1.0, from_keypoints=True, power=False),
    "*_crowdpose-* *-crowdpose-*": dict(
        start_weight=0.001, from_keypoints=False, power=True, still=True
    ),
    "*00e_crowdpose-*": dict(first=_ROUGH | dict(mixup=(0.6, 1.6))),
    "rtmo-t_*": dict(first=dict(mixup=None)),
}


def recipe(stem: str) -> Tree:
    """Config tree of a released RTMO model."""
    name = parse(stem)
    return _tree(name, **matching(_DIFFERENT, stem))


def _tree(
    name: Name,
    *,
    start_weight: float,
    from_keypoints: bool = False,
    power: bool = True,
    still: bool = True,
    first: Tree | None = None,
) -> Tree:
    """Tree of a model.

    Args:
        name: parts of the name.
        start_weight: weight of the likelihood loss in the first half.
        from_keypoints: the assigner takes the middle of the keypoints for that of the box.
        power: the second half changes the weight of overlaps and of the classification, too.
        still: the last epochs see pictures as they are.
        first: settings of the first stage's pipeline.
    """
    crowd = name.data.endswith("crowdpose")
    size = {"t": "tiny"}.get(name.method[-1], name.method[-1])
    schema = "crowdpose" if crowd else "coco"
    codec = dict(type="YOLOXPoseAnnotationProcessor", input_size=name.size)
    stage1 = yolox.mosaic_stage(name.size, codec, **(first or {}))
    stage2 = yolox.affine_stage(name.size, codec, still=still, mask=True)
    val = yolox.evaluation(name.size)
    variables, train, alone = _training_data(name, schema, stage1)
    last, half = (30, 350) if crowd else (20, 280)
    end = name.epochs - last
    late: Tree = dict(proxy_target_cc=True)
    if power:
        late |= {"overlaps_power": 1.0, "loss_cls.loss_weight": 2.0}
    late |= {"loss_mle.loss_weight": 5.0, "loss_oks.loss_weight": 10.0}
    mode = dict(type="RTMOModeSwitchHook", epoch_attributes={half: late}, priority=48)
    deepen, widen = FACTORS[size]
    data = _evaluated(schema)
    val_dataloader = yolox.val_loader(data.dataset("val", val, "bottomup"))
    evaluator = data.evaluator(score_mode="bbox", nms_mode="none")
    if crowd and isinstance(evaluator, dict):
        # the annotations are those of the dataset
        evaluator.pop("ann_file")
    every = 50 if crowd else 20
    return runtime(interval=50 if crowd else 40, max_keep=3) | dict(
        custom_hooks=yolox.switch_hooks(last, stage2, mode, dataset=alone),
        train_cfg=dict(
            by_epoch=True,
            max_epochs=name.epochs,
            val_interval=every,
            dynamic_intervals=[(end, 1)],
        ),
        auto_scale_lr=dict(base_batch_size=name.gpus * name.batch),
        optim_wrapper=_optimizer(),
        param_scheduler=_curve(name.epochs, last, half, crowd=crowd),
        input_size=name.size,
        metafile=metainfo_of(schema)["from_file"],
        codec=codec,
        train_pipeline_stage1=stage1,
        train_pipeline_stage2=stage2,
        data_mode="bottomup",
        data_root="data/",
        train_dataloader=yolox.loader(train, name.batch),
        val_pipeline=val,
        **validated(val_dataloader, evaluator),
        widen_factor=widen,
        deepen_factor=deepen,
        model=_model(size, schema, name.size, start_weight, from_keypoints=from_keypoints),
        **variables,
    )


def _evaluated(schema: str) -> Binding:
    images = ("coco/train2017/", "coco/val2017/") if schema == "coco" else "pose/CrowdPose/images/"
    return binding(schema).changed(boxes={}).below_data(images)


def _training_data(name: Name, schema: str, stage1: list[Tree]) -> tuple[Tree, Tree, Tree | None]:
    """Top-level names, the dataset of training, and the one of the last epochs if another."""
    if not name.data.startswith("body7"):
        own = _evaluated(schema).dataset("train", stage1, "bottomup")
        return {f"dataset_{schema}": own}, own, None
    changes: dict[str, Tree] = dict(coco=dict(images="coco/train2017/"))
    if schema == "crowdpose":
        # without the neck, which Halpe has elsewhere
        changes["halpe"] = dict(schema="coco")
    variables, datasets = body_members(schema, BODY7, mode="bottomup", changes=changes)
    if schema == "crowdpose":
        variables.pop("crowdpose_crowdpose")
        shares = [1, 0.3, 1, 0.3, 0.3, 0.4, 0.3]
    else:
        variables.pop("coco_coco")
        variables["ochuman_coco"] = list(named_mapping("ochuman", "coco"))
        shares = [1, 0.3, 0.5, 0.3, 0.3, 0.4, 0.3]
    mixture = combined(datasets, schema, stage1, sample_ratio_factor=shares)
    key = "train_dataset" if schema == "coco" else "train_dataset_stage1"
    return variables | {key: mixture}, mixture, variables[f"dataset_{schema}"]


def _optimizer() -> Tree:
    wrapper = yolox.optimizer(constructor="ForceDefaultOptimWrapperConstructor")
    slow = {"neck.encoder": dict(lr_mult=0.05)}
    groups = wrapper["paramwise_cfg"] | dict(force_default_settings=True, custom_keys=slow)
    return wrapper | dict(paramwise_cfg=groups)


def _curve(epochs: int, last: int, half: int, *, crowd: bool) -> list[Tree]:
    """Two cosines with a jump between them, then a constant rate."""
    end = epochs - last
    # the files for CrowdPose begin the second cosine an epoch earlier
    turn = half - 1 if crowd else half
    warmup, _ = yolox.warmup_cosine(half)
    return [
        warmup,
        yolox.cosine_part(5, turn, half),
        yolox.constant_part(turn, turn + 1, 2.5),
        yolox.cosine_part(turn + 1, end, end - half),
        yolox.constant_part(end, epochs),
    ]


def _model(
    size: str,
    schema: str,
    input_size: tuple[int, int],
    start_weight: float,
    *,
    from_keypoints: bool,
) -> Tree:
    deepen, widen = FACTORS[size]
    channels = widths(widen)
    neck = dict(
        type="HybridEncoder",
        in_channels=channels,
        deepen_factor=deepen,
        widen_factor=widen,
        hidden_dim=256,
        output_indices=[1, 2],
        encoder_cfg=dict(
            self_attn_cfg=dict(embed_dims=256, num_heads=8, dropout=0.0),
            ffn_cfg=dict(
                embed_dims=256,
                feedforward_channels=1024,
                ffn_drop=0.0,
                act_cfg=dict(type="GELU"),
            ),
        ),
        projector=dict(
            type="ChannelMapper",
            in_channels=[256, 256],
            kernel_size=1,
            out_channels=channels[1],
            act_cfg=None,
            norm_cfg=dict(type="BN"),
            num_outs=2,
        ),
    )
    test = dict(input_size=input_size, score_thr=0.1, nms_thr=0.65)
    head = _head(widen, channels[1], schema, start_weight, from_keypoints=from_keypoints)
    return yolox.estimator(size, neck, head, test)


def _head(
    widen: float, width: int, schema: str, start_weight: float, *, from_keypoints: bool
) -> Tree:
    oks = dict(type="PoseOKS", metainfo=metainfo_of(schema)["from_file"])
    assigner: Tree = dict(type="SimOTAAssigner", dynamic_k_indicator="oks", oks_calculator=oks)
    if from_keypoints:
        assigner["use_keypoints_for_center"] = True
    attention = dict(
        s=128, expansion_factor=2, dropout_rate=0.0, drop_path=0.0, act_fn="SiLU", pos_enc="add"
    )
    return dict(
        type="RTMOHead",
        num_keypoints=count(schema),
        featmap_strides=tuple(_STRIDES),
        head_module_cfg=dict(
            num_classes=1,
            in_channels=256,
            cls_feat_channels=256,
            channels_per_group=36,
            pose_vec_channels=width,
            widen_factor=widen,
            stacked_convs=2,
            norm_cfg=yolox.NORM,
            act_cfg=yolox.SWISH,
        ),
        assigner=assigner,
        prior_generator=dict(type="MlvlPointGenerator", centralize_points=True, strides=_STRIDES),
        dcc_cfg=dict(
            in_channels=width,
            feat_channels=128,
            num_bins=(192, 256),
            spe_channels=128,
            gau_cfg=attention,
        ),
        overlaps_power=0.5,
        loss_cls=dict(
            type="VariFocalLoss", reduction="sum", use_target_weight=True, loss_weight=1.0
        ),
        loss_bbox=yolox.BOX_LOSS,
        loss_oks=yolox.oks_loss(schema),
        loss_vis=yolox.VISIBILITY_LOSS,
        loss_mle=dict(type="MLECCLoss", use_target_weight=True, loss_weight=start_weight),
        loss_bbox_aux=yolox.BOX_LOSS_LATE,
    )
