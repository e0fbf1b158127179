"""A closer look at saved predictions: intervals, two runs side by side, errors, tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from poise._words import shortened
from poise.data_tools.evaluating import Collected, collect_predictions
from poise.data_tools.resampling import Drawing, annotation_file
from poise.data_tools.worst_cases import DrawnCases, draw_worst
from poise.errors import DataError
from poise.metrics.analysis.statistics import Leaf
from poise.metrics.analysis.tables import BY, Table, breakdown_tables, by_table
from poise.metrics.analysis.worst import worst_of
from poise.report.evaluation import Examination
from poise.report.evaluation_page import write_evaluation_page

__all__ = ["examine_predictions"]

#: Of the intervals, where none is named.
LEVEL = 0.95
#: Cases on a page, where no number is named.
WORST = 12


def examine_predictions(
    path: str | Path,
    metrics: Sequence[str | Mapping[str, Any]] = (),
    *,
    annotations: str | Path | None = None,
    schema: str | None = None,
    interval: float | None = None,
    resamples: int = 1000,
    seed: int = 0,
    group_by: str | None = None,
    against: str | Path | None = None,
    breakdown: bool = False,
    by: Sequence[str] = (),
    worst: int = 0,
    page: str | Path | None = None,
    images: str | Path | None = None,
    tick: Callable[[int], None] | None = None,
) -> Examination:
    """Figures of a file of predictions, and what stands behind them.

    Args:
        path: as in `evaluate_predictions`.
        metrics: as in `evaluate_predictions`.
        annotations: as in `evaluate_predictions`; of both runs.
        schema: as in `evaluate_predictions`; of both runs.
        interval: share of the resamples within an interval, such as 0.95; no intervals if None.
        resamples: how many sets of pictures are drawn.
        seed: of the draws.
        group_by: pictures that are drawn together, such as the frames of a video: a field of the
            images, or a regular expression on their names.
        against: predictions of another run, of the same pictures.
        breakdown: tell the errors of keypoints and people apart, and what each kind costs.
        by: tables by 'keypoint', 'size', 'visible', 'crowding' or 'occlusion'.
        worst: so many people and pictures that are farthest off.
        page: HTML file for all of this, asked for or not, with the worst cases drawn.
        images: folder of the pictures for the page; where the predictions say without it.
        tick: called with numbers of resamples that are done.

    Raises:
        DataError: as in `evaluate_predictions`, too few pictures, a metric without what was
            asked for, or runs of different pictures or annotations.
        ArgumentError: as in `evaluate_predictions`, or a number out of its range.
    """
    options: dict[str, Any] = {"annotations": annotations, "schema": schema}
    collected = collect_predictions(path, metrics, **options)
    found = Examination(predictions=str(path), level=interval or LEVEL, resamples=resamples)
    for name, own in collected.figures().items():
        found.figures[name] = {figure: float(value) for figure, value in own.items()}
    drawing = Drawing(level=found.level, resamples=resamples, seed=seed, groups=group_by, tick=tick)
    if interval is not None:
        for name, leaves in collected.leaves.items():
            found.intervals[name] = {}
            for leaf in leaves:
                found.intervals[name] |= drawing.intervals(collected, leaf)
    if breakdown:
        _tables(found, collected, breakdown_tables)
    for kind in by:
        drawn = None if interval is None else drawing
        _tables(found, collected, partial(_by, collected=collected, kind=kind, drawing=drawn))
    if worst:
        _tables(found, collected, partial(_worst, number=worst))
    if against is not None:
        # measured by the same metrics, whatever its own test had
        options["annotations"] = annotations or annotation_file(collected)
        other = collect_predictions(against, metrics or collected.configs, **options)
        other.figures()
        found.against = str(against)
        _compare(found, collected, other, drawing)
    if page is not None:
        _write_page(page, found, collected, drawing, images, worst or WORST)
    return found


def _write_page(
    page: str | Path,
    found: Examination,
    collected: Collected,
    drawing: Drawing,
    images: str | Path | None,
    worst: int,
) -> None:
    """A page of all that there is; what a metric does not have is only noted."""
    whole = replace(found, tables={}, intervals=dict(found.intervals), notes=list(found.notes))
    whole.facts = {
        "data set": str(collected.meta.get("dataset_name", "")),
        "samples": f"{collected.count:,}",
        "intervals": f"{100 * found.level:g} %, {found.resamples:,} draws of pictures",
    }
    cases = DrawnCases()
    folder = None if images is None else Path(images)
    for name, leaves in collected.leaves.items():
        for leaf in leaves:
            rows = whole.intervals.setdefault(name, {})
            if name not in found.intervals:
                with _noted(whole):
                    rows |= drawing.intervals(collected, leaf)
            by = partial(_by, collected=collected, drawing=drawing if rows else None)
            makers: list[Callable[[Leaf], list[Table]]] = [
                *([breakdown_tables] if leaf.is_oks else []),
                *(partial(by, kind=k) for k in BY if k != "category" or leaf.has_categories),
                partial(_worst, number=worst),
            ]
            for make in makers:
                with _noted(whole):
                    whole.tables.setdefault(name, []).extend(make(leaf))
            if not cases:
                with _noted(whole):
                    cases = draw_worst(collected, leaf, worst, images=folder)
                    whole.notes += [cases.note] * bool(cases.note)
    write_evaluation_page(whole, page, worst=cases.people, missed=cases.missed)


@contextmanager
def _noted(found: Examination) -> Iterator[None]:
    """Turn what cannot be shown into a note."""
    try:
        yield
    except DataError as error:
        if str(error) not in found.notes:
            found.notes.append(str(error))


def _worst(leaf: Leaf, *, number: int) -> list[Table]:
    return worst_of(leaf, number).tables


def _tables(found: Examination, collected: Collected, make: Callable[[Leaf], list[Table]]) -> None:
    """Add the tables of all metrics that have them; an error where none has."""
    problems: dict[str, DataError] = {}
    made = 0
    for name, leaves in collected.leaves.items():
        for leaf in leaves:
            try:
                tables = make(leaf)
            except DataError as error:
                problems[str(error)] = error
                continue
            found.tables.setdefault(name, []).extend(tables)
            made += 1
    if problems and not made:
        raise next(iter(problems.values()))
    found.notes.extend(note for note in problems if note not in found.notes)


def _by(leaf: Leaf, *, collected: Collected, kind: str, drawing: Drawing | None) -> list[Table]:
    """The table of a kind; of keypoints with their intervals."""
    drawn = None
    if kind == "keypoint" and drawing is not None:
        drawn = drawing.keypoint_intervals(collected, leaf)
    return [by_table(leaf, kind, drawn)]


def _compare(found: Examination, ours: Collected, theirs: Collected, drawing: Drawing) -> None:
    """Set the comparison of all metrics, as a whole and by keypoint."""
    for (name, leaves), others in zip(ours.leaves.items(), theirs.leaves.values(), strict=True):
        found.comparison[name] = {}
        for leaf, other in zip(leaves, others, strict=True):
            figures, keypoints = drawing.differences(ours, leaf, other)
            found.comparison[name] |= figures
            if keypoints:
                found.keypoints.setdefault(name, {}).update(keypoints)
            if note := _one_sided(leaf.pictures_with_poses(), other.pictures_with_poses()):
                found.notes.append(f"{name}: {note}")


def _one_sided(ours: set[Any], theirs: set[Any]) -> str:
    """What to say of pictures in which only one run has predictions."""
    parts = [
        f"{len(alone)} only in the {which} ({shortened(sorted(map(str, alone)))})"
        for alone, which in ((ours - theirs, "first"), (theirs - ours, "second"))
        if alone
    ]
    if not parts:
        return ""
    return (
        f"pictures with predictions differ: {'; '.join(parts)}. That is right where a model found "
        "nobody; where it was not tested on them the comparison says nothing"
    )
