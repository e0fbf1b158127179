"""Top-down models: crops in, what the head decodes out."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from torch import Tensor

from poise.codecs.simcc_3d_label import DEFAULT_FOCAL
from poise.errors import ConfigError
from poise.export.plans.description import describe_model
from poise.export.plans.plan import FromPixels, Plan, made_pixels

__all__ = ["topdown_3d_plan", "topdown_plan"]


class _Topdown(FromPixels):
    """The network with its preprocessor in front."""

    def forward(self, pixels: Tensor) -> Any:
        """(B, H, W, 3) uint8 BGR -> what the head decodes."""
        return self.model.head.test_forward(self.features(pixels))


class _Integral(FromPixels):
    """Integral regression: coordinates without the heatmaps that they are means of."""

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, H, W, 3) uint8 BGR -> coordinates (B, K, 2) in 0..1."""
        coordinates: Tensor = self.model.head.test_forward(self.features(pixels))[0]
        return coordinates


class _Seen(FromPixels):
    """A pose head and visibilities beside it.

    Args:
        model: an estimator.
        decoded: network of the pose head.
    """

    def __init__(self, model: Any, decoded: Any) -> None:
        super().__init__(model)
        self.decoded = decoded

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """(B, H, W, 3) uint8 BGR -> what the pose head decodes, and visibilities (B, K) 0..1."""
        head, feats = self.model.head, self.features(pixels)
        found = head.pose_head.test_forward(feats)
        found = found[:1] if self.decoded is _Integral else found
        visible = head.vis_forward(feats)
        visible = visible if head.use_sigmoid else visible.sigmoid()
        return (*(found if isinstance(found, tuple) else (found,)), visible)


def topdown_3d_plan(model: Any) -> Plan:
    """How a model of one person's 3D keypoints is written (RTMW3D, InterNet).

    Input: as of `topdown_plan`. Outputs: vectors (B, K, bins) of x, y and z; or heatmaps
    (B, K, D, h, w), depth (B, 1) and hands (B, 2).

    Raises:
        ConfigError: another head, or `test_cfg.mode` other than "3d".
    """
    from poise.inference.networks.direct3d import space_of

    names = {
        "RTMW3DHead": ("simcc_x", "simcc_y", "simcc_z"),
        "InternetHead": ("heatmaps", "depth", "hands"),
    }
    name, space = type(model.head).__name__, space_of(model)
    if name not in names or space is None:
        raise ConfigError(
            f"3D models with the heads {', '.join(names)} are exported with test_cfg.mode='3d', "
            f"not {name} with mode {(model.test_cfg or {}).get('mode', '3d')!r}"
        )
    metadata = {**describe_model(model), "kind": "topdown3d", "head": name}
    metadata |= {"space_3d": space, "focal": list(DEFAULT_FOCAL)}
    pixels = made_pixels(*_input_size(model))
    return Plan(_Topdown(model).eval(), pixels, metadata, names[name], model=model)


def topdown_plan(model: Any) -> Plan:
    """How a top-down model is written.

    Input: crops (B, H, W, 3) uint8 BGR as they are cut from pictures. Outputs: heatmaps
    (B, K, h, w), or SimCC vectors (B, K, W) and (B, K, H), or coordinates (B, K, D); of heads that
    say what can be seen also visibilities (B, K), which the codec does not take.

    Raises:
        ConfigError: nobody could decode its outputs, or the config has no input size.
    """
    from poise.models.heads import VisPredictHead

    visible = isinstance(model.head, VisPredictHead)
    network = _decoded_by(_with_head(model, model.head.pose_head) if visible else model)
    width, height = _input_size(model)
    pixels, metadata = made_pixels(width, height), describe_model(model)
    if not visible:
        return Plan(network(model).eval(), pixels, metadata, model=model)
    plan = Plan(_Seen(model, network).eval(), pixels, metadata, model=model)
    count = len(plan.answers(pixels[:1])) - 1
    names = (*(f"output_{i}" for i in range(count)), "visibilities")
    return replace(plan, metadata={**metadata, "decoded": count}, outputs=names)


def _decoded_by(model: Any) -> Any:
    """Network whose outputs the codec of a model decodes.

    Raises:
        ConfigError: the head reads its outputs in another way.
    """
    from poise.inference.networks.topdown import TopdownNetwork
    from poise.models.heads import IntegralRegressionHead

    if TopdownNetwork.suits(model, {}):
        return _Topdown
    if type(model.head).predict is IntegralRegressionHead.predict:
        return _Integral
    raise ConfigError(
        f"a {type(model.head).__name__} reads outputs in a way of its own, "
        "so the model is not exported; run it with backend='torch'"
    )


def _with_head(model: Any, head: Any) -> Any:
    """The same model with another head, to ask what it can do."""
    twin = copy.copy(model)
    twin._modules = {**model._modules, "head": head}
    return twin


def _input_size(model: Any) -> tuple[int, int]:
    """Width and height, as the codec says, else the test pipeline."""
    from poise.inference.networks.crops import pipeline_config

    size = getattr(model.head.decoder, "input_size", None)
    for step in pipeline_config(model.cfg) if size is None else ():
        if str(step.get("type")).rpartition(".")[2] == "TopdownAffine":
            size = step.get("input_size")
    if size is None:
        raise ConfigError(
            "neither the codec nor TopdownAffine in the test pipeline says how large the input is"
        )
    return int(size[0]), int(size[1])
