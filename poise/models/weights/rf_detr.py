"""Files of RF-DETR: what network is in one, and its weights under Poise's names.

They hold `model`, and in `args` or `model_config` what it was built with; Lightning's hold
`state_dict` and `hyper_parameters`. Where settings are left out, the weights' shapes and the
numbers of the released preview decide.
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from poise._words import counted
from poise.config import Config
from poise.errors import CheckpointError, PoiseError
from poise.models.renames import Rename, renamed
from poise.models.weights.keys import with_versions
from poise.models.weights.reading import state_dict_of
from poise.zoo.families.rf_detr import tree
from poise.zoo.parts.assembly import Tree
from poise.zoo.parts.datasets import Binding
from poise.zoo.parts.vitpose import bound

__all__ = ["rf_detr_config", "with_rf_detr_names"]

#: a key of every RF-DETR, one of those whose keypoints have maps of their own, one of ours
_SIGN = "transformer.decoder.ref_point_head.layers.0.weight"
_DUAL = "backbone.0.cross_attn_projector.stages.0.1.weight"
_OURS = "head.keypoint_queries.queries"
_VIT = "backbone.0.encoder.encoder."
_MASK = "_kp_active_mask"
_VIT_LAYER = rf"^{re.escape(_VIT)}encoder\.layer\.(\d+)\."
#: groups of queries that training has; the first one predicts
_GROUP = r"transformer\.enc_output\.(\d+)\."
_GROUPS = r"transformer\.(enc_output|enc_output_norm|enc_out_bbox_embed|enc_out_class_embed)\."
_LAYER = r"^transformer\.decoder\.layers\.(\d+)\."
_TO_LAYER = r"head.decoder.layers.\1."
#: for `renamed`; what has no new name is not read by predictions
_NAMES: tuple[Rename, ...] = (
    (rf"^{_GROUPS}0\.", r"head.\1."),
    (rf"^{_GROUPS}", None),
    (r"^transformer\.(enc_out_keypoint_embed|keypoint_query_initializer_enc)\.", None),
    (r"^(transformer\.decoder\.keypoint_class_mask|keypoint_head\.)", None),
    (rf"^{re.escape(_VIT)}embeddings\.mask_token", None),
    (_LAYER + r"self_attn\.", _TO_LAYER + "self_attn.attn."),
    (_LAYER + r"norm1\.", _TO_LAYER + "norms.0."),
    (_LAYER + r"norm2\.", _TO_LAYER + "norms.1."),
    (_LAYER + r"norm3\.", _TO_LAYER + "norms.2."),
    (_LAYER + r"linear1\.", _TO_LAYER + "ffn.layers.0.0."),
    (_LAYER + r"linear2\.", _TO_LAYER + "ffn.layers.1."),
    (_LAYER + r"kp_inst_self_attn\.", _TO_LAYER + "group_attn."),
    (_LAYER + r"instance_kp_layer_scale", _TO_LAYER + "person_scale"),
    (_LAYER + r"kp_inst_norm\.", _TO_LAYER + "person_norm."),
    (_LAYER + r"kp_norm\.", _TO_LAYER + "keypoint_norms.0."),
    (_LAYER + r"kp_cross_attn_norm\.", _TO_LAYER + "keypoint_norms.1."),
    (_LAYER + r"kp_norm5\.", _TO_LAYER + "keypoint_norms.2."),
    (_LAYER + r"kp_cross_attn\.", _TO_LAYER + "keypoint_cross_attn."),
    (_LAYER + r"kp_linear1\.", _TO_LAYER + "keypoint_ffn.layers.0.0."),
    (_LAYER + r"kp_linear3\.", _TO_LAYER + "keypoint_ffn.layers.1."),
    (r"^transformer\.decoder\.", "head.decoder."),
    (r"^transformer\.keypoint_query_initializer\.adaLN_modulation\.", _OURS[:-7] + "modulation."),
    (r"^transformer\.keypoint_query_initializer\.", _OURS[:-7]),
    (r"^(class_embed|bbox_embed|keypoint_embed|refpoint_embed|query_feat)\.", r"head.\1."),
    (r"^backbone\.0\.(cross_attn_)?projector\.(.*)\.bn\.", r"neck.\1projector.\2.ln."),
    (r"^backbone\.0\.(cross_attn_)?projector\.", r"neck.\1projector."),
    (rf"^{re.escape(_VIT)}embeddings\.cls_token", "backbone.cls_token"),
    (_VIT_LAYER + r"norm([12])\.", r"backbone.layers.\1.ln\2."),
    (_VIT_LAYER + r"layer_scale1\.lambda1", r"backbone.layers.\1.attn.gamma1.weight"),
    (_VIT_LAYER + r"layer_scale2\.lambda1", r"backbone.layers.\1.ffn.gamma2.weight"),
    # the rest of it is named as transformers names it, which `with_our_names` knows
    (rf"^{re.escape(_VIT)}", "backbone."),
)

#: part of a key, or its end -> what Poise's RF-DETR does not have
_UNKNOWN = {
    "base_model.model.": "adapters (LoRA) that are not merged into its backbone",
    "embeddings.register_tokens": "a backbone with registers",
    "mlp.weights_in.": "a backbone with gated feed-forwards",
    "projector.stages.0.0.cv1.bn.running_mean": "batch norms in its projector",
    "transformer.register_tokens": "registers in its decoder",
    ".inter_inst_kp_attn.": "attention between keypoints of different people",
    ".inst_in_proj.": "keypoints of fewer channels than people",
}
#: setting -> the value that Poise's network has
_FIXED = dict(bbox_reparam=True, lite_refpoint_refine=True, two_stage=True)
#: channels of a head of attention: of DINOv2; of the decoder's people; of their looks at maps
_HEAD_DIMS, _SELF_DIMS, _CROSS_DIMS = 64, 32, 16
#: of the released preview
_WINDOWS, _OUT_STAGES = 2, (3, 6, 9, 12)


def _bare(state: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """Weights of an RF-DETR without what Lightning and torch.compile put before keys, or None."""
    sign = next((key for key in state if key.endswith(_SIGN)), None)
    if sign is None:
        return None
    head = sign.removesuffix(_SIGN)
    return {key.removeprefix(head): value for key, value in state.items() if key.startswith(head)}


def with_rf_detr_names(
    state: Mapping[str, Tensor], expected: Iterable[str]
) -> Mapping[str, Tensor]:
    """Weights of RF-DETR's own files under the names of ours; others as they are.

    Layers that only training reads are left out.

    Args:
        state: state dict.
        expected: keys of the model.
    """
    bare = _bare(state) if _OURS in set(expected) else None
    if bare is None:
        return state
    groups = len({group[1] for key in bare if (group := re.match(_GROUP, key))})
    found = OrderedDict()
    for key, value in bare.items():
        if key == _MASK:
            found["head.keypoint_classes"] = _owners(value)
            continue
        new = renamed(key, _NAMES)
        if new in ("head.refpoint_embed.weight", "head.query_feat.weight"):
            value = value[: len(value) // max(groups, 1)]
        if new is not None:
            found[new] = value
    return with_versions(found, None)


def _owners(mask: Tensor) -> Tensor:
    """(K,) the class of each keypoint, of a mask (classes, keypoints)."""
    return mask.nonzero()[:, 0]


def rf_detr_config(content: Mapping[str, Any], dataset: str | None, path: Path) -> Config | None:
    """Config of an RF-DETR that finds keypoints, or None for other files.

    Args:
        content: what the file holds.
        dataset: whose keypoints are meant; None is COCO's for 17 of them.
        path: the file, for error texts.

    Raises:
        CheckpointError: an RF-DETR that finds no keypoints, or of a build that Poise has not.
    """
    state = _bare(state_dict_of(content, str(path)))
    if state is None:
        return None
    _refuse_others(state, path)
    told = _settings(content)
    fixed = _FIXED | {"dual_projector_kp_only": True} if _DUAL in state else _FIXED
    for key, value in fixed.items():
        if told.get(key, value) != value:
            raise CheckpointError(
                f"{path} is an RF-DETR with {key}={told[key]}; Poise has {key}={value} only"
            )
    try:
        return Config(_Network(state, told).tree(_data(state, told, dataset, path)))
    except (KeyError, ValueError, IndexError, ZeroDivisionError) as error:
        if isinstance(error, PoiseError):
            raise
        raise CheckpointError(
            f"{path} looks like an RF-DETR, but its weights are not all there, or of other shapes "
            f"({type(error).__name__}: {error}); get the file again"
        ) from error


def _refuse_others(state: Mapping[str, Tensor], path: Path) -> None:
    """See that it is a network with keypoints whose parts all exist here."""
    if not any(key.startswith("keypoint_embed.") for key in state):
        masks = any(key.startswith("segmentation_head.") for key in state)
        what = "boxes and masks" if masks else "boxes"
        classes = len(state["class_embed.bias"]) - 1 if "class_embed.bias" in state else 0
        raise CheckpointError(
            f"{path} is an RF-DETR that finds {what} of {counted(classes, 'kind')} and no "
            "keypoints; Poise reads RF-DETR's keypoint models, such as "
            "rf-detr-keypoint-preview-xlarge.pth. Boxes of another detector can be given with "
            "boxes=... (--boxes FILE.json)"
        )
    unknown = [words for part, words in _UNKNOWN.items() if any(part in key for key in state)]
    if unknown:
        raise CheckpointError(
            f"{path} is an RF-DETR with {' and '.join(unknown)}, which Poise does not have; "
            "RF-DETR's released keypoint models, and what is fine-tuned from them, have none"
        )


def _settings(content: Mapping[str, Any]) -> dict[str, Any]:
    """What a file says of how its network was built; the first part that says a thing counts."""
    told = [_plain(content.get(key)) for key in ("model_config", "args", "hyper_parameters")]
    told += [_plain(part.get("model_config")) for part in told]
    return {k: v for part in reversed(told) for k, v in part.items() if v is not None}


def _plain(value: Any) -> Mapping[str, Any]:
    """Settings as a mapping: of a dict, or of what stands for a namespace."""
    state = getattr(value, "state", None)
    if isinstance(state, Mapping):
        return state
    return value if isinstance(value, Mapping) else {}


class _Network:
    """Numbers of a network, by its weights.

    Args:
        state: weights under bare names.
        told: settings of the file.
    """

    def __init__(self, state: Mapping[str, Tensor], told: Mapping[str, Any]) -> None:
        self.state, self.told = state, told

    def _shape(self, key: str) -> Sequence[int]:
        return tuple(self.state[key].shape)

    def _count(self, pattern: str) -> int:
        """How many numbers a part of keys takes."""
        return len({found[1] for key in self.state if (found := re.match(pattern, key))})

    def _backbone(self) -> Tree:
        width, _, _, patch = self._shape(f"{_VIT}embeddings.patch_embeddings.projection.weight")
        layers = self._count(_VIT_LAYER)
        tokens = self._shape(f"{_VIT}embeddings.position_embeddings")[1] - 1
        stages = [int(i) for i in self.told.get("out_feature_indexes", _OUT_STAGES)]
        arch = dict(
            embed_dims=width,
            num_layers=layers,
            num_heads=width // _HEAD_DIMS,
            feedforward_channels=self._shape(f"{_VIT}encoder.layer.0.mlp.fc1.weight")[0],
        )
        return dict(
            arch=arch,
            img_size=math.isqrt(tokens) * patch,
            patch_size=patch,
            num_windows=int(self.told.get("num_windows", _WINDOWS)),
            # after the n-th layer is before layer n, which looks at everything
            out_indices=tuple(stage - 1 for stage in stages),
            global_layers=tuple(stage for stage in stages if stage < layers),
        )

    def _scale(self, level: int) -> float:
        start = f"backbone.0.projector.stages_sampling.{level}.0.0."
        if f"{start}weight" in self.state:
            return 2.0
        return 0.5 if f"{start}conv.weight" in self.state else 1.0

    def _neck(self, backbone: Tree) -> Tree:
        levels = self._count(r"backbone\.0\.projector\.stages\.(\d+)\.")
        return dict(
            in_channels=[backbone["arch"]["embed_dims"]] * len(backbone["out_indices"]),
            out_channels=self._shape("backbone.0.projector.stages.0.1.weight")[0],
            scale_factors=[self._scale(level) for level in range(levels)],
            num_blocks=self._count(r"backbone\.0\.projector\.stages\.0\.0\.m\.(\d+)\."),
            dual=_DUAL in self.state,
        )

    def _head(self, levels: int) -> Tree:
        classes, width = self._shape("class_embed.weight")
        start = "transformer.decoder.layers.0."
        heads = int(self.told.get("ca_nheads", width // _CROSS_DIMS))
        places = self._shape(f"{start}kp_cross_attn.attention_weights.bias")[0]
        return dict(
            keypoints_per_class=self.state[_MASK].sum(dim=1).tolist(),
            num_classes=classes,
            num_queries=self._shape("query_feat.weight")[0] // self._count(_GROUP),
            num_layers=self._count(_LAYER),
            embed_dims=width,
            num_heads=int(self.told.get("sa_nheads", width // _SELF_DIMS)),
            num_cross_heads=heads,
            num_levels=levels,
            num_points=places // (heads * levels),
            feedforward_channels=self._shape(f"{start}linear1.weight")[0],
        )

    def tree(self, data: Binding) -> Tree:
        """Config tree."""
        backbone = self._backbone()
        neck = self._neck(backbone)
        head = self._head(len(neck["scale_factors"]))
        limits = dict(
            num_select=int(self.told.get("num_select", head["num_queries"])),
            trace_alpha=float(self.told.get("postprocess_trace_alpha", 0.2)),
        )
        side = int(self.told.get("resolution", backbone["img_size"]))
        return tree(data, backbone, neck, head, side=side, limits=limits)


def _data(
    state: Mapping[str, Tensor], told: Mapping[str, Any], dataset: str | None, path: Path
) -> Binding:
    """What the keypoints are."""
    owners = _owners(state[_MASK]).tolist()
    kinds = sorted(set(owners))
    own = [name for name in told.get("class_names", ()) if isinstance(name, str)]
    # names are those of classes with keypoints, or of all classes
    names = {kind: f"class_{kind}" for kind in kinds}
    names |= dict(zip(kinds if len(own) <= len(kinds) else range(len(own)), own, strict=False))
    pairs: list[tuple[int, int]] = []
    if len(kinds) > 1:
        labels = [f"{names[kind]}_{owners[:i].count(kind)}" for i, kind in enumerate(owners)]
    else:
        labels = [f"LABEL_{i}" for i in range(len(owners))]
        flat = told.get("keypoint_flip_pairs", ())
        pairs = list(zip(flat[::2], flat[1::2], strict=False))
    if not all(0 <= point < len(owners) for pair in pairs for point in pair):
        raise CheckpointError(f"{path}: keypoint_flip_pairs {pairs} name others than its keypoints")
    data, _ = bound(labels, (), dataset, experts=False, where=path, pairs=pairs)
    info = data.options.get("metainfo") or {}
    if "keypoint_info" not in info:
        return data
    sigmas = told.get("keypoint_oks_sigmas", ())
    if len(sigmas) == len(owners):
        info["sigmas"] = [float(sigma) for sigma in sigmas]
    if len(kinds) > 1:
        points = [point["name"] for point in info["keypoint_info"].values()]
        info["categories"] = [
            dict(
                id=kind,
                name=names[kind],
                keypoints=[p for p, owner in zip(points, owners, strict=True) if owner == kind],
            )
            for kind in kinds
        ]
    return data
