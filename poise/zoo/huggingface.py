"""ViTPose and ViTPose++ in folders of Hugging Face's transformers: settings there -> a config.

Such a folder has `config.json`, mostly `preprocessor_config.json`, and the weights. Where settings
are left out, transformers' defaults hold.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poise._files import is_file
from poise.config import Config
from poise.errors import CheckpointError, ConfigError
from poise.zoo.downloads.hub import bring
from poise.zoo.hub import CONFIG, WEIGHTS, hub_model, split_part
from poise.zoo.name import Name
from poise.zoo.parts import codecs, schedules
from poise.zoo.parts.assembly import Tree
from poise.zoo.parts.backbones import Backbone
from poise.zoo.parts.heads import heatmap_head, simple_head
from poise.zoo.parts.topdown import estimator, flip_test, frame
from poise.zoo.parts.vitpose import bound

__all__ = ["config_of_settings", "folder_weights", "transformers_config"]

PREPROCESSOR = "preprocessor_config.json"

#: channels -> rates of stochastic depth, and of learning from layer to layer, in ViTPose's recipes
_TRAINED = {384: (0.1, 0.8), 768: (0.3, 0.75), 1024: (0.5, 0.8), 1280: (0.55, 0.85)}
_ACTIVATIONS = {"gelu": "GELU", "relu": "ReLU"}
#: how far a box is made larger, if `normalize_factor` is the usual one
_PADDING, _FACTOR = 1.25, 200.0
_RESCALE = 1 / 255
_BACKBONE = "vitpose_backbone"


def transformers_config(source: str) -> Config:
    """Config of a folder of transformers, or of a model on the hub, which is fetched.

    Args:
        source: folder, or "hf:ORGANISATION/NAME"; behind "#" the dataset whose keypoints are meant.

    Raises:
        ConfigError: another network, or settings that Poise cannot honour.
        CheckpointError: a file of the hub that cannot be fetched.
    """
    name, dataset = split_part(source)
    path = _file(name, CONFIG)
    assert path is not None  # it is not optional
    beside = _file(name, PREPROCESSOR, optional=True)
    return config_of_settings(_read(path), dataset, path, beside)


def config_of_settings(
    settings: Tree, dataset: str | None, path: Path, beside: Path | None = None
) -> Config:
    """Config of what a `config.json` says.

    Args:
        settings: of the network.
        dataset: whose keypoints are meant; None takes what the settings say.
        path: the file of the settings, for error texts and names.
        beside: file with settings of the processor; None takes its defaults.

    Raises:
        ConfigError: another network, or settings that Poise cannot honour.
    """
    _check_kind(settings, path)
    network = _Network(settings, path)
    processor = _Processor({} if beside is None else _read(beside), beside or path, network.size)
    return Config(_tree(path.parent.name, network, processor, dataset))


def _file(name: str, file: str, *, optional: bool = False) -> Path | None:
    model = hub_model(name)
    if model is None:
        path = Path(name).expanduser() / file
        return path if is_file(path) or not optional else None
    return bring(model, file, optional=optional)


def _read(path: Path) -> Tree:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ConfigError(f"{path} is no JSON file: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected an object of settings, got {content!r:.80}")
    return content


def _check_kind(settings: Tree, path: Path) -> None:
    """See that the network is one that Poise has.

    Raises:
        ConfigError: another one.
    """
    kind = settings.get("model_type")
    if kind == "vitpose":
        if not isinstance(settings.get("backbone_config"), Mapping):
            raise ConfigError(
                f"{path}: 'backbone_config' should be the settings of a {_BACKBONE}, got "
                f"{settings.get('backbone_config')!r}; other backbones of VitPose are not read"
            )
        inner = settings["backbone_config"].get("model_type", _BACKBONE)
        if inner != _BACKBONE:
            raise ConfigError(f"{path}: the backbone is a {inner}; {_BACKBONE} alone is read")
        return
    if kind == _BACKBONE:
        raise ConfigError(
            f"{path}: a VitPoseBackbone alone, without the head that finds keypoints. Training can "
            f"start from it: model.backbone.init_cfg=dict(type='Pretrained', checkpoint='"
            f"{path.parent / WEIGHTS[0]}')"
        )
    named = ", ".join(settings.get("architectures") or ()) or "none"
    raise ConfigError(
        f"{path}: model_type is {kind!r} (architectures: {named}), which Poise does not read; of "
        "Hugging Face's folders it reads 'vitpose' (VitPoseForPoseEstimation: ViTPose, ViTPose++)"
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
        given = settings["backbone_config"]
        self.path = path
        self.width = int(given.get("hidden_size", 768))
        self.layers = _last_layer(given)
        self.heads = int(given.get("num_attention_heads", 12))
        self.inner = int(self.width * given.get("mlp_ratio", 4))
        self.experts = int(given.get("num_experts", 1))
        self.channels = int(given.get("num_channels", 3))
        height, width = self._pair(given.get("image_size", (256, 192)), "image_size")
        self.size = (width, height)
        self.patch, across = self._pair(given.get("patch_size", 16), "patch_size")
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

    def _pair(self, value: Any, key: str) -> tuple[int, int]:
        pair = (value, value) if isinstance(value, int) else tuple(value)
        if len(pair) != 2 or not all(isinstance(v, int) and v > 0 for v in pair):
            raise ConfigError(f"{self.path}: {key} should be height and width, got {value!r}")
        return pair[0], pair[1]

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


def _last_layer(given: Tree) -> int:
    """Number of layers up to the one whose output the head sees."""
    count = int(given.get("num_hidden_layers", 12))
    if given.get("out_indices"):
        chosen = [int(i) % (count + 1) for i in given["out_indices"]]
    else:
        names = given.get("out_features") or [f"stage{count}"]
        chosen = [int(str(name).removeprefix("stage").replace("stem", "0")) for name in names]
    return max(chosen)


class _Processor:
    """What `preprocessor_config.json` says about pictures on their way in.

    Args:
        settings: of the file.
        path: the file, for error texts.
        size: width and height that the network takes.

    Raises:
        ConfigError: settings that Poise cannot honour.
    """

    def __init__(self, settings: Tree, path: Path, size: tuple[int, int]) -> None:
        kind = settings.get("image_processor_type", "VitPoseImageProcessor")
        if not str(kind).startswith("VitPoseImageProcessor"):
            raise ConfigError(f"{path}: a {kind}, expected VitPoseImageProcessor")
        if not settings.get("do_affine_transform", True):
            raise ConfigError(
                f"{path}: do_affine_transform is false, so pictures should be crops already; Poise "
                "cuts people out of pictures itself: set it to true"
            )
        sides = settings.get("size") or dict(height=size[1], width=size[0])
        if (sides.get("width"), sides.get("height")) != size:
            raise ConfigError(
                f"{path}: size is {sides}, but image_size in {CONFIG} is height {size[1]} and "
                f"width {size[0]}; they should be the same"
            )
        # (x * rescale - mean) / std of their 0..255 is (x - mean / rescale) / (std / rescale)
        scale = settings.get("rescale_factor", _RESCALE) if settings.get("do_rescale", True) else 1
        normal = settings.get("do_normalize", True)
        mean = settings.get("image_mean", (0.485, 0.456, 0.406)) if normal else (0.0,) * 3
        std = settings.get("image_std", (0.229, 0.224, 0.225)) if normal else (1.0,) * 3
        self.mean = [round(float(value) / scale, 6) for value in mean]
        self.std = [round(float(value) / scale, 6) for value in std]
        self.padding = _PADDING * _FACTOR / float(settings.get("normalize_factor", _FACTOR))


def _tree(source: str, network: _Network, processor: _Processor, dataset: str | None) -> Tree:
    """Config tree, in the frame of MMPose's recipes for ViTPose."""
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
    model["data_preprocessor"] = model["data_preprocessor"] | dict(
        mean=processor.mean, std=processor.std
    )
    if processor.padding != _PADDING:
        data = data.changed(varied=data.varied | dict(padding=processor.padding))
    name = Name(
        stem=Path(source).name,
        method="td-hm",
        network="ViTPose",
        variant="",
        gpus=8,
        batch=64,
        epochs=210,
        data=data.schema,
        size=network.size,
        suffix="",
    )
    _, decay = _TRAINED.get(network.width, (0.0, 1.0))
    return frame(
        name,
        data,
        model,
        codec,
        varied=dict(udp=True),
        seen=dict(udp=True),
        optimizer=schedules.layer_decay_adamw(network.layers, decay),
        workers=4,
        max_keep=1,
        custom_imports=dict(
            imports=["mmpose.engine.optim_wrappers.layer_decay_optim_wrapper"],
            allow_failed_imports=False,
        ),
    )


def folder_weights(source: str) -> Path | None:
    """Weights that are on this machine, with the dataset that is meant behind; None if absent.

    Raises:
        CheckpointError: a folder without weights.
    """
    name, dataset = split_part(source)
    model = hub_model(name)
    folder = Path(name).expanduser()
    files = [folder / file if model is None else model.local_copy(file) for file in WEIGHTS]
    found = next((file for file in files if file is not None and is_file(file)), None)
    if found is None:
        if model is None:
            # another network is the greater fault
            transformers_config(source)
            has = ", ".join(sorted(p.name for p in folder.iterdir())[:12])
            raise CheckpointError(
                f"{folder} has no weights: expected {' or '.join(WEIGHTS)}, it has {has}; several "
                "pieces are joined by save_pretrained(..., max_shard_size='100GB') of transformers"
            )
        return None
    return found if dataset is None else found.with_name(f"{found.name}#{dataset}")
