"""Who the keypoints are, as arrays: the parsed form of a dataset's meta information."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from poise import schemas
from poise.config.tree import places_of
from poise.errors import DataError, UnknownNameError, nearest

__all__ = ["keypoint_names", "parse_pose_metainfo", "restore_metainfo"]

#: entries of a parsed schema that are arrays
_ARRAYS: dict[str, type] = {
    "keypoint_colors": np.uint8,
    "skeleton_link_colors": np.uint8,
    "dataset_keypoint_weights": np.float32,
    "sigmas": np.float32,
}
# for keypoints and links that give no colour
_KEYPOINT_COLOR = (255, 128, 0)
_LINK_COLOR = (96, 96, 255)


def parse_pose_metainfo(metainfo: Mapping[str, Any]) -> dict[str, Any]:
    """Index lists and arrays from the raw description of a set of keypoints.

    Args:
        metainfo: 'dataset_name', 'keypoint_info' (id -> name, type, swap, color),
            'skeleton_info' (id -> link, color), 'joint_weights', 'sigmas', perhaps
            'stats_info', and of data of several skeletons 'categories' (a dict with id, name and
            names of keypoints for each); or 'from_file', the path or name of a schema that says all
            that; a path may begin at any folder above the config that names it. In both
            'box_share', the median part of a picture that a training box takes.

    Returns:
        'dataset_name', 'num_keypoints' (K), 'keypoint_id2name', 'keypoint_name2id',
        'upper_body_ids', 'lower_body_ids', 'flip_indices' (K), 'flip_pairs',
        'keypoint_colors' (K, 3) uint8, 'num_skeleton_links', 'skeleton_links',
        'skeleton_link_colors' (L, 3) uint8, 'dataset_keypoint_weights' and 'sigmas' float32 as
        they were given, 'stats_info', 'categories' (keypoints as indices) and 'box_share' where
        given.

    Raises:
        DataError: a part is missing, or does not fit the keypoints.
        UnknownNameError: a swap, link or category names a keypoint that does not exist.
    """
    if not isinstance(metainfo, Mapping):
        raise DataError(
            f"keypoint metainfo is a dict, such as dict(from_file='meta.py'); got {metainfo!r}"
        )
    of_data = {key: metainfo[key] for key in ("box_share",) if key in metainfo}
    if "from_file" in metainfo:
        # checked as it is read
        metainfo = schemas.get(_seen_from_config(metainfo))
    else:
        schemas.check(metainfo)
    keypoints, links = metainfo["keypoint_info"], metainfo["skeleton_info"]
    name2id = {point["name"]: index for index, point in keypoints.items()}
    # a keypoint on the body's midline has no other side
    other = {point["name"]: point.get("swap", "") or point["name"] for point in keypoints.values()}
    pairs = dict.fromkeys((swap, name) for name, swap in other.items() if swap != name)
    parsed: dict[str, Any] = {
        "dataset_name": metainfo["dataset_name"],
        "num_keypoints": len(keypoints),
        "keypoint_id2name": {index: point["name"] for index, point in keypoints.items()},
        "keypoint_name2id": name2id,
        "upper_body_ids": [i for i, point in keypoints.items() if point.get("type") == "upper"],
        "lower_body_ids": [i for i, point in keypoints.items() if point.get("type") == "lower"],
        "flip_indices": [
            name2id[point.get("swap", "") or point["name"]] for point in keypoints.values()
        ],
        "flip_pairs": [(name2id[a], name2id[b]) for a, b in pairs],
        "keypoint_colors": _colors(keypoints, _KEYPOINT_COLOR),
        "num_skeleton_links": len(links),
        "skeleton_links": [
            type(link["link"])(name2id[name] for name in link["link"]) for link in links.values()
        ],
        "skeleton_link_colors": _colors(links, _LINK_COLOR),
        "dataset_keypoint_weights": np.array(metainfo["joint_weights"], dtype=np.float32),
        "sigmas": np.array(metainfo["sigmas"], dtype=np.float32),
    }
    return {**parsed, **_extras(metainfo, name2id), **of_data}


def _seen_from_config(metainfo: Mapping[str, Any]) -> Any:
    """`from_file`; where there is no such file, as it is seen from the config that names it.

    Configs name such files from the folder of their project, where not everybody starts.
    """
    name = metainfo["from_file"]
    place = places_of(metainfo).get("from_file")
    if place is None or Path(name).is_file() or schemas.known(name):
        return name
    found = (folder / name for folder in Path(place[0]).absolute().parents)
    return next((path for path in found if path.is_file()), name)


def _extras(metainfo: Mapping[str, Any], name2id: Mapping[str, int]) -> dict[str, Any]:
    """What only some schemas have."""
    extras: dict[str, Any] = {}
    if "stats_info" in metainfo:
        stats = metainfo["stats_info"].items()
        extras["stats_info"] = {name: np.array(value, dtype=np.float32) for name, value in stats}
    if "categories" in metainfo:
        extras["categories"] = [
            {**kind, "keypoints": [_number(name, name2id) for name in kind["keypoints"]]}
            for kind in metainfo["categories"]
        ]
    return extras


def _number(name: str, name2id: Mapping[str, int]) -> int:
    if name not in name2id:
        raise UnknownNameError(
            f"a category names the keypoint {name!r}, which does not exist{nearest(name, name2id)}"
        )
    return name2id[name]


def keypoint_names(parsed: Mapping[str, Any]) -> list[str]:
    """K names of a parsed schema, in the order of its keypoints."""
    return [parsed["keypoint_id2name"][index] for index in range(parsed["num_keypoints"])]


def restore_metainfo(parsed: Mapping[str, Any]) -> dict[str, Any]:
    """What `parse_pose_metainfo` gave, from a file whose format has neither arrays nor int keys.

    Example:
        >>> restore_metainfo({"keypoint_id2name": {"0": "nose"}, "flip_pairs": [[1, 2]]})
        {'keypoint_id2name': {0: 'nose'}, 'flip_pairs': [(1, 2)]}
    """
    restored = dict(parsed)
    for name, kind in _ARRAYS.items():
        if name in restored:
            restored[name] = np.array(restored[name], dtype=kind)
    if "keypoint_id2name" in restored:
        restored["keypoint_id2name"] = {
            int(index): name for index, name in restored["keypoint_id2name"].items()
        }
    for name in ("flip_pairs", "skeleton_links"):
        if name in restored:
            restored[name] = [tuple(pair) for pair in restored[name]]
    return restored


def _colors(entries: Mapping[int, Mapping[str, Any]], default: tuple[int, int, int]) -> Any:
    """(n, 3) uint8 colours, (0,) where there are none."""
    return np.array([entry.get("color", default) for entry in entries.values()], dtype=np.uint8)
