"""Who the keypoints are, as arrays: the parsed form of a dataset's meta information."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from poise.config.tree import places_of
from poise.errors import DataError, UnknownNameError, nearest

__all__ = ["keypoint_names", "parse_pose_metainfo", "restore_metainfo"]

_REQUIRED = ("dataset_name", "keypoint_info", "skeleton_info", "joint_weights", "sigmas")
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
        DataError: a part is missing.
        UnknownNameError: a swap or link names a keypoint that does not exist.
    """
    if not isinstance(metainfo, Mapping):
        raise DataError(
            f"keypoint metainfo is a dict, such as dict(from_file='meta.py'); got {metainfo!r}"
        )
    of_data = {key: metainfo[key] for key in ("box_share",) if key in metainfo}
    from_file = "from_file" in metainfo
    if from_file:
        from poise import schemas

        metainfo = schemas.get(_seen_from_config(metainfo))
    missing = [name for name in _REQUIRED if name not in metainfo]
    if missing:
        raise DataError(
            f"keypoint metainfo {metainfo.get('dataset_name', '')!r} lacks {missing}; it has"
            f" {sorted(metainfo)}"
        )
    if not from_file:
        # files are checked as they are read, and those of MMPose keep their faults
        _check_lengths(metainfo)
    keypoints, links = metainfo["keypoint_info"], metainfo["skeleton_info"]
    name2id = {point["name"]: index for index, point in keypoints.items()}

    def number(name: str, where: str) -> int:
        if name not in name2id:
            raise UnknownNameError(
                f"{where} of {metainfo['dataset_name']!r} names the keypoint {name!r}, which does"
                f" not exist{nearest(str(name), name2id)}"
            )
        return name2id[name]

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
            number(point.get("swap", "") or point["name"], f"'swap' of keypoint {index}")
            for index, point in keypoints.items()
        ],
        "flip_pairs": [(number(a, "a swap"), number(b, "a swap")) for a, b in pairs],
        "keypoint_colors": _colors(keypoints, _KEYPOINT_COLOR),
        "num_skeleton_links": len(links),
        "skeleton_links": [
            type(link["link"])(number(name, f"skeleton link {index}") for name in link["link"])
            for index, link in links.items()
        ],
        "skeleton_link_colors": _colors(links, _LINK_COLOR),
        "dataset_keypoint_weights": np.array(metainfo["joint_weights"], dtype=np.float32),
        "sigmas": np.array(metainfo["sigmas"], dtype=np.float32),
    }
    return {**parsed, **_extras(metainfo, number), **of_data}


def _seen_from_config(metainfo: Mapping[str, Any]) -> Any:
    """`from_file`; where there is no such file, as it is seen from the config that names it.

    Configs name such files from the folder of their project, where not everybody starts.
    """
    from poise import schemas

    name = metainfo["from_file"]
    place = places_of(metainfo).get("from_file")
    if place is None or Path(name).is_file() or schemas.known(name):
        return name
    found = (folder / name for folder in Path(place[0]).absolute().parents)
    return next((path for path in found if path.is_file()), name)


def _extras(metainfo: Mapping[str, Any], number: Callable[[str, str], int]) -> dict[str, Any]:
    """What only some schemas have; `number` is of a keypoint's name, and of where that stands."""
    extras: dict[str, Any] = {}
    if "stats_info" in metainfo:
        stats = metainfo["stats_info"].items()
        extras["stats_info"] = {name: np.array(value, dtype=np.float32) for name, value in stats}
    if "categories" in metainfo:
        extras["categories"] = [
            {**kind, "keypoints": [number(name, "a category") for name in kind["keypoints"]]}
            for kind in metainfo["categories"]
        ]
    return extras


def _check_lengths(metainfo: Mapping[str, Any]) -> None:
    """See that a description has a name for each keypoint, and a number for each or for none.

    Raises:
        DataError: says which part does not fit.
    """
    name, keypoints = metainfo["dataset_name"], metainfo["keypoint_info"]
    if not isinstance(keypoints, Mapping) or not isinstance(metainfo["skeleton_info"], Mapping):
        raise DataError(
            f"'keypoint_info' and 'skeleton_info' of {name!r} are dicts 0: dict(...), 1: dict(...)"
        )
    names = [point["name"] for point in keypoints.values()]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise DataError(f"keypoints of {name!r} share a name: {', '.join(twice)}")
    for part in ("joint_weights", "sigmas"):
        given = metainfo[part]
        if np.size(given) not in (0, len(names)) or np.array(given).dtype.kind not in "iuf":
            raise DataError(
                f"{part!r} of {name!r} has one number for each of its {len(names)} keypoints, or "
                f"is empty; got {given!r:.80}"
            )


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
