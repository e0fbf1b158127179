"""Pose Anything (Hirschorn 2023): the keypoints that a labelled picture shows, in other pictures.

MMPose's project has the network and its demo; how it is trained and tested stands in its configs
in the words of MMPose 0.x. The recipe says the same in those of 1.x.
"""

from __future__ import annotations

from poise.zoo.parts import schedules
from poise.zoo.parts.assembly import Tree
from poise.zoo.parts.runtime import runtime
from poise.zoo.parts.topdown import PREPROCESSOR

__all__ = ["recipe"]

_SIDE, _WIDTH = 224, 256
_EPOCHS = 200
_ROOT = "data/mp100/"


def recipe(name: str) -> Tree:
    """Config tree of Pose Anything with SwinV2-B, one shot, split 1 of MP-100."""
    codec = dict(type="MSRAHeatmap", input_size=(_SIDE, _SIDE), heatmap_size=(64, 64), sigma=1)
    warm, fall = schedules.steps(_EPOCHS, [160, 180])
    test = _loader("TestPoseDataset", "test", _pipeline(codec), num_episodes=200)
    evaluator = dict(type="poise.EpisodeMetric", thresholds=[0.05, 0.1, 0.15, 0.2, 0.25])
    return runtime(best=("PCK@0.2", "greater"), interval=20) | dict(
        train_cfg=dict(by_epoch=True, max_epochs=_EPOCHS, val_interval=25),
        optim_wrapper=schedules.adam(1e-5),
        param_scheduler=[warm | dict(end=1000), fall],
        auto_scale_lr=dict(base_batch_size=8),
        codec=codec,
        model=_model(),
        train_dataloader=_loader(
            "TransformerPoseDataset", "train", _pipeline(codec, _CHANGE), batch=8
        ),
        val_dataloader=_loader("TransformerPoseDataset", "val", _pipeline(codec), num_episodes=100),
        test_dataloader=test,
        val_evaluator=evaluator,
        test_evaluator=evaluator,
    )


#: as the authors turn and scale: in 0.x `rot_factor` was half of the largest angle
_CHANGE: Tree = dict(
    type="RandomBBoxTransform",
    shift_prob=0.0,
    scale_factor=(0.85, 1.15),
    scale_prob=1.0,
    rotate_factor=30.0,
    rotate_prob=0.6,
)


def _pipeline(codec: Tree, *changes: Tree) -> list[Tree]:
    """From a picture to a crop and its maps, of labelled and of other pictures alike."""
    return [
        dict(type="LoadImage"),
        dict(type="GetBBoxCenterScale", padding=1.25),
        *changes,
        dict(type="TopdownAffine", input_size=codec["input_size"]),
        dict(type="GenerateTarget", encoder=codec),
        dict(type="PackPoseInputs", pack_transformed=True),
    ]


def _loader(
    kind: str, part: str, pipeline: list[Tree], *, batch: int = 0, num_episodes: int = 1
) -> Tree:
    """Loader of episodes; those of training are drawn anew in each epoch."""
    testing = not batch
    dataset = dict(
        type=kind,
        ann_file=f"{_ROOT}annotations/mp100_split1_{part}.json",
        img_prefix=f"{_ROOT}images/",
        valid_class_ids=None,
        max_kpt_num=100,
        num_shots=1,
        pipeline=pipeline,
        test_mode=testing,
    )
    if testing:
        dataset |= dict(num_queries=15, num_episodes=num_episodes)
    return dict(
        batch_size=batch or 8,
        num_workers=8,
        persistent_workers=True,
        sampler=dict(type="DefaultSampler", shuffle=not testing),
        dataset=dataset,
    )


def _model() -> Tree:
    backbone = dict(
        type="SwinTransformerV2",
        embed_dim=128,
        depths=[2, 2, 18, 2],
        num_heads=[4, 8, 16, 32],
        window_size=14,
        pretrained_window_sizes=[12, 12, 12, 6],
        drop_path_rate=0.1,
        img_size=_SIDE,
    )
    transformer = dict(
        type="EncoderDecoder",
        d_model=_WIDTH,
        nhead=8,
        num_encoder_layers=3,
        num_decoder_layers=3,
        graph_decoder="pre",
        dim_feedforward=1024,
        dropout=0.1,
        similarity_proj_dim=_WIDTH,
        dynamic_proj_dim=_WIDTH // 2,
    )
    head = dict(
        type="PoseHead",
        in_channels=1024,
        transformer=transformer,
        with_heatmap_loss=True,
        heatmap_loss_weight=2.0,
        positional_encoding=dict(
            type="SinePositionalEncoding", num_feats=_WIDTH // 2, normalize=True
        ),
    )
    return dict(
        type="PoseAnythingModel",
        data_preprocessor=PREPROCESSOR,
        # a .pth file of SwinV2-B, as its authors give it, is where training should start
        pretrained=None,
        encoder_config=backbone,
        keypoint_head=head,
        train_cfg=dict(),
        test_cfg=dict(flip_test=False),
    )
