"""From a model's name and a folder of data to the config of a run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from poise.check.categories import use_one_set
from poise.check.keypoints import describe_keypoints
from poise.config import Config
from poise.errors import DataError
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
    """Config that fine-tunes a model on own data, and what was decided.

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
    check_model(cfg)
    files = find_files(data.root, data.train_ann, data.val_ann, data.train_images, data.val_images)
    files, joined = _one_set(files, work_dir / "annotations", data.category)
    meta = (cfg.get("train_dataloader") or {}).get("dataset", {}).get("metainfo") or {}
    prefer = Path(str(meta.get("from_file", "coco"))).stem
    keypoints = describe_keypoints(files.train_ann, _number(data.num_keypoints), prefer=prefer)
    said = [f"data: {files.train_ann}, pictures in {files.train_images}", *joined]
    if files.val_ann is None:
        train, val = hold_out(files.train_ann, work_dir / "annotations")
        files = replace(files, train_ann=train, val_ann=val)
        said.append(f"validation: no file for it, so a tenth of the pictures is held out ({val})")
    else:
        # the same keypoints in the same order, or the scores would mean nothing
        other = describe_keypoints(files.val_ann, prefer=prefer)
        if other.names != keypoints.names:
            raise DataError(
                f"{files.val_ann} has other keypoints than {files.train_ann}: "
                f"{', '.join(other.names[:4])} ... and {', '.join(keypoints.names[:4])} ..."
            )
        said.append(f"validation: {files.val_ann}, pictures in {files.val_images}")
        if files.val_ann == files.train_ann:
            said.append("validation: on what was trained, so scores say nothing of new pictures")
    start = None if goes_on else find_start(name, weights)
    weights = NOTHING if goes_on else weights
    cfg, more = use_own_data(cfg, files, keypoints, weights=weights, start=start, **settings)
    if goes_on:
        more[-1] = "start: the checkpoint of the run"
    return cfg, [*said, *more]


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
