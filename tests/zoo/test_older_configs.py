"""Configs in the words of MMDetection 2.x, as MMPose's demos have them."""

import pytest

from poise.errors import ConfigError
from poise.zoo import load_config

NORM = "dict(type='Normalize', mean=[1, 2, 3], std=[4, 5, 6], to_rgb=True)"
OLD = """
classes = ('hand', )
model = dict(
    type='FasterRCNN', pretrained='torchvision://resnet50', backbone=dict(type='ResNet', depth=50)
)
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='MultiScaleFlipAug', img_scale={scale}, flip={flip}, transforms=[
        dict(type='Resize', keep_ratio=True),
        dict(type='RandomFlip'),
        {step},
        dict(type='Pad', size_divisor=32),
        dict(type='ImageToTensor', keys=['img']),
        dict(type='Collect', keys=['img'])])
]
data = dict(
    samples_per_gpu=2,
    test=dict(type='CocoDataset', classes=classes, pipeline=test_pipeline))
lr_config = dict(policy='step')
"""


def written(path, *, scale="(1333, 800)", flip="False", step=NORM):
    path.write_text(OLD.format(scale=scale, flip=flip, step=step))
    return path


def test_pictures_are_prepared_as_the_old_words_say(tmp_path):
    cfg = load_config(written(tmp_path / "old.py"))
    assert cfg.default_scope == "mmdet"
    assert "pretrained" not in cfg.model
    assert cfg.model.data_preprocessor == dict(
        type="DetDataPreprocessor",
        mean=[1, 2, 3],
        std=[4, 5, 6],
        bgr_to_rgb=True,
        pad_size_divisor=32,
    )
    dataset = cfg.test_dataloader.dataset
    assert [step["type"] for step in dataset.pipeline] == [
        "LoadImageFromFile",
        "Resize",
        "PackDetInputs",
    ]
    assert dataset.pipeline[1] == dict(type="Resize", scale=(1333, 800), keep_ratio=True)
    assert dataset.metainfo.classes == ("hand",)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"flip": "True"}, "with one img_scale and flip=False, got .* flip=True"),
        ({"scale": "[(1333, 800), (600, 400)]"}, "expected MultiScaleFlipAug with one img_scale"),
        ({"step": "dict(type='RandomCrop', size=3)"}, "got {'type': 'RandomCrop', 'size': 3}"),
    ],
)
def test_what_cannot_be_told_in_new_words_is_refused(tmp_path, change, text):
    with pytest.raises(ConfigError, match=text):
        load_config(written(tmp_path / "old.py", **change))


def test_configs_in_new_words_only_get_their_scope(tmp_path):
    path = tmp_path / "new.py"
    path.write_text(
        "model = dict(type='SingleStageDetector')\n"
        "test_dataloader = dict(dataset=dict(pipeline=[dict(type='Resize')]))"
    )
    cfg = load_config(path)
    assert cfg.default_scope == "mmdet"
    assert cfg.test_dataloader.dataset.pipeline == [dict(type="Resize")]


def test_configs_of_other_models_stay_as_they_are(tmp_path):
    path = tmp_path / "pose.py"
    path.write_text("model = dict(type='TopdownPoseEstimator', pretrained='x')")
    cfg = load_config(path)
    assert cfg.get("default_scope") is None
    assert cfg.model.pretrained == "x"
