"""The real data of a config: files, annotations, pictures, and a few samples of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from poise._files import is_file
from poise._words import counted, numbered, shortened
from poise.check.annotations import AnnotationFile
from poise.check.context import (
    Context,
    bare_type,
    datasets_of,
    finding_of,
    metrics_of,
    own_format,
)
from poise.check.files import folders_in
from poise.check.records import check_data
from poise.check.report import Finding, Level
from poise.datasets.loader import build_dataset
from poise.datasets.paths import is_absolute, join_path
from poise.datasets.report import reports_of
from poise.errors import PoiseError
from poise.registry import DATASETS, use_scope

__all__ = ["check_files_of_data", "check_files_of_metrics"]

#: records of a data set whose values are looked at
MOST_RECORDS = 2000
#: metrics whose figures are of one file
_BY_FILE = ("CocoMetric", "CocoWholeBodyMetric")


@dataclass
class _Source:
    """A data set that reads files.

    Attributes:
        cfg: its config.
        path: where that stands in the config.
        part: "train", "val" or "test".
        file: annotation file, with `data_root`.
        pictures: paths of all its pictures, once it is read.
    """

    cfg: Mapping[str, Any]
    path: tuple[Any, ...]
    part: str
    file: str
    pictures: set[str] = field(default_factory=set)

    @property
    def is_here(self) -> bool:
        return Path(self.file).exists()


def check_files_of_data(context: Context) -> Iterator[Finding]:
    """Annotation files and pictures of all parts, and whether parts overlap."""
    sources = [s for part in context.distinct for s in _sources(context, part)]
    if not any(s.is_here for s in sources) and not context.is_file and sources:
        yield Finding(
            "warning",
            "data",
            f"the data of this config are not on this machine ({sources[0].file} ...): only "
            "made-up ones were tried",
            fix="see where they are to lie: poise config show NAME",
        )
        return
    seen: dict[tuple[str, str], _Source] = {}
    with use_scope(context.scope):
        for source in sources:
            if not source.is_here:
                yield _missing(context, source)
                context.broken.add(f"{source.part}_data")
                continue
            key = (source.file, bare_type(source.cfg))
            if key in seen:
                source.pictures = seen[key].pictures
            else:
                seen[key] = source
                yield from _look(context, source)
    if any(source.is_here for source in sources):
        context.checked.insert(1, "data")
    yield from _overlaps(context, sources)


def _sources(context: Context, part: str) -> Iterator[_Source]:
    loader = f"{part}_dataloader"
    for cfg, path in datasets_of(context.dataset(part), (loader, "dataset")):
        file = cfg.get("ann_file")
        if isinstance(file, str) and file:
            root = cfg.get("data_root") or ""
            yield _Source(cfg, path, part, file if is_absolute(file) else join_path(root, file))


def _missing(context: Context, source: _Source) -> Finding:
    level: Level = "error" if context.is_file else "warning"
    file = Path(source.file)
    near = next((p for p in file.parents if p.exists()), Path())
    there = _namesake(file, near) if context.is_file else None
    key = "data_root=FOLDER"
    if there is not None:
        root = Path(source.cfg.get("data_root") or "")
        key = f"ann_file={there.relative_to(root) if there.is_relative_to(root) else there}"
    return Finding(
        level,
        "data",
        f"there is no annotation file {source.file} (of this path, {near.absolute()} exists)",
        context.at(*source.path, "ann_file"),
        fix=f"--set {'.'.join(map(str, source.path))}.{key}",
    )


def _namesake(file: Path, near: Path) -> Path | None:
    """A file of the same name in a folder, or in one right below it."""
    folders = [near, *folders_in(near)]
    return next((f / file.name for f in folders if is_file(f / file.name)), None)


def _look(context: Context, source: _Source) -> Iterator[Finding]:
    place = context.at(*source.path, "ann_file")
    broken = False
    kind: Any = source.cfg["type"]
    reader: Any = DATASETS.get(kind) if isinstance(kind, str) else kind
    rule = getattr(reader, "rule", None)
    if rule is not None and source.file.endswith(".json") and not own_format(source.cfg):
        for finding in _raw(context, source, reader, place):
            broken |= finding.level == "error"
            yield finding
    if broken or f"{source.part}_dataloader" in context.broken:
        context.broken.add(f"{source.part}_data")
        return
    bare = {k: v for k, v in source.cfg.items() if k not in ("pipeline", "lazy_init")}
    try:
        dataset = build_dataset({**bare, "pipeline": []})
        size = len(dataset)
    except Exception as error:
        context.broken.add(f"{source.part}_data")
        yield finding_of(error, "data", place)
        return
    yield from _kept(source, dataset, size, place)
    yield from _classes(context, dataset)
    if size:
        yield from _records(source, dataset, place)
    if source.part == "train" and len(list(_sources(context, "train"))) == 1:
        batch = context.tree["train_dataloader"].get("batch_size", 1)
        context.steps = max(1, math.ceil(size / batch))


def _raw(context: Context, source: _Source, reader: Any, place: str) -> Iterator[Finding]:
    from poise.structures.metainfo import parse_pose_metainfo

    prefix = source.cfg.get("data_prefix") or {}
    folder = prefix.get("img", "") if isinstance(prefix, Mapping) else ""
    root = source.cfg.get("data_root") or ""
    folder = folder if is_absolute(folder) else join_path(root, folder)
    raw = source.cfg.get("metainfo") or getattr(reader, "METAINFO", None)
    metainfo = None
    try:
        metainfo = parse_pose_metainfo(raw) if raw else None
    except PoiseError as error:
        if f"{source.part}_dataloader" not in context.broken:
            yield finding_of(error, "data", place)
    try:
        content = AnnotationFile(source.file, reader.rule, metainfo, folder)
    except Exception as error:
        yield finding_of(error, "data", place)
        return
    source.pictures = set(content.pictures())
    for fault in content.faults():
        level: Level = "error" if fault.grave else "warning"
        yield Finding(level, "data", f"{source.file}: {fault.text}", place, fix=fault.fix)


def _kept(source: _Source, dataset: Any, size: int, place: str) -> Iterator[Finding]:
    """What the reader left out."""
    for report in reports_of(dataset):
        if not size:
            yield Finding("error", "data", f"nothing is left to use: {report}", place)
        elif report.dropped:
            yield Finding("note", "data", str(report), place)


def _classes(context: Context, dataset: Any) -> Iterator[Finding]:
    """A detector's head knows as many classes as its data."""
    names = dataset.metainfo.get("classes")
    model = context.tree.get("model") or {}
    # NanoDet has the number beside its head
    path = ("model", "bbox_head") if "bbox_head" in model else ("model",)
    count = (model.get("bbox_head") or model).get("num_classes")
    if names is None or count is None or len(names) == count:
        return
    yield Finding(
        # fewer classes leave some of the head's without any box
        "error" if len(names) > count else "warning",
        "data",
        f"the data have {counted(len(names), 'class')} ({shortened(names)}), the head has {count}",
        context.at(*path, "num_classes"),
        fix=f"num_classes={len(names)}, or metainfo=dict(classes=...) with the names of {count}",
    )


def _records(source: _Source, dataset: Any, place: str) -> Iterator[Finding]:
    for odd in check_data(dataset, limit=MOST_RECORDS):
        if odd.about.startswith("annotations"):
            # the reader's counts say that
            continue
        yield Finding(
            "warning" if odd.fault else "note",
            "data",
            f"{source.file}: {numbered(len(odd.ids), odd.about)}: {shortened(odd.ids)}",
            place,
            fix="poise data check and poise data draw show more" if odd.fault else "",
        )


def _overlaps(context: Context, sources: list[_Source]) -> Iterator[Finding]:
    """Pictures of the training that are tested on, too."""
    trained = {path for s in sources if s.part == "train" for path in s.pictures}
    told: set[str] = set()
    for source in sources:
        both = trained & source.pictures if source.part != "train" else set()
        if not both or source.file in told:
            continue
        told.add(source.file)
        yield Finding(
            "warning",
            "data",
            f"{len(both):,} of the {len(source.pictures):,} pictures of {source.file} are trained "
            f"on, too, such as {min(both)}: scores on them say nothing of new pictures",
            context.at(*source.path, "ann_file"),
        )


def check_files_of_metrics(context: Context) -> Iterator[Finding]:
    """Annotation files of metrics are there, and those of the data that they judge."""
    for part in context.distinct:
        files = {_plain(s.file) for s in _sources(context, part)}
        for metric, path in metrics_of(
            context.tree.get(f"{part}_evaluator"), (f"{part}_evaluator",)
        ):
            file = metric.get("ann_file")
            if not isinstance(file, str) or not file:
                continue
            place = context.at(*path, "ann_file")
            if context.is_file and not Path(file).exists():
                context.broken.add(f"{part}_evaluator")
                yield Finding("error", "metrics", f"there is no annotation file {file}", place)
            elif files and _plain(file) not in files and bare_type(metric) in _BY_FILE:
                yield Finding(
                    "warning",
                    "metrics",
                    f"{bare_type(metric)} judges by another file than the data are of",
                    place,
                    expected=" or ".join(sorted(files)),
                    found=file,
                )


def _plain(file: str) -> str:
    return str(Path(file))
