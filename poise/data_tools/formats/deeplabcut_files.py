"""DeepLabCut's project: tables of labels below `labeled-data`, and a `config.yaml`."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from poise._words import shortened
from poise.data_tools.formats.annotations import Annotations
from poise.data_tools.formats.deeplabcut import read_config
from poise.data_tools.formats.shown import Shown, shown_people

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
    for image, people in shown_people(found, posed=True):
        place = labelled_place(image["file_name"], own)
        by_video[place.parent.name].append((place.name, people))
        sizes.setdefault(place.parent.name, (image["width"], image["height"]))
    most = max((len(people) for rows in by_video.values() for _, people in rows), default=0)
    individuals = [f"individual{n}" for n in range(1, most + 1)] if most > 1 else []
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
        whose = dict(zip(individuals or [""], map(_places, people), strict=False))
        values = [whose.get(i, {}).get((n, c), "") for i, n, c in columns]
        table.writerow([_PICTURES, video, picture, *values])
    return text.getvalue().encode()


def _places(person: Shown) -> Mapping[tuple[str, str], float]:
    """Body part and axis -> pixels."""
    return {(n, c): v for n, x, y, _ in person.labelled for c, v in (("x", x), ("y", y))}
