"""Labelled pictures that say what to look for: of models that know no category of their own."""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poise._words import counted, shortened
from poise.check.files import read_annotations
from poise.check.keypoints import describe_content
from poise.codecs import MSRAHeatmap
from poise.config import Config
from poise.datasets.coco_file import explained
from poise.datasets.paths import picture_folder
from poise.errors import ArgumentError, ConfigError, DataError, FileMissingError
from poise.inference.networks.crops import Crop, WarpCrops, read_test_pipeline
from poise.inference.sources.pictures import Picture, read_picture
from poise.structures.metainfo import parse_pose_metainfo

__all__ = ["Support", "with_support"]

_LOG = logging.getLogger(__name__)

#: as the authors evaluate: so many labelled pictures at most
MAX_SHOTS = 5
#: no category that such models are trained with has more
MAX_KEYPOINTS = 100
#: what a box gets around it, as in training
PADDING = 1.25
#: side of the maps that say where the labelled keypoints are, and the width of a keypoint in them
MAP_SIDE, SIGMA = 64, 1
_SHOWN = 8


class Support:
    """Pictures of objects, where their keypoints are, and how these are linked.

    Keypoints that not all pictures show are not found in others.

    Args:
        pictures: S pictures (H, W, 3) uint8 BGR.
        keypoints: (S, K, 2), image space.
        links: pairs of indices from 0: the graph along which keypoints are told apart.
        boxes: (S, 4) xyxy of the objects; None: the whole pictures.
        visible: (S, K), 0 for keypoints that a picture does not show; None: it shows all.
        names: of the keypoints; None numbers them.
        metainfo: parsed schema, instead of `links` and `names`.

    Raises:
        DataError: no keypoints, too many, other shapes than these, or places that are no numbers.
    """

    def __init__(
        self,
        pictures: Sequence[np.ndarray],
        keypoints: Any,
        *,
        links: Sequence[Sequence[int]] = (),
        boxes: Any = None,
        visible: Any = None,
        names: Sequence[str] | None = None,
        metainfo: Mapping[str, Any] | None = None,
    ) -> None:
        self.pictures = list(pictures)
        self.keypoints = np.asarray(keypoints, np.float64)
        shape = self.keypoints.shape
        if len(shape) != 3 or shape[0] != len(self.pictures) or not shape[0] or shape[2] != 2:
            raise DataError(
                "keypoints of a support should be (S, K, 2), x and y in each of its S pictures; "
                f"got {shape} for {counted(len(self.pictures), 'picture')}"
            )
        count = shape[1]
        self.visible = np.ones(shape[:2], bool) if visible is None else np.asarray(visible) > 0
        whole = [(0, 0, p.shape[1], p.shape[0]) for p in self.pictures]
        self.boxes = np.asarray(whole if boxes is None else boxes, np.float32)
        if self.visible.shape != shape[:2] or self.boxes.shape != (shape[0], 4):
            raise DataError(
                f"of a support with keypoints {shape}, visible should be {shape[:2]} and boxes "
                f"{(shape[0], 4)}; got {self.visible.shape} and {self.boxes.shape}"
            )
        self._check_places()
        self.metainfo = metainfo or _numbered(count, links, names)

    def _check_places(self) -> None:
        count = self.keypoints.shape[1]
        if count > MAX_KEYPOINTS:
            raise DataError(
                f"the support has {counted(count, 'keypoint')}; expected at most {MAX_KEYPOINTS}, "
                "with which "
                "such models are trained. Label fewer, or train a model of your own (poise train)"
            )
        if not self.visible.all(axis=0).any():
            raise DataError(
                "the support shows no keypoint in all of its pictures; expected at least one that "
                "is labelled (visibility 1 or 2). `poise data label` labels pictures"
            )
        if not np.isfinite(self.keypoints[self.visible]).all():
            raise DataError("the support has keypoints whose place is NaN or infinite; label them")

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Support:
        """Labelled objects of a COCO-style file.

        The one with the most keypoints is taken, and those that show the same, five at most.

        Raises:
            FileMissingError: no such file, or its pictures are not there.
            DataError: no keypoints in it, or as of `Support`.
        """
        path = Path(path)
        if not path.is_file():
            raise FileMissingError(
                f"there is no support file '{path}'; expected a COCO-style file of labelled "
                "pictures, as `poise data label` writes it"
            )
        content = read_annotations(path)
        with explained(f"{path}: a keypoint"):
            labelled = [a for a in content["annotations"] if max(_visibilities(a), default=0) > 0]
        if not labelled:
            raise DataError(
                f"{path}: none of its {counted(len(content['annotations']), 'annotation')} has a "
                "labelled keypoint (visibility 1 or 2); label one picture, as with `poise data "
                f"label {path}`"
            )
        report = describe_content({**content, "annotations": labelled}, path)
        chosen = _chosen(labelled, report.names, path)
        files = _files([a["image_id"] for a in chosen], content, path)
        pictures = [read_picture(Picture(str(f), f, Path(f.name))) for f in files]
        with explained(f"{path}: a keypoint"):
            triples = np.array([a["keypoints"] for a in chosen], float)
        triples = triples.reshape(len(chosen), -1, 3)
        boxes = [_box(a, p) for a, p in zip(chosen, pictures, strict=True)]
        _LOG.info("support: %s of %s", counted(len(chosen), "object"), path)
        return cls(
            pictures,
            triples[..., :2],
            boxes=boxes,
            visible=triples[..., 2],
            metainfo=parse_pose_metainfo(report.metainfo),
        )

    @property
    def links(self) -> list[tuple[int, int]]:
        """Pairs of indices."""
        return [(int(a), int(b)) for a, b, *_ in self.metainfo["skeleton_links"]]


def _visibilities(annotation: Mapping[str, Any]) -> list[float]:
    return list(annotation.get("keypoints") or ())[2::3]


def _chosen(
    labelled: list[Mapping[str, Any]], names: Sequence[str], path: Path
) -> list[Mapping[str, Any]]:
    """The object with the most keypoints, and others that show all of these."""
    for annotation in labelled:
        if len(annotation["keypoints"]) != 3 * len(names):
            raise DataError(
                f"{path}: annotation {annotation.get('id')} has {len(annotation['keypoints'])} "
                f"numbers, expected {3 * len(names)}: x, y, v of each of {len(names)} keypoints"
            )
    shown = [np.array(_visibilities(a)) > 0 for a in labelled]
    order = sorted(range(len(labelled)), key=lambda i: -int(shown[i].sum()))
    best = shown[order[0]]
    lost = np.any(shown, axis=0) & ~best
    if lost.any():
        _LOG.warning(
            "warning: %s labels %s only where others are not; a support shows all keypoints at "
            "once, so these are not looked for",
            path,
            shortened([names[int(k)] for k in np.flatnonzero(lost)], _SHOWN),
        )
    return [labelled[i] for i in order if (shown[i] >= best).all()][:MAX_SHOTS]


def _files(ids: Sequence[Any], content: Mapping[str, Any], path: Path) -> list[Path]:
    """Files of pictures by their ids.

    Raises:
        FileMissingError: one is nowhere around the file.
        DataError: an annotation is of no picture.
    """
    known = {image["id"]: str(image.get("file_name", "")) for image in content["images"]}
    around = [path.parent, path.parent.parent]
    around += [folder / "images" for folder in around]
    files = []
    for number in ids:
        if number not in known:
            raise DataError(f"{path}: an annotation is of picture {number}, which is not listed")
        name = known[number]
        folder, found = picture_folder([name], around)
        file = Path(name) if Path(name).is_absolute() else folder / found.get(name, "")
        if not file.is_file():
            places = ", ".join(map(str, dict.fromkeys(around)))
            raise FileMissingError(
                f"{path}: the labelled picture '{name}' was not found in {places}; put it there, "
                "or correct file_name"
            )
        files.append(file)
    return files


def _box(annotation: Mapping[str, Any], picture: np.ndarray) -> list[float]:
    """Box (x1, y1, x2, y2) of an annotation; the whole picture where it has none."""
    x, y, width, height = annotation.get("bbox") or (0, 0, 0, 0)
    if not (width > 0 and height > 0):
        return [0, 0, picture.shape[1], picture.shape[0]]
    return [x, y, x + width, y + height]


def _numbered(
    count: int, links: Sequence[Sequence[int]], names: Sequence[str] | None
) -> dict[str, Any]:
    """Parsed schema of keypoints that nobody described in a file."""
    names = list(names or [f"keypoint_{k}" for k in range(count)])
    wrong = [tuple(link) for link in links if not all(0 <= end < count for end in link)]
    if wrong:
        raise DataError(f"links {wrong[:3]} lead to none of the {count} keypoints (0 is the first)")
    skeleton = [[a + 1, b + 1] for a, b in links]
    category = {"id": 1, "name": "object", "keypoints": names, "skeleton": skeleton}
    made = {
        "categories": [category],
        "annotations": [{"category_id": 1, "keypoints": [0] * 3 * count}],
    }
    return parse_pose_metainfo(describe_content(made, Path("support")).metainfo)


# ------------------------------------------------------------------ into the model


def with_support(model: Any, support: Any) -> Any:
    """A model that was told what to look for; any other as it is.

    Args:
        model: an estimator.
        support: `Support`, or the path of a COCO-style file; None: there is none.

    Returns:
        The estimator with `cfg` and `dataset_meta`; of one that takes a support a shallow copy, so
        that others may go on with another.

    Raises:
        ArgumentError: a support for a model that takes none.
        ConfigError: a model that needs one, and none is given.
        FileMissingError, DataError: as of `Support.read`.
    """
    from poise.models.estimators import PoseAnythingModel

    if not isinstance(model, PoseAnythingModel):
        if support is not None:
            raise ArgumentError(
                f"a support is for models that find what labelled pictures show (pose-anything); "
                f"this one, a {type(model).__name__}, knows its own keypoints. Leave --support out"
            )
        return model
    if support is None:
        if getattr(model, "dataset_meta", None) and model.has_support:
            return model
        raise ConfigError(
            "this model looks for keypoints that labelled pictures show, and none were given; "
            "--support labelled.json (support='labelled.json') names a COCO-style file with at "
            "least one labelled picture, as `poise data label` writes it"
        )
    shown = support if isinstance(support, Support) else Support.read(support)
    model = copy.copy(model)
    model.cfg = Config({"default_scope": "mmpose", "test_pipeline": _pipeline(model.input_size)})
    model.dataset_meta = dict(shown.metainfo)
    _show(model, shown)
    return model


def _pipeline(size: tuple[int, int]) -> list[dict[str, Any]]:
    return [
        {"type": "LoadImage"},
        {"type": "GetBBoxCenterScale", "padding": PADDING},
        {"type": "TopdownAffine", "input_size": size},
        {"type": "PackPoseInputs"},
    ]


def _show(model: Any, shown: Support) -> None:
    """Tell the model, and the user what it cannot be told."""
    import torch

    if not shown.links:
        _LOG.warning(
            "warning: the support has no links between its keypoints. The model uses them as its "
            "graph, and tells alike keypoints (left and right) apart less well without; add pairs "
            "as `skeleton` of the category, such as [[1, 2], [2, 3]]"
        )
    maker = WarpCrops(read_test_pipeline(model.cfg), shown.metainfo)
    rows = enumerate(zip(shown.pictures, shown.boxes, strict=True))
    crops = [Crop(picture, box, 1.0, f"support {i}") for i, (picture, box) in rows]
    matrices = np.stack(maker.places(crops)[2])
    points = shown.keypoints @ matrices[..., :2].transpose(0, 2, 1) + matrices[:, None, :, 2]
    codec = MSRAHeatmap(model.input_size, (MAP_SIDE, MAP_SIDE), SIGMA)
    encoded = [
        codec.encode(own[None].astype(np.float32), seen[None].astype(np.float32))
        for own, seen in zip(points, shown.visible, strict=True)
    ]
    maps, weights = (
        torch.from_numpy(np.stack([e[key] for e in encoded]).astype(np.float32))
        for key in ("heatmaps", "keypoint_weights")
    )
    weights = weights.flatten(1)
    lost = np.flatnonzero(weights.prod(0).numpy() == 0)
    if len(lost):
        names = [shown.metainfo["keypoint_id2name"][int(k)] for k in lost]
        _LOG.warning("warning: the support does not show %s", shortened(names, _SHOWN))
    pixels = torch.from_numpy(maker.warped(crops).pixels).permute(0, 3, 1, 2)
    with torch.inference_mode():
        model.set_support(list(pixels), maps, weights, shown.links)
