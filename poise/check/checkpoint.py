"""A checkpoint against the network: can it be read, does it hold numbers, what of it fits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from poise._words import listed
from poise.check.context import Context, finding_of
from poise.check.keys import check_keypoints
from poise.check.report import Finding, Level
from poise.errors import CheckpointError, PoiseError
from poise.registry import use_scope

__all__ = ["check_checkpoint"]

#: below this share of the network's tensors a checkpoint is that of another model
LEAST_SHARE = 0.5
#: modules and names that a finding lists
MOST_NAMED = 5
#: parts of keys that name a module: "backbone.stage4"
DEPTH = 2


def check_checkpoint(context: Context) -> Iterator[Finding]:
    """Look into the checkpoint that is given, or that training starts from."""
    source = context.weights or context.tree.get("load_from")
    if not source or (context.weights is None and "://" in source):
        return
    from poise.models.weights import read_checkpoint, state_dict_of

    try:
        content = read_checkpoint(source)
        state = state_dict_of(content, str(source))
    except PoiseError as error:
        if context.weights is not None:
            # the file of `load_from` is looked for with the others that the config names
            yield finding_of(error, "weights", str(source))
        return
    context.checked.append("checkpoint")
    yield from _about(str(source), content)
    yield from _values(str(source), state)
    if "model" in context.broken:
        return
    with use_scope(context.scope):
        yield from _fit(context, str(source), state)
        yield from _keypoints(context, str(source), content)


def _about(source: str, content: Mapping[str, Any]) -> Iterator[Finding]:
    """What kind of file it is."""
    meta = content.get("meta") if isinstance(content.get("meta"), Mapping) else {}
    version = str((meta or {}).get("mmpose_version", ""))
    if version.startswith("0."):
        yield Finding(
            "note", "weights", f"a file of MMPose {version}: its old keys are renamed", source
        )
    if "ema_state_dict" in content:
        yield Finding(
            "note",
            "weights",
            "it holds moving averages of the weights, which are what is loaded, beside the "
            "weights themselves (ema_state_dict)",
            source,
        )
    if "optimizer" in content:
        epoch = f", epoch {meta['epoch']}" if meta and "epoch" in meta else ""
        yield Finding(
            "note",
            "weights",
            f"it holds the state of a training{epoch}",
            source,
            fix=f"to go on with that training: poise train CONFIG --resume {source}",
        )


def _values(source: str, state: Mapping[str, Any]) -> Iterator[Finding]:
    from poise.models.weights.loading import not_finite

    spoilt = not_finite(state)
    if spoilt:
        yield Finding(
            "error",
            "weights",
            f"NaN or infinity in {len(spoilt)} of {len(state)} tensors: "
            f"{listed(spoilt, MOST_NAMED)}",
            source,
            fix="take a checkpoint from before the training diverged",
        )


def _fit(context: Context, source: str, state: Mapping[str, Any]) -> Iterator[Finding]:
    import warnings

    from poise.models.weights.loading import load_state_dict, named_for

    keys = context.skeleton.state_dict()
    weights = named_for(keys, state)
    with warnings.catch_warnings():
        # copying into a network without memory does nothing, and says so
        warnings.simplefilter("ignore")
        report = load_state_dict(context.skeleton, weights)
    wanted = [key for key in keys if not key.endswith("num_batches_tracked")]
    lost = {*report.missing, *report.mismatched}
    fit = _Fit(len(wanted), len(lost), predicts=not context.trains, source=source)
    if fit.share < LEAST_SHARE:
        yield Finding(
            "error",
            "weights",
            f"only {fit.wanted - fit.lost} of the network's {fit.wanted} tensors are in the file: "
            f"it is of another model. Lacking: {_grouped(report.missing)}; left over: "
            f"{_grouped(report.unexpected)}",
            source,
            fix="take the config that the file was trained with",
        )
        return
    yield from _misfits(report, fit)


@dataclass(frozen=True)
class _Fit:
    """How much of a network a file has."""

    wanted: int
    lost: int
    predicts: bool
    source: str

    @property
    def share(self) -> float:
        return 1 - self.lost / max(self.wanted, 1)

    @property
    def level(self) -> Level:
        """What lacks starts anew in a training, and predicts nonsense in a test."""
        return "error" if self.predicts else "warning"

    @property
    def meaning(self) -> str:
        if self.predicts:
            return "predictions with these untrained values mean nothing"
        return "in fine-tuning these start anew"


def _misfits(report: Any, fit: _Fit) -> Iterator[Finding]:
    if report.mismatched:
        shown = list(report.mismatched.items())[:MOST_NAMED]
        rows = "; ".join(f"{key}: {there} in the file, {here} here" for key, (there, here) in shown)
        more = len(report.mismatched) - len(shown)
        yield Finding(
            fit.level,
            "weights",
            f"{len(report.mismatched)} tensors have another shape: {rows}"
            + (f"; and {more} more" if more else "")
            + f"; {fit.meaning}",
            fit.source,
            fix=_remedy(report.mismatched),
        )
    if report.missing:
        yield Finding(
            fit.level,
            "weights",
            f"{len(report.missing)} tensors are not in the file: {_grouped(report.missing)}; "
            f"{fit.meaning}",
            fit.source,
        )
    if report.unexpected:
        yield Finding(
            "warning" if fit.predicts else "note",
            "weights",
            f"{len(report.unexpected)} tensors of the file are not used: "
            f"{_grouped(report.unexpected)}",
            fit.source,
        )
    for text in report.other:
        yield Finding(fit.level, "weights", text, fit.source)


def _remedy(mismatched: Mapping[str, tuple[str, str]]) -> str:
    """What to do about heads for another number of keypoints."""
    heads = [shapes for key, shapes in mismatched.items() if "head" in key.partition(".")[0]]
    if len(heads) < len(mismatched):
        return "take the config that the file was trained with"
    there, here = (shape.strip("()").partition(",")[0] for shape in heads[-1])
    return (
        f"the file's head gives {there} channels, this config's {here}: fine for fine-tuning only"
    )


def _keypoints(context: Context, source: str, content: Mapping[str, Any]) -> Iterator[Finding]:
    """Keypoints that the checkpoint says it was trained for."""
    from poise.models.build import dataset_meta_of

    meta = dataset_meta_of(context.tree)
    held = content.get("meta")
    trained = held.get("dataset_meta") if isinstance(held, Mapping) else None
    if meta is None or not isinstance(trained, Mapping):
        return
    try:
        check_keypoints(content, meta, source, context.tree)
    except CheckpointError as error:
        yield finding_of(error, "weights", source, level="note" if context.trains else "error")
        return
    names = list((trained.get("keypoint_id2name") or {}).values())
    mine = list(meta["keypoint_id2name"].values())
    if len(names) == len(mine) and names != mine:
        other = next((a, b) for a, b in zip(names, mine, strict=True) if a != b)
        yield Finding(
            "warning",
            "weights",
            f"it was trained for other keypoints of the same number: {other[0]} where the config "
            f"has {other[1]}",
            source,
        )


def _grouped(keys: Iterable[str]) -> str:
    """Keys by module: "head.final_layer (2), backbone.stage4 (120)"."""
    counts = Counter(".".join(key.split(".")[:DEPTH]) for key in keys)
    rows = [f"{module} ({count})" for module, count in counts.most_common(MOST_NAMED)]
    more = len(counts) - len(rows)
    return ", ".join(rows) + (f" and {more} other modules" if more > 0 else "") or "none"
