"""From a model's name and a folder of data to the config of a run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from poise.check.categories import use_one_set
from poise.check.keypoints import KeypointReport, describe_keypoints
from poise.config import Config
from poise.errors import ConfigError, DataError
from poise.training.own_data.boxes import (
    BoxReport,
    box_share,
    describe_boxes,
    finds_boxes,
    use_own_boxes,
)
from poise.training.own_data.files import DataFiles, find_files
from poise.training.own_data.settings import check_model, use_own_data
from poise.training.own_data.split import hold_out
from poise.training.run.start import NOTHING, find_start

__all__ = ["OwnData", "prepare"]


@dataclass(frozen=True)
class OwnData:
    """What a user says about own data; whatever is None is found out.

    Attributes:
        root: folder of the data set.
        train_ann: COCO-style annotation file of training.
        val_ann: the same of validation.
        train_images: folder of the pictures of training.
        val_images: the same of validation.
        num_keypoints: "auto" or the number that is expected.
        category: the only one that is trained; None takes all, with the keypoints of all.
    """

    root: Path | None = None
    train_ann: Path | None = None
    val_ann: Path | None = None
    train_images: Path | None = None
    val_images: Path | None = None
    num_keypoints: str = "auto"
    category: str | None = None

    def __bool__(self) -> bool:
        """Whether own data were given at all."""
        return self.root is not None or self.train_ann is not None


def prepare(
    cfg: Config,
    data: OwnData,
    *,
    name: str,
    work_dir: Path,
    weights: str | None,
    goes_on: bool = False,
    **settings: Any,
) -> tuple[Config, list[str]]:
    """Config that fine-tunes a pose model or a detector on own data, and what was decided.

    Args:
        cfg: config of the model.
        data: where the data are.
        name: of the model, whose released weights training starts from.
        work_dir: folder of the run; annotations that are split lie there.
        weights: path or address of other weights; "backbone" for those that the config names,
            "none" for random ones.
        goes_on: the run is resumed from a checkpoint, and needs no weights to start from.
        settings: for `use_own_data`.

    Raises:
        DataError, FileMissingError: data that cannot be found or used.
        ConfigError: a model that cannot be trained on them.
    """
    detects = finds_boxes(cfg)
    if not detects:
        check_model(cfg)
    elif data.num_keypoints != "auto":
        raise ConfigError(f"--num-keypoints: {name} finds boxes, no keypoints")
    files = find_files(data.root, data.train_ann, data.val_ann, data.train_images, data.val_images)
    joined: list[str] = []
    about: Any
    if detects:
        about = _boxes_of(files, data.category)
    else:
        files, joined = _one_set(files, work_dir / "annotations", data.category)
        about = _keypoints_of(files, _number(data.num_keypoints), cfg)
    said = [f"data: {files.train_ann}, pictures in {files.train_images}", *joined]
    if files.val_ann is None:
        train, val = hold_out(files.train_ann, work_dir / "annotations")
        files = replace(files, train_ann=train, val_ann=val)
        said.append(f"validation: no file for it, so a tenth of the pictures is held out ({val})")
    else:
        said.append(f"validation: {files.val_ann}, pictures in {files.val_images}")
        if files.val_ann == files.train_ann:
            said.append("validation: on what was trained, so scores say nothing of new pictures")
    start = None if goes_on else find_start(name, weights)
    settings |= dict(weights=NOTHING if goes_on else weights, start=start)
    if detects:
        # a part of the pictures may be held out by now
        counted = describe_boxes(files.train_ann, data.category)
        about = replace(counted, classes=about.classes)
        cfg, more = use_own_boxes(cfg, files, about, name=name, **settings)
    else:
        cfg, more = use_own_data(cfg, files, about, **settings)
    if goes_on:
        more[-1] = "start: the checkpoint of the run"
    return cfg, [*said, *more]


def _keypoints_of(files: DataFiles, count: int | None, cfg: Config) -> KeypointReport:
    """Who the keypoints are.

    Raises:
        DataError: those of training and validation are not the same.
    """
    meta = (cfg.get("train_dataloader") or {}).get("dataset", {}).get("metainfo") or {}
    prefer = Path(str(meta.get("from_file", "coco"))).stem
    keypoints = describe_keypoints(files.train_ann, count, prefer=prefer)
    share = box_share(files.train_ann)
    if share is not None:
        # whoever uses the model without boxes is told that they were small
        keypoints.metainfo["box_share"] = share
    if files.val_ann is None:
        return keypoints
    # the same keypoints in the same order, or the scores would mean nothing
    other = describe_keypoints(files.val_ann, prefer=prefer)
    if other.names != keypoints.names:
        raise DataError(
            f"{files.val_ann} has other keypoints than {files.train_ann}: "
            f"{', '.join(other.names[:4])} ... and {', '.join(keypoints.names[:4])} ..."
        )
    return keypoints


def _boxes_of(files: DataFiles, category: str | None) -> BoxReport:
    """What the boxes are.

    Raises:
        DataError: the validation has none of their classes.
    """
    boxes = describe_boxes(files.train_ann, category)
    if files.val_ann is not None:
        other = describe_boxes(files.val_ann, category)
        if not set(other.classes) & set(boxes.classes):
            raise DataError(
                f"{files.val_ann} has boxes of {', '.join(other.classes)}, {files.train_ann} of "
                f"{', '.join(boxes.classes)}: there is nothing to validate"
            )
    return boxes


def _one_set(files: DataFiles, folder: Path, category: str | None) -> tuple[DataFiles, list[str]]:
    """Files whose categories have the same keypoints."""
    given = [f for f in dict.fromkeys((files.train_ann, files.val_ann)) if f is not None]
    found, said = use_one_set(given, folder, category)
    new = dict(zip(given, found, strict=True))
    val = None if files.val_ann is None else new[files.val_ann]
    return replace(files, train_ann=new[files.train_ann], val_ann=val), said


def _number(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdigit() or not int(text):
        raise DataError(f"--num-keypoints is auto or a number, got '{text}'")
    return int(text)
