"""Files of data sets: what must be there, pictures, videos."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2

from poise._arrays import Array
from poise._files import whole_file
from poise._words import counted, shortened
from poise.data_tools.preparing.report import Prepared
from poise.errors import DataError, FileMissingError
from poise.visualization.files import write_picture

__all__ = ["link_file", "link_folder", "part_of", "video_frames", "write_frames"]

#: of the names in a folder, so many are shown where one of them is missing
_SHOWN = 8
#: how data sets are packed
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".7z", ".rar")


def part_of(root: Path, *names: str) -> Path:
    """A file or folder of a data set.

    Args:
        root: folder of the data set.
        names: that it may have, paths below the folder.

    Raises:
        FileMissingError: it has none of them; the text says what is there, and where to look.
    """
    for name in names:
        if (root / name).exists():
            return root / name
    if not root.is_dir():
        raise FileMissingError(f"there is no folder {root}")
    there = shortened(sorted(path.name for path in root.iterdir()), _SHOWN) or "nothing"
    raise FileMissingError(
        f"{root} has no {' and no '.join(names)}; there is {there}{_elsewhere(root, names)}"
    )


def _elsewhere(root: Path, names: tuple[str, ...]) -> str:
    """What to do about a part that is missing: it may be a folder off, or still packed."""
    below = sorted(path for path in root.iterdir() if path.is_dir())
    for folder in (*below, root.resolve().parent):
        if any((folder / name).exists() for name in names):
            return f"; give the folder {folder}"
    packed = sorted(path.name for path in root.iterdir() if path.name.lower().endswith(_ARCHIVES))
    return f"; unpack {shortened(packed, _SHOWN)} first" if packed else ""


def link_file(source: Path, target: Path) -> None:
    """The same file at a second place: by a hard link, or as a whole copy where that cannot be."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        return
    try:
        os.link(source, target)
    except OSError:
        with whole_file(target) as part:
            shutil.copy2(source, part)


def link_folder(source: Path, target: Path, report: Prepared) -> None:
    """The same pictures where configs look for them, by a link; what is there already stays."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = source.parent.resolve() == target.parent.resolve()
    try:
        target.symlink_to(source.name if beside else source.resolve(), target_is_directory=True)
    except OSError as error:
        report.said.append(
            f"configs look for the pictures in {target}: move or copy {source} there (a link "
            f"could not be made: {error})"
        )
    else:
        report.said.append(f"configs look for the pictures in {target}: it is a link to {source}")


def write_frames(
    video: Path, folder: Path, names: Sequence[str], report: Prepared, where: str, *, every: int = 1
) -> int:
    """Write every n-th frame of a video as a picture, unless it is there; stops after the names.

    Returns:
        how many of the names the video has a frame for; fewer than all are reported.
    """
    count = 0
    frames = itertools.islice(video_frames(video), 0, None, every)
    for name, image in zip(names, frames, strict=False):
        if not (folder / name).is_file():
            write_picture(image, folder / name, order="bgr")
        count += 1
    if count < len(names):
        missing = counted(len(names) - count, "frame")
        report.drop("sequences whose videos end early", f"{where} ({missing})")
    return count


def video_frames(path: Path) -> Iterator[Array]:
    """Frames (H, W, 3) uint8 BGR of a video.

    Raises:
        FileMissingError: there is no such file.
        DataError: it is no video.
    """
    if not path.is_file():
        raise FileMissingError(f"there is no video {path}")
    capture = cv2.VideoCapture(str(path))
    try:
        if not capture.isOpened():
            raise DataError(f"{path} cannot be read as a video")
        while True:
            read, frame = capture.read()
            if not read:
                return
            yield frame
    finally:
        capture.release()
