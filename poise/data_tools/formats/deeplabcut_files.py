"""DeepLabCut's project: tables of labels below `labeled-data`, and a `config.yaml`."""

from __future__ import annotations

import csv
import io
import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from poise._words import shortened
from poise.data_tools.formats.annotations import Annotations
from poise.data_tools.formats.deeplabcut import read_config
from poise.data_tools.formats.shown import Shown, check_apart, identity, shown_people

__all__ = ["deeplabcut_files", "labelled_place"]

#: who labelled, in a project that is new
_SCORER = "poise"
_PICTURES = "labeled-data"
#: what a project needs besides names and videos; DeepLabCut's own values
_SETTINGS: dict[str, Any] = {
    "Task": "poise",
    "date": "Jan1",
    "identity": None,
    "engine": "pytorch",
    "start": 0,
    "stop": 1,
    "numframes2pick": 20,
    "skeleton_color": "black",
    "pcutoff": 0.6,
    "dotsize": 12,
    "alphavalue": 0.7,
    "colormap": "rainbow",
    "TrainingFraction": [0.95],
    "iteration": 0,
    "default_net_type": "resnet_50",
    "default_augmenter": "default",
    "snapshotindex": -1,
    "batch_size": 8,
    "cropping": False,
    "x1": 0,
    "x2": 640,
    "y1": 277,
    "y2": 624,
    "corner2move2": [50, 50],
    "move2corner": True,
}

#: so many folders are named
_SHOWN = 3
#: the people of a picture, by its name
_Rows = list[tuple[str, list[Shown]]]


def labelled_place(name: str, folder: str) -> PurePosixPath:
    """Where a project has a picture: `labeled-data`, the video's name, the picture's.

    Args:
        name: of the picture.
        folder: name of the video of pictures that lie in no folder.

    Example:
        >>> labelled_place("clip/img1.png", "x").as_posix()
        'labeled-data/clip/img1.png'
        >>> labelled_place("img1.png", "x").as_posix()
        'labeled-data/x/img1.png'
    """
    path = PurePosixPath(name.replace("\\", "/"))
    return PurePosixPath(_PICTURES, path.parent.name or folder, path.name)


def deeplabcut_files(found: Annotations, out: Path) -> dict[Path, bytes]:
    """Tables, and `config.yaml` where the folder has none.

    Args:
        found: annotations. DeepLabCut has neither boxes nor hidden keypoints nor categories.
        out: folder of the project, new or an old one, whose scorer is taken.
    """
    config = out / "config.yaml"
    about = read_config(config)
    scorer = about.scorer or _SCORER
    own = found.folder.resolve().name if found.folder is not None else "pictures"
    by_video: dict[str, _Rows] = defaultdict(list)
    sizes: dict[str, tuple[int, int]] = {}
    pictures = [
        (labelled_place(image["file_name"], own), image, people)
        for image, people in shown_people(found, posed=True)
    ]
    check_apart((Path(place), image["file_name"]) for place, image, _ in pictures)
    for place, image, people in pictures:
        by_video[place.parent.name].append((place.name, people))
        sizes.setdefault(place.parent.name, (image["width"], image["height"]))
    individuals = _individuals([people for _, _, people in pictures], about.individuals)
    files = {
        out / _PICTURES / video / f"CollectedData_{scorer}.csv": _table(
            rows, video, scorer, individuals, found.names
        )
        for video, rows in by_video.items()
    }
    folders = shortened((f"{_PICTURES}/{video}" for video in by_video), _SHOWN)
    project = config.resolve().as_posix()
    found.said += [
        f"DeepLabCut looks for the pictures in {folders}",
        f"and its tables as .h5: deeplabcut.convertcsv2h5('{project}', userfeedback=False)",
    ]
    if config.exists():
        for what, mine, theirs in (
            ("body parts", found.names, about.keypoints),
            ("individuals", individuals, about.individuals),
        ):
            lacking = [name for name in mine if name not in theirs]
            if lacking:
                found.said.append(
                    f"{config} lacks the {what} {shortened(lacking, _SHOWN)}: add them"
                )
        return files
    links = [[found.names[a], found.names[b]] for a, b in found.skeleton]
    several = {"multianimalbodyparts": found.names, "uniquebodyparts": [], "bodyparts": "MULTI!"}
    content = {
        **_SETTINGS,
        "scorer": scorer,
        "project_path": str(out.resolve()),
        "multianimalproject": bool(individuals),
        "individuals": individuals,
        **(several if individuals else {"bodyparts": found.names}),
        "skeleton": links,
        "video_sets": {
            str(out.resolve() / "videos" / f"{video}.mp4"): {"crop": f"0, {width}, 0, {height}"}
            for video, (width, height) in sizes.items()
        },
    }
    return {**files, config: yaml.safe_dump(content, sort_keys=False).encode()}


def _individuals(pictures: Sequence[Sequence[Shown]], known: Sequence[str]) -> list[str]:
    """Names of all animals, where a picture may have several; those that a project has first.

    Whoever has no name takes the first that nobody else has in the picture.
    """
    names = list(dict.fromkeys([*known, *filter(None, map(_name, itertools.chain(*pictures)))]))
    most = max(map(len, pictures), default=0)
    called = any("individual" in person.about for people in pictures for person in people)
    if not (known or called) and most < 2 and len(names) < 2:
        return []
    for people in pictures:
        nameless = len(people) - len(set(filter(None, map(_name, people))))
        free = len(names) - (len(people) - nameless)
        numbers = (f"individual{n}" for n in itertools.count(1))
        new = (name for name in numbers if name not in names)
        names += [next(new) for _ in range(nameless - free)]
    return names


def _name(person: Shown) -> str | None:
    return identity(person.about)


def _by_name(people: Sequence[Shown], individuals: Sequence[str]) -> dict[str, Shown]:
    """Who is who in a picture; who has the name of another one there has none."""
    found: dict[str, Shown] = {}
    nameless = []
    for person in people:
        name = _name(person)
        if name is None or name not in individuals or name in found:
            nameless.append(person)
        else:
            found[name] = person
    free = (name for name in individuals if name not in found)
    return found | dict(zip(free, nameless, strict=False))


def _table(
    rows: _Rows, video: str, scorer: str, individuals: Sequence[str], names: Sequence[str]
) -> bytes:
    """A table: a picture a line, x and y of each body part a column."""
    columns = [(i, n, c) for i in individuals or [""] for n in names for c in ("x", "y")]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["scorer", "", "", *[scorer] * len(columns)])
    levels = ("individuals", "bodyparts", "coords")
    for level, words in zip(levels, zip(*columns, strict=True), strict=True):
        if level != "individuals" or individuals:
            table.writerow([level, "", "", *words])
    for picture, people in rows:
        named = _by_name(people, individuals or [""])
        whose = {name: _places(person) for name, person in named.items()}
        values = [whose.get(i, {}).get((n, c), "") for i, n, c in columns]
        table.writerow([_PICTURES, video, picture, *values])
    return text.getvalue().encode()


def _places(person: Shown) -> Mapping[tuple[str, str], float]:
    """Body part and axis -> pixels."""
    return {(n, c): v for n, x, y, _ in person.labelled for c, v in (("x", x), ("y", y))}
