"""Labels that there are: which frames they are of, what these look like, and their poses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from poise.data_tools.formats.annotations import NUMBERS, Annotations
from poise.data_tools.formats.reading import PICTURES, Reading, picture_folder, usual_folders
from poise.data_tools.formats.table import read_annotations
from poise.data_tools.picking.doubts import LOOK_SIDE, Candidate, Known
from poise.data_tools.picking.shots import Place
from poise.errors import DataError
from poise.inference.results.pose_result import SourceInfo
from poise.structures import keypoint_names
from poise.transforms.image import stored_image

__all__ = ["Labelled"]

#: labelled poses that others are compared with
_POSES = 500


class Labelled:
    """What need not be picked.

    Args:
        path: labels in any form, or None.
        images: folder of their pictures; looked for around them without it.
        done: pictures that were picked before, by the names that they got then.

    Attributes:
        found: the labels; None without any.
    """

    def __init__(self, path: Path | None, images: Path | None, done: Sequence[Path]) -> None:
        self._path, self._done = path, list(done)
        self.found: Annotations | None = None
        self._files: set[Path] = set()
        names: list[str] = []
        absent: list[str] = []
        if path is not None:
            self.found = read_annotations(path, Reading(images=images))
            names = [image["file_name"].replace("\\", "/") for image in self.found.images]
            home = path if path.is_dir() else path.parent
            near = [self.found.folder or home, *usual_folders(home)]
            folder, places = picture_folder(names, near, images)
            self._files = {(folder / place).resolve() for place in places.values()}
            absent = [name for name in names if name not in places]
        picked = {file.stem for file in done}
        self._of_videos = picked | {Path(name).stem for name in names}
        # pictures of one name in two folders are two, as far as they can be seen
        self._of_stills = picked | {Path(name).stem for name in absent}

    def has(self, candidate: Candidate) -> bool:
        """Whether a frame is one of theirs, by its name or place."""
        info = candidate.place.info
        if info.moves:
            return candidate.name in self._of_videos
        place = None if info.path is None else info.path.resolve()
        return candidate.name in self._of_stills or place in self._files

    def looks(self, among: Iterable[Candidate]) -> list[Candidate]:
        """What they look like: of the frames that are theirs, and of pictures."""
        known = list(among)
        there = {candidate.name for candidate in known}
        for file in (*self._done, *sorted(self._files)):
            if file.stem in there or file.suffix.lower() not in PICTURES:
                continue
            image = stored_image(file)
            if image is not None:
                small = cv2.resize(image, (LOOK_SIDE, LOOK_SIDE), interpolation=cv2.INTER_AREA)
                place = Place(file.stem, SourceInfo(str(file)), None)
                known.append(Candidate(place, 0, None, small))
        return known

    def check(self, metainfo: Mapping[str, Any]) -> None:
        """See that poses have keypoints of the labels.

        Raises:
            DataError: they have none of them.
        """
        if self.found is None or not metainfo:
            return
        names = keypoint_names(metainfo)
        if not set(names) & set(self.found.names):
            raise DataError(
                f"the model has none of the keypoints of {self._path}: "
                f"{', '.join(map(str, names[:4]))} ... and {', '.join(self.found.names[:4])} ..."
            )

    def compare(self, candidates: Iterable[Candidate], metainfo: Mapping[str, Any]) -> None:
        """Say of frames with poses how far these are from all labelled ones."""
        if self.found is None or not metainfo:
            return
        known = _known_poses(self.found, metainfo)
        for candidate in candidates:
            if candidate.poses is not None:
                candidate.raw["unlike"] = known.distance(candidate.poses)


def _known_poses(found: Annotations, metainfo: Mapping[str, Any]) -> Known:
    """Labelled poses with a model's keypoints."""
    names = keypoint_names(metainfo)
    people = [p["keypoints"] for p in found.people if p.get("keypoints")]
    people = people[:: max(1, len(people) // _POSES)]
    triples = np.array(people, np.float64).reshape(-1, len(found.names), NUMBERS)
    moved = np.zeros((len(triples), len(names), NUMBERS))
    for k, name in enumerate(names):
        if name in found.names:
            moved[:, k] = triples[:, found.names.index(name)]
    seen = moved[..., 2] > 0
    several = seen.sum(axis=1) > 1
    # results of keypoints of one's own do not say what their other sides are
    swap = list(metainfo.get("flip_indices", range(len(names))))
    return Known.of(moved[several, :, :2], seen[several], swap)
