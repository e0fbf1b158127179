"""Top-down models: crops in, what the head decodes out."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from poise.errors import ConfigError
from poise.export.description import describe_model
from poise.export.plan import FromPixels, Plan, made_pixels

__all__ = ["topdown_3d_plan", "topdown_plan"]


class _Topdown(FromPixels):
    """The network with its preprocessor in front."""

    def forward(self, pixels: Tensor) -> Any:
        """(B, H, W, 3) uint8 BGR -> what the head decodes."""
        return self.model.head.test_forward(self.features(pixels))


def topdown_3d_plan(model: Any) -> Plan:
    """How a model of one person's 3D keypoints is written (RTMW3D, InterNet).

    Input: as of `topdown_plan`. Outputs: vectors (B, K, bins) of x, y and z; or heatmaps
    (B, K, D, h, w), depth (B, 1) and hands (B, 2).

    Raises:
        ConfigError: another head, or `test_cfg.mode` other than "3d".
    """
    from poise.inference.networks.direct3d import space_of
    from poise.models.estimators.topdown_3d import DEFAULT_FOCAL

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
    (B, K, h, w), or SimCC vectors (B, K, W) and (B, K, H), or coordinates (B, K, D).

    Raises:
        ConfigError: nobody could decode its outputs, or the config has no input size.
    """
    from poise.inference.networks.topdown import TopdownNetwork

    if not TopdownNetwork.suits(model, {}):
        raise ConfigError(
            f"a {type(model.head).__name__} reads outputs in a way of its own, "
            "so the model is not exported; run it with backend='torch'"
        )
    width, height = _input_size(model)
    return Plan(
        _Topdown(model).eval(), made_pixels(width, height), describe_model(model), model=model
    )


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
