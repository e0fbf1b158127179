"""Sapiens2 in folders of transformers; Meta's own files of weights have the same names inside."""

from __future__ import annotations

from pathlib import Path

from poise.errors import ConfigError
from poise.zoo.huggingface.processor import Processor, sides
from poise.zoo.huggingface.recipe import recipe
from poise.zoo.parts import schedules
from poise.zoo.parts.assembly import Tree
from poise.zoo.parts.heads import loss
from poise.zoo.parts.topdown import estimator, flip_test
from poise.zoo.parts.vitpose import bound

__all__ = ["tree"]

_POSE = "Sapiens2ForPoseEstimation"
#: settings that the network has no other form for, as all released files have them
_FIXED = dict(
    hidden_act="silu",
    use_gated_mlp=True,
    mlp_bias=True,
    proj_bias=True,
    rms_norm_eps=1e-6,
    normalize_backbone_outputs=True,
)
#: channels -> how fast a layer learns beside the one after it, in Meta's recipes
_DECAY = {1024: 0.8, 1280: 0.85, 1536: 0.9, 2432: 0.94}


def tree(settings: Tree, path: Path, processor: Tree, beside: Path, dataset: str | None) -> Tree:
    """Config tree of a pose network.

    Args:
        settings: of `config.json`.
        path: that file, for error texts and names.
        processor: of `preprocessor_config.json`.
        beside: that file.
        dataset: whose keypoints are meant; None takes what the settings say.

    Raises:
        ConfigError: a network for another task, or settings that Poise cannot honour.
    """
    named = settings.get("architectures") or [_POSE]
    if _POSE not in named:
        raise ConfigError(
            f"{path}: {', '.join(named)} finds no keypoints; of Sapiens2 Poise reads {_POSE}, such "
            "as hf:facebook/sapiens2-pose-0.4b"
        )
    for key, expected in _FIXED.items():
        if settings.get(key, expected) != expected:
            raise ConfigError(f"{path}: {key} is {settings[key]!r}, Poise has {expected!r} only")
    height, width = sides(settings.get("image_size", 224), "image_size", path)
    patch = int(settings.get("patch_size", 16))
    if height % patch or width % patch:
        raise ConfigError(
            f"{path}: patches should fill the picture, got patch_size {patch} and image_size "
            f"{height} x {width}"
        )
    shown = Processor(processor, beside, (width, height), "Sapiens2ImageProcessor")
    names = settings.get("id2label") or {}
    count = len(names) or int(settings.get("num_labels") or 2)
    points = [str(names.get(str(i), f"LABEL_{i}")) for i in range(count)]
    pairs = [(int(one), int(other)) for one, other in settings.get("flip_pairs") or ()]
    data, mirrors = bound(points, (), dataset, experts=False, where=path, pairs=pairs)
    head = _head(settings, count, path)
    factor = 2 ** len(head["deconv_out_channels"])
    codec = dict(
        type="UDPHeatmap",
        input_size=(width, height),
        heatmap_size=(width // patch * factor, height // patch * factor),
        sigma=float(processor.get("keypoint_heatmap_sigma", 6.0)),
    )
    backbone = _backbone(settings, (height, width), patch, path)
    test = flip_test(shift=False) if mirrors else dict(flip_test=False)
    layers, decay = backbone["arch"]["num_layers"], _DECAY.get(head["in_channels"], 0.8)
    cubic = dict(udp=True, cubic=True)
    return recipe(
        path.parent.name,
        "Sapiens2",
        data,
        estimator(backbone, head | dict(decoder=codec), test),
        codec,
        shown,
        varied=cubic,
        seen=cubic,
        optimizer=schedules.layer_decay_adamw(layers, decay),
    )


def _backbone(settings: Tree, size: tuple[int, int], patch: int, path: Path) -> Tree:
    biases = [bool(settings.get(f"{kind}_bias", True)) for kind in ("query", "key", "value")]
    if len(set(biases)) > 1:
        raise ConfigError(
            f"{path}: query_bias, key_bias and value_bias should be the same, got {biases}"
        )
    width, layers, heads = (
        int(settings.get(key, default))
        for key, default in (
            ("hidden_size", 1024),
            ("num_hidden_layers", 24),
            ("num_attention_heads", 16),
        )
    )
    first, last = (
        int(settings.get(f"num_{end}_full_attention_layers", 8)) for end in ("first", "last")
    )
    shared = int(settings.get("num_key_value_attention_heads", 8))
    of_keys = settings.get("num_key_value_heads_per_layer") or [
        shared if first <= i < layers - last else heads for i in range(layers)
    ]
    return dict(
        type="Sapiens2",
        arch=dict(
            embed_dims=width,
            num_layers=layers,
            num_heads=heads,
            feedforward_channels=int(settings.get("intermediate_size", 4096)),
        ),
        img_size=size,
        patch_size=patch,
        in_channels=int(settings.get("num_channels", 3)),
        drop_path_rate=float(settings.get("drop_path_rate", 0.0)),
        use_qk_norm=bool(settings.get("use_qk_norm", True)),
        qkv_bias=biases[0],
        num_kv_heads=[int(count) for count in of_keys],
        n_storage_tokens=int(settings.get("num_register_tokens", 8)),
        pos_embed_rope_base=float(settings.get("rope_theta", 100.0)),
    )


def _head(settings: Tree, points: int, path: Path) -> Tree:
    given = settings.get("head_config") or {}
    if given.get("use_pixel_shuffle"):
        raise ConfigError(
            f"{path}: head_config.use_pixel_shuffle is set, which pose heads have not"
        )
    widths = list(given.get("upsample_out_channels") or ())
    narrow = list(given.get("conv_out_channels") or ())
    return dict(
        type="Sapiens2Head",
        in_channels=int(settings.get("hidden_size", 1024)),
        out_channels=points,
        deconv_out_channels=widths,
        deconv_kernel_sizes=given.get("upsample_kernel_sizes") or [4] * len(widths),
        conv_out_channels=narrow,
        conv_kernel_sizes=given.get("conv_kernel_sizes") or [1] * len(narrow),
        loss=loss(loss_weight=10.0),
    )
