default_scope = 'mmpose'
custom_imports = dict(imports=['stick_pose'], allow_failed_imports=False)

codec = dict(type='DiscHeatmap', input_size=(48, 64), heatmap_size=(12, 16))

model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(
        type='PoseDataPreprocessor', mean=[127.5] * 3, std=[60.0] * 3, bgr_to_rgb=True),
    backbone=dict(type='StickNet', channels=16),
    head=dict(type='StickHead', in_channels=16, out_channels=3, decoder=codec),
    test_cfg=dict(flip_test=True))

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='Fade', prob=0.3),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs'),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='PackPoseInputs'),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='StickDataset', data_root='data', ann_file='rows.json',
        data_prefix=dict(img='images/'), data_mode='topdown', pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=4,
    num_workers=0,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        type='StickDataset', data_root='data', ann_file='rows.json',
        data_prefix=dict(img='images/'), data_mode='topdown', test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = [dict(type='MeanDistance'), dict(type='EPE')]
test_evaluator = val_evaluator

train_cfg = dict(by_epoch=True, max_epochs=2, val_interval=1)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(optimizer=dict(type='Adam', lr=2e-3))
param_scheduler = [dict(type='MultiStepLR', milestones=[1], gamma=0.5, by_epoch=True)]
default_hooks = dict(
    checkpoint=dict(type='CheckpointHook', interval=1, save_best='stick/distance', rule='less'))
custom_hooks = [dict(type='CountHook')]
