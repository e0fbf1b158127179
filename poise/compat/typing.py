"""Names for the types in signatures of models, heads and datasets."""

# `X | Y` fails at run time where one side is a string.
# ruff: noqa: UP007, UP045

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional, Union

from poise.config import ConfigDict

if TYPE_CHECKING:
    from torch import Tensor

    from poise.structures import InstanceData, PixelData, PoseDataSample

__all__ = [
    "DATA_BATCH",
    "ConfigType",
    "Features",
    "ForwardResults",
    "InstanceList",
    "MultiConfig",
    "OptConfigType",
    "OptInstanceList",
    "OptMultiConfig",
    "OptSampleList",
    "PixelDataList",
    "Predictions",
    "SampleList",
]

ConfigType = Union[ConfigDict, dict[str, Any]]
OptConfigType = Optional[ConfigType]
MultiConfig = Union[ConfigType, list[ConfigType]]
OptMultiConfig = Optional[MultiConfig]
DATA_BATCH = Optional[dict[str, Any] | tuple[Any, ...] | list[Any]]

# strings: these aliases must not import torch
SampleList = list["PoseDataSample"]
OptSampleList = Optional[SampleList]
InstanceList = list["InstanceData"]
OptInstanceList = Optional[InstanceList]
PixelDataList = list["PixelData"]
Predictions = Union[InstanceList, tuple[InstanceList, PixelDataList]]
ForwardResults = Union[dict[str, "Tensor"], SampleList, tuple["Tensor", ...], "Tensor"]
Features = Union[tuple["Tensor", ...], list[tuple["Tensor", ...]], list[list[tuple["Tensor", ...]]]]
