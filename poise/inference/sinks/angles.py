"""Joint angles of a video: tables, OpenSim's motions, figures and a page of curves."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poise._arrays import Array
from poise._files import write_whole
from poise._words import counted
from poise.inference.measuring.files import (
    absent_lines,
    csv_text,
    is_finger,
    mot_text,
    picture_csv,
    range_rows,
    split_side,
)
from poise.inference.measuring.joints import joint_angles
from poise.inference.measuring.people import Measuring, Person, measure_person
from poise.inference.networks.direct3d import SPACE_HANDS
from poise.inference.results.pose_result import PoseResult
from poise.inference.sinks.base import SinkOptions
from poise.inference.sinks.spool import Motion, MotionSink

__all__ = ["MEASURES", "AnglesSink"]

#: People who are shown on the page and the terminal.
_MOST_PEOPLE = 12


class AnglesSink(MotionSink):
    """`NAME_angles.csv`, a row a person and frame; of 3D poses where there are some.

    Args:
        folder: made where absent.
        options: see `SinkOptions`.
        measuring: what is asked for.
        files: keys of `MEASURES`.
        told: called with lines about each video.
    """

    suffix = "_angles.csv"

    def __init__(
        self,
        folder: Path,
        options: SinkOptions | None = None,
        *,
        measuring: Measuring | None = None,
        files: Sequence[str] = ("csv",),
        told: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(folder, options)
        self.measuring, self.files, self.told = measuring or Measuring(), files, told

    def begin(self, path: Path, result: PoseResult) -> Any:
        """Open the file in which the numbers wait; the first result says whether poses are 3D."""
        solid = result.keypoints_3d is not None and result.space_3d != SPACE_HANDS
        self.needs_3d = solid and not self.measuring.flat
        self._images: list[str] = []
        return super().begin(path, result)

    def add(self, handle: Any, result: PoseResult) -> None:
        """Keep the people of a frame, and the names of pictures."""
        super().add(handle, result)
        if result.error is None and not result.moves:
            self._images.append(result.name)

    def save(self, path: Path, motion: Motion) -> list[Path]:
        """Measure everybody, and write the files that were asked for."""
        if not motion.title:
            return self._save_pictures(path, motion)
        people = [_person(motion, identity, self.measuring) for identity in motion.ids]
        absent = _absent(people)
        if self.told is not None:
            self.told("\n".join(_said(motion, people, absent)))
        written: list[Path] = []
        for kind in self.files:
            for name, text in MEASURES[kind][0](path.name, motion, people, absent):
                write_whole(path.with_name(name), text.encode())
                written.append(path.with_name(name))
        return written

    def _save_pictures(self, path: Path, motion: Motion) -> list[Path]:
        """A table; pictures in a row have no curves."""
        records = motion.records
        points = np.asarray(records["points"], np.float64)[None]
        found = joint_angles(
            points[..., :-1],
            motion.names,
            scores=points[..., -1],
            min_score=self.measuring.min_score,
            side=self.measuring.side,
            space=motion.space,
            angles=self.measuring.angles,
        )
        if self.told is not None:
            empty = counted(int(np.isnan(found.values).sum()), "empty cell")
            what = f"{counted(len(records), 'person')} of {counted(len(self._images), 'picture')}"
            alone = "pictures are no video, so there is a table and nothing else"
            lines = [f"{what}, {empty}", *absent_lines(found.absent)]
            self.told("\n".join([*lines, alone]))
        images = [self._images[i] for i in records["frame"].tolist()]
        text = picture_csv(images, records["id"].tolist(), found.names, found.values[0])
        write_whole(path, text.encode())
        return [path]


def _person(motion: Motion, identity: int, measuring: Measuring) -> Person:
    rows = motion.rows(identity)
    first, points, scores = motion.track(identity)
    times: Array = np.interp(first + np.arange(len(points)), rows["frame"], rows["time"])
    return measure_person(
        points,
        scores,
        motion.names,
        times,
        settings=measuring,
        identity=identity,
        first=first,
        present=np.isin(first + np.arange(len(points)), rows["frame"]),
        space=motion.space,
    )


def _absent(people: Sequence[Person]) -> dict[str, str]:
    """Angles that nobody has."""
    there = {name for person in people for name in person.angles.names}
    return {n: why for p in people for n, why in p.angles.absent.items() if n not in there}


def _facts(person: Person, summary: dict[str, Any]) -> dict[str, str]:
    unsure = sum(a["unsure_frames"] for a in summary["angles"].values())
    share = unsure / max(1, summary["frames"] * len(summary["angles"]))
    length = f"{counted(summary['frames'], 'frame')}, {summary['seconds']:.1f} s"
    facts = {
        "seen": f"{summary['view']}; {length}",
        "unsure": f"{share:.0%} of angles",
    }
    steps = summary.get("steps")
    if steps is not None:
        left, right = steps["left_step_time"], steps["right_step_time"]
        facts["steps"] = f"{len(steps['left'])} left, {len(steps['right'])} right"
        if steps["cadence"] is not None:
            facts["cadence"] = f"{steps['cadence']:.0f} steps a minute"
        if left is not None and right is not None:
            facts["time of a step"] = f"left {left:.2f} s, right {right:.2f} s"
    return facts


def _said(motion: Motion, people: Sequence[Person], absent: dict[str, str]) -> list[str]:
    from poise.report.text import aligned

    lines = []
    for person in _longest(people):
        summary = person.summary()
        facts = "; ".join(f"{k} {v}" for k, v in _facts(person, summary).items())
        lines += ["", f"{Path(motion.title).name}, person {person.identity}: {facts}"]
        lines += aligned(range_rows(summary), right=(1, 2, 3, 4))
    return [*lines, "", *_notes(people, absent)]


def _longest(people: Sequence[Person]) -> list[Person]:
    """Those who are in most frames, by their ids."""
    order = sorted(people, key=lambda person: -int(person.present.sum()))
    return sorted(order[:_MOST_PEOPLE], key=lambda person: person.identity)


def _notes(people: Sequence[Person], absent: dict[str, str]) -> list[str]:
    """What is not shown and not measured."""
    rest = len(people) - _MOST_PEOPLE
    more = f"{counted(rest, 'person')} of fewer frames not shown; the files have everybody"
    return [*([more] if rest > 0 else []), *absent_lines(absent)]


def _csv(name: str, motion: Motion, people: Sequence[Person], absent: Any) -> Any:
    yield name, csv_text(people)


def _mot(name: str, motion: Motion, people: Sequence[Person], absent: Any) -> Any:
    stem = name.removesuffix(".csv")
    for person in people:
        own = f"{stem}.mot" if len(people) == 1 else f"{stem}_{person.identity}.mot"
        yield own, mot_text(own, person)


def _json(name: str, motion: Motion, people: Sequence[Person], absent: dict[str, str]) -> Any:
    found = {"video": motion.title, "people": [p.summary() for p in people], "absent": absent}
    yield name.removesuffix(".csv") + ".json", json.dumps(found, indent=1) + "\n"


def _html(name: str, motion: Motion, people: Sequence[Person], absent: dict[str, str]) -> Any:
    from poise.report import motion_page as page

    shown = []
    for person in _longest(people):
        summary = person.summary()
        panels: dict[str, dict[str, Array]] = {}
        for angle, values in zip(person.angles.names, person.angles.values.T, strict=True):
            side, plain = split_side(angle)
            panels.setdefault(plain.replace("_", " "), {})[side] = values
        steps = person.steps
        shown.append(
            page.Motion(
                f"Person {person.identity}",
                _facts(person, summary),
                range_rows(summary),
                person.times,
                panels,
                [title for title in panels if is_finger(title)],
                {} if steps is None else {"left": steps.left, "right": steps.right},
            )
        )
    title = f"Angles of {Path(motion.title).name}"
    yield (
        name.removesuffix(".csv") + ".html",
        page.motion_html(title, shown, _notes(people, absent)),
    )


#: name -> (what makes the files of a video, the line that help texts show)
MEASURES: dict[str, tuple[Callable[..., Any], str]] = {
    "csv": (_csv, "a row a person and frame"),
    "mot": (_mot, "OpenSim's motion, a file a person"),
    "json": (_json, "ranges, symmetry and steps"),
    "html": (_html, "curves on a page"),
}
