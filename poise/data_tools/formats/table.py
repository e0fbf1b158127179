"""Which forms there are, and the way from one to another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from poise.data_tools.formats.annotations import Annotations
from poise.data_tools.formats.coco import read_coco_file, write_coco_file
from poise.data_tools.formats.json_lines import read_json_lines, write_json_lines
from poise.data_tools.formats.yolo import read_yolo, write_yolo
from poise.errors import ArgumentError, DataError, FileMissingError, nearest

__all__ = ["FORMATS", "convert_annotations", "read_annotations", "write_annotations"]

#: name -> endings of its files, writer
FORMATS: dict[str, tuple[tuple[str, ...], Callable[[Annotations, Path], list[Path]]]] = {
    "coco": ((".json",), write_coco_file),
    "yolo": ((".yaml", ".yml"), write_yolo),
    "jsonl": ((".jsonl",), write_json_lines),
}


def read_annotations(
    path: Path, *, schema: str | None = None, images: Path | None = None, part: str = "train"
) -> Annotations:
    """Annotations of a COCO file, YOLO's .yaml file, or Poise's JSON lines.

    Args:
        path: the file; its ending says which form it is.
        schema: name of the keypoints' schema, where the file does not tell.
        images: folder of the pictures; YOLO's form needs their sizes.
        part: of a YOLO data set: "train", "val" or "test".

    Raises:
        FileMissingError: there is no such file.
        DataError: it is of no known form.
    """
    if not path.is_file():
        raise FileMissingError(f"there is no annotation file {path}")
    if path.suffix in FORMATS["yolo"][0]:
        return read_yolo(path, schema, images, part)
    if path.suffix in FORMATS["jsonl"][0]:
        return read_json_lines(path, schema)
    if path.suffix in FORMATS["coco"][0]:
        return read_coco_file(path, schema)
    endings = ", ".join(f"{e[0]} ({name})" for name, (e, _) in FORMATS.items())
    raise DataError(f"{path}: annotation files that are converted end with {endings}")


def write_annotations(found: Annotations, out: Path, form: str | None = None) -> list[Path]:
    """Write annotations.

    Args:
        found: what is written; what has no place in the form is counted in its `lost`.
        out: file, or folder for YOLO's form.
        form: a name of `FORMATS`; by the file's ending without it.

    Returns:
        What was written.

    Raises:
        ArgumentError: an unknown form.
    """
    if form is None:
        form = next((name for name, (ends, _) in FORMATS.items() if out.suffix in ends), None)
        if form is None:
            raise ArgumentError(f"the ending of {out} does not say the form; give --to")
    if form not in FORMATS:
        raise ArgumentError(
            f"there is no form '{form}'; there are {', '.join(FORMATS)}{nearest(form, FORMATS)}"
        )
    return FORMATS[form][1](found, out)


def convert_annotations(
    path: Path,
    out: Path,
    *,
    form: str | None = None,
    schema: str | None = None,
    to_schema: str | None = None,
    derived: bool = False,
    images: Path | None = None,
    part: str = "train",
) -> tuple[Annotations, list[Path]]:
    """Read annotations and write them in another form, with other keypoints, or both.

    Args:
        path, schema, images, part: as in `read_annotations`.
        out, form: as in `write_annotations`.
        to_schema: name of the schema whose keypoints are written.
        derived: of `to_schema` also keypoints that are made of others.

    Returns:
        what was written, and the files.
    """
    found = read_annotations(path, schema=schema, images=images, part=part)
    if to_schema is not None:
        if not found.schema:
            raise DataError(
                f"{path} does not say which keypoints it has ({', '.join(found.names[:4])} ...); "
                "give --schema"
            )
        found = found.converted(to_schema, derived=derived)
    return found, write_annotations(found, out, form)
