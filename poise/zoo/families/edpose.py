"""ED-Pose (Yang 2023): people and keypoints as queries of one transformer."""

from __future__ import annotations

from poise.zoo.name import parse
from poise.zoo.parts import schedules
from poise.zoo.parts.assembly import Tree, assembled
from poise.zoo.parts.datasets import binding, count
from poise.zoo.parts.pipelines import META_KEYS, eval_loader, train_loader
from poise.zoo.parts.runtime import dotted, runtime
from poise.zoo.parts.topdown import PREPROCESSOR

__all__ = ["recipe"]

_WIDTH, _LEVELS = 256, 4
#: longest side of a picture in pixels
_LONGEST = 1333
_SAMPLER = dict(type="mmengine.dataset.DefaultSampler", shuffle=False)


def recipe(stem: str) -> Tree:
    """Config tree of the released ED-Pose; its types are dotted paths, as in its file."""
    name = parse(stem)
    data = binding("coco").changed(boxes={}, type="mmpose.datasets.CocoDataset")
    points = count(data.schema)
    codec = dict(type="mmpose.codecs.EDPoseLabel", num_select=50, num_keypoints=points)
    train, val = _train(), _val(name.size)
    evaluator = dict(type="mmpose.evaluation.CocoMetric", nms_mode="none", score_mode="keypoint")
    loaders = [
        loader | dict(sampler=loader["sampler"] | _SAMPLER)
        for loader in (
            train_loader(data.dataset("train", train, "bottomup"), 1, 1),
            eval_loader(data.dataset("val", val, "bottomup"), 1, 8),
        )
    ]
    tree = assembled(
        dotted(runtime(best=("coco/AP", "greater"))),
        (data.type, "bottomup", data.root),
        epochs=name.epochs,
        every=10,
        scale=80,
        optimizer=dict(optimizer=dict(type="torch.optim.Adam", lr=1e-3)),
        curve=[
            part | dict(type=f"mmengine.optim.{part['type']}")
            for part in schedules.steps(name.epochs, [33, 45], end=140)
        ],
        codec=codec,
        model=_model(points, codec),
        pipelines=dict(train_pipeline=train, val_pipeline=val),
        loaders=(loaders[0], loaders[1], loaders[1]),
        evaluators=(evaluator, evaluator),
    )
    return tree | dict(find_unused_parameters=True)


def _train() -> list[Tree]:
    """Pictures of eleven sizes, as they are or cut first."""
    sizes = [(side, _LONGEST) for side in range(480, 801, 32)]
    before = [(side, 4200) for side in (400, 500, 600)]

    def resize(kind: str, scales: list[tuple[int, int]]) -> Tree:
        return dict(type=kind, scales=scales, keep_ratio=True)

    own = "mmpose.datasets.BottomupRandomChoiceResize"
    crop = dict(
        type="mmpose.datasets.BottomupRandomCrop",
        crop_type="absolute_range",
        crop_size=(384, 600),
        allow_negative_crop=True,
    )
    ways = [
        [resize("mmcv.transforms.RandomChoiceResize", sizes)],
        [resize(own, before), crop, resize(own, sizes)],
    ]
    return [
        dict(type="mmpose.datasets.LoadImage"),
        dict(type="mmpose.datasets.RandomFlip", direction="horizontal"),
        dict(type="mmcv.transforms.RandomChoice", transforms=ways),
        dict(type="mmpose.datasets.PackPoseInputs"),
    ]


def _val(size: tuple[int, int]) -> list[Tree]:
    return [
        dict(type="mmpose.datasets.LoadImage"),
        dict(
            type="mmpose.datasets.BottomupRandomChoiceResize",
            scales=[size[::-1]],
            keep_ratio=True,
            backend="pillow",
        ),
        dict(type="mmpose.datasets.PackPoseInputs", meta_keys=META_KEYS),
    ]


def _model(points: int, codec: Tree) -> Tree:
    norm = dict(type="mmpose.models.utils.FrozenBatchNorm2d", requires_grad=False)
    start = dict(type="mmengine.model.PretrainedInit", checkpoint="torchvision://resnet50")
    backbone = dict(
        type="mmpose.models.ResNet",
        depth=50,
        num_stages=4,
        out_indices=(1, 2, 3),
        frozen_stages=1,
        norm_cfg=norm,
        norm_eval=True,
        style="pytorch",
        init_cfg=start,
    )
    neck = dict(
        type="mmpose.models.ChannelMapper",
        in_channels=[512, 1024, 2048],
        kernel_size=1,
        out_channels=_WIDTH,
        act_cfg=None,
        norm_cfg=dict(type="torch.nn.GroupNorm", num_groups=32),
        num_outs=_LEVELS,
    )
    return dict(
        type="mmpose.models.BottomupPoseEstimator",
        data_preprocessor=PREPROCESSOR
        | dict(type="mmpose.models.PoseDataPreprocessor", pad_size_divisor=1),
        backbone=backbone,
        neck=neck,
        head=_head(points, codec),
        # the first key is spelt so in the released file
        test_cfg=dict(Pmultiscale_test=False, flip_test=False, num_select=codec["num_select"]),
        train_cfg={},
    )


def _head(points: int, codec: Tree) -> Tree:
    heads = dict(embed_dims=_WIDTH, num_heads=8)
    feed = dict(embed_dims=_WIDTH, feedforward_channels=2048)
    encoder = dict(
        num_layers=6,
        layer_cfg=dict(
            self_attn_cfg=heads | dict(num_levels=_LEVELS, num_points=4, batch_first=True),
            ffn_cfg=feed | dict(num_fcs=2, ffn_drop=0.0),
        ),
    )
    decoder = dict(
        num_layers=6,
        embed_dims=_WIDTH,
        layer_cfg=dict(
            self_attn_cfg=heads | dict(batch_first=True),
            cross_attn_cfg=dict(embed_dims=_WIDTH, batch_first=True),
            ffn_cfg=feed | dict(ffn_drop=0.1),
        ),
        query_dim=4,
        num_feature_levels=_LEVELS,
        num_group=100,
        num_dn=100,
        num_box_decoder_layers=2,
        return_intermediate=True,
    )
    return dict(
        type="mmpose.models.EDPoseHead",
        num_queries=900,
        num_feature_levels=_LEVELS,
        num_keypoints=points,
        as_two_stage=True,
        encoder=encoder,
        decoder=decoder,
        out_head=dict(num_classes=2),
        positional_encoding=dict(
            num_pos_feats=_WIDTH // 2, temperatureH=20, temperatureW=20, normalize=True
        ),
        denosing_cfg=dict(
            dn_box_noise_scale=0.4,
            dn_label_noise_ratio=0.5,
            dn_labelbook_size=100,
            dn_attn_mask_type_list=["match2dn", "dn2dn", "group2group"],
        ),
        data_decoder=codec,
    )
