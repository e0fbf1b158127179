"""Looking up a schema: by name, by the path of MMPose's file, or from a user's own file."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poise.errors import DataError, FileMissingError, nearest
from poise.schemas.checks import validate
from poise.schemas.faults import FAULTS
from poise.schemas.schema import Schema

__all__ = ["check", "get", "known", "names"]

# the module of each table, so that one dataset loads one module
_MODULES: dict[str, str] = {
    "body": "coco coco_aic coco_openpose openpose25 aic crowdpose mpii mhp jhmdb posetrack18 "
    "exlpose ochuman humanart humanart21 humanart_aic halpe26 mpii_trb",
    "body3d": "h36m mpi_inf_3dhp panoptic_body3d campus shelf",
    "wholebody": "coco_wholebody coco_wholebody_openpose halpe h3wb ubody2d ubody3d",
    "face": "300w 300vw 300wlp aflw cofw coco_wholebody_face lapa wflw",
    "hand": "coco_wholebody_hand freihand2d interhand2d interhand3d onehand10k panoptic_hand2d "
    "rhd2d",
    "animal": "ak animalpose ap10k atrw fly horse10 locust macaque zebra",
    "goliath": "goliath",
    "fashion": "deepfashion2 deepfashion_full deepfashion_lower deepfashion_upper",
}
_HOME = {name: module for module, text in _MODULES.items() for name in text.split()}


def names() -> list[str]:
    """Names of all schemas, sorted."""
    return sorted(_HOME)


def check(info: Mapping[str, Any]) -> None:
    """Check a `dataset_info` dict; MMPose's own may keep their faults (`FAULTS`).

    Raises:
        DataError: says what does not fit, and where it is written.
    """
    try:
        name = info.get("dataset_name", "")
        validate(info, f"keypoint metainfo {name!r}", needs_weights=False)
    except DataError:
        if not any(_same_faults(info, name) for name in FAULTS):
            raise


def known(name_or_path: str | os.PathLike[str]) -> bool:
    """Whether a name, or the file name of a path, is that of a schema."""
    return Path(name_or_path).stem in _HOME


def get(name_or_path: str | os.PathLike[str]) -> dict[str, Any]:
    """The `dataset_info` dict of a dataset, as MMPose's metadata file gives it.

    Args:
        name_or_path: "coco"; a path whose file name is that of a schema, such as
            "configs/_base_/datasets/coco.py", which need not exist; or a file of your own, which
            wins if it exists.

    Returns:
        New dict: dataset_name, paper_info, keypoint_info (id -> name, id, color, type, swap),
        skeleton_info (id -> link, id, color), joint_weights, sigmas, perhaps stats_info.

    Raises:
        FileMissingError: neither a file nor the name of a schema.
        DataError: a file with a fault in it.

    Example:
        >>> get("coco")["keypoint_info"][5]["swap"]
        'right_shoulder'
    """
    path = Path(name_or_path)
    if path.suffix and path.is_file():
        return _from_file(path)
    if path.stem not in _HOME:
        raise FileMissingError(
            f"keypoint metadata '{name_or_path}' is neither a file (looked in {Path.cwd()}) nor a "
            f"dataset that Poise knows; see poise.schemas.names(){nearest(path.stem, _HOME)}"
        )
    return _from_table(path.stem)


def _from_table(name: str) -> dict[str, Any]:
    module = importlib.import_module(f"poise.schemas.{_HOME[name]}")
    schema: Schema = module.SCHEMAS[name]
    info = schema.expand()
    for fault in FAULTS.get(name, ()):
        fault.apply(info)
    return info


def _from_file(path: Path) -> dict[str, Any]:
    from poise.config import Config

    cfg = Config.fromfile(path)
    info = cfg.get("dataset_info")
    if not isinstance(info, dict):
        raise DataError(
            f"{path}: keypoint metadata is a file with dataset_info = dict(dataset_name=..., "
            f"keypoint_info=...), but it has {', '.join(map(str, cfg)) or 'nothing'}"
        )
    _number_keys(info)
    plain: dict[str, Any] = Config(info).to_dict()
    if not (path.stem in FAULTS and _same_faults(plain, path.stem)):
        validate(info, str(path))
    return plain


def _number_keys(info: Any) -> None:
    """Keys "0", "1" of JSON files as numbers."""
    for section in ("keypoint_info", "skeleton_info"):
        table = info.get(section)
        if isinstance(table, dict) and all(isinstance(k, str) and k.isdigit() for k in table):
            info[section] = {int(key): entry for key, entry in table.items()}


def _same_faults(info: Mapping[str, Any], name: str) -> bool:
    """Whether a file says about the keypoints what MMPose's own file of that name says."""
    shipped = _from_table(name)
    parts = ("keypoint_info", "skeleton_info", "joint_weights", "sigmas")
    return all(_as_lists(info.get(part)) == _as_lists(shipped[part]) for part in parts)


def _as_lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_lists(item) for key, item in value.items()}
    return [_as_lists(item) for item in value] if isinstance(value, (list, tuple)) else value
