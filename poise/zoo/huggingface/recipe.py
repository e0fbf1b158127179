"""The config around a network of transformers, in the frame of MMPose's recipes."""

from __future__ import annotations

from typing import Any

from poise.zoo.huggingface.processor import PADDING, Processor
from poise.zoo.name import Name
from poise.zoo.parts.assembly import Tree
from poise.zoo.parts.datasets import Binding
from poise.zoo.parts.schedules import LAYER_DECAY_IMPORTS
from poise.zoo.parts.topdown import frame

__all__ = ["recipe"]


def recipe(
    stem: str,
    network: str,
    data: Binding,
    model: Tree,
    codec: Tree,
    processor: Processor,
    **more: Any,
) -> Tree:
    """Config tree of a top-down model with layers that learn at rates of their own.

    Args:
        stem: name of the folder.
        network: what the network is called.
        data: the dataset whose keypoints it finds.
        model: its config; gets the processor's mean and deviation.
        codec: its heatmaps.
        processor: how pictures go in.
        more: further arguments of `frame`.
    """
    model = model | dict(
        data_preprocessor=model["data_preprocessor"] | dict(mean=processor.mean, std=processor.std)
    )
    if processor.padding != PADDING:
        data = data.changed(varied=data.varied | dict(padding=processor.padding))
    name = Name(
        stem=stem,
        method="td-hm",
        network=network,
        variant="",
        gpus=8,
        batch=64,
        epochs=210,
        data=data.schema,
        size=codec["input_size"],
        suffix="",
    )
    return frame(
        name,
        data,
        model,
        codec,
        workers=4,
        max_keep=1,
        custom_imports=LAYER_DECAY_IMPORTS,
        **more,
    )
