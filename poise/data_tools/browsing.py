"""Samples as a network gets them: after the pipeline, with the targets that were made of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from poise.data_tools.opening import PARTS, data_of_config
from poise.data_tools.pictures import LABELLED
from poise.data_tools.sheets import PER_SHEET, check_ending, choice, write_sheets
from poise.datasets import build_dataset
from poise.datasets.draws import SampleIndex, SeededItems
from poise.datasets.people import parsed_metainfo
from poise.errors import DataError, one_of
from poise.registry import use_scope
from poise.visualization import draw_heatmaps, draw_instances
from poise.visualization.style import Array

__all__ = ["browse"]

#: maps a keypoint of UDP's combined form, of which the first one shows where it is
OFFSET_MAPS = 3


def browse(
    source: str | Path,
    out: Path,
    *,
    part: str = "train",
    num: int = PER_SHEET,
    times: int = 1,
    seed: int | None = 0,
    size: int = 320,
    targets: bool = True,
    settings: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Draw samples after their transforms, and the heatmaps that are learnt beside them.

    Draws are those of a training with the seed 0: what the first epochs see of these samples.

    Args:
        source: config file, or name of a released model.
        out: picture file; with more samples than fit on one sheet, `NAME_2.jpg` ... follow.
        part: train, val or test.
        num: how many samples.
        times: how often each is drawn, by the random numbers of as many epochs.
        seed: of the choice; None takes the first ones.
        size: pixels of a tile.
        targets: draw heatmaps, where the pipeline makes some.
        settings: changes of the config: "train_dataloader.dataset.ann_file" -> value.

    Returns:
        The files, in order.

    Raises:
        ConfigError: the config has no such part, or is a detector's.
        DataError: samples without a picture, or a file that cannot be written.
    """
    one_of(part, PARTS, "a part of a config")
    check_ending(out)
    tree, scope = data_of_config(str(source), part, settings)
    with use_scope(scope):
        dataset = build_dataset(_unpacked(tree))
    # detectors know no keypoints
    meta = parsed_metainfo(dataset) if "classes" not in dataset.metainfo else {}
    samples = SeededItems(dataset, 0)
    chosen = choice(len(dataset), num, seed)
    drawn = []
    for index in chosen:
        for epoch in range(times):
            sample = samples[SampleIndex(index, epoch)]
            picture = _drawn(sample, meta, size, targets=targets)
            drawn.append((picture, _caption(sample, index, epoch if times > 1 else None)))
    title = f"{Path(source).stem}, {part}: {len(chosen)} of {len(dataset):,}"
    return write_sheets(out, drawn, title=title, size=size)


def _unpacked(tree: Any) -> Any:
    """The same data sets, whose pipelines end before their results are packed for the network."""
    if isinstance(tree, list):
        return [_unpacked(member) for member in tree]
    kept = dict(tree)
    if kept.get("pipeline"):
        kept["pipeline"] = [step for step in kept["pipeline"] if not _packs(step)]
    for key in ("dataset", "datasets"):
        if isinstance(kept.get(key), (dict, list)):
            kept[key] = _unpacked(kept[key])
    return kept


def _packs(step: Any) -> bool:
    name = step.get("type") if isinstance(step, Mapping) else step
    name = name if isinstance(name, str) else getattr(name, "__name__", "")
    return bool(name.rpartition(".")[2].startswith("Pack"))


def _drawn(sample: Any, meta: Mapping[str, Any], size: int, *, targets: bool) -> Array:
    """A sample's picture with keypoints and boxes, and its heatmaps beside it.

    Scaled to fit into the size before anything is drawn, so that lines and texts are readable.
    """
    image = sample.get("img") if isinstance(sample, Mapping) else None
    if not isinstance(image, np.ndarray) or image.ndim != 3:
        raise DataError(
            "the samples of this config have no picture: it lifts keypoints to 3D (poise data draw "
            "shows those), or its pipeline loads none, as of configs that are only for tests "
            "(--part val)"
        )
    scale = size / max(image.shape[:2])
    wide, high = (max(1, round(side * scale)) for side in image.shape[1::-1])
    base = cv2.resize(image.clip(0, 255).astype(np.uint8), (wide, high))
    canvas = base.copy()
    keypoints = sample.get("transformed_keypoints", sample.get("keypoints"))
    people: dict[str, Any] = {}
    if keypoints is not None and len(keypoints):
        visible = np.asarray(sample["keypoints_visible"], np.float64)
        # a second channel holds weights
        visible = visible[..., 0] if visible.ndim == 3 else visible
        people["keypoints"] = np.asarray(keypoints, np.float64)[..., :2] * scale
        people["keypoints_visible"] = visible
    if "transformed_keypoints" not in sample or "bbox_center" not in sample:
        # boxes that a crop was made of are not moved with it
        people["bboxes"] = _boxes(sample) * scale
    draw_instances(canvas, people, meta, keypoint_threshold=LABELLED)
    maps = _heatmaps(sample, meta) if targets else None
    return canvas if maps is None else np.concatenate([canvas, draw_heatmaps(base, maps)], axis=1)


def _boxes(sample: Mapping[str, Any]) -> Array:
    """Boxes (N, 4) around the corners that a warp left of boxes, or as they are."""
    corners = np.asarray(sample.get("bbox", ()), np.float64)
    if corners.ndim == 3:
        return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    return corners.reshape(-1, 4)


def _heatmaps(sample: Mapping[str, Any], meta: Mapping[str, Any]) -> Array | None:
    """Heatmaps (K, H, W) of a sample, those of the finest level; None without any."""
    maps = sample.get("heatmaps")
    maps = maps[-1] if isinstance(maps, (list, tuple)) and maps else maps
    if not isinstance(maps, np.ndarray) or maps.ndim < 3:
        return None
    # of stages the last one
    maps = maps.reshape(-1, *maps.shape[-3:])[-1]
    with_offsets = len(maps) == OFFSET_MAPS * len(meta.get("keypoint_id2name", ()))
    return maps[::OFFSET_MAPS] if with_offsets else maps


def _caption(sample: Mapping[str, Any], index: int, epoch: int | None) -> str:
    name = sample.get("img_path")
    shown = Path(name).name if isinstance(name, (str, Path)) else "several pictures"
    return f"{index}  {shown}" if epoch is None else f"{index}  {shown}  epoch {epoch + 1}"
