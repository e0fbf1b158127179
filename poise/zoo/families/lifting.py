"""Lifting of 2D poses to 3D: SimpleBaseline3D, VideoPose3D, MotionBERT, on Human3.6M."""

from __future__ import annotations

from typing import Any

from poise.zoo.index import WEIGHTS_BASE
from poise.zoo.name import matched
from poise.zoo.parts import human36m, schedules
from poise.zoo.parts.assembly import Tree
from poise.zoo.parts.backbones import pretrained
from poise.zoo.parts.datasets import count
from poise.zoo.parts.heads import loss
from poise.zoo.parts.pipelines import eval_loader, train_loader, validated
from poise.zoo.parts.runtime import best_key, runtime

__all__ = ["recipe"]

_CAMERAS = dict(camera_param_file="annotation_body3d/cameras.pkl")
_META_KEYS = "id category_id target_img_path flip_indices"
_KEYPOINTS = count("h36m")
#: the joint each joint hangs on, for the lengths of bones
_PARENTS = [0, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15]
#: frames of the test set whose annotations are wrong
_SKIPPED = ["S9_Greet", "S9_SittingDown", "S9_Wait_1", "S9_Greeting", "S9_Waiting_1"]
_MOTIONBERT_START = (
    f"{WEIGHTS_BASE}v1/body_3d_keypoint/pose_lift/h36m/"
    "motionbert_pretrain_h36m-29ffebf5_20230719.pth"
)


def recipe(stem: str) -> Tree:
    """Config tree of a released lifting model."""
    pattern = (
        r"(?P<method>[-a-z]+)_(?P<network>[-\w]+?)_\d+xb(?P<batch>\d+)-(?P<epochs>\d+)e_h36m.*"
    )
    found = matched(pattern, stem)
    batch, epochs = int(found["batch"]), int(found["epochs"])
    if found["method"] == "motionbert":
        variant = "_original" if stem.endswith("-original") else ""
        return _motionbert(batch, epochs, variant, tuned="-ft-" in stem)
    if found["method"] == "image-pose-lift":
        return _image(batch, epochs)
    return _video(found["network"], batch, epochs)


def _pack(more: str) -> Tree:
    return dict(type="PackPoseInputs", meta_keys=tuple(f"{_META_KEYS} {more}".split()))


def _metrics(*kinds: str, **settings: Any) -> list[Tree]:
    return [dict(type="MPJPE", mode=kind, **settings) for kind in kinds]


def _tree(evaluator: list[Tree], val_dataloader: Tree, log_interval: int = 20, **more: Any) -> Tree:
    """What all have in common, and the rest."""
    tree = runtime(best=best_key(evaluator), log_interval=log_interval, max_keep=1)
    return (
        tree
        | dict(
            visualizer=tree["visualizer"] | dict(type="Pose3dLocalVisualizer"),
            dataset_type="Human36mDataset",
            data_root=human36m.ROOT,
            **validated(val_dataloader, evaluator),
        )
        | more
    )


def _training(epochs: int, optimizer: Tree, curve: Tree) -> Tree:
    return dict(
        train_cfg=dict(by_epoch=True, max_epochs=epochs, val_interval=10),
        optim_wrapper=optimizer,
        param_scheduler=[curve],
    )


def _exponential(gamma: float, end: int) -> Tree:
    return dict(type="ExponentialLR", gamma=gamma, end=end, by_epoch=True)


def _tcn(kernels: list[int], dropout: float = 0.25, **more: Any) -> Tree:
    """Temporal convolutions; the receptive field is the product of the kernel sizes."""
    return dict(
        type="TCN",
        in_channels=2 * _KEYPOINTS,
        stem_channels=1024,
        num_blocks=len(kernels) - 1,
        kernel_sizes=tuple(kernels),
        dropout=dropout,
        **more,
    )


def _head(kind: str, joints: int, loss_cfg: Tree, codec: Tree) -> Tree:
    return dict(type=kind, in_channels=1024, num_joints=joints, loss=loss_cfg, decoder=codec)


def _image(batch: int, epochs: int) -> Tree:
    """SimpleBaseline3D (Martinez 2017): one frame, normalised by the statistics of the data."""
    statistics = human36m.statistics()
    codec = dict(
        type="ImagePoseLifting",
        num_keypoints=_KEYPOINTS,
        root_index=0,
        remove_root=True,
        **statistics,
    )
    pipeline = [
        dict(type="GenerateTarget", encoder=codec),
        _pack("target_root target_root_index target_mean target_std"),
    ]
    settings: Tree = dict(seq_len=1, causal=True, keypoint_2d_src="gt")
    model = dict(
        type="PoseLifter",
        backbone=_tcn([1, 1, 1], 0.5),
        # the root is the origin
        head=_head("TemporalRegressionHead", _KEYPOINTS - 1, dict(type="MSELoss"), codec),
    )
    step = dict(type="StepLR", step_size=100000, gamma=0.96, end=80, by_epoch=False)
    return _tree(
        _metrics("mpjpe", "p-mpjpe"),
        eval_loader(human36m.dataset("test", pipeline, settings, test_mode=False), batch),
        50,
        **_training(epochs, schedules.adam(1e-3), step),
        auto_scale_lr=dict(base_batch_size=8 * batch),
        **statistics,
        codec=codec,
        model=model,
        train_pipeline=pipeline,
        val_pipeline=pipeline,
        train_dataloader=train_loader(human36m.dataset("train", pipeline, settings), batch),
    )


#: network -> (learning rate, factor of each epoch, last epoch of the curve)
_VIDEO_CURVES = {
    "tcn-1frm-supv-cpn-ft": (1e-4, 0.98, 80),
    "tcn-243frm-supv-cpn-ft": (1e-4, 0.98, 200),
    "tcn-243frm-supv": (1e-3, 0.975, 80),
    "tcn-81frm-supv": (1e-3, 0.975, 80),
    "tcn-27frm-supv": (1e-3, 0.975, 80),
}
#: frames -> kernels; one frame is seen by as deep a network as 243
_KERNELS = {1: [1] * 5, 27: [3] * 3, 81: [3] * 4, 243: [3] * 5}


def _video(network: str, batch: int, epochs: int) -> Tree:
    """VideoPose3D (Pavllo 2019), supervised or, for testing only, semi-supervised."""
    frames = int(network.split("-")[1].removesuffix("frm"))
    codec = dict(
        type="VideoPoseLifting",
        num_keypoints=_KEYPOINTS,
        zero_center=True,
        root_index=0,
        remove_root=False,
    )
    target = [dict(type="GenerateTarget", encoder=codec), _pack("target_root")]
    flip = dict(type="RandomFlipAroundRoot", keypoints_flip_cfg={}, target_flip_cfg={})
    detected = network.endswith("-cpn-ft")

    def dataset(part: str, pipeline: list[Tree]) -> Tree:
        found = f"joint_2d_det_files/cpn_ft_h36m_dbb_{part}.npy"
        source = dict(keypoint_2d_src="detection", keypoint_2d_det_file=found) if detected else {}
        settings: Tree = dict(seq_len=frames, causal=False, pad_video_seq=frames > 1)
        return human36m.dataset(part, pipeline, settings | source | _CAMERAS)

    backbone = _tcn(_KERNELS[frames], use_stride_conv=True)
    head = _head("TemporalRegressionHead", _KEYPOINTS, dict(type="MPJPELoss"), codec)
    model = dict(type="PoseLifter", backbone=backbone, head=head)
    common: Tree = dict(auto_scale_lr=dict(base_batch_size=1024), codec=codec, val_pipeline=target)
    val = eval_loader(dataset("test", target), batch)
    if "semi" in network:
        model |= dict(
            traj_backbone=backbone,
            traj_head=_head("TrajectoryRegressionHead", 1, loss("MPJPELoss"), codec),
            semi_loss=dict(
                type="SemiSupervisionLoss", joint_parents=_PARENTS, warmup_iterations=12805
            ),
        )
        metrics = _metrics("mpjpe", "p-mpjpe", "n-mpjpe")
        return _tree(metrics, val, train_cfg=None, model=model, **common)
    lr, gamma, end = _VIDEO_CURVES[network]
    return _tree(
        _metrics("mpjpe", "p-mpjpe"),
        val,
        **_training(epochs, schedules.adam(lr), _exponential(gamma, end)),
        model=model,
        train_pipeline=[flip, *target],
        train_dataloader=train_loader(dataset("train", [flip, *target]), batch),
        **common,
    )


def _motionbert(batch: int, epochs: int, variant: str, *, tuned: bool) -> Tree:
    """MotionBERT (Zhu 2023): 243 frames at once, from scratch or tuned."""
    codec = dict(type="MotionBERTLabel", num_keypoints=_KEYPOINTS, concat_vis=True)
    train_codec, val_codec = codec | dict(mode="train"), codec | dict(rootrel=True)
    middle = dict(center_mode="static", center_x=0.0)
    flip = dict(
        type="RandomFlipAroundRoot",
        keypoints_flip_cfg=middle,
        target_flip_cfg=middle,
        flip_label=True,
    )
    pack = _pack("factor camera_param")
    train: list[Tree] = [dict(type="GenerateTarget", encoder=train_codec), flip, pack]
    val: list[Tree] = [dict(type="GenerateTarget", encoder=val_codec), pack]
    frames: Tree = dict(seq_len=1, multiple_target=243) | _CAMERAS
    factors: Tree = dict(factor_file="annotation_body3d/fps50/h36m_factors.npy") if variant else {}
    start = dict(init_cfg=pretrained(_MOTIONBERT_START)) if tuned else {}
    train_frames = frames | dict(multiple_target_step=81)
    train_set = human36m.dataset("train", train, train_frames, variant=variant)
    val_set = human36m.dataset("test", val, factors | frames | dict(seq_step=1), variant=variant)
    adamw = dict(optimizer=dict(type="AdamW", lr=2e-4, weight_decay=0.01))
    ahead: Tree = dict(prefetch_factor=4, pin_memory=True)
    val_dataloader = eval_loader(val_set, batch, **ahead)
    del val_dataloader["drop_last"]
    return _tree(
        _metrics("mpjpe", "p-mpjpe", skip_list=_SKIPPED),
        val_dataloader,
        **_training(epochs, adamw, _exponential(0.99, epochs // 2)),
        auto_scale_lr=dict(base_batch_size=512),
        train_codec=train_codec,
        val_codec=val_codec,
        model=_motionbert_model(val_codec) | start,
        train_pipeline=train,
        val_pipeline=val,
        skip_list=_SKIPPED,
        train_dataloader=train_loader(train_set, batch, **ahead),
    )


def _motionbert_model(codec: Tree) -> Tree:
    backbone = dict(
        type="DSTFormer",
        in_channels=3,
        feat_size=512,
        depth=5,
        num_heads=8,
        mlp_ratio=2,
        seq_len=243,
        att_fuse=True,
    )
    head = dict(
        type="MotionRegressionHead",
        in_channels=512,
        out_channels=3,
        embedding_size=512,
        loss=dict(type="MPJPEVelocityJointLoss"),
        decoder=codec,
    )
    return dict(type="PoseLifter", backbone=backbone, head=head, test_cfg=dict(flip_test=True))
