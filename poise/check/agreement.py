"""What a config says twice must agree: codecs, sizes of crops, keypoints of training and test.

Such differences run without an error and cost accuracy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from poise import schemas
from poise._words import counted
from poise.check.context import Context, bare_type, datasets_of
from poise.check.keys import converts
from poise.check.report import Finding
from poise.errors import PoiseError
from poise.registry import use_scope
from poise.schemas.sides import other_sides

__all__ = ["check_codecs", "check_schemas"]

#: settings of a codec without which its numbers mean something else
_FORM = ("type", "input_size", "heatmap_size", "heatmap_type", "simcc_split_ratio")
#: codecs that MMPose's configs give other settings in training than in a test
_BY_MODE = ("MotionBERTLabel",)
#: codecs whose keypoints are measured between pixel centres
_UDP = ("UDPHeatmap",)

Found = tuple[tuple[Any, ...], Mapping[str, Any]]


def check_codecs(context: Context) -> Iterator[Finding]:
    """The head decodes what `GenerateTarget` encodes, in crops of the codec's size."""
    model = context.tree.get("model")
    decoder = _decoder(model) if isinstance(model, Mapping) else None
    if decoder is None:
        return
    path, codec = decoder
    for part in context.distinct:
        loader = (f"{part}_dataloader", "dataset")
        for place, step in _steps(context.dataset(part), loader):
            if bare_type(step) == "GenerateTarget":
                yield from _encoders(context, (*place, "encoder"), step.get("encoder"), codec, path)
            elif bare_type(step) == "TopdownAffine":
                yield from _crop(context, place, step, codec, path)


def _decoder(model: Mapping[str, Any]) -> Found | None:
    """Codec of the head, or of the pose head in it, with its path."""
    path: tuple[Any, ...] = ("model", "head")
    head = model.get("head")
    while isinstance(head, Mapping):
        if isinstance(head.get("decoder"), Mapping):
            return (*path, "decoder"), head["decoder"]
        path, head = (*path, "pose_cfg"), head.get("pose_cfg")
    return None


def _steps(tree: Any, path: tuple[Any, ...]) -> Iterator[Found]:
    """Transforms of all pipelines of a data set."""
    if isinstance(tree, (list, tuple)):
        for i, item in enumerate(tree):
            yield from _steps(item, (*path, i))
    elif isinstance(tree, Mapping):
        if path[-2:-1] in (("pipeline",), ("transforms",)):
            yield path, tree
        for key in ("pipeline", "transforms", "dataset", "datasets"):
            yield from _steps(tree.get(key), (*path, key))


def _encoders(
    context: Context, path: tuple[Any, ...], encoder: Any, codec: Mapping[str, Any], head: Any
) -> Iterator[Finding]:
    several = encoder if isinstance(encoder, (list, tuple)) else [encoder]
    same = [e for e in several if isinstance(e, Mapping) and bare_type(e) == bare_type(codec)]
    if not same or bare_type(codec) in _BY_MODE:
        return
    wrong = [_differences(one, codec) for one in same]
    if not all(wrong):
        return
    keys = wrong[0]
    grave = any(key in _FORM for key in keys)
    yield Finding(
        "error" if grave else "warning",
        "config",
        f"GenerateTarget encodes with another {bare_type(codec)} than the head decodes with "
        f"({context.at(*head)})",
        context.at(*path),
        expected=", ".join(f"{key}={codec.get(key, '(default)')}" for key in keys),
        found=", ".join(f"{key}={same[0].get(key, '(default)')}" for key in keys),
        fix="write the codec once, codec = dict(...), and use it for both",
    )


def _differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Settings that two codecs of one type do not share."""
    keys = dict.fromkeys([*one, *other])
    return [k for k in keys if k != "type" and _listed(one.get(k)) != _listed(other.get(k))]


def _listed(value: Any) -> Any:
    return list(map(_listed, value)) if isinstance(value, (list, tuple)) else value


def _crop(
    context: Context,
    path: tuple[Any, ...],
    step: Mapping[str, Any],
    codec: Mapping[str, Any],
    head: Any,
) -> Iterator[Finding]:
    size, wanted = _listed(step.get("input_size")), _listed(codec.get("input_size"))
    if isinstance(size, list) and isinstance(wanted, list) and size != wanted[:2]:
        yield Finding(
            "error",
            "config",
            f"the crops have another size than the codec of the head ({context.at(*head)})",
            context.at(*path, "input_size"),
            expected=str(wanted[:2]),
            found=str(size),
            fix="input_size=codec['input_size'] for both",
        )
    udp = bare_type(codec) in _UDP
    if udp != bool(step.get("use_udp", False)):
        yield Finding(
            "warning",
            "config",
            f"{bare_type(codec)} measures between {'pixel centres' if udp else 'pixel corners'}, "
            "and the crops do not: keypoints are off by a part of a pixel",
            context.at(*path),
            expected=f"use_udp={udp}",
            found=f"use_udp={step.get('use_udp', False)}",
        )


def check_schemas(context: Context) -> Iterator[Finding]:
    """Keypoints of training and test are the same, and a mirror knows their sides."""
    known: dict[str, dict[str, Any]] = {}
    with use_scope(context.scope):
        for part in context.parts:
            loader = (f"{part}_dataloader", "dataset")
            meta = _metainfo(context.dataset(part))
            if meta is not None:
                known[part] = meta
            yield from _sides(context, part, loader)
    if "train" not in known or any(converts(context.dataset(part)) for part in context.parts):
        return
    for part in ("val", "test"):
        names = [list(known[p]["keypoint_id2name"].values()) for p in ("train", part) if p in known]
        if len(names) == 2 and names[0] != names[1]:
            yield Finding(
                "warning",
                "data",
                f"training is for {counted(len(names[0]), 'keypoint')} "
                f"({known['train']['dataset_name']}), "
                f"{part} for {len(names[1])} others ({known[part]['dataset_name']})",
                context.at(f"{part}_dataloader", "dataset"),
                fix="the same metainfo for both, or a KeypointConverter",
            )
            return


def _metainfo(dataset: Any) -> dict[str, Any] | None:
    from poise.structures.config_metainfo import dataset_meta_of

    try:
        return dataset_meta_of({"test_dataloader": {"dataset": dataset}})
    except (PoiseError, KeyError, TypeError, AttributeError):
        # other checks tell of metainfo that cannot be read
        return None


def _sides(context: Context, part: str, loader: tuple[Any, ...]) -> Iterator[Finding]:
    """Names that say left and right, in a schema of the user's own that gives no swap."""
    flips = any("Flip" in bare_type(step) for _, step in _steps(context.dataset(part), loader))
    for cfg, path in datasets_of(context.dataset(part), loader):
        raw = cfg.get("metainfo")
        if not isinstance(raw, Mapping) or not flips:
            continue
        source = raw.get("from_file")
        if source and schemas.known(Path(str(source)).stem) and not Path(str(source)).is_file():
            continue
        meta = _metainfo(cfg)
        lone = [] if meta is None else _unswapped(meta)
        if lone:
            pairs = ", ".join(f"{a} and {b}" for a, b in lone[:3])
            yield Finding(
                "warning",
                "data",
                f"{pairs}{' ...' if len(lone) > 3 else ''} are called after sides, but have no "
                "`swap`: pictures that are mirrored in training teach the wrong side",
                str(source) if source else context.at(*path, "metainfo"),
                fix=f"swap='{lone[0][1]}' at {lone[0][0]}, and swap='{lone[0][0]}' at {lone[0][1]}",
            )


def _unswapped(metainfo: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Pairs of keypoints that are called after sides, and that a mirror does not exchange."""
    names = list(metainfo["keypoint_id2name"].values())
    pairs, _ = other_sides(names)
    alone = {name for i, name in enumerate(names) if metainfo["flip_indices"][i] == i}
    both = [(a, b) for a, b in pairs.items() if {a, b} <= alone]
    return [(a, b) for a, b in both if names.index(a) < names.index(b)]
