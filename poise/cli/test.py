"""`poise test`: a config and a checkpoint -> a table of metrics."""

# ruff: noqa: PT028 - a command, not a test of pytest's
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from poise.cli import run_options
from poise.cli.options import Device
from poise.cli.terminal import show_table
from poise.cli.train import open_config
from poise.errors import ArgumentError

__all__ = ["test"]

BAD_CASES = "BadCaseAnalysisHook"


def test(
    config: run_options.Config,
    checkpoint: Annotated[
        str | None,
        typer.Argument(help="Checkpoint file; of a released model its weights without it."),
    ] = None,
    work_dir: Annotated[
        Path | None,
        typer.Option("--work-dir", "-w", help="Folder of the log; work_dirs/CONFIG without it."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="JSON file for the metrics.")
    ] = None,
    dump: Annotated[
        Path | None,
        typer.Option(
            help="File for the predictions: .jsonl or .jsonl.gz, which `poise eval` reads; .pkl "
            "as MMPose; .json for people."
        ),
    ] = None,
    show_dir: Annotated[
        Path | None,
        typer.Option(help="Draw the predictions of all samples into this folder."),
    ] = None,
    badcase: Annotated[
        bool,
        typer.Option(
            "--badcase", help="Draw and list the samples whose error is beyond badcase_thr."
        ),
    ] = False,
    options: run_options.Settings = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Samples per batch.")] = None,
    devices: Annotated[
        int, typer.Option(min=1, help="Processes that share the samples, one a device.")
    ] = 1,
    device: Device = "auto",
    trust_config: run_options.TrustConfig = False,
) -> None:
    """Evaluate a checkpoint on the test set of a config."""
    if out is not None and out.is_dir():
        raise ArgumentError(f"--out {out} is a folder; give the JSON file for the metrics")
    checkpoint = checkpoint or _released(config)
    if devices > 1 and "WORLD_SIZE" not in os.environ:
        _start_processes(devices)
    cfg = open_config(config, options, trusted=trust_config)
    if batch_size is not None:
        cfg.merge_from_dict({"test_dataloader.batch_size": batch_size})
    if show_dir is not None:
        cfg.merge_from_dict(_drawing(cfg, show_dir))
    if badcase:
        cfg.merge_from_dict({"default_hooks.badcase": {"type": BAD_CASES, "enable": True}})

    from poise.training.hooks.dump import DumpHook
    from poise.training.runner import Runner

    runner = Runner(cfg, work_dir=work_dir)
    # they are shown as a table
    runner.shows_metrics = False
    extra = [DumpHook(dump)] if dump else []
    metrics = runner.test(checkpoint, hooks=extra, device=device)
    if not runner.is_main:
        return
    show_table(("metric", "value"), [(k, f"{float(v):.4f}") for k, v in metrics.items()])
    if out is not None:
        from poise.check.files import write_text

        plain = {k: float(v) for k, v in metrics.items()}
        write_text(out, json.dumps(plain, indent=1) + "\n")


def _released(config: str) -> str:
    """Weights of a released model's name, here or elsewhere.

    Raises:
        ArgumentError: a config file, or a model without released weights.
    """
    from poise.models.build import released_weights

    found = released_weights(config)
    if found is None:
        raise ArgumentError(
            f"no weights were released for {config}; give a checkpoint: poise test {config} "
            "CHECKPOINT"
        )
    return str(found)


def _drawing(cfg: Any, folder: Path) -> dict[str, Any]:
    """Settings by which the hook that draws predictions does so."""
    place = str(folder.expanduser().absolute())
    hook = (cfg.get("default_hooks") or {}).get("visualization") or {}
    kind = str(hook.get("type", "PoseVisualizationHook"))
    # MMDetection's hook calls the same arguments otherwise
    names = ("draw", "test_out_dir") if "Det" in kind else ("enable", "out_dir")
    values = {"type": kind, **dict(zip(names, (True, place), strict=True))}
    return {"default_hooks.visualization": values}


test.__test__ = False  # type: ignore[attr-defined]  # a command, not a test of pytest's


def _start_processes(count: int) -> None:
    """Run this command in `count` processes, and end as they end."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    own = [f"--nproc-per-node={count}", "-m", "poise.cli", *sys.argv[1:]]
    raise typer.Exit(subprocess.call([*command, *own]))
