"""InterNet (Moon 2020): two hands in 3D, with the depth between them and which hands they are."""

from __future__ import annotations

from poise.zoo.name import Name, parse
from poise.zoo.parts import schedules
from poise.zoo.parts.assembly import Tree, assembled, words
from poise.zoo.parts.backbones import backbone
from poise.zoo.parts.codecs import feature_size
from poise.zoo.parts.datasets import interhand_files
from poise.zoo.parts.pipelines import affine, eval_loader, train_loader
from poise.zoo.parts.runtime import best_key, runtime
from poise.zoo.parts.topdown import estimator

__all__ = ["recipe"]

_TYPE, _ROOT = "InterHand3DDataset", "data/interhand2.6m/"
_KEYPOINTS, _DEPTH = 21, 64
_META_KEYS = tuple(
    words(
        "id img_id img_path rotation img_shape focal principal_pt input_size input_center "
        "input_scale hand_type hand_type_valid flip flip_indices abs_depth"
    )
)


def recipe(stem: str) -> Tree:
    """Config tree of the released InterNet."""
    name = parse(stem)
    width, height = feature_size(name.size, 4)
    codec = dict(
        type="Hand3DHeatmap",
        image_size=list(name.size),
        root_heatmap_size=_DEPTH,
        heatmap_size=[width, height, _DEPTH],
        sigma=2.5,
        max_bound=255,
        depth_size=_DEPTH,
    )
    start: list[Tree] = [dict(type="LoadImage"), dict(type="GetBBoxCenterScale")]
    cut = affine(name.size, udp=False) | dict(input_size=list(name.size))
    pack: Tree = dict(type="PackPoseInputs", meta_keys=_META_KEYS)
    train = [
        *start,
        dict(type="HandRandomFlip", prob=0.5),
        dict(type="RandomBBoxTransform", rotate_factor=90.0),
        cut,
        dict(type="GenerateTarget", encoder=codec),
        pack,
    ]
    val: list[Tree] = [*start, cut, pack]
    evaluator = [dict(type="InterHandMetric", modes=["MPJPE", "MRRPE", "HandednessAcc"])]
    tree = runtime(best=best_key(evaluator), interval=1, log_interval=20, max_keep=1)
    tree["visualizer"] = tree["visualizer"] | dict(type="Pose3dLocalVisualizer")
    return assembled(
        tree,
        (_TYPE, "topdown", _ROOT),
        epochs=name.epochs,
        every=1,
        scale=128,
        optimizer=schedules.adam(2e-4),
        # without warm-up
        curve=schedules.steps(name.epochs, [15, 17])[1:],
        codec=codec,
        model=_model(name, codec),
        pipelines=dict(train_pipeline=train, val_pipeline=val),
        loaders=(
            train_loader(_dataset("train", "all", train), name.batch, 1, drop_last=False),
            eval_loader(_dataset("val", "machine_annot", val), name.batch, 1),
            eval_loader(_dataset("test", "all", val), name.batch, 1),
        ),
        evaluators=(evaluator, evaluator),
    )


def _dataset(part: str, folder: str, pipeline: list[Tree]) -> Tree:
    tree = dict(
        type=_TYPE,
        **interhand_files(part, f"annotations/{folder}"),
        use_gt_root_depth=True,
        rootnet_result_file=None,
        data_mode="topdown",
        data_root=_ROOT,
        data_prefix=dict(img=f"images/{part}/"),
        pipeline=pipeline,
    )
    return tree if part == "train" else tree | dict(test_mode=True)


def _model(name: Name, codec: Tree) -> Tree:
    base = backbone(name.network)
    head = dict(
        type="InternetHead",
        keypoint_head_cfg=dict(
            in_channels=base.channels,
            out_channels=_KEYPOINTS * _DEPTH,
            depth_size=_DEPTH,
            deconv_out_channels=(256,) * 3,
            deconv_kernel_sizes=(4,) * 3,
        ),
        root_head_cfg=dict(
            in_channels=base.channels, heatmap_size=codec["root_heatmap_size"], hidden_dims=(512,)
        ),
        hand_type_head_cfg=dict(in_channels=base.channels, num_labels=2, hidden_dims=(512,)),
        decoder=codec,
    )
    return estimator(base.cfg, head, dict(flip_test=False))
