"""Annotation files in JSON, and the index that COCO's form of them needs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from poise._collector import no_gc
from poise._files import unzipped
from poise._words import shortened
from poise.datasets.paths import require_file
from poise.errors import DataError, PoiseError

__all__ = ["CocoFile", "check_rows", "explained", "read_json"]

_IDS = ("id", "image_id")


def read_json(path: str, what: str = "ann_file", *, owner: str = "The dataset") -> Any:
    """Content of a JSON file; `orjson` does it where it is installed.

    Args:
        path: the file, also compressed with gzip.
        what: constructor argument that gave it, for error texts.
        owner: class that reads it, for error texts.

    Raises:
        FileMissingError: there is no such file.
        DataError: it is empty or not JSON; names line, column and byte.
    """
    raw = Path(require_file(path, what, owner=owner)).read_bytes()
    try:
        raw = unzipped(raw)
    except ValueError as error:
        raise DataError(f"{owner}: {path} cannot be read: {error}; fetch it again") from error
    if not raw or raw.isspace():
        raise DataError(
            f"{owner}: the file of `{what}` is empty: {path}; expected JSON. Fetch it again, or "
            "look at the program that wrote it"
        )
    with no_gc():
        if find_spec("orjson") is not None:
            import orjson

            try:
                return orjson.loads(raw)
            except orjson.JSONDecodeError:
                # NaN is not JSON for orjson; Python's reader takes it or says where it fails
                pass
        text = _decoded(raw, path, owner)
        # the file is in memory once while it is parsed, not twice
        del raw
        return _parsed(text, path, owner)


def _decoded(raw: bytes, path: str, owner: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{owner}: {path} is not UTF-8 text (byte {error.start:,} of {len(raw):,}); "
            "is it an image, an archive, or a pointer file of a store?"
        ) from error


def _parsed(text: str, path: str, owner: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        cut = error.pos >= len(text.rstrip()) - 1 or error.msg.startswith("Unterminated")
        advice = "the file seems cut short: fetch it again" if cut else "correct it there"
        raise DataError(
            f"{owner}: {path} is not valid JSON: {error.msg}: line {error.lineno}, column "
            f"{error.colno} (character {error.pos:,} of {len(text):,}); {advice}"
        ) from error


@contextmanager
def explained(where: str) -> Iterator[None]:
    """Say where it was that a field is missing or has another form than it should.

    Example:
        >>> with explained("mpii.json: person 4"):
        ...     {"scale": 1.0}["center"]
        Traceback (most recent call last):
        poise.errors.DataError: mpii.json: person 4 has no `center`
    """
    try:
        yield
    except PoiseError:
        raise
    except KeyError as error:
        raise DataError(f"{where} has no `{error.args[0]}`") from error
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise DataError(f"{where} cannot be read: {error}") from error


class CocoFile:
    """A COCO-style file, indexed by image.

    The method names in camel case are those of pycocotools' `COCO`, so readers written for it
    work with this class.

    Args:
        annotation_file: path of the JSON file.
        owner: class that reads it, for error texts.
        need_annotations: whether a file without `annotations` is an error (lists of test
            images have none).

    Attributes:
        dataset: the parsed file.
        imgs: image id -> image; of entries with one id the last, as in pycocotools.
        anns: annotation id -> annotation.
        cats: category id -> category.
        by_image: image id -> its annotations, in file order.

    Raises:
        FileMissingError: there is no such file.
        DataError: the file is not JSON or lacks `images` or `annotations`.
    """

    def __init__(
        self,
        annotation_file: str,
        *,
        owner: str = "The dataset",
        need_annotations: bool = True,
    ) -> None:
        self.path = annotation_file
        self.owner = owner
        self.dataset = read_json(annotation_file, owner=owner)
        self._check_form(need_annotations)
        with no_gc():
            self._index()

    def _check_form(self, need_annotations: bool) -> None:
        if not isinstance(self.dataset, dict):
            raise DataError(
                f"{self.owner}: {self.path} holds a {type(self.dataset).__name__}, expected an "
                "object with `images` and `annotations` (COCO's format)"
            )
        needed = ("images", "annotations") if need_annotations else ("images",)
        for key in needed:
            if key not in self.dataset:
                has = ", ".join(map(str, list(self.dataset)[:8])) or "nothing"
                raise DataError(
                    f"{self.owner}: {self.path} has no `{key}` (it has: {has}); expected "
                    "COCO's format, an object with `images` and `annotations`"
                )

    def _index(self) -> None:
        self.imgs: dict[Any, dict] = {image["id"]: image for image in self._rows("images", "id")}
        self.anns: dict[Any, dict] = {}
        self.by_image: dict[Any, list[dict]] = {}
        for ann in self._rows("annotations", "id", "image_id"):
            # xtcocotools writes it too, so `raw_ann_info` has it
            ann.setdefault("iscrowd", False)
            self.anns[ann["id"]] = ann
            self.by_image.setdefault(ann["image_id"], []).append(ann)
        self.cats: dict[Any, dict] = {c["id"]: c for c in self._rows("categories", "id")}

    def _rows(self, kind: str, *keys: str) -> list[dict]:
        return check_rows(self.dataset, kind, *keys, where=f"{self.owner}: {self.path}")

    @property
    def annotations(self) -> list[dict]:
        """All annotations in file order."""
        return self.dataset.get("annotations") or []

    def duplicated_ids(self) -> list[Any]:
        """Annotation ids that occur more than once, in file order."""
        if len(self.anns) == len(self.annotations):
            return []
        counts = Counter(ann["id"] for ann in self.annotations)
        return [i for i, n in counts.items() if n > 1]

    def unlisted(self) -> list[Any]:
        """Ids of annotations whose image is not in the file."""
        others = [anns for i, anns in self.by_image.items() if i not in self.imgs]
        return [ann["id"] for anns in others for ann in anns]

    def check_images(self) -> None:
        """Refuse pictures without a name, and two different ones under one id.

        Raises:
            DataError: names the entry, or the ids.
        """
        rows = self._rows("images", "file_name")
        if len(rows) == len(self.imgs):
            return
        wrong = {r["id"] for r in rows if r.get("file_name") != self.imgs[r["id"]].get("file_name")}
        if wrong:
            raise DataError(
                f"{self.owner}: {self.path}: {len(wrong)} image ids stand for different files "
                f"({shortened(sorted(wrong, key=str))}); give every image its own id"
            )

    # pycocotools' names -------------------------------------------------------------------

    def getImgIds(self) -> list[Any]:  # noqa: N802
        """Ids of all images in file order."""
        return list(self.imgs)

    def getCatIds(self) -> list[Any]:  # noqa: N802
        """Ids of all categories in file order."""
        return [c["id"] for c in self.dataset.get("categories") or []]

    def getAnnIds(  # noqa: N802
        self,
        imgIds: Any = (),
        catIds: Any = (),
        areaRng: Any = (),
        iscrowd: bool | None = None,
    ) -> list[Any]:
        """Ids of annotations of the images, categories, areas between two and crowd flag."""
        images, categories = _listed(imgIds), set(_listed(catIds))
        rows: Iterable[dict] = self.annotations
        if images:
            rows = (a for i in images for a in self.by_image.get(i, ()))
        if categories:
            rows = (a for a in rows if a["category_id"] in categories)
        if len(areaRng):
            rows = (a for a in rows if areaRng[0] < a["area"] < areaRng[1])
        if iscrowd is not None:
            rows = (a for a in rows if bool(a["iscrowd"]) == iscrowd)
        return [a["id"] for a in rows]

    def loadAnns(self, ids: Any = ()) -> list[dict]:  # noqa: N802
        """Annotations of an id or of several."""
        return [self.anns[i] for i in _listed(ids)]

    def loadImgs(self, ids: Any = ()) -> list[dict]:  # noqa: N802
        """Images of an id or of several."""
        return [self.imgs[i] for i in _listed(ids)]

    def loadCats(self, ids: Any = ()) -> list[dict]:  # noqa: N802
        """Categories of an id or of several."""
        return [self.cats[i] for i in _listed(ids)]


def check_rows(content: dict[str, Any], kind: str, *keys: str, where: str) -> list[dict]:
    """The entries of a part of a COCO-style file, once each is seen to have what is needed.

    Args:
        content: the parsed file.
        kind: "images", "annotations" or "categories"; one that is absent has no entries.
        keys: what each entry must have.
        where: start of an error text.

    Raises:
        DataError: names the first entry that is no object, lacks a key, or has an id that is no
            number or text, or a file name that is no text.
    """
    rows = content.get(kind) or []
    for i, row in enumerate(rows):
        if not isinstance(row, dict):
            raise DataError(
                f"{where}: entry {i} of `{kind}` is a {type(row).__name__}, expected an object"
            )
        for key in keys:
            if key not in row:
                raise DataError(f"{where}: entry {i} of `{kind}` has no `{key}`")
            if key in _IDS and not isinstance(row[key], int | float | str):
                raise DataError(
                    f"{where}: entry {i} of `{kind}` has the `{key}` {row[key]}; expected a "
                    "number or a text"
                )
            if key == "file_name" and not isinstance(row[key], str):
                raise DataError(
                    f"{where}: entry {i} of `{kind}` has the `file_name` {row[key]}; expected a "
                    "text, the path of a picture"
                )
    return rows


def _listed(ids: Any) -> list[Any]:
    return list(ids) if isinstance(ids, Iterable) and not isinstance(ids, str) else [ids]
