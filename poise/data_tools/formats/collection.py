"""People as labelling tools have them, gathered into `Annotations`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from poise import schemas
from poise._words import counted, numbered, shortened
from poise.check.categories import OWN, join_names
from poise.data_tools.formats.annotations import Annotations, new_annotation
from poise.data_tools.formats.reading import Reading
from poise.errors import DataError
from poise.geometry.boxes import Box, box_around
from poise.inference.detectors.targets import category_name
from poise.schemas.sides import other_sides, plain_name
from poise.structures import keypoint_names
from poise.structures.metainfo import parse_pose_metainfo

__all__ = ["HIDDEN", "VISIBLE", "Collection", "Draft"]

#: third number of a labelled keypoint
HIDDEN, VISIBLE = 1.0, 2.0
#: so many names are shown in an error text
_SHOWN = 6


@dataclass
class Draft:
    """One person, animal or thing.

    Attributes:
        points: name -> x, y (image space), visibility.
        box: left, top, right, bottom, or None.
        category: label of the whole; "" where the source has none.
        where: what finds it again: file and number.
        more: further fields of the annotation.
    """

    points: dict[str, tuple[float, float, float]]
    box: Box | None = None
    category: str = ""
    where: str = ""
    more: dict[str, Any] = field(default_factory=dict)


class Collection:
    """Pictures and drafts of one source.

    Args:
        reading: wishes of the user.
        source: file or folder, for texts.
        folder: that names of pictures are relative to.
    """

    def __init__(self, reading: Reading, source: Path, folder: Path) -> None:
        self.reading, self.source, self.folder = reading, source, folder
        self.found = Annotations([], [], [], [], [], [])
        self.found.folder = folder
        self._drafts: list[tuple[int, Draft]] = []
        self._categories: dict[str, None] = {}
        #: of categories with different keypoints, which are their own
        self._own: Mapping[str, Sequence[str]] = {}

    def add_image(self, name: str, size: tuple[int, int], **more: Any) -> int:
        """Take in a picture; gives its number."""
        number = len(self.found.images) + 1
        width, height = size
        image = {"id": number, "file_name": name, "width": int(width), "height": int(height)}
        self.found.images.append({**image, **more})
        return number

    def add(self, image: int, drafts: Iterable[Draft]) -> None:
        """Take in the people of a picture; those of another category than is wanted are counted."""
        wanted = self.reading.category
        for draft in drafts:
            if draft.category:
                self._categories[draft.category] = None
            if wanted is not None and draft.category not in (wanted, ""):
                self.found.drop(f"people of other categories than {wanted}", draft.where)
            else:
                self._drafts.append((image, draft))

    def finish(
        self,
        keypoints: Mapping[str, Sequence[str]] | Sequence[str] = (),
        links: Iterable[tuple[str, str]] = (),
        swaps: Mapping[str, str] | None = None,
    ) -> Annotations:
        """All that was taken in.

        Args:
            keypoints: names as the tool has them, or category -> names; without any, those that
                occur.
            links: pairs of names.
            swaps: name -> other side, where the tool says it; by the names without it.

        Raises:
            DataError: nothing has keypoints, or only some categories name theirs.
        """
        self._call_the_others()
        names, schema = self._names(keypoints)
        found = self.found
        counts = Counter(image["file_name"] for image in found.images)
        twice = [name for name, count in counts.items() if count > 1]
        if twice:
            found.said.append(
                f"{counted(len(twice), 'picture')} with labels from several places, which are all "
                f"kept, each with a picture of its own: {shortened(twice, 2)}"
            )
        found.names, found.schema = names, schema
        self._set_sides(list(links), swaps)
        labels = list(dict.fromkeys(draft.category for _, draft in self._drafts))
        found.categories = [
            {"id": n, "name": name, **({OWN: list(self._own[name])} if name in self._own else {})}
            for n, name in enumerate(labels, 1)
        ]
        sizes = {image["id"]: (image["width"], image["height"]) for image in found.images}
        place = {name: k for k, name in enumerate(names)}
        made = 0
        for image, draft in self._drafts:
            triples = self._triples(draft, place)
            seen = triples[:, 2] > 0
            box = draft.box
            was_made = box is None and bool(seen.any())
            if was_made:
                box = box_around(triples[seen, :2], sizes[image], self.reading.margin)
            if box is None or not np.isfinite(box).all():
                found.drop("people without keypoints and box", draft.where)
                continue
            made += was_made
            corners = np.reshape(box, (2, 2))
            xywh = np.concatenate([corners[0], corners[1] - corners[0]])
            category = labels.index(draft.category) + 1
            person = new_annotation(len(found.people) + 1, image, category, xywh, triples)
            found.people.append(person | draft.more)
        if made:
            found.said.append(
                f"boxes were made of the keypoints for {made:,} of "
                f"{counted(len(found.people), 'person')}, "
                f"with {self.reading.margin:.0%} of the longer side around them"
            )
        return found

    def _call_the_others(self) -> None:
        """Give those a category who have no label."""
        nameless = [draft for _, draft in self._drafts if not draft.category]
        if nameless:
            points = {name for draft in nameless for name in draft.points}
            name, how = category_name(points), "by their keypoints"
            if self.reading.category:
                name, how = self.reading.category, "as --category says"
            elif len(self._categories) == 1:
                name, how = next(iter(self._categories)), "as the others are"
            for draft in nameless:
                draft.category = name
            self.found.said.append(f"without a label: {len(nameless):,}, called '{name}' {how}")

    def _names(
        self, keypoints: Mapping[str, Sequence[str]] | Sequence[str]
    ) -> tuple[list[str], str]:
        """Names of the keypoints in order, and the schema that they are."""
        used = [draft for _, draft in self._drafts if draft.points]
        if not used:
            wanted = self.reading.category
            among = f" in people of the category '{wanted}'" if wanted is not None else ""
            there = f"; there are {', '.join(self._categories)}" if among else ""
            left = "".join(f"; left out: {numbered(n, why)}" for why, n in self.found.lost.items())
            raise DataError(f"{self.source}: no keypoints were found{among}{there}{left}")
        if isinstance(keypoints, Mapping):
            sets = {draft.category: tuple(keypoints.get(draft.category, ())) for draft in used}
            keypoints = next(iter(sets.values()))
            if len(set(sets.values())) > 1:
                keypoints = self._joined(sets, used)
        given = list(keypoints) or list(dict.fromkeys(n for draft in used for n in draft.points))
        if self.reading.schema is not None:
            return self._of_schema(self.reading.schema, given), self.reading.schema
        # the order of a known skeleton, whatever the order in which people clicked
        for schema in dict.fromkeys(("coco", *schemas.names())):
            known = _schema_names(schema)
            if sorted(map(plain_name, given)) == sorted(map(plain_name, known)):
                self._rename(known)
                return known, schema
        return given, ""

    def _joined(self, sets: Mapping[str, Sequence[str]], used: Sequence[Draft]) -> Sequence[str]:
        """One set of keypoints for categories that have different ones."""
        for label, names in sets.items():
            if not names:
                raise DataError(
                    f"{self.source} does not name the keypoints of '{label}', as it does those of "
                    "other categories; convert each by itself, with --category"
                )
        joined = join_names(sets)
        for draft in used:
            new = dict(zip(sets[draft.category], joined.own[draft.category], strict=True))
            draft.points = {new.get(name, name): values for name, values in draft.points.items()}
        self.found.said.append(joined.said)
        self._own = joined.own
        return joined.names

    def _of_schema(self, schema: str, given: Sequence[str]) -> list[str]:
        meta = parse_pose_metainfo({"from_file": schema})
        known = keypoint_names(meta)
        mine = {plain_name(name) for name in given}
        if not mine & {plain_name(name) for name in known}:
            raise DataError(
                f"{self.source} has the keypoints {shortened(given, _SHOWN)}, none of which is one "
                f"of the schema {schema}"
            )
        self._rename(known)
        return known

    def _rename(self, known: Sequence[str]) -> None:
        """Write the names of keypoints as a schema does."""
        proper = {plain_name(name): name for name in known}
        for _, draft in self._drafts:
            draft.points = {proper.get(plain_name(n), n): v for n, v in draft.points.items()}
        self._own = {
            label: [name for n in own if (name := proper.get(plain_name(n))) is not None]
            for label, own in self._own.items()
        }

    def _set_sides(self, links: list[tuple[str, str]], swaps: Mapping[str, str] | None) -> None:
        found, names = self.found, self.found.names
        if found.schema:
            meta = parse_pose_metainfo({"from_file": found.schema})
            found.swap = list(meta["flip_indices"])
            found.skeleton = [(a, b) for a, b in meta["skeleton_links"]]
            return
        pairs, alone = (dict(swaps), []) if swaps else other_sides(names)
        told = "said by the source" if swaps else "guessed from the names"
        if alone:
            # half of the pairs would be worse than none
            told += f"; {', '.join(alone[:3])} without another side, so pictures are not mirrored"
            pairs = {}
        found.said.append(f"left and right: {counted(len(pairs) // 2, 'pair')} {told}")
        found.swap = [names.index(pairs.get(name, name)) for name in names]
        # categories of the same keypoints say their links once each
        found.skeleton = [
            (names.index(a), names.index(b))
            for a, b in dict.fromkeys(links)
            if a in names and b in names
        ]

    def _triples(self, draft: Draft, place: Mapping[str, int]) -> np.ndarray:
        """(K, 3) x, y, visibility; zeros for what is not labelled."""
        triples = np.zeros((len(place), 3))
        for name, values in draft.points.items():
            if name not in place:
                self.found.drop(f"keypoints of the name {name}", draft.where)
            elif not np.isfinite(values).all():
                self.found.drop("keypoints that are not numbers", draft.where)
            else:
                triples[place[name]] = values
        return triples


def _schema_names(schema: str) -> list[str]:
    return [point["name"] for point in schemas.get(schema)["keypoint_info"].values()]
