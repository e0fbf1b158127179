"""What ViTPose's files are about: the datasets of ViTPose++ (Xu 2022), and keypoints by name."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path

from poise import schemas
from poise._words import counted
from poise.errors import ConfigError, nearest
from poise.zoo.parts.assembly import Tree
from poise.zoo.parts.datasets import Binding, binding, count, metainfo_of

__all__ = ["EXPERTS", "bound", "dataset_name", "schema_of"]

_LOG = logging.getLogger(__name__)

#: datasets of ViTPose++, in the order of its experts
EXPERTS = ("coco", "aic", "mpii", "ap10k", "apt36k", "coco_wholebody")
_ALIASES = {"wholebody": "coco_wholebody", "ap36k": "apt36k"}
#: datasets whose keypoints are another's
_SAME_POINTS = {"apt36k": "ap10k"}
#: number of keypoints that say nothing about themselves -> what they are then taken for
_BY_COUNT = {17: "coco", 133: "coco_wholebody", 308: "goliath"}

_SHORT = {"l": "left", "r": "right"}
_SNAKE = re.compile(r"[a-z\d_-]+")
_UNNAMED = re.compile(r"LABEL_\d+")
_COLOR = {"left": [0, 255, 0], "right": [255, 128, 0]}
_MIDDLE = [51, 153, 255]


def dataset_name(asked: str, *, experts: bool, where: object) -> str:
    """Name of a dataset as schemas spell it.

    Args:
        asked: what was written behind "#".
        experts: only datasets of ViTPose++ are meant.
        where: file or folder, for the error text.

    Raises:
        ConfigError: there is none.

    Example:
        >>> dataset_name("COCO-WholeBody", experts=True, where="")
        'coco_wholebody'
    """
    name = asked.lower().replace("-", "_")
    name = _ALIASES.get(name, name)
    known = EXPERTS if experts else (*schemas.names(), *_SAME_POINTS)
    if name not in known:
        what = "it has parts for" if experts else "expected the name of a keypoint schema, such as"
        shown = ", ".join(EXPERTS)
        raise ConfigError(f"{where}#{asked}: {what} {shown}{nearest(name, known)}")
    return name


def schema_of(dataset: str) -> str:
    """Schema of a dataset's keypoints.

    Example:
        >>> schema_of("apt36k"), schema_of("mpii")
        ('ap10k', 'mpii')
    """
    return _SAME_POINTS.get(dataset, dataset)


def bound(
    labels: Sequence[str],
    edges: Sequence[tuple[int, ...]],
    asked: str | None,
    *,
    experts: bool,
    where: Path,
    pairs: Sequence[tuple[int, int]] = (),
) -> tuple[Binding, bool]:
    """Dataset whose keypoints a head finds, and whether it is known which ones a mirror swaps.

    Args:
        labels: names of the head's keypoints, as its file has them.
        edges: links, as pairs of numbers.
        asked: dataset that was named by the user; None takes what the labels say, and of a
            mixture of experts COCO.
        experts: the network is such a mixture.
        where: the file of weights or of settings, for error texts.
        pairs: keypoints that a mirror swaps, by number; without them names tell.

    Raises:
        ConfigError: the head's keypoints are not those of the dataset.
    """
    folder = where.parent if where.suffix == ".json" else where
    named = None
    if asked is not None:
        named = dataset_name(asked, experts=experts, where=folder)
    elif experts:
        named = EXPERTS[0]
    names = [_spelled(label) for label in labels]
    unnamed = all(_UNNAMED.fullmatch(label) for label in labels)
    told = (
        None if unnamed else schemas.schema_of_names(names, (named and schema_of(named)) or "coco")
    )
    if named is not None:
        _check(named, len(labels), told, folder, experts=experts)
        return _binding_of(named), True
    known = told or (_BY_COUNT.get(len(labels)) if unnamed else None)
    if known is not None:
        return _binding_of(known), True
    if unnamed:
        names = [f"keypoint_{i}" for i in range(len(labels))]
        _LOG.warning(
            "%s does not say what its %d keypoints are, so they are numbered%s%s",
            where,
            len(labels),
            "" if pairs else " and crops are not mirrored",
            _hint(len(labels), folder),
        )
    swaps = {names[a]: names[b] for pair in pairs for a, b in (pair, pair[::-1])}
    swaps = swaps or schemas.other_sides(names)[0]
    own = _schema(folder.name, names, swaps, edges)
    return binding("coco").changed(schema="", options=dict(metainfo=own)), bool(swaps)


def _hint(points: int, folder: Path) -> str:
    """How a schema that has so many keypoints is named; empty where there is none."""
    fit = next((name for name in schemas.names() if count(name) == points), None)
    return f"; behind # the name of a schema can say it: {folder}#{fit}" if fit else ""


def _check(dataset: str, points: int, told: str | None, folder: Path, *, experts: bool) -> None:
    """See that a head's keypoints are those of a dataset.

    Raises:
        ConfigError: they are not.
    """
    schema = schema_of(dataset)
    expected = count(schema)
    own = next((name for name in EXPERTS if schema_of(name) == told), told)
    if points == expected and told in (None, schema):
        return
    of = f", those of {own}" if own else ""
    raise ConfigError(
        f"{folder}: its head finds {counted(points, 'keypoint')}{of}, and {dataset} has {expected}"
        f"{'' if points != expected else ' others'}. Name the dataset that the head was trained "
        f"for ({folder}#NAME)"
        + "; heads of all six datasets are in ViTPose++'s own .pth files alone"
        * experts
    )


def _spelled(label: str) -> str:
    """A keypoint as schemas write it.

    Example:
        >>> _spelled("L_Eye"), _spelled("Nose"), _spelled("r_thumb4")
        ('left_eye', 'nose', 'right_thumb4')
    """
    words = (label if _SNAKE.fullmatch(label) else schemas.plain_name(label)).split("_")
    return "_".join(_SHORT.get(word, word) for word in words)


def _binding_of(dataset: str) -> Binding:
    if dataset == "apt36k":
        return binding("ap10k").changed(
            root="data/ap36k/",
            train="annotations/train_annotations_1.json",
            val="annotations/val_annotations_1.json",
            test="annotations/val_annotations_1.json",
            images="",
        )
    if dataset == "coco_wholebody":
        return binding("coco-wholebody")
    if dataset in EXPERTS:
        return binding(dataset)
    return binding("coco").changed(schema=dataset, options=dict(metainfo=metainfo_of(dataset)))


def _schema(
    title: str, names: Sequence[str], swaps: dict[str, str], edges: Sequence[tuple[int, ...]]
) -> Tree:
    """Description of keypoints that no known schema has."""
    color = [next((c for side, c in _COLOR.items() if side in n), _MIDDLE) for n in names]
    points = {
        i: dict(name=name, id=i, color=color[i], type="", swap=swaps.get(name, ""))
        for i, name in enumerate(names)
    }
    links = {
        i: dict(link=(names[a], names[b]), id=i, color=_MIDDLE) for i, (a, b) in enumerate(edges)
    }
    return dict(
        dataset_name=title,
        keypoint_info=points,
        skeleton_info=links,
        joint_weights=[1.0] * len(names),
        sigmas=[],
    )
