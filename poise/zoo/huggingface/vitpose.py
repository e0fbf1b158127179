"""ViTPose and ViTPose++ in folders of transformers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poise.errors import ConfigError
from poise.zoo.huggingface.processor import Processor, sides
from poise.zoo.huggingface.recipe import recipe
from poise.zoo.parts import codecs, schedules
from poise.zoo.parts.assembly import Tree
from poise.zoo.parts.backbones import VITPOSE_SIZES, Backbone
from poise.zoo.parts.heads import heatmap_head, simple_head
from poise.zoo.parts.topdown import estimator, flip_test
from poise.zoo.parts.vitpose import bound

__all__ = ["tree"]

#: channels -> rates of stochastic depth, and of learning from layer to layer, in ViTPose's recipes
_TRAINED = {width: (drop, decay) for width, _, drop, decay in VITPOSE_SIZES.values()}
_ACTIVATIONS = {"gelu": "GELU", "relu": "ReLU"}
_BACKBONE = "vitpose_backbone"


def tree(settings: Tree, path: Path, processor: Tree, beside: Path, dataset: str | None) -> Tree:
    """Config tree, in the frame of MMPose's recipes for ViTPose.

    Args:
        settings: of `config.json`.
        path: that file, for error texts and names.
        processor: of `preprocessor_config.json`.
        beside: that file.
        dataset: whose keypoints are meant; None takes what the settings say.

    Raises:
        ConfigError: settings that Poise cannot honour.
    """
    network = _Network(settings, path)
    shown = Processor(processor, beside, network.size, "VitPoseImageProcessor")
    count = len(network.points)
    data, mirrors = bound(
        network.points,
        network.edges,
        dataset,
        experts=network.experts > 1,
        where=network.path,
    )
    base, codec = network.backbone, network.codec
    head = (simple_head if network.simple else heatmap_head)(base, count, codec)
    model = estimator(base.cfg, head, flip_test(shift=False) if mirrors else dict(flip_test=False))
    if base.neck is not None:
        model["neck"] = base.neck
    _, decay = _TRAINED.get(network.width, (0.0, 1.0))
    return recipe(
        path.parent.name,
        "ViTPose",
        data,
        model,
        codec,
        shown,
        varied=dict(udp=True),
        seen=dict(udp=True),
        optimizer=schedules.layer_decay_adamw(network.layers, decay),
    )


class _Network:
    """What `config.json` says about the network.

    Args:
        settings: of the file.
        path: the file, for error texts.

    Raises:
        ConfigError: settings that Poise cannot honour.
    """

    def __init__(self, settings: Tree, path: Path) -> None:
        given = settings.get("backbone_config")
        if not isinstance(given, Mapping):
            raise ConfigError(
                f"{path}: 'backbone_config' should be the settings of a {_BACKBONE}, got "
                f"{given!r}; other backbones of VitPose are not read"
            )
        inner = given.get("model_type", _BACKBONE)
        if inner != _BACKBONE:
            raise ConfigError(f"{path}: the backbone is a {inner}; {_BACKBONE} alone is read")
        self.path = path
        self.width = int(given.get("hidden_size", 768))
        self.layers = _last_layer(given)
        self.heads = int(given.get("num_attention_heads", 12))
        self.inner = int(self.width * given.get("mlp_ratio", 4))
        self.experts = int(given.get("num_experts", 1))
        self.channels = int(given.get("num_channels", 3))
        height, width = sides(given.get("image_size", (256, 192)), "image_size", path)
        self.size = (width, height)
        self.patch, across = sides(given.get("patch_size", 16), "patch_size", path)
        if self.patch != across or height % self.patch or width % self.patch:
            raise ConfigError(
                f"{path}: patches should be square and fill the picture, got patch_size "
                f"{self.patch} x {across} and image_size {height} x {width}"
            )
        act = given.get("hidden_act", "gelu")
        if act not in _ACTIVATIONS:
            raise ConfigError(f"{path}: hidden_act is {act!r}, expected one of {[*_ACTIVATIONS]}")
        self.act = _ACTIVATIONS[act]
        self.eps = float(given.get("layer_norm_eps", 1e-12))
        self.qkv_bias = bool(given.get("qkv_bias", True))
        self.dropout = float(given.get("hidden_dropout_prob", 0.0))
        self.simple = bool(settings.get("use_simple_decoder", True))
        # deconvolutions enlarge four times, whatever the setting is
        self.factor = int(settings.get("scale_factor", 4)) if self.simple else 4
        names = settings.get("id2label")
        count = len(names) if names else int(settings.get("num_labels") or 2)
        self.points = [f"{(names or {}).get(str(i), f'LABEL_{i}')}" for i in range(count)]
        edges = [tuple(map(int, edge)) for edge in settings.get("edges") or ()]
        self.edges = [edge for edge in edges if len(edge) == 2 and max(edge) < count]

    @property
    def backbone(self) -> Backbone:
        """The backbone, under MMPretrain's names, and the neck of the simple decoder."""
        drop_path, _ = _TRAINED.get(self.width, (0.0, 0.0))
        cfg = dict(
            type="mmpretrain.VisionTransformer",
            arch=dict(
                embed_dims=self.width,
                num_layers=self.layers,
                num_heads=self.heads,
                feedforward_channels=self.inner,
            ),
            img_size=self.size[::-1],
            patch_size=self.patch,
            in_channels=self.channels,
            qkv_bias=self.qkv_bias,
            drop_rate=self.dropout,
            drop_path_rate=drop_path,
            norm_cfg=dict(type="LN", eps=self.eps),
            layer_cfgs=dict(act_cfg=dict(type=self.act)),
            with_cls_token=False,
            out_type="featmap",
            patch_cfg=dict(padding=2),
        )
        neck = dict(type="FeatureMapProcessor", scale_factor=float(self.factor), apply_relu=True)
        return Backbone(cfg, self.width, 16, neck if self.simple else None)

    @property
    def codec(self) -> Tree:
        """Heatmaps with true centres."""
        width, height = (side // self.patch * self.factor for side in self.size)
        return codecs.udp(self.size) | dict(heatmap_size=(width, height))


def _last_layer(given: Mapping[str, Any]) -> int:
    """Number of layers up to the one whose output the head sees."""
    count = int(given.get("num_hidden_layers", 12))
    if given.get("out_indices"):
        chosen = [int(i) % (count + 1) for i in given["out_indices"]]
    else:
        names = given.get("out_features") or [f"stage{count}"]
        chosen = [int(str(name).removeprefix("stage").replace("stem", "0")) for name in names]
    return max(chosen)
