"""Annotation files of parts of a data set."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poise.check.files import write_annotations
from poise.datasets.coco_file import CocoFile
from poise.errors import ArgumentError, DataError

__all__ = ["check_rule", "group_of", "split_annotations"]


def split_annotations(
    path: Path,
    out: Path,
    shares: Mapping[str, float],
    *,
    seed: int = 0,
    group_by: str | None = None,
) -> dict[str, tuple[Path, int, int]]:
    """Write a file for each part; whole pictures go to one part or another.

    Args:
        path: COCO file.
        out: folder for `PART.json`.
        shares: part -> share of the pictures; they sum to 1 at most, the rest is left out.
        seed: of the choice; the same one gives the same parts.
        group_by: pictures that belong together, such as frames of a video, stay together: a
            regular expression on the file name, whose first group (or whole match) tells the
            video; or the name of a field of the images.

    Returns:
        part -> file, pictures, people.

    Raises:
        ArgumentError: shares or names of parts that are none, a part that would overwrite the
            file, or a broken regular expression.
        DataError: no COCO file, or fewer groups than parts.
    """
    if not shares or not all(s > 0 for s in shares.values()) or sum(shares.values()) > 1 + 1e-9:
        raise ArgumentError(
            f"shares are above 0 and sum to 1 at most, such as train=0.8 val=0.2; got "
            f"{dict(shares)}"
        )
    check_rule(group_by)
    files = {part: out / f"{part}.json" for part in shares}
    for part, file in files.items():
        if not part or file.parent != out:
            raise ArgumentError(f"a part is called train, val ..., got '{part}': it names a file")
        if file.resolve() == path.resolve():
            raise ArgumentError(
                f"{file} is what is split, and would be overwritten by its part; choose another "
                "--out, or another name of the part"
            )
    coco = CocoFile(str(path), owner="poise data split")
    groups: dict[Any, list[Any]] = defaultdict(list)
    for number, image in coco.imgs.items():
        groups[group_of(image, group_by)].append(number)
    order = sorted(groups, key=str)
    random.Random(seed).shuffle(order)
    if len(order) < len(shares):
        raise DataError(f"{path} has {len(order)} groups of pictures for {len(shares)} parts")
    written = {}
    # boundaries of the parts; each gets one group at least
    start, total = 0, 0.0
    for place, (part, share) in enumerate(shares.items()):
        total += share
        left = len(shares) - place - 1
        end = min(max(round(total * len(order)), start + 1), len(order) - left)
        chosen = {number for group in order[start:end] for number in groups[group]}
        start = end
        images = [image for image in coco.dataset["images"] if image["id"] in chosen]
        people = [ann for ann in coco.annotations if ann["image_id"] in chosen]
        content = {**coco.dataset, "images": images, "annotations": people}
        write_annotations(content, files[part])
        written[part] = (files[part], len(images), len(people))
    return written


def check_rule(rule: str | None) -> None:
    """Raise ArgumentError for a rule of `group_of` that is no regular expression."""
    try:
        re.compile(rule or "")
    except re.error as error:
        raise ArgumentError(
            f"--group-by '{rule}' is neither a field nor a regular expression: {error}"
        ) from error


def group_of(image: Mapping[str, Any], rule: str | None) -> Any:
    """What tells which pictures belong together.

    Args:
        image: entry of a COCO file's images.
        rule: a field of it; or a regular expression on its file name, whose first group (or whole
            match) is taken; each picture is by itself if None.

    Raises:
        DataError: the name does not match.
    """
    if rule is None:
        return image["id"]
    if rule in image:
        return image[rule]
    name = str(image.get("file_name", ""))
    found = re.search(rule, name)
    if found is None:
        raise DataError(f"--group-by '{rule}' is no field of the images and does not match {name}")
    return found[1] if found.groups() else found[0]
