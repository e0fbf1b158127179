"""Configs of detectors in the words of MMDetection 2.x, as MMPose's demos have them.

They say how pictures are prepared within their pipeline, and their data in one dict. Here they get
the words of 3.x; what they say about training stays as it is, and is not read.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from poise.config import Config
from poise.errors import ConfigError
from poise.zoo.parts.assembly import Tree, words
from poise.zoo.parts.detection import META_KEYS
from poise.zoo.refused import INFERENCE_ONLY

__all__ = ["in_todays_words"]

#: steps that nothing is left of
_DROPPED = frozenset(words("RandomFlip DefaultFormatBundle ImageToTensor Collect"))


def in_todays_words(config: Config) -> Config:
    """The config of a detector that only predicts, in today's words; others stay as they are.

    Its top level is changed in place, and no tree below.

    Raises:
        ConfigError: a pipeline that looks at a picture several times, or has unknown steps.
    """
    model = config.get("model")
    if not isinstance(model, Mapping) or _bare(model) not in INFERENCE_ONLY:
        return config
    if config.get("default_scope") is None:
        config["default_scope"] = "mmdet"
    # a copy knows its lines
    tree: Any = copy.copy(model)
    # weights come with the whole detector
    tree.pop("pretrained", None)
    config["model"] = tree
    data = (config.get("data") or {}).get("test") or {}
    steps = data.get("pipeline") or config.get("test_pipeline") or ()
    if config.get("test_dataloader") is not None or not any(map(_is_whole_test, steps)):
        return config
    pipeline, preprocessor = _divided(steps)
    tree["data_preprocessor"] = preprocessor
    dataset: Tree = dict(type="CocoDataset", test_mode=True, pipeline=pipeline)
    if data.get("classes"):
        dataset["metainfo"] = dict(classes=data["classes"])
    config["test_pipeline"] = pipeline
    config["test_dataloader"] = dict(batch_size=1, dataset=dataset)
    return config


def _bare(step: Mapping[str, Any]) -> str:
    """What a config names, without its scope."""
    return str(step.get("type")).rpartition(".")[2]


def _is_whole_test(step: Mapping[str, Any]) -> bool:
    return _bare(step) == "MultiScaleFlipAug"


def _divided(steps: Sequence[Mapping[str, Any]]) -> tuple[list[Tree], Tree]:
    """A pipeline of 3.x, and the config of the preprocessor that takes the rest of the steps."""
    pipeline: list[Tree] = []
    preprocessor: Tree = dict(type="DetDataPreprocessor")
    for step in steps:
        if not _is_whole_test(step):
            pipeline.append(dict(step))
            continue
        scale = step.get("img_scale")
        if step.get("flip") or isinstance(scale, list) or scale is None:
            raise ConfigError(
                "test pipeline: expected MultiScaleFlipAug with one img_scale and flip=False, got "
                f"img_scale={scale}, flip={step.get('flip')}; boxes of several looks are not joined"
            )
        for inner in step.get("transforms", ()):
            kind = _bare(inner)
            if kind == "Resize":
                kept = inner.get("keep_ratio", True)
                pipeline.append(dict(type="Resize", scale=scale, keep_ratio=kept))
            elif kind == "Normalize":
                preprocessor |= dict(
                    mean=inner["mean"], std=inner["std"], bgr_to_rgb=inner.get("to_rgb", True)
                )
            elif kind == "Pad" and inner.get("size_divisor"):
                preprocessor |= dict(pad_size_divisor=inner["size_divisor"])
            elif kind not in _DROPPED:
                raise ConfigError(
                    "test pipeline: expected Resize, RandomFlip, Normalize, Pad(size_divisor=...) "
                    f"and the packing in MultiScaleFlipAug, got {dict(inner)}; write it in the "
                    "words of MMDetection 3.x (test_dataloader, data_preprocessor)"
                )
    return [*pipeline, dict(type="PackDetInputs", meta_keys=META_KEYS)], preprocessor
