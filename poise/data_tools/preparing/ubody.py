"""UBody: whole bodies in videos of upper bodies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from poise._words import counted
from poise.check.files import read_annotations, write_annotations
from poise.data_tools.preparing.files import link_folder, part_of
from poise.data_tools.preparing.report import Prepared
from poise.errors import DataError

__all__ = ["ubody"]

CATEGORIES = [{"supercategory": "person", "id": 1, "name": "person"}]
_FILE = "keypoint_annotation.json"


def ubody(root: Path, out: Path, report: Prepared) -> None:
    """UBody: `annotations/SCENE/keypoint_annotation.json`, frames in `images/SCENE`.

    Videos named in `splits/intra_scene_test_list.npy` are for validation.
    """
    folder, images = part_of(root, "annotations"), root / "images"
    if not images.is_dir():
        raise DataError(
            f"{images} is missing; write the frames of each video there, at 30 a second: "
            "ffmpeg -i videos/SCENE/NAME.mp4 -r 30 images/SCENE/NAME/%06d.png"
        )
    try:
        validation = set(np.load(part_of(root, "splits/intra_scene_test_list.npy")).tolist())
    except ValueError as error:
        raise DataError(f"{root}/splits/intra_scene_test_list.npy is no list: {error}") from error
    together = {part: _Part() for part in ("train", "val")}
    for file in report.progress(sorted(folder.glob(f"*/{_FILE}")), "UBody"):
        scene, content = file.parent.name, read_annotations(file)
        pictures = {image["id"]: image for image in content["images"]}
        parts = {part: _Part() for part in together}
        for person in content["annotations"]:
            picture = pictures.get(person["image_id"], {})
            name = str(picture.get("file_name", "")).lstrip("/")
            if not name or not (images / scene / name).is_file():
                report.drop("annotations whose picture is absent", f"{scene}/{name}")
                continue
            video = Path(name).parent.name.partition("_Trim")[0]
            part = "val" if video in validation else "train"
            picture = {**picture, "file_name": f"{scene}/{name}"}
            parts[part].add(picture, person)
            # ids of scenes overlap; each person has a picture of its own, as in MMPose's files
            own = {"id": len(together[part].people)}
            together[part].add(picture | own, {**person, **own, "image_id": own["id"]})
        for part, found in parts.items():
            found.write(out / "annotations" / scene / f"{part}_annotations.json", report)
    if not any(found.people for found in together.values()):
        raise DataError(f"{folder} has no {_FILE} in folders of scenes whose pictures are there")
    for part, found in together.items():
        found.write(out / "annotations" / f"{part}_annotations.json", report)
    link_folder(images, out / "images", report)


class _Part:
    """Pictures and people for training, or for validation."""

    def __init__(self) -> None:
        self.pictures: dict[int, dict[str, Any]] = {}
        self.people: list[dict[str, Any]] = []

    def add(self, picture: dict[str, Any], person: dict[str, Any]) -> None:
        self.pictures[picture["id"]] = picture
        self.people.append(person)

    def write(self, path: Path, report: Prepared) -> None:
        pictures = list(self.pictures.values())
        content = {"images": pictures, "annotations": self.people, "categories": CATEGORIES}
        write_annotations(content, path)
        people = counted(len(self.people), "annotation")
        report.files[path] = f"{counted(len(pictures), 'picture')}, {people}"
