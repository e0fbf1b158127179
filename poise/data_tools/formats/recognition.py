"""Which form a file or folder has, by what is in it."""

from __future__ import annotations

from pathlib import Path

from poise.data_tools.formats.cvat import xml_file
from poise.data_tools.formats.labelme import shape_files

__all__ = ["is_coco", "is_cvat", "is_json_lines", "is_label_studio", "is_labelme", "is_yolo"]


def is_yolo(path: Path) -> bool:
    """A `data.yaml`; one without `kpt_shape` too, so that the reader says what it lacks."""
    return path.suffix in (".yaml", ".yml") and path.is_file()


def is_json_lines(path: Path) -> bool:
    """Poise's own results."""
    return path.suffix == ".jsonl" and path.is_file()


def is_labelme(path: Path) -> bool:
    """A folder with files of labelme, or one of them."""
    return (path.is_dir() or path.suffix == ".json") and bool(shape_files(path))


def is_cvat(path: Path) -> bool:
    """CVAT's XML, or the folder of its export."""
    return xml_file(path) is not None


def is_label_studio(path: Path) -> bool:
    """A list with keypoints of Label Studio."""
    if path.suffix != ".json" or not path.is_file():
        return False
    content = path.read_bytes()
    return content.lstrip().startswith(b"[") and b'"keypointlabels"' in content


def is_coco(path: Path) -> bool:
    """Any other .json file; its reader says what it lacks."""
    return path.suffix == ".json" and path.is_file()
