"""Which forms there are, and the way from one to another."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poise.data_tools.formats import recognition as told_by
from poise.data_tools.formats.annotations import Annotations
from poise.data_tools.formats.archives import is_archive, unpack
from poise.data_tools.formats.coco import read_coco_file, write_coco_file
from poise.data_tools.formats.cvat import read_cvat
from poise.data_tools.formats.deeplabcut import read_deeplabcut
from poise.data_tools.formats.json_lines import read_json_lines, write_json_lines
from poise.data_tools.formats.label_studio import read_label_studio
from poise.data_tools.formats.labelme import read_labelme
from poise.data_tools.formats.reading import Reading
from poise.data_tools.formats.sleap import read_sleap
from poise.data_tools.formats.yolo import read_yolo, write_yolo
from poise.errors import ArgumentError, DataError, FileMissingError, nearest

__all__ = [
    "FORMS",
    "Form",
    "convert_annotations",
    "find_form",
    "labels_in",
    "read_annotations",
    "write_annotations",
]

Reader = Callable[[Path, Reading], Annotations]
Writer = Callable[[Annotations, Path], list[Path]]


@dataclass(frozen=True)
class Form:
    """One form of annotations.

    Attributes:
        about: what a user has of it.
        fits: whether a file or folder has this form, by what is in it.
        read: reader of a file or folder.
        endings: of files that are written.
        write: writer; None where Poise only reads.
    """

    about: str
    fits: Callable[[Path], bool]
    read: Reader
    endings: tuple[str, ...] = ()
    write: Writer | None = None


#: name -> form; the first that fits is taken
FORMS: dict[str, Form] = {
    "deeplabcut": Form("project or CollectedData_*", told_by.is_deeplabcut, read_deeplabcut),
    "yolo": Form("data.yaml", told_by.is_yolo, read_yolo, (".yaml", ".yml"), write_yolo),
    "jsonl": Form(".jsonl", told_by.is_json_lines, read_json_lines, (".jsonl",), write_json_lines),
    "cvat": Form("annotations.xml", told_by.is_cvat, read_cvat),
    "sleap": Form(".slp", told_by.is_sleap, read_sleap),
    "labelme": Form("folder of .json files", told_by.is_labelme, read_labelme),
    "label-studio": Form(".json export", told_by.is_label_studio, read_label_studio),
    "coco": Form(".json", told_by.is_coco, read_coco_file, (".json",), write_coco_file),
}


def find_form(path: Path, form: str | None = None) -> str:
    """Name of the form of a file or folder.

    Args:
        path: of the annotations.
        form: the name, where it is known.

    Raises:
        FileMissingError: there is no such file or folder.
        ArgumentError: an unknown name.
        DataError: no form fits.
    """
    if form is not None and form not in FORMS:
        raise ArgumentError(
            f"there is no form '{form}'; there are {', '.join(FORMS)}{nearest(form, FORMS)}"
        )
    if not path.exists():
        raise FileMissingError(f"there is no annotation file {path}, nor a folder of that name")
    found = form or next((name for name, form in FORMS.items() if form.fits(path)), None)
    if found is None:
        known = "; ".join(f"{name}: {form.about}" for name, form in FORMS.items())
        hint = "; unpack the archive first" if path.suffix in (".tar", ".gz", ".tgz", ".7z") else ""
        raise DataError(f"{path} is of no form that is known by its content ({known}){hint}")
    return found


def read_annotations(
    path: Path, reading: Reading | None = None, *, form: str | None = None
) -> Annotations:
    """Annotations of a data set in any of the forms.

    Args:
        path: file, or folder.
        reading: wishes about keypoints, pictures and so on.
        form: a name of `FORMS`; by the content without it.

    Raises:
        FileMissingError: there is no such file.
        DataError: it is of no known form, or broken.
    """
    return FORMS[find_form(path, form)].read(path, reading or Reading())


def write_annotations(found: Annotations, out: Path, form: str | None = None) -> list[Path]:
    """Write annotations.

    Args:
        found: what is written; what has no place in the form is counted in its `lost`.
        out: file, or folder for YOLO's form.
        form: a name of `FORMS`; by the file's ending without it.

    Returns:
        What was written.

    Raises:
        ArgumentError: an unknown form, or one that is only read.
    """
    written = {name: form for name, form in FORMS.items() if form.write is not None}
    if form is None:
        form = next((name for name, f in written.items() if out.suffix in f.endings), None)
        if form is None:
            raise ArgumentError(
                f"the ending of {out} does not say the form; give --to {' or '.join(written)}"
            )
    writer = written[form].write if form in written else None
    if writer is None:
        raise ArgumentError(
            f"there is no form '{form}' to write; there are {', '.join(written)}"
            f"{nearest(form, written)}"
        )
    before = found.lost.total()
    files = writer(found, out)
    found.kept = len(found.people) - (found.lost.total() - before)
    return files


def labels_in(folder: Path) -> Path:
    """The folder where it has a form as a whole, else the only COCO file in it.

    Args:
        folder: such as an archive was unpacked into.

    Raises:
        DataError: no labels, or several files that could be meant.
    """

    def fits(path: Path) -> bool:
        return any(form.fits(path) for form in FORMS.values())

    if fits(folder):
        return folder
    files = sorted(f for f in folder.rglob("*") if f.is_file() and fits(f))
    if len(files) == 1:
        return files[0]
    shown = ", ".join(str(f.relative_to(folder)) for f in files[:5])
    raise DataError(
        f"{folder} has "
        + (f"several files of labels ({shown}); give one of them" if files else "no labels")
    )


def convert_annotations(
    path: Path,
    out: Path,
    reading: Reading | None = None,
    *,
    source_form: str | None = None,
    form: str | None = None,
    to_schema: str | None = None,
    derived: bool = False,
    without: Collection[Any] = (),
) -> tuple[Annotations, list[Path]]:
    """Read annotations and write them in another form, with other keypoints, or both.

    Args:
        path, reading: as in `read_annotations`; a .zip archive is unpacked beside `out`.
        source_form: the form of `path`; by its content without it.
        out, form: as in `write_annotations`.
        to_schema: name of the schema whose keypoints are written.
        derived: of `to_schema` also keypoints that are made of others.
        without: ids of annotations that are left out.

    Returns:
        what was written, and the files.
    """
    told: list[str] = []
    if is_archive(path):
        folder, sentence = unpack(path, out.with_name(f"{out.stem}_unpacked"))
        path, told = labels_in(folder), [sentence]
    found = read_annotations(path, reading, form=source_form)
    found.said[:0] = told
    everybody, found.people = found.people, []
    for person in everybody:
        if person.get("id") in without:
            found.drop("people that were to be left out", person["id"])
        else:
            found.people.append(person)
    if to_schema is not None:
        if not found.schema:
            raise DataError(
                f"{path} does not say which keypoints it has ({', '.join(found.names[:4])} ...); "
                "give --schema"
            )
        found = found.converted(to_schema, derived=derived)
    return found, write_annotations(found, out, form)
