# RTMPose-t from scratch on Leeds Sports Pose Extended (8,000 pictures), small enough for one
# core of a CPU: 36 epochs take 60 to 80 minutes of it with bfloat16.
#
#   POISE_LSPET=FOLDER poise train configs/lspet/rtmpose-t_lspet-128x128.py --amp bf16
#
# The boxes of LSPET are as often wide as high (gymnasts, climbers), so the input is square.
_base_ = ['./lspet_metainfo.py']

default_scope = 'mmpose'
max_epochs = 36
base_lr = 1e-3
batch_size = 32
input_size = (128, 128)

data_root = '{{$POISE_LSPET:data/lspet}}/'
metainfo = _base_.dataset_info

codec = dict(
    type='SimCCLabel',
    input_size=input_size,
    sigma=(4.0, 4.0),  # the square root of size / 8, as in RTMPose's other sizes
    simcc_split_ratio=2.0,
    normalize=False,
    use_dark=False,
)

model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(
        type='PoseDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
    ),
    backbone=dict(
        _scope_='mmdet',
        type='CSPNeXt',
        arch='P5',
        expand_ratio=0.5,
        deepen_factor=0.167,
        widen_factor=0.375,
        out_indices=(4,),
        channel_attention=True,
        norm_cfg=dict(type='BN'),
        act_cfg=dict(type='SiLU'),
    ),
    head=dict(
        type='RTMCCHead',
        in_channels=384,
        out_channels=14,
        input_size=input_size,
        in_featuremap_size=(4, 4),
        simcc_split_ratio=codec['simcc_split_ratio'],
        final_layer_kernel_size=7,
        gau_cfg=dict(
            hidden_dims=256,
            s=128,
            expansion_factor=2,
            dropout_rate=0.0,
            drop_path=0.0,
            act_fn='SiLU',
            use_rel_bias=False,
            pos_enc=False,
        ),
        loss=dict(
            type='KLDiscretLoss', use_target_weight=True, beta=10.0, label_softmax=True
        ),
        decoder=codec,
    ),
    test_cfg=dict(flip_test=True),
)

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomHalfBody', prob=0.2),
    dict(type='RandomBBoxTransform', shift_factor=0.1, scale_factor=[0.7, 1.3], rotate_factor=80),
    dict(type='TopdownAffine', input_size=input_size),
    dict(type='YOLOXHSVRandomAug'),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs'),
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=input_size),
    dict(type='PackPoseInputs'),
]

dataset = dict(
    type='CocoDataset',
    data_root=data_root,
    data_mode='topdown',
    metainfo=metainfo,
    data_prefix=dict(img='images/'),
)
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=1,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        ann_file='annotations/lspet_train.json', pipeline=train_pipeline, **dataset
    ),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=1,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        ann_file='annotations/lspet_val.json', test_mode=True, pipeline=val_pipeline, **dataset
    ),
)
test_dataloader = val_dataloader

val_evaluator = [
    dict(type='PCKAccuracy', thr=0.2),
    dict(type='CocoMetric', ann_file=data_root + 'annotations/lspet_val.json'),
]
test_evaluator = val_evaluator

train_cfg = dict(max_epochs=max_epochs, val_interval=2, val_begin=2)
val_cfg = dict()
test_cfg = dict()

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=base_lr, weight_decay=0.03, fused=True),
    paramwise_cfg=dict(norm_decay_mult=0, bias_decay_mult=0, bypass_duplicate=True),
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=500),
    dict(
        type='CosineAnnealingLR',
        eta_min=base_lr * 0.02,
        begin=2,
        end=max_epochs,
        T_max=max_epochs - 2,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
auto_scale_lr = dict(base_batch_size=32)

default_hooks = dict(
    checkpoint=dict(
        type='CheckpointHook', interval=1, max_keep_ckpts=2, save_best='PCK', rule='greater'
    ),
    logger=dict(type='LoggerHook', interval=50),
)
custom_hooks = [
    dict(
        type='EMAHook',
        ema_type='ExpMomentumEMA',
        momentum=0.0007,
        update_buffers=True,
        priority=49,
    ),
]
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=True, num_digits=6)
randomness = dict(seed=21)
speed = dict(channels_last=True)
