"""ReportHook: curves as a picture and a page of HTML at the end of a run."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poise.errors import PoiseError
from poise.metrics.collecting import collect
from poise.registry import HOOKS
from poise.training.hooks.base import Hook

__all__ = ["ReportHook"]


@HOOKS.register_module(scope="poise")
class ReportHook(Hook):
    """Writes `report.html` and `curves.png` into the work folder when training ends or stops.

    The page holds the curves, the score of each keypoint and the worst and best samples of the
    last validation, the config and the environment; it needs no other file.

    Args:
        cases: how many worst and how many best samples are drawn; 0 for none.
        out_file: name of the page.
    """

    # behind the EMA's exchange of weights and the log's last line
    priority = "LOWEST"
    only_training = True

    def __init__(self, cases: int = 12, out_file: str = "report.html") -> None:
        self.cases = cases
        self.out_file = out_file
        self._book: Any = None
        self._metrics: dict[str, float] = {}
        self._started = time.monotonic()

    def before_val_epoch(self, runner: Any) -> None:
        """Forget the validation before."""
        from poise.report import CaseBook

        self._book = CaseBook(runner.dataset_meta)

    def after_val_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Note how well each sample was found."""
        for sample in outputs or ():
            if hasattr(sample, "pred_instances"):
                self._book.add(sample)

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Note the metrics, and bring what all processes saw together."""
        self._metrics = dict(metrics or {})
        gathered = collect(self._book.cases, runner.world_size * len(self._book.cases))
        self._book.cases = gathered if gathered is not None else []

    def after_run(self, runner: Any) -> None:
        """Write picture and page; a run is not lost because its report is."""
        if not runner.is_main:
            return
        try:
            path = self._write(runner)
        except (OSError, PoiseError, ValueError) as error:
            runner.logger.warning("The report could not be written: %s", error)
        else:
            runner.logger.info("Report: %s", path)

    def _write(self, runner: Any) -> Path:
        from poise.report import draw_curves, read_run, write_page
        from poise.report.page import Page

        folder = Path(runner.work_dir)
        notes, curves = [], b""
        try:
            log = read_run(folder)
        except PoiseError as error:
            notes.append(f"No curves: {error}.")
        else:
            curves = draw_curves(log, folder / "curves.png")
        rows = self._book.keypoint_scores() if self._book is not None else []
        if not rows:
            notes.append(
                "No scores of keypoints: the run had no validation, or one without keypoints "
                "that could be compared."
            )
        page = Page(
            title=runner.experiment_name,
            facts=_facts(runner, time.monotonic() - self._started),
            metrics=self._metrics,
            curves=curves,
            keypoints=rows,
            worst=self._drawn("worst", runner.dataset_meta),
            best=self._drawn("best", runner.dataset_meta),
            notes=notes,
            config=runner.cfg_text,
            environment=_environment(folder),
        )
        return write_page(page, folder / self.out_file)

    def _drawn(self, which: str, metainfo: Mapping[str, Any] | None) -> list[tuple[bytes, str]]:
        from poise.report.pictures import draw_case

        if self._book is None:
            return []
        chosen = getattr(self._book, which)(self.cases)
        made = [(draw_case(case, metainfo), case) for case in chosen]
        return [
            (jpeg, f"{Path(case.path).name} (id {case.name}): {case.error:.1%} of the box off")
            for jpeg, case in made
            if jpeg
        ]


def _facts(runner: Any, seconds: float) -> dict[str, Any]:
    """What stands below the title."""
    loop = runner.train_loop
    position = f"iteration {loop.iter} of {loop.max_iters}"
    if loop.by_epoch:
        position = f"epoch {loop.epoch} of {loop.max_epochs}, {position}"
    facts: dict[str, Any] = {
        "trained": position,
        "ended": datetime.datetime.now().strftime("%Y-%m-%d %H:%M"),
        "took": f"{datetime.timedelta(seconds=round(seconds))} since the last start",
        "processes": f"{runner.world_size} on {runner.device}",
    }
    best = runner.message_hub.get_info("best_score")
    if best is not None:
        path = runner.message_hub.get_info("best_ckpt") or ""
        facts["best"] = f"{best:.4f} ({Path(path).name})"
    dataset = getattr(runner.train_dataloader, "dataset", None)
    if dataset is not None:
        facts["samples"] = len(dataset)
    return facts


def _environment(folder: Path) -> dict[str, str]:
    path = folder / "environment.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
