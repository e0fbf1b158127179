"""`poise data audit`: the labels that are most likely wrong."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from poise.cli import options
from poise.cli.terminal import tracked
from poise.errors import ArgumentError

__all__ = ["audit"]


def audit(
    dataset: Any,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", help="Model whose poses are compared, such as movenet-thunder."
        ),
    ] = None,
    weights: options.Weights = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            help="Poses of a file instead: COCO results, or .jsonl of poise predict or test --dump."
        ),
    ] = None,
    detector: Annotated[
        str, typer.Option(help="Who looks for people without a label; none does not look.")
    ] = "auto",
    device: options.Device = "auto",
    top: Annotated[int, typer.Option(min=0, help="Findings to show, and to draw.")] = 50,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="JSON file for all findings.")
    ] = None,
    page: Annotated[Path | None, typer.Option(help="HTML page with the drawn findings.")] = None,
    least: Annotated[
        float, typer.Option(min=0, max=1, help="Leave out findings less sure than this.")
    ] = 0.1,
    prior: Annotated[
        float, typer.Option(help="Share of labels that you expect to be wrong.")
    ] = 0.01,
    self_test: Annotated[
        bool,
        typer.Option(
            "--self-test",
            help="Also plant faults in a copy of the labels, and tell how many are found.",
        ),
    ] = False,
    as_json: options.Json = False,
) -> None:
    """List the labels that are most likely wrong, the likeliest first.

    Without a model labels are compared with one another; with one also with its poses. 3D labels
    are compared with their 2D ones and over time. Nothing is changed: a person decides.
    """
    from poise.data_tools.audit import audit_labels, measure_audit, write_audit_page
    from poise.data_tools.formats.coco import check_writable

    for file in (out, page):
        if file is not None:
            # said now, and not after hours of a model's work
            check_writable(file)
    found = audit_labels(
        dataset,
        model=model,
        weights=weights,
        predictions=predictions,
        detector=None if detector == "none" else detector,
        device=device,
        prior=prior,
        least=least,
        progress=partial(tracked, name="looking"),
    )
    if self_test and found.people is None:
        raise ArgumentError("--self-test plants faults in 2D labels; these are 3D ones")
    test = measure_audit(found.people, found.poses, prior=prior) if self_test else None
    if as_json:
        rows = [finding.as_dict() for finding in found.findings[:top]]
        content = {"facts": found.facts, "findings": rows, "self_test": test}
        sys.stdout.write(json.dumps(content, default=str) + "\n")
    else:
        _show(found, top)
        if test is not None:
            _show_test(test)
    if out is not None:
        found.write(out)
        sys.stderr.write(f"wrote {out}\n")
    if page is not None:
        sys.stderr.write(f"wrote {write_audit_page(found, page, top)}\n")


def _show(found: Any, top: int) -> None:
    """Facts, counts, and a line for each of the first findings."""
    for name, value in found.facts.items():
        sys.stdout.write(f"{name}: {value}\n")
    for kind, count in found.counts.items():
        sys.stdout.write(f"{count:,} {kind}\n")
    for finding in found.findings[:top]:
        names = f" {', '.join(finding.keypoints)}:" if finding.keypoints else ":"
        sys.stdout.write(
            f"{finding.sure:.2f}  {finding.place}  {finding.kind}{names} {finding.about}\n"
        )
    if not found.findings:
        sys.stdout.write("nothing found\n")


def _show_test(test: dict[str, Any]) -> None:
    """Precision and recall by planted faults."""
    sys.stdout.write(f"self-test: {test['planted']:.0f} faults planted\n")
    for count, row in test["top"].items():
        sys.stdout.write(
            f"of the first {count} findings {row['precision']:.0%} are planted ones; they are "
            f"{row['recall']:.0%} of all\n"
        )
    for kind, row in test["kinds"].items():
        sys.stdout.write(
            f"{kind}: {row['recall_twice']:.0%} of {row['planted']:.0f} are among the first "
            f"{2 * test['planted']:.0f}\n"
        )
