"""Which form a file or folder has, by what is in it."""

from __future__ import annotations

from pathlib import Path

from poise._files import files_below
from poise.data_tools.formats.cvat import xml_file
from poise.data_tools.formats.deeplabcut import label_files
from poise.data_tools.formats.labelme import has_shapes
from poise.data_tools.formats.yolo import DATA_FILE

__all__ = [
    "is_coco",
    "is_cvat",
    "is_deeplabcut",
    "is_json_lines",
    "is_label_studio",
    "is_labelme",
    "is_sleap",
    "is_yolo",
]

_HDF5 = b"\x89HDF"


def is_yolo(path: Path) -> bool:
    """A data file or its folder; without `kpt_shape`, too: the reader says what is lacking."""
    file = path / DATA_FILE if path.is_dir() else path
    return file.suffix in (".yaml", ".yml") and file.is_file()


def is_json_lines(path: Path) -> bool:
    """Poise's own results."""
    return path.suffix == ".jsonl" and path.is_file()


def is_labelme(path: Path) -> bool:
    """A folder with files of labelme, or one of them."""
    if path.is_dir():
        return any(has_shapes(file) for file in files_below(path) if file.suffix == ".json")
    return path.suffix == ".json" and path.is_file() and has_shapes(path)


def is_cvat(path: Path) -> bool:
    """CVAT's XML, or the folder of its export."""
    return xml_file(path) is not None


def is_label_studio(path: Path) -> bool:
    """A list with keypoints of Label Studio."""
    if path.suffix != ".json" or not path.is_file():
        return False
    content = path.read_bytes()
    return content.lstrip().startswith(b"[") and b'"keypointlabels"' in content


def is_deeplabcut(path: Path) -> bool:
    """A project with labels, its config.yaml, or a table of labels."""
    if path.is_dir() or path.name == "config.yaml":
        return bool(label_files(path)[1])
    if path.suffix == ".csv" and path.is_file():
        with path.open("rb") as stream:
            return stream.read(10).lstrip(b"\xef\xbb\xbf").startswith(b"scorer")
    return path.suffix == ".h5" and _begins(path, _HDF5)


def is_sleap(path: Path) -> bool:
    """A file of SLEAP."""
    return path.suffix == ".slp" and _begins(path, _HDF5)


def _begins(path: Path, start: bytes) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(len(start)) == start


def is_coco(path: Path) -> bool:
    """Any other .json (or .json.gz) file; its reader says what it lacks."""
    return path.name.endswith((".json", ".json.gz")) and path.is_file()
