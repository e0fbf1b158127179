"""Pictures of SLEAP's frames: what they are called, and how they come out of videos."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from poise.transforms.image import stored_image
from poise.visualization.files import write_picture

__all__ = ["FrameNames", "save_frames"]

#: files of earlier forms hold pictures with red and blue exchanged
ORDERED_SINCE = 1.4
_FRAME = "{}/frame_{:06d}.png"


class FrameNames:
    """Names of the pictures of frames.

    Args:
        videos: what the file says of each.
        file: the HDF5 file, for pictures inside of it.
    """

    def __init__(self, videos: list[Mapping[str, Any]], file: Any) -> None:
        self.videos, self._file = videos, file
        stems = [Path(self.source(n).replace("\\", "/")).stem for n in range(len(videos))]
        # videos of one name in several folders
        self._stems = [
            stem if stems.count(stem) == 1 else f"{stem}_{n}" for n, stem in enumerate(stems)
        ]

    def source(self, video: int) -> str:
        """Path of a video; of one whose pictures are inside, where they came from."""
        about = self._origin(video)
        name = (about.get("backend") or {}).get("filename") or about.get("filename") or "video"
        return str(name[0] if isinstance(name, list) else name)

    def _origin(self, video: int) -> Mapping[str, Any]:
        about = self.videos[video]
        return about.get("source_video") or about

    def pictures(self, video: int) -> list[str]:
        """Files of a list of pictures; empty for a video."""
        about = self._origin(video)
        names = (about.get("backend") or {}).get("filenames") or about.get("filename")
        return [str(name) for name in names] if isinstance(names, list) else []

    def of(self, video: int, frame: int) -> str:
        """Name of a frame's picture."""
        pictures = self.pictures(video)
        if frame < len(pictures):
            return pictures[frame].replace("\\", "/")
        return _FRAME.format(self._stems[video], frame)

    def embedded(self, video: int) -> Any:
        """The pictures inside of the file, or None."""
        place = (self.videos[video].get("backend") or {}).get("dataset")
        return self._file[place] if place and place in self._file else None

    def size(self, video: int) -> tuple[int, int] | None:
        """Width and height that the file says."""
        shape = (self.videos[video].get("backend") or {}).get("shape")
        shape = shape or (self._origin(video).get("backend") or {}).get("shape")
        return (int(shape[2]), int(shape[1])) if shape and shape[1] and shape[2] else None


def save_frames(
    file: Any, path: Path, names: FrameNames, keys: Iterable[tuple[int, int]], folder: Path
) -> dict[str, str]:
    """Write pictures of frames as PNG files below a folder, under the last parts of their names.

    Args:
        file: the HDF5 file.
        path: of it; videos are looked for beside it, too.
        names: of the pictures.
        keys: video and frame.
        folder: made where it does not exist.

    Returns:
        name of a picture -> its path below the folder, of those that could be read.

    Raises:
        DataError: a picture cannot be written.
    """
    by_video: dict[int, set[int]] = defaultdict(set)
    for video, frame in keys:
        by_video[video].add(frame)
    places: dict[str, str] = {}
    for video, frames in by_video.items():
        for frame, picture in _frames_of(file, path, names, video, frames):
            name = names.of(video, frame)
            if name not in places:
                places[name] = _place(name, set(places.values()))
            write_picture(picture, folder / places[name], order="bgr")
    return places


def _place(name: str, taken: Set[str]) -> str:
    """Path below the folder, whatever path the name has, of as many parts as tell it apart."""
    parts = [part for part in name.split("/") if part not in ("", ".", "..") and ":" not in part]
    for count in range(2, max(len(parts), 2) + 1):
        place = Path(*parts[-count:]).with_suffix(".png")
        if place.as_posix() not in taken:
            return place.as_posix()
    numbered = (place.with_stem(f"{place.stem}-{n}").as_posix() for n in itertools.count(2))
    return next(free for free in numbered if free not in taken)


def _frames_of(
    file: Any, path: Path, names: FrameNames, video: int, frames: set[int]
) -> Iterator[tuple[int, np.ndarray]]:
    """Frames with their pictures, BGR."""
    inside = names.embedded(video)
    if inside is not None:
        yield from _embedded(file, inside, frames)
        return
    pictures = names.pictures(video)
    if pictures:
        for frame in sorted(frames):
            place = _existing(pictures[frame], path)
            picture = None if place is None else stored_image(place)
            if picture is not None:
                yield frame, picture
        return
    place = _existing(names.source(video), path)
    if place is not None:
        yield from _of_video(place, frames)


def _existing(name: str, path: Path) -> Path | None:
    """A file at its path, or beside the labels."""
    plain = Path(name.replace("\\", "/"))
    places = (plain, path.parent / plain, path.parent / plain.name)
    return next((place for place in places if place.is_file()), None)


def _embedded(file: Any, inside: Any, frames: set[int]) -> Iterator[tuple[int, np.ndarray]]:
    """Pictures inside of the file, encoded or as arrays in RGB order."""
    group = inside.parent
    numbers = group["frame_numbers"][()].tolist() if "frame_numbers" in group else None
    for row, frame in enumerate(numbers if numbers is not None else range(len(inside))):
        if int(frame) not in frames:
            continue
        picture = np.asarray(inside[row])
        if picture.ndim > 1:
            yield int(frame), np.ascontiguousarray(picture[..., ::-1])
            continue
        decoded = cv2.imdecode(picture.astype(np.uint8), cv2.IMREAD_COLOR)
        if decoded is not None:
            yield int(frame), decoded[..., ::-1] if _exchanged(file, inside) else decoded


def _exchanged(file: Any, inside: Any) -> bool:
    """Whether red and blue stand in each other's place."""
    said = inside.attrs.get("channel_order")
    if said is None:
        return bool(file["metadata"].attrs.get("format_id", 1.0) < ORDERED_SINCE)
    return str(said.decode() if isinstance(said, bytes) else said) == "BGR"


def _of_video(place: Path, frames: set[int]) -> Iterator[tuple[int, np.ndarray]]:
    from poise.inference.sources.video import VideoSource

    last = max(frames)
    for frame in VideoSource(place.name, place, Path(place.name)).frames():
        if frame.image is not None and frame.index in frames:
            yield frame.index, frame.image
        if frame.index >= last:
            break
