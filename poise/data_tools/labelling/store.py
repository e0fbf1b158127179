"""Pictures and people that are being labelled, and what of them is written."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from poise._collector import no_gc
from poise.data_tools.formats.annotations import REVIEWED
from poise.data_tools.formats.reading import picture_folder
from poise.data_tools.labelling.kinds import Kind
from poise.data_tools.labelling.label_file import LabelFile
from poise.data_tools.labelling.people import (
    Edit,
    box_of,
    edited,
    new_person,
    read_edits,
    triples_of,
)
from poise.data_tools.labelling.refusals import RefusedError
from poise.data_tools.labelling.showing import picture_pixels
from poise.errors import DataError

__all__ = ["Labels", "LabelStore"]


@dataclass
class Labels:
    """Labels as they were read.

    Attributes:
        content: of a COCO file.
        kinds: category id -> its keypoints.
        folder: that names of pictures are relative to.
        more: pictures of the folder that the file does not list, by their names.
        said: what was made or guessed, for people; one sentence each.
    """

    content: dict[str, Any]
    kinds: dict[Any, Kind]
    folder: Path
    more: Sequence[str] = ()
    said: list[str] = field(default_factory=list)


@dataclass
class _State:
    """All that a save changes; replaced as a whole, so that who reads needs no lock."""

    images: list[dict[str, Any]]
    #: how many of them are in the file; the others come in when they are labelled or reviewed
    in_file: set[int]
    rows: dict[Any, dict[str, Any]]
    by_picture: list[list[Any]]
    versions: list[int]
    #: id -> what the page knows of a person, and the file does not
    beside: dict[Any, dict[str, Any]] = field(default_factory=dict)


@dataclass
class _Texts:
    """What the file says of each picture (by its number) and person (by id), in its order."""

    images: dict[int, bytes]
    people: dict[Any, bytes]


class LabelStore:
    """Labels in memory, a file of them, and the way from one to the other.

    Args:
        read: gives the labels of a file, or of none; called again when the file has changed.
        source: file that is read, where there is one.
        out: file that is written; the same or another one.
        findings: of `poise data audit`; where there are some, only their pictures are shown, in
            their order.

    Raises:
        DataError: labels that cannot be edited; findings of other labels.
    """

    def __init__(
        self,
        read: Callable[[Path | None], Labels],
        source: Path | None,
        out: Path,
        findings: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self._read, self._findings = read, findings
        self.source, self.out = source, out
        self.file = LabelFile(out)
        self._lock = threading.Lock()
        self._version = itertools.count(1)
        self._load()

    @no_gc()
    def _load(self) -> None:
        self.file.remember()
        self.labels = self._read(self.source)
        content = self.labels.content
        images = list(content["images"])
        ids = _unique([row["id"] for row in images], "images", self.source)
        rows = {}
        by_picture: list[list[Any]] = [[] for _ in images]
        place = {name: n for n, name in enumerate(ids)}
        people = content["annotations"]
        _unique([row.get("id") for row in people], "annotations", self.source)
        for row in people:
            rows[row["id"]] = row
            kind = self.labels.kinds.get(row.get("category_id"))
            if kind is None or row.get("iscrowd") or row["image_id"] not in place:
                # not for the page, and kept as it is
                continue
            _check_length(row, kind, self.source)
            by_picture[place[row["image_id"]]].append(row["id"])
        self._doubts = self._doubted(rows, place)
        in_file = set(range(len(images)))
        number = _following(ids)
        for name in self.labels.more:
            images.append({"id": next(number), "file_name": name})
            by_picture.append([])
        version = next(self._version)
        self._state = _State(images, in_file, rows, by_picture, [version] * len(images))
        # made by the first save, or before it
        self._texts: _Texts | None = None
        self._keys: dict[str, Any] = {}
        self._deleted: dict[Any, dict[str, Any]] = {}
        # people as they were before their first change
        self._first: dict[Any, dict[str, Any]] = {}
        self._numbers = _following(rows)

    def _doubted(
        self, rows: Mapping[Any, Mapping[str, Any]], place: Mapping[Any, int]
    ) -> dict[int, list[dict[str, Any]]]:
        """Number of a picture -> what was found in it, for the page."""
        found: dict[int, list[dict[str, Any]]] = {}
        for finding in self._findings:
            name, image = finding.get("id"), finding.get("image_id")
            # an id says more than a picture, of which files of arrays have other numbers
            if isinstance(name, int | float | str) and name in rows:
                image = rows[name]["image_id"]
            number = place.get(image) if isinstance(image, int | float | str) else None
            if number is not None:
                about = {key: str(finding.get(key, "")) for key in ("kind", "about")}
                points = list(map(str, finding.get("keypoints") or ()))
                found.setdefault(number, []).append({"id": name, "keypoints": points, **about})
        if self._findings and not found:
            raise DataError(
                f"none of the {len(self._findings):,} findings is of a picture of {self.source}; "
                "--doubts takes what `poise data audit FILE --out` wrote of the same file"
            )
        return found

    def __len__(self) -> int:
        """How many pictures there are."""
        return len(self._state.images)

    @property
    def reviewed(self) -> int:
        """How many pictures somebody has looked at."""
        return sum(bool(row.get(REVIEWED)) for row in self._state.images)

    @property
    def unseen(self) -> int:
        """How many pictures have labels that nobody has looked at."""
        state = self._state
        pairs = zip(state.images, state.by_picture, strict=True)
        return sum(bool(ids) and not row.get(REVIEWED) for row, ids in pairs)

    def overview(self) -> dict[str, Any]:
        """What the page needs to begin: its pictures, and who the keypoints are."""
        state, numbers = self._state, list(self._doubts or range(len(self)))
        # what an audit doubts is looked at once more
        seen = [not self._doubts and bool(state.images[n].get(REVIEWED)) for n in numbers]
        return {
            "file": str(self.out),
            "kinds": [kind.to_dict() for kind in self.labels.kinds.values()],
            "numbers": numbers,
            "names": [str(state.images[n]["file_name"]) for n in numbers],
            "reviewed": [place for place, reviewed in enumerate(seen) if reviewed],
            "people": [len(state.by_picture[n]) for n in numbers],
        }

    def people(self, number: int) -> dict[str, Any]:
        """A picture's people, for the page."""
        state = self._state
        image = state.images[self._checked(number)]
        found = []
        for name in state.by_picture[number]:
            row = state.rows[name]
            kind = self.labels.kinds[row["category_id"]]
            triples = triples_of(row, len(kind.keypoints)).tolist()
            about = {"id": name, "category_id": kind.category, "keypoints": triples}
            found.append(about | {"bbox": box_of(row)} | state.beside.get(name, {}))
        return {
            "name": str(image["file_name"]),
            "width": image.get("width"),
            "height": image.get("height"),
            "reviewed": bool(image.get(REVIEWED)),
            "version": state.versions[number],
            "people": found,
            "doubts": self._doubts.get(number, []),
        }

    def path(self, number: int) -> Path:
        """A picture's file.

        Raises:
            RefusedError: there is none.
        """
        name = str(self._state.images[self._checked(number)]["file_name"])
        folder, places = picture_folder([name], [self.labels.folder])
        place = folder / places.get(name, name)
        if not place.is_file():
            raise RefusedError(
                404,
                f"the picture {name} is not there (looked in {folder}); go on with the next one, "
                "or end and say --images FOLDER",
            )
        return place

    def save(self, number: int, content: Any) -> dict[str, Any]:
        """Take in what the page has of a picture, and write the file.

        Args:
            number: of the picture.
            content: `version` of what the page began with, `people`, and `reviewed`.

        Returns:
            the new `version`, and the `boxes` of the people in their order; null for new ones
            without a labelled keypoint, who are not written.

        Raises:
            RefusedError: another form; somebody else changed the picture or the file; the file
                cannot be written. Then nothing is changed.
        """
        self._checked(number)
        if not isinstance(content, dict) or not isinstance(content.get("reviewed"), bool):
            raise RefusedError(
                400, "a picture is saved as an object with `version`, `people` and `reviewed`"
            )
        edits = read_edits(content.get("people"), self.labels.kinds)
        with self._lock:
            if content.get("version") != self._state.versions[number]:
                raise RefusedError(
                    409,
                    "This picture was changed in another tab or window. Nothing was overwritten, "
                    "and your last change is not saved.",
                    stale="picture",
                )
            state, ids = self._with_edits(number, edits, reviewed=content["reviewed"])
            if state is not self._state:
                self.file.check()
                texts = self._written(number, state)
                self.file.write(self._bytes(texts))
                before = self._state.rows
                for name in self._state.by_picture[number]:
                    self._first.setdefault(name, before[name])
                    if name not in state.rows:
                        self._deleted[name] = before[name]
                self._keys |= {
                    edit.key: name
                    for edit, name in zip(edits, ids, strict=True)
                    if edit.id is None and name is not None
                }
                self._state, self._texts = state, texts
            rows = (None if name is None else state.rows[name] for name in ids)
            boxes = [None if row is None else box_of(row) for row in rows]
            return {"version": state.versions[number], "boxes": boxes}

    def prepare(self) -> None:
        """Do what the first save of a large file would have to wait for."""
        with self._lock:
            self._texts = self._texts or self._all_texts()

    def reload(self) -> None:
        """Read the file again, after somebody else has changed it."""
        with self._lock:
            if self.out.exists():
                # what was written, not what was begun with
                self.source = self.out
            self._load()

    def _checked(self, number: int) -> int:
        if not 0 <= number < len(self):
            raise RefusedError(404, f"there are {len(self):,} pictures, number {number} is none")
        return number

    def _with_edits(
        self, number: int, edits: Sequence[Edit], *, reviewed: bool
    ) -> tuple[_State, list[Any]]:
        """The state after a save, the same object where nothing changes; and ids of the people."""
        old = self._state
        image = old.images[number]
        rows, beside, ids = dict(old.rows), dict(old.beside), []
        for edit in edits:
            # one that was deleted and is back again has its fields again
            name = self._keys.get(edit.key) if edit.id is None else edit.id
            known = rows if name in old.by_picture[number] else self._deleted
            row = None if name is None else known.get(name)
            if row is not None and row["image_id"] != image["id"]:
                row = None
            if edit.id is not None and row is None:
                raise RefusedError(400, f"there is no person {edit.id} in picture {number}")
            if row is not None:
                # an edit that is undone gives back the box, too
                first, kinds = self._first.get(name) or row, self.labels.kinds
                changed = edited(first, edit, self._size(number), kinds)
                rows[name] = row if changed == row else changed
            elif edit.is_somebody:
                name = next(self._numbers)
                rows[name] = new_person(edit, name, image["id"], self._size(number))
            if name is not None:
                beside[name] = edit.beside
            ids.append(name)
        kept = [name for name in ids if name is not None]
        if len(set(kept)) < len(kept):
            raise RefusedError(400, "a person comes twice in `people`")
        for name in set(old.by_picture[number]) - set(kept):
            del rows[name]
        same = kept == old.by_picture[number] and all(rows[n] is old.rows.get(n) for n in kept)
        if same and bool(image.get(REVIEWED)) == reviewed:
            old.beside = beside
            return old, ids
        state = self._replaced(number, rows, kept, reviewed=reviewed)
        state.beside = beside
        return state, ids

    def _replaced(
        self, number: int, rows: dict[Any, dict[str, Any]], kept: list[Any], *, reviewed: bool
    ) -> _State:
        """A state with another picture in one place."""
        old = self._state
        image = {k: v for k, v in old.images[number].items() if k != REVIEWED}
        if not (image.get("width") and image.get("height")):
            image["width"], image["height"] = self._size(number)
        if reviewed:
            image[REVIEWED] = True
        images, by_picture, versions = [*old.images], [*old.by_picture], [*old.versions]
        images[number], by_picture[number] = image, kept
        versions[number] = next(self._version)
        return _State(images, old.in_file | {number}, rows, by_picture, versions)

    def _size(self, number: int) -> tuple[int, int]:
        """Width and height of a picture: as the labels say, else as training reads it."""
        image = self._state.images[number]
        if image.get("width") and image.get("height"):
            return int(image["width"]), int(image["height"])
        height, width = picture_pixels(self.path(number)).shape[:2]
        return width, height

    def _all_texts(self) -> _Texts:
        state = self._state
        images = {n: _text(state.images[n]) for n in sorted(state.in_file)}
        return _Texts(images, {name: _text(row) for name, row in state.rows.items()})

    def _written(self, number: int, state: _State) -> _Texts:
        """Texts of a state with another picture in one place; all others are as they were."""
        old, texts = self._state, self._texts or self._all_texts()
        images, people = dict(texts.images), dict(texts.people)
        images[number] = _text(state.images[number])
        for name in old.by_picture[number]:
            if name not in state.rows:
                del people[name]
        for name in state.by_picture[number]:
            if state.rows[name] is not old.rows.get(name):
                people[name] = _text(state.rows[name])
        return _Texts(images, people)

    def _bytes(self, texts: _Texts) -> bytes:
        """The file, with what is in it beside pictures and people as it was."""
        parts = []
        rows = {"images": texts.images, "annotations": texts.people}
        for key, value in self.labels.content.items():
            entries = rows.get(key)
            lines = b",\n".join(entries.values()) if entries is not None else b""
            text = _text(value) if entries is None else b"[\n%b\n]" % lines
            parts.append(b"%b: %b" % (_text(key), text))
        return b"{%b}\n" % b",\n".join(parts)


def _text(value: Any) -> bytes:
    return json.dumps(value).encode()


def _unique(ids: list[Any], kind: str, source: Path | None) -> list[Any]:
    """The same ids.

    Raises:
        DataError: one is missing or there twice.
    """
    seen = set()
    for n, name in enumerate(ids):
        if name is None or name in seen:
            what = (
                "has no `id`; `poise data convert FILE -o NEW.json` counts them"
                if name is None
                else f"has the `id` {name} of an earlier one, so edits would have no place; give "
                "each its own"
            )
            raise DataError(f"{source}: entry {n} of `{kind}` {what}")
        seen.add(name)
    return ids


def _following(ids: Any) -> Any:
    """Numbers that are no id yet."""
    return itertools.count(1 + max((int(i) for i in ids if isinstance(i, int | float)), default=0))


def _check_length(row: dict[str, Any], kind: Kind, source: Path | None) -> None:
    values, count = row.get("keypoints") or [], 3 * len(kind.keypoints)
    listed = isinstance(values, list)
    # whether the others are numbers is seen when the picture is
    plain = listed and (not values or isinstance(values[0], int | float))
    if not plain or (values and len(values) != count):
        got = f"{len(values)} entries" if listed else repr(values)[:60]
        raise DataError(
            f"{source}: annotation {row['id']} has {got} in `keypoints`, expected {count} numbers "
            f"(x, y, v of each of {kind.name}'s); `poise data convert FILE -o NEW.json` makes "
            "triples of pairs and of nested lists"
        )
