"""Which forms there are, and the way from one to another."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poise._words import numbered, shortened
from poise.data_tools.formats.annotations import NUMBERS, REVIEWED, Annotations
from poise.data_tools.formats.archives import is_archive, unpack
from poise.data_tools.formats.coco import is_coco, read_coco_file, write_coco_file
from poise.data_tools.formats.cvat import is_cvat, read_cvat
from poise.data_tools.formats.cvat_files import cvat_files
from poise.data_tools.formats.deeplabcut import is_deeplabcut, read_deeplabcut
from poise.data_tools.formats.deeplabcut_files import deeplabcut_files
from poise.data_tools.formats.joining import join_annotations
from poise.data_tools.formats.json_lines import is_json_lines, read_json_lines, write_json_lines
from poise.data_tools.formats.label_studio import (
    is_label_studio,
    label_studio_files,
    read_label_studio,
)
from poise.data_tools.formats.labelme import is_labelme, labelme_files, read_labelme
from poise.data_tools.formats.reading import Reading, picture_folder, usual_folders
from poise.data_tools.formats.shown import identity, write_files
from poise.data_tools.formats.sleap import is_sleap, read_sleap
from poise.data_tools.formats.sleap_files import sleap_files
from poise.data_tools.formats.yolo import DATA_FILE, is_yolo, read_yolo, write_yolo
from poise.errors import ArgumentError, DataError, FileMissingError, one_of

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
#: files and what is to be in them
Maker = Callable[[Annotations, Path], dict[Path, bytes]]
#: more files than that are named by their folder
_NAMED = 3
#: names of pictures that are looked for first
_PROBED = 20


@dataclass(frozen=True)
class Form:
    """One form of annotations.

    Attributes:
        about: what a user has of it.
        fits: whether a file or folder has this form, by what is in it.
        read: reader of a file or folder.
        endings: of files that are written.
        write: writer of a form for training, which replaces what is there.
        make: of one that people correct by hand, whose files are not replaced unasked; every form
            has one or the other.
        lacks: what it has no place for, of `_PLACELESS`.
    """

    about: str
    fits: Callable[[Path], bool]
    read: Reader
    endings: tuple[str, ...] = ()
    write: Writer | None = None
    make: Maker | None = None
    lacks: tuple[str, ...] = ()


#: what a form may have no place for -> what is said of it
_PLACELESS = {
    "hidden": "keypoints that are hidden: written as visible",
    "categories": "categories: written as one",
    "who": "people that are known by name (individual, track_id): written without",
}

#: name -> form; the first that fits is taken
FORMS: dict[str, Form] = {
    "deeplabcut": Form(
        "project or CollectedData_*",
        is_deeplabcut,
        read_deeplabcut,
        make=deeplabcut_files,
        lacks=("hidden", "categories"),
    ),
    "yolo": Form("data.yaml", is_yolo, read_yolo, (".yaml", ".yml"), write_yolo, lacks=("who",)),
    "jsonl": Form(
        ".jsonl",
        is_json_lines,
        read_json_lines,
        (".jsonl",),
        write_json_lines,
        lacks=("hidden", "categories", "who"),
    ),
    "cvat": Form("annotations.xml", is_cvat, read_cvat, (".xml",), make=cvat_files, lacks=("who",)),
    "sleap": Form(".slp", is_sleap, read_sleap, (".slp",), make=sleap_files),
    "labelme": Form(
        "folder of .json files", is_labelme, read_labelme, make=labelme_files, lacks=("who",)
    ),
    "label-studio": Form(
        ".json export",
        is_label_studio,
        read_label_studio,
        make=label_studio_files,
        lacks=("who",),
    ),
    "coco": Form(".json", is_coco, read_coco_file, (".json",), write_coco_file),
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
    if form is not None:
        one_of(form, FORMS, "form", ArgumentError)
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


def write_annotations(
    found: Annotations, out: Path, form: str | None = None, *, replace: bool = False
) -> list[Path]:
    """Write annotations.

    Args:
        found: what is written; what has no place in the form is counted in its `lost`.
        out: file, or folder for forms of several files.
        form: a name of `FORMS`; by the file's ending without it.
        replace: overwrite files of labelling tools, too, and what is read.

    Returns:
        What was written.

    Raises:
        ArgumentError: an unknown form.
        DataError: labels of a tool are there already.
    """
    form = _form_to_write(out, form)
    before = found.lost.total()
    make, write = FORMS[form].make, FORMS[form].write
    if make is not None:
        contents = make(found, out)
        write_files(contents, replace=replace)
        files = list(contents) if len(contents) <= _NAMED else [out]
    elif write is not None:
        files = write(found, out)
    found.kept = len(found.people) - (found.lost.total() - before)
    counts = {
        "hidden": sum(v == 1 for p in found.people for v in (p.get("keypoints") or ())[2::NUMBERS]),
        "categories": len(found.categories) if len(found.categories) > 1 else 0,
        "who": sum(identity(person) is not None for person in found.people),
    }
    found.said += [
        f"{form} has no mark for {numbered(counts[what], _PLACELESS[what])}"
        for what in FORMS[form].lacks
        if counts[what]
    ]
    return files


def _form_to_write(out: Path, form: str | None) -> str:
    """Name of the form; errors as of `write_annotations`."""
    if form is None:
        form = next((name for name, f in FORMS.items() if out.suffix in f.endings), None)
    if form is None:
        raise ArgumentError(
            f"the ending of {out} does not say the form; give --to {' or '.join(FORMS)}"
        )
    one_of(form, FORMS, "form", ArgumentError)
    return form


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
    reviewed: bool = False,
    added: Sequence[Path] = (),
    replace: bool = False,
) -> tuple[Annotations, list[Path]]:
    """Read annotations and write them in another form, with other keypoints, or both.

    Args:
        path, reading: as in `read_annotations`; a .zip archive is unpacked beside `out`.
        source_form: the form of `path`; by its content without it.
        out, form: as in `write_annotations`.
        to_schema: name of the schema whose keypoints are written.
        derived: of `to_schema` also keypoints that are made of others.
        without: ids of annotations that are left out.
        reviewed: only pictures that somebody marked so in the page of `poise data label`.
        added: further labels, in any form; they get the keypoints of the first.
        replace: as in `write_annotations`.

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
    if reviewed:
        _keep_reviewed(found, path)
    if to_schema is not None:
        if not found.schema:
            raise DataError(
                f"{path} does not say which keypoints it has ({', '.join(found.names[:4])} ...); "
                "give --schema"
            )
        found = found.converted(to_schema, derived=derived)
    form = _form_to_write(out, form)
    _keep_source(path, added, out, form, replace=replace)
    made, home = FORMS[form].make is not None, out.parent if out.suffix else out
    own = path if path.is_dir() else path.parent
    if made or added or own.resolve() != home.resolve():
        # what is read from another folder names its pictures from there
        _place(found, path, (reading or Reading()).images)
    for other in added:
        more = read_annotations(other, dataclasses.replace(reading or Reading(), images=None))
        _place(more, other, None)
        found = join_annotations(found, more, home)
    return found, write_annotations(found, out, form, replace=replace)


def _keep_source(path: Path, added: Sequence[Path], out: Path, form: str, *, replace: bool) -> None:
    """Raise DataError where labels that are read would be overwritten, unless that is wanted."""
    target = out / DATA_FILE if form == "yolo" and not out.suffix else out
    for source in (path, *added):
        read = source / DATA_FILE if source.is_dir() else source
        if not replace and read.resolve() == target.resolve():
            raise DataError(
                f"{read} would be overwritten by what is made of it; choose another --out, or say "
                "--force"
            )


def _keep_reviewed(found: Annotations, path: Path) -> None:
    """Leave out pictures that nobody has marked as reviewed, and their people.

    Raises:
        DataError: none is left.
    """
    kept = [image for image in found.images if image.get(REVIEWED)]
    if not kept:
        raise DataError(
            f"{path}: none of its {len(found.images):,} pictures is marked as reviewed; `poise "
            "data label` marks them, in COCO files"
        )
    for image in found.images:
        if not image.get(REVIEWED):
            found.drop("pictures that are not reviewed", image["file_name"])
    ids = {image["id"] for image in kept}
    found.images = kept
    found.people = [person for person in found.people if person["image_id"] in ids]


def _place(found: Annotations, path: Path, images: Path | None) -> None:
    """Find out where the pictures of labels lie, if their reader does not know."""
    if found.folder is not None:
        return
    around = usual_folders(path if path.is_dir() else path.parent)
    names = [str(image["file_name"]) for image in found.images]
    # not to look for each of a hundred thousand where there are none
    folder, places = picture_folder(names[:: max(1, len(names) // _PROBED)], around, images)
    if places:
        folder, places = picture_folder(names, [folder], None)
        found.folder = folder
        whole = {name for name in names if Path(name).is_absolute() and Path(name).is_file()}
        found.images = [
            {**image, "file_name": name if name in whole else places.get(name, name)}
            for image, name in zip(found.images, names, strict=True)
        ]
    absent = [name for name in names if name not in places and not Path(name).is_file()]
    if absent:
        kept = "" if places else ", names kept"
        found.said.append(
            f"{len(absent):,} of the {len(names):,} pictures of {path} not found{kept}: "
            f"{shortened(absent, 2)}; --images FOLDER says where they are"
        )
