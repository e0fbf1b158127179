"""CheckpointHook: when files are written, which are kept, which is the best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from poise.errors import ConfigError, nearest
from poise.registry import HOOKS
from poise.training.hooks.base import Hook
from poise.training.hooks.direction import GREATER_KEYS, LESS_KEYS, rule_for
from poise.training.run.checkpoint import note_latest, remove_remains

__all__ = ["CheckpointHook"]


@HOOKS.register_module(scope="mmengine")
class CheckpointHook(Hook):
    """Writes checkpoints at intervals, at the end, and whenever a metric is best so far.

    Args:
        interval: epochs (or iterations, by `by_epoch`) between two files; -1 for none.
        by_epoch: what `interval` counts.
        save_optimizer, save_param_scheduler: kept for MMPose's configs; a file that lacks
            either cannot be resumed from, so both are left out together.
        out_dir: other folder than the work folder.
        max_keep_ckpts: how many interval files stay; -1 for all.
        save_last: write after the last epoch in any case.
        save_best: metric names, or "auto" for the first metric of the first validation.
        rule: "greater" or "less" per metric, or None to go by the name.
        greater_keys, less_keys: parts of names that tell the direction.
        filename_tmpl: name with one `{}` for the number.
        published_keys: also write a file with only these keys at the end.
        save_begin: number before which no file is written.
        file_client_args, backend_args: of remote storage in MMPose; not used.
    """

    priority = "VERY_LOW"
    only_training = True

    def __init__(
        self,
        interval: int = -1,
        by_epoch: bool = True,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        out_dir: str | Path | None = None,
        max_keep_ckpts: int = -1,
        save_last: bool = True,
        save_best: str | Sequence[str] | None = None,
        rule: str | Sequence[str] | None = None,
        greater_keys: Sequence[str] | None = None,
        less_keys: Sequence[str] | None = None,
        file_client_args: dict[str, Any] | None = None,
        filename_tmpl: str | None = None,
        backend_args: dict[str, Any] | None = None,
        published_keys: str | Sequence[str] | None = None,
        save_begin: int = 0,
        **kwargs: Any,
    ) -> None:
        self.interval = interval
        self.by_epoch = by_epoch
        self.full = save_optimizer and save_param_scheduler
        self.out_dir = None if out_dir is None else Path(out_dir)
        self.max_keep_ckpts = max_keep_ckpts
        self.save_last = save_last
        self.save_begin = save_begin
        self.filename_tmpl = filename_tmpl or ("epoch_{}.pth" if by_epoch else "iter_{}.pth")
        self.published_keys = (
            [published_keys] if isinstance(published_keys, str) else published_keys
        )
        self.watched = [save_best] if isinstance(save_best, str) else list(save_best or [])
        rules = [rule] if isinstance(rule, str) or rule is None else list(rule)
        self.rules = rules * len(self.watched) if len(rules) == 1 else rules
        self.greater_keys, self.less_keys = greater_keys or GREATER_KEYS, less_keys or LESS_KEYS
        self.last_ckpt: Path | None = None
        self._outdated = False
        self._check()

    def _check(self) -> None:
        if len(set(self.watched)) < len(self.watched):
            raise ConfigError(f"save_best names a metric twice: {self.watched}")
        if "auto" in self.watched and len(self.watched) > 1:
            raise ConfigError(f"save_best is 'auto' or names of metrics, got {self.watched}")
        if len(self.rules) != len(self.watched):
            raise ConfigError(
                f"rule must be one, or as many as save_best: got {len(self.rules)} for "
                f"{len(self.watched)} metrics"
            )
        if self.save_begin < 0:
            raise ConfigError(f"save_begin must not be negative, got {self.save_begin}")
        for name, given in zip(self.watched, self.rules, strict=True):
            if name != "auto":
                rule_for(name, given, self.greater_keys, self.less_keys)

    def before_train(self, runner: Any) -> None:
        """Choose the folder."""
        work_dir = Path(runner.work_dir)
        self.folder = work_dir if self.out_dir is None else self.out_dir / work_dir.name
        runner.logger.info(f"Checkpoints go to {self.folder}")
        if runner.is_main:
            for path in remove_remains(self.folder, work_dir):
                runner.logger.info("Removed %s, left by a run that was killed as it wrote", path)

    def after_train_epoch(self, runner: Any) -> None:
        """Write at every `interval`-th epoch, and after the last."""
        due = self.every_n_epochs(runner, self.interval, self.save_begin)
        if self.by_epoch and (due or (self.save_last and self.is_last_train_epoch(runner))):
            self._save(runner, runner.epoch + 1, runner.epoch + 1, runner.iter)

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Write at every `interval`-th iteration, and after the last."""
        due = self.every_n_train_iters(runner, self.interval, self.save_begin)
        if not self.by_epoch and (due or (self.save_last and self.is_last_train_iter(runner))):
            self._save(runner, runner.iter + 1, runner.epoch, runner.iter + 1)

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Write the best so far, if this is it."""
        if not self.watched:
            return
        if not metrics:
            runner.logger.warning("The validation gave no metrics; no best checkpoint is kept")
            return
        if self.watched == ["auto"]:
            self.watched = [next(iter(metrics))]
        number = runner.epoch if self.by_epoch else runner.iter
        better = [
            name
            for name, rule in zip(self.watched, self.rules, strict=True)
            if self._update_best(runner, name, rule, metrics, number)
        ]
        self._outdated = bool(better)

    def after_val(self, runner: Any) -> None:
        """Write the interval file again if it lacks the best one, once all hooks are through."""
        if self._outdated and self.last_ckpt is not None and self.last_ckpt.exists():
            number = runner.epoch if self.by_epoch else runner.iter
            self._save(runner, number, runner.epoch, runner.iter)
        self._outdated = False

    def after_train(self, runner: Any) -> None:
        """Write the files to publish."""
        best = [runner.message_hub.get_info(key) for key in self._info_keys("best_ckpt")]
        for path in [self.last_ckpt, *(Path(b) for b in best if b)]:
            if self.published_keys and path is not None and path.exists():
                runner.publish_checkpoint(path, self.published_keys)

    def _save(self, runner: Any, number: int, epoch: int, iteration: int) -> None:
        """Write an interval file, drop the oldest, note the newest."""
        self.last_ckpt = self.folder / self.filename_tmpl.format(number)
        kept = [n for n in runner.message_hub.get_info("keep_ckpt_ids") or [] if n != number]
        kept.append(number)
        surplus: list[int] = []
        if self.max_keep_ckpts > 0:
            surplus, kept = kept[: -self.max_keep_ckpts], kept[-self.max_keep_ckpts :]
        runner.message_hub.update_info_dict(
            {"keep_ckpt_ids": kept, "last_ckpt": str(self.last_ckpt)}
        )
        runner.save_checkpoint(self.last_ckpt, epoch=epoch, iteration=iteration, full=self.full)
        if not runner.is_main:
            return
        note_latest(Path(runner.work_dir), self.last_ckpt)
        # the new file is there before an old one goes
        for old in surplus:
            (self.folder / self.filename_tmpl.format(old)).unlink(missing_ok=True)

    def _info_keys(self, what: str) -> list[str]:
        """MMEngine's names: without the metric where there is one metric."""
        if len(self.watched) <= 1:
            return [what] * len(self.watched)
        return [f"{what}_{name}" for name in self.watched]

    def _update_best(
        self, runner: Any, name: str, rule: str | None, metrics: dict[str, float], number: int
    ) -> bool:
        if name not in metrics:
            raise ConfigError(
                f"save_best names the metric '{name}', validation gave {sorted(metrics)}"
                f"{nearest(name, metrics)}"
            )
        sign = 1 if rule_for(name, rule, self.greater_keys, self.less_keys) == "greater" else -1
        at = self.watched.index(name)
        score_key, path_key = self._info_keys("best_score")[at], self._info_keys("best_ckpt")[at]
        best = runner.message_hub.get_info(score_key)
        score = metrics[name]
        if score is None or math.isnan(score) or (best is not None and sign * score <= sign * best):
            return False
        before = Path(runner.message_hub.get_info(path_key) or "").name
        file = f"best_{name}_{self.filename_tmpl.format(number)}".replace("/", "_")
        path = self.folder / file
        runner.message_hub.update_info_dict({score_key: float(score), path_key: str(path)})
        runner.save_checkpoint(path, epoch=runner.epoch, iteration=runner.iter, full=False)
        if before and before != file and runner.is_main:
            # of this folder: a run that went on elsewhere leaves the files of the one it came from
            (self.folder / before).unlink(missing_ok=True)
        unit = "epoch" if self.by_epoch else "iteration"
        runner.logger.info(f"Best {name} so far, {score:.4f} at {unit} {number}: {file}")
        return True
