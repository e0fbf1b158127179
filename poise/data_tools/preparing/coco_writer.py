"""Annotation files of prepared data sets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poise import schemas
from poise._arrays import Array
from poise._words import counted, numbered, shortened
from poise.check.files import write_annotations
from poise.data_tools.formats.reading import picture_size
from poise.data_tools.preparing.report import Prepared
from poise.errors import DataError

__all__ = ["UNIT", "CocoWriter", "bounds"]

#: pixels of a box of scale 1, as MMPose's readers measure
UNIT = 200


class CocoWriter:
    """A COCO file of one category.

    Args:
        report: where pictures that are absent are counted.
        schema: of the keypoints.
        category: its name. kind: what it is one of.

    Attributes:
        keypoints: their names.
        images: id -> picture, people: annotations, as COCO has them.
    """

    def __init__(self, report: Prepared, schema: str, category: str, kind: str = "person") -> None:
        self.report = report
        info = schemas.get(schema)
        names = [point["name"] for point in info["keypoint_info"].values()]
        links = [link["link"] for link in info["skeleton_info"].values()]
        self.keypoints = names
        self.categories = [
            {
                "id": 1,
                "name": category,
                "supercategory": kind,
                "keypoints": names,
                # COCO counts keypoints from 1
                "skeleton": [[names.index(n) + 1 for n in link] for link in links],
            }
        ]
        self.images: dict[int, dict[str, Any]] = {}
        self.people: list[dict[str, Any]] = []

    def picture(self, number: int, name: str, path: Path) -> bool:
        """Take in a picture of a file; False if that is absent or unreadable, which is counted."""
        size = picture_size(path)
        if size is None:
            absent = not path.is_file()
            self.report.drop(f"pictures that are {'absent' if absent else 'unreadable'}", name)
            return False
        self.sized_picture(number, name, size)
        return True

    def sized_picture(self, number: int, name: str, size: tuple[int, int]) -> None:
        """Take in a picture of a known width and height."""
        about = {"id": number, "file_name": name, "height": int(size[1]), "width": int(size[0])}
        self.images[number] = about

    def person(
        self, number: int, image: int, keypoints: Array, box: Sequence[float], **more: Any
    ) -> None:
        """Take in a person, animal or face.

        Args:
            number, image: ids.
            keypoints: (K, 3) x, y, visibility; image space.
            box: x, y, width, height; image space.
            more: further fields, or other values of COCO's.
        """
        x, y, width, height = map(float, box)
        self.people.append(
            {
                "id": number,
                "image_id": image,
                "category_id": 1,
                "iscrowd": 0,
                "bbox": [x, y, width, height],
                "area": width * height,
                "num_keypoints": int((keypoints[:, 2] > 0).sum()),
                "keypoints": keypoints.astype(np.float64).ravel().tolist(),
                **more,
            }
        )

    def write(self, path: Path, images: Iterable[int] | None = None) -> None:
        """Write the file.

        Args:
            path: of the file.
            images: ids of the pictures that go into it with their people, in order; all
                without it.

        Raises:
            DataError: nobody is on these pictures, or the file cannot be written.
        """
        kept, people = list(self.images), self.people
        if images is not None:
            kept, of_picture = list(images), defaultdict(list)
            for person in people:
                of_picture[person["image_id"]].append(person)
            people = [person for number in kept for person in of_picture[number]]
        if not people:
            left = "; ".join(
                f"{numbered(len(where), reason)}: {shortened(where, 3)}"
                for reason, where in self.report.lost.items()
            )
            raise DataError(
                f"nothing is left for {path}{f'; left out: {left}' if left else ''}; is the "
                "data set complete?"
            )
        content = {
            "images": [self.images[number] for number in kept],
            "annotations": people,
            "categories": self.categories,
        }
        write_annotations(content, path)
        self.report.files[path] = (
            f"{counted(len(kept), 'picture')}, {counted(len(people), 'annotation')}"
        )


def bounds(points: Array) -> list[float]:
    """Left, top, width and height of what points (N, 2) span."""
    low, high = points.min(axis=0), points.max(axis=0)
    return [float(v) for v in (*low, *(high - low))]
