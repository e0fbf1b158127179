"""`poise analyze`: what logs of runs and predictions of tests say."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any

import typer

from poise.cli import options
from poise.report.text import aligned

__all__ = ["app"]

#: Figures below it are shown as a power of ten.
_SMALL = 1e-3


def logs(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Folders of runs, or files of JSON lines; MMPose's, too."),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Picture of the curves: .png, .svg, .pdf.")
    ] = None,
    keys: Annotated[
        list[str] | None,
        typer.Option(
            "--key", "-k", metavar="NAME", help="Scalar to show; may be repeated. Default: all."
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Print last losses, best metrics and mean times of runs side by side, and draw curves."""
    from poise.report import draw_curves, read_run
    from poise.report.curves import choose_panels

    read = [read_run(path) for path in runs]
    chosen = list(keys or ())
    choose_panels(read, chosen)
    summaries = [
        {
            name: value
            for name, value in run.summary().items()
            if not chosen or name.partition(" (")[0] in chosen
        }
        for run in read
    ]
    names = _distinct([run.name for run in read])
    if as_json:
        typer.echo(json.dumps(dict(zip(names, summaries, strict=True)), indent=1))
    else:
        _show(names, summaries)
    if out is not None:
        draw_curves(read, out, keys=chosen)
        typer.echo(f"curves: {out}")


def calibration(
    predictions: Annotated[
        Path, typer.Argument(help="What `poise test --dump` wrote, of a top-down model.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="JSON file for `poise predict --calibration`."),
    ] = None,
) -> None:
    """Show how often keypoints of each score are right, and fit the map from scores to that.

    Of predictions with covariances (`poise test --set model.test_cfg.output_covariances=True`) also
    how many labels lie within their ellipses, and fit what makes covariances those of errors.
    """
    import dataclasses

    from poise.inference.results.calibration import (
        calibration_error,
        fit_calibration,
        held_out_error,
        rated_keypoints,
    )
    from poise.inference.results.labelled import keypoint_errors
    from poise.metrics.prediction_file import read_predictions

    header, samples = read_predictions(predictions)
    kept = list(samples)
    scores, right = rated_keypoints(kept, (header.get("meta") or {}).get("sigmas"))
    fitted = fit_calibration(scores, right, source=predictions.name)
    typer.echo(f"{len(scores):,} labelled keypoints, {right.mean():.1%} of them right")
    typer.echo(f"{'score':>8}  right")
    for score, chance in zip(fitted.scores, fitted.chances, strict=True):
        typer.echo(f"{score:8.3f}  {chance:.3f}  {'#' * round(40 * chance)}")
    before, after = calibration_error(scores.clip(0, 1), right), held_out_error(scores, right)
    typer.echo(f"error of the scores {before:.3f}, of the map {after:.3f} (on keypoints held out)")
    errors = keypoint_errors(kept)
    if errors is not None:
        fitted = dataclasses.replace(fitted, covariances=_fit_covariances(errors))
    if out is not None:
        fitted.save(out)
        typer.echo(f"wrote {out}")


def _fit_covariances(errors: Any) -> Any:
    """The calibration of covariances, and a table of what they are worth."""
    from poise.inference.results.covariances import fit_covariances, report_covariances

    report = report_covariances(errors)
    typer.echo(f"covariances of {report.keypoints:,} labelled keypoints (on people held out)")
    typer.echo("labels within the ellipse of " + "".join(f"{p:8.0%}" for p in report.levels))
    rows = {
        "as the model tells": report.raw,
        "calibrated, normal radii": report.normal,
        "calibrated, fitted radii": report.fitted,
    }
    for title, shares in rows.items():
        typer.echo(f"{title:29}" + "".join(f"{share:8.1%}" for share in shares))
    typer.echo(
        f"rank correlation with the errors: deviations {report.rank_raw:.3f}, scores "
        f"{report.rank_score:.3f}, calibrated deviations {report.rank_fitted:.3f}"
    )
    return fit_covariances(errors)


def _distinct(names: list[str]) -> list[str]:
    """Names, numbered where two runs have the same."""
    return [f"{n} ({i})" if names.count(n) > 1 else n for i, n in enumerate(names, 1)]


def _show(names: list[str], summaries: list[dict[str, float]]) -> None:
    keys = dict.fromkeys(k for summary in summaries for k in summary)
    rows = [(key, *(_text(summary.get(key)) for summary in summaries)) for key in keys]
    columns = range(1, len(names) + 1)
    typer.echo("\n".join(aligned([("", *names), *rows], right=columns)))


def _text(value: float | None) -> str:
    if value is None or math.isnan(value):
        return "-"
    plain = not math.isfinite(value) or float(value).is_integer() or abs(value) < _SMALL
    return f"{value:g}" if plain else f"{value:.4f}"


app = options.command_group(
    "analyze",
    "Tables and curves of finished runs and tests.",
    logs=logs,
    calibration=calibration,
)
