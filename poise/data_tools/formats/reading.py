"""What a reader of annotations is asked for, and where the pictures of its files are."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from poise.datasets.paths import picture_folder
from poise.errors import ArgumentError
from poise.geometry.boxes import BOX_MARGIN

__all__ = ["PICTURES", "Reading", "picture_folder", "picture_size", "usual_folders"]

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
#: EXIF's tag of the orientation, and its values that exchange width and height
_ORIENTATION, _TURNED = 0x0112, (5, 6, 7, 8)
#: TIFF's tags of width and height
_SIDES = (0x0100, 0x0101)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Wishes of a user; each form takes those that concern it.

    Attributes:
        schema: name of the keypoints' schema, or metadata file; found by their names without it.
        images: folder of the pictures; looked for around the annotations without it.
        part: of YOLO's form: "train", "val" or "test".
        category: only the people, animals or things of this label.
        annotator: of Label Studio's form: whose work counts where several did the same task.
        predicted: of the forms of SLEAP and Label Studio: also what a model predicted and nobody
            corrected.
        save_pictures: of SLEAP's form: folder for the labelled frames of videos.
        margin: around the keypoints where there is no box, in parts of the longer side that they
            span.

    Raises:
        ArgumentError: a margin that is none.
    """

    schema: str | None = None
    images: Path | None = None
    part: str = "train"
    category: str | None = None
    annotator: str | None = None
    predicted: bool = False
    save_pictures: Path | None = None
    margin: float = BOX_MARGIN

    def __post_init__(self) -> None:
        if not 0 <= self.margin < float("inf"):
            raise ArgumentError(
                f"the margin of boxes (--box-margin) is a part of the longer side such as 0.1, "
                f"got {self.margin}"
            )


def usual_folders(home: Path) -> list[Path]:
    """Folders in which the pictures of labels usually lie, the likeliest first.

    Example:
        >>> [folder.as_posix() for folder in usual_folders(Path("data/annotations"))]
        ['data/annotations', 'data', 'data/annotations/images', 'data/images']
    """
    return [folder / below for below in (".", "images") for folder in (home, home.parent)]


def picture_size(path: Path) -> tuple[int, int] | None:
    """Width and height as the picture is shown, from the head of its file; None without one."""
    from PIL import Image
    from PIL.TiffImagePlugin import TiffImageFile

    # no pixels are made here, of which there may be too many
    most, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with Image.open(path) as picture:
            # newer Pillows turn the size of a TIFF themselves
            tags = picture.tag_v2 if isinstance(picture, TiffImageFile) else {}
            width, height = (tags.get(tag, n) for tag, n in zip(_SIDES, picture.size, strict=True))
            # of a PNG without EXIF at its beginning they decode all, to look behind the pixels
            told = picture.format != "PNG" or "exif" in picture.info
            turned = told and picture.getexif().get(_ORIENTATION) in _TURNED
    except (OSError, ValueError, SyntaxError, struct.error):
        return None
    finally:
        Image.MAX_IMAGE_PIXELS = most
    return (height, width) if turned else (width, height)
