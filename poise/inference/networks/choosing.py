"""The quickest network of a torch model."""

from __future__ import annotations

from typing import Any

from poise.inference.networks.any_model import AnyNetwork
from poise.inference.networks.crops import WarpCrops
from poise.inference.networks.modes import Mode
from poise.inference.networks.network import Network
from poise.inference.networks.topdown import TopdownNetwork

__all__ = ["choose_network"]


def choose_network(
    model: Any,
    make_batch: Any,
    *,
    flip_test: bool | None = None,
    mode: Mode | None = None,
    crops: str = "opencv",
    heatmaps: bool = False,
    covariances: bool = False,
) -> Network:
    """The quickest way to what the model's own `predict` gives.

    Args:
        model: an estimator in eval mode.
        make_batch: crop maker.
        flip_test: True or False; None keeps the model's setting.
        mode: whether the network is rearranged for speed, and whether it computes with 16 bits,
            where that is possible.
        crops: "opencv" or "torch": who warps the crops of plain top-down pipelines.
        heatmaps: also keep where the network saw keypoints; of plain top-down models, and of those
            of whole pictures that have maps.
        covariances: also keep how unsure each keypoint is.

    Raises:
        ConfigError: covariances of a top-down model whose codec has none.
    """
    cfg = dict(model.test_cfg or {})
    if flip_test is not None:
        cfg["flip_test"] = flip_test
    if isinstance(make_batch, WarpCrops) and TopdownNetwork.suits(model, cfg):
        if mode is not None and mode.tuned:
            from poise.inference.networks.tuning import tuned

            model = tuned(model, make_batch.constants["input_size"])
        return TopdownNetwork(
            model,
            make_batch,
            cfg,
            half=mode is not None and mode.half,
            beside=mode is not None and mode.tuned,
            on_device=crops == "torch",
            heatmaps=heatmaps,
            covariances=covariances,
        )
    return AnyNetwork(model, make_batch, cfg, heatmaps=heatmaps, covariances=covariances)
