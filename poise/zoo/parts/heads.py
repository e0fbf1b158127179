"""Heads of heatmap and regression models."""

from __future__ import annotations

from typing import Any

from poise.zoo.parts.assembly import Tree
from poise.zoo.parts.backbones import Backbone

__all__ = ["attention_unit", "cpm_head", "heatmap_head", "loss", "mspn_head", "vipnas_head"]


def loss(kind: str = "KeypointMSELoss", **more: Any) -> Tree:
    """A loss that leaves out keypoints without annotation."""
    return dict(type=kind, use_target_weight=True) | more


def heatmap_head(
    base: Backbone, points: int, codec: Tree, *, deconvs: int | None = None, **more: Any
) -> Tree:
    """Head that brings the backbone's map to a quarter of the input, then one map a keypoint.

    Args:
        base: the backbone; its stride says how many deconvolutions there are.
        points: number of keypoints.
        codec: decoder.
        deconvs: number of deconvolutions, where the heatmap is coarser.
        more: further settings, or other values.
    """
    head: Tree = dict(type="HeatmapHead", in_channels=base.channels, out_channels=points)
    if deconvs is None:
        deconvs = {32: 3, 16: 2, 4: 0}[base.stride]
    if deconvs == 0:
        head["deconv_out_channels"] = None
    elif deconvs != 3:
        head |= dict(deconv_out_channels=(256,) * deconvs, deconv_kernel_sizes=(4,) * deconvs)
    return head | dict(loss=loss(), decoder=codec) | more


def stacked_head(base: Backbone, points: int, codec: Tree, **more: Any) -> Tree:
    """Head of HRNetV2: a pointwise convolution of the stacked branches before the maps."""
    width = (base.channels,)
    return heatmap_head(
        base, points, codec, conv_out_channels=width, conv_kernel_sizes=(1,), **more
    )


def simple_head(base: Backbone, points: int, codec: Tree) -> Tree:
    """Head of simple ViTPose: the neck has enlarged the map, one convolution remains."""
    return heatmap_head(
        base,
        points,
        codec,
        deconv_out_channels=[],
        deconv_kernel_sizes=[],
        final_layer=dict(kernel_size=3, padding=1),
    )


def cpm_head(base: Backbone, points: int, codec: Tree) -> Tree:
    """Head of stacked networks: maps after every stage."""
    stages = base.cfg.get("num_stages") or base.cfg["num_stacks"]
    head = heatmap_head(base, points, codec, deconvs=0) | dict(type="CPMHead", num_stages=stages)
    # the backbone's own stages end with the maps
    return head | dict(final_layer=None) if base.cfg["type"] == "CPM" else head


def mspn_head(base: Backbone, points: int, codecs: list[Tree]) -> Tree:
    """Head of MSPN and RSN: four maps after every stage, coarse to fine, hard ones mined last."""
    stages = base.cfg["num_stages"]
    width, height = codecs[-1]["heatmap_size"]
    # the last stage has the finest target, stages before it are one level coarser
    levels = [0, 1, 2, 3] * (stages - 1) + ([1, 2, 3, 4] if stages > 1 else [0, 1, 2, 3])
    stage = [loss(loss_weight=0.25)] * 3 + [loss("KeypointOHKMMSELoss", loss_weight=1.0)]
    return dict(
        type="MSPNHead",
        out_shape=(height, width),
        unit_channels=256,
        out_channels=points,
        num_stages=stages,
        num_units=4,
        norm_cfg=dict(type="BN"),
        level_indices=levels,
        loss=stage * stages,
        decoder=codecs[-1],
    )


def vipnas_head(base: Backbone, points: int, codec: Tree) -> Tree:
    """Head of ViPNAS; that of the mobile network convolves each channel alone."""
    head = heatmap_head(base, points, codec) | dict(type="ViPNASHead")
    if base.cfg["type"] == "ViPNAS_MobileNetV3":
        widths = (base.channels,) * 3
        head |= dict(deconv_out_channels=widths, deconv_num_groups=widths)
    return head


def attention_unit(dropout: float = 0.0) -> Tree:
    """Gated attention unit of RTMPose's heads."""
    return dict(
        hidden_dims=256,
        s=128,
        expansion_factor=2,
        dropout_rate=dropout,
        drop_path=0.0,
        act_fn="SiLU",
        use_rel_bias=False,
        pos_enc=False,
    )
