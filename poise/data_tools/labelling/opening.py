"""Pictures and labels to begin with: a COCO file, a folder that was picked, or bare pictures."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from poise._files import files_below
from poise.data_tools.audit import read_findings
from poise.data_tools.formats.annotations import real_place
from poise.data_tools.formats.reading import Reading, picture_folder, usual_folders
from poise.data_tools.formats.table import find_form, labels_in
from poise.data_tools.labelling.kinds import kinds_of, new_category
from poise.data_tools.labelling.store import Labels, LabelStore
from poise.data_tools.own_labels import as_coco_file
from poise.data_tools.picking.proposals import PICTURE_FOLDER, TARGETS
from poise.datasets.coco_file import check_rows, read_json
from poise.errors import DataError, FileMissingError
from poise.inference.sources.pictures import IMAGE_SUFFIXES

__all__ = ["open_labels"]

#: the file of labels in a folder, as `poise data pick` names it
LABELS = TARGETS["coco"]
#: folders of pictures in one that was picked; beside them are sheets, which are no pictures
_PICKED = (PICTURE_FOLDER, "labeled-data")
#: names of pictures that are looked for before the page asks for one
_PROBED = 20


def open_labels(
    place: Path,
    *,
    out: Path | None = None,
    images: Path | None = None,
    keypoints: str | None = None,
    category: str | None = None,
    doubts: Path | None = None,
    replace: bool = False,
) -> LabelStore:
    """Labels that can be edited.

    Args:
        place: COCO file; folder with one, with labels of a labelling tool, or of pictures alone.
        out: file that is written; `place`, or `labels.json` in the folder, without it.
        images: folder of the pictures; looked for around the file without it.
        keypoints: schema, metadata file, or names with commas between; for pictures without labels.
        category: what is labelled, where no labels say it; by the keypoints without it.
        doubts: file of `poise data audit --out`, whose pictures alone are shown.
        replace: begin anew where `out` is there already.

    Raises:
        FileMissingError: no such file or folder, or no pictures.
        DataError: labels of another form, broken ones, none and no `keypoints`, or `out` is there.
    """
    if not place.exists():
        raise FileMissingError(f"there is no file or folder {place}")
    said: list[str] = []
    folder = place if place.is_dir() else None
    source = place if folder is None else _labels_of(folder, keypoints, images, said)
    if source is not None and folder is None and find_form(source) != "coco":
        raise DataError(
            f"{source} has the form of {find_form(source)}; the page edits COCO's: `poise data "
            f"convert {source} -o {LABELS}`, then `poise data label {LABELS}`"
        )
    if out is not None and out.exists() and out != source and not replace:
        raise DataError(
            f"{out} is there already; `poise data label {out}` goes on with it, --force overwrites"
        )
    # only a folder is found by its labels, and by its pictures
    target = out or source or (folder or place) / LABELS
    read = partial(
        _read,
        folder=folder,
        home=target.parent,
        images=images,
        keypoints=keypoints,
        category=category,
        said=said,
    )
    findings = read_findings(doubts) if doubts else ()
    if doubts and not findings:
        said.append(f"{doubts} doubts nothing: all pictures are shown")
    return LabelStore(read, source, target, findings)


def _labels_of(
    folder: Path, keypoints: str | None, images: Path | None, said: list[str]
) -> Path | None:
    """The COCO file of a folder; made of another tool's labels where there are only these."""
    own = folder / LABELS
    if own.is_file():
        return own
    try:
        found = labels_in(folder)
    except DataError as error:
        if keypoints is not None:
            return None
        raise DataError(
            f"{error}. To begin with nothing say what to label: --keypoints coco (a schema, `poise "
            "data schemas` lists them), a metadata file, or --keypoints nose,left_ear,right_ear"
        ) from error
    if find_form(found) == "coco":
        return found
    _, _, told = as_coco_file(found, own, Reading(images=images))
    said += [*told, f"{own} is edited"]
    return own


def _read(
    source: Path | None,
    *,
    folder: Path | None,
    home: Path,
    images: Path | None,
    keypoints: str | None,
    category: str | None,
    said: list[str],
) -> Labels:
    """Labels of a file, or none yet, with the pictures of a folder."""
    if source is None:
        content: dict[str, Any] = {"info": {}, "images": [], "annotations": [], "categories": []}
    else:
        content = _checked(read_json(str(source), owner="poise data label"), source)
    unnamed = not any(c.get("keypoints") for c in content["categories"])
    if unnamed and keypoints is not None:
        content = _with_keypoints(content, keypoints, category, said)
    about = source or folder or home
    kinds = kinds_of(content, about, keypoints)
    names = [str(row["file_name"]) for row in content["images"]]
    place = _folder_of(names, source, folder, images)
    # of a file in a folder nobody knows whether the other pictures are meant
    own = folder is not None and source in (None, folder / LABELS, home / LABELS)
    more = _more_pictures(names, images or folder, place) if folder is not None and own else []
    if not names and not more:
        endings = ", ".join(sorted(IMAGE_SUFFIXES))
        raise FileMissingError(f"{about} has no pictures; looked for {endings}")
    return Labels(content, kinds, place, more, said)


def _checked(content: Any, source: Path) -> dict[str, Any]:
    if not isinstance(content, dict) or not content.get("images"):
        raise DataError(
            f"{source} is no COCO file: it has no `images`; `poise data convert` reads other forms"
        )
    check_rows(content, "images", "id", "file_name", where=str(source))
    check_rows(content, "annotations", "image_id", where=str(source))
    check_rows(content, "categories", "id", where=str(source))
    return {**content, **{k: content.get(k) or [] for k in ("annotations", "categories")}}


def _with_keypoints(
    content: Mapping[str, Any], keypoints: str, name: str | None, said: list[str]
) -> dict[str, Any]:
    """Content whose categories get names of keypoints, of which they have none."""
    new, info = new_category(keypoints, name)
    points = {key: new[key] for key in ("keypoints", "skeleton")}
    categories = [{**old, **points} for old in content["categories"]] or [new]
    if name is None and not content["categories"]:
        said.append(
            f"what is labelled is called '{new['name']}', by its keypoints; --category NAME calls "
            "it otherwise"
        )
    return {**content, "info": {**(content.get("info") or {}), **info}, "categories": categories}


def _folder_of(
    names: list[str], source: Path | None, folder: Path | None, images: Path | None
) -> Path:
    """The folder that names of pictures are relative to.

    Raises:
        FileMissingError: none of the first pictures is anywhere.
    """
    if source is None or not names:
        if images is not None and not images.is_dir():
            raise FileMissingError(f"there is no folder of pictures {images}")
        return images or folder or Path()
    around = [*([folder] if folder else []), *usual_folders(source.parent)]
    some = list(filter(None, names))[:: max(1, len(names) // _PROBED)]
    place, found = picture_folder(some, around, images)
    if not found:
        looked = ", ".join(map(str, [images] if images else dict.fromkeys(around)))
        raise FileMissingError(
            f"{source}: none of its pictures ({', '.join(some[:3])} ...) was found in {looked}; "
            "say where they are with --images FOLDER"
        )
    return place


def _more_pictures(names: list[str], folder: Path, place: Path) -> list[str]:
    """Pictures of a folder that the labels do not list, by their names from `place`."""
    picked = [folder / name for name in _PICKED if (folder / name).is_dir()]
    # names may lead elsewhere, and are found by their last parts
    _, places = picture_folder(names, [place])
    known = {real_place(place / places.get(name, name)) for name in names}
    # a picked folder has sheets beside its pictures
    files = (file for home in picked or [folder] for file in files_below(home))
    files = (f for f in files if f.suffix.lower() in IMAGE_SUFFIXES)
    found = [f for f in map(real_place, files) if f not in known]
    inside = place.resolve()
    return [f.relative_to(inside).as_posix() if f.is_relative_to(inside) else str(f) for f in found]
