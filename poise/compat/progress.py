"""Progress bars around loops."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

__all__ = ["ProgressBar", "track_iter_progress", "track_parallel_progress", "track_progress"]


class ProgressBar:
    """A bar that is moved by hand.

    Args:
        task_num: steps in all; 0 where that is not known.
        start: whether it appears at once.

    Example:
        bar = ProgressBar(len(files))
        for file in files:
            ...
            bar.update()
    """

    def __init__(
        self, task_num: int = 0, bar_width: int = 50, start: bool = True, file: Any = None
    ) -> None:
        self.task_num = task_num
        self.completed = 0
        self._file = file
        self._bar_width = bar_width
        self._progress: Any = None
        if start:
            self.start()

    def start(self) -> None:
        """Show it."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        self._progress = Progress(
            BarColumn(self._bar_width),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(file=self._file, stderr=self._file is None),
        )
        self._task = self._progress.add_task("", total=self.task_num or None)
        self._progress.start()

    def update(self, num_tasks: int = 1) -> None:
        """So many more steps are done; it goes away after the last."""
        self.completed += num_tasks
        if self._progress is None:
            return
        self._progress.update(self._task, completed=self.completed)
        if self.task_num and self.completed >= self.task_num:
            self._progress.stop()


def track_iter_progress(tasks: Iterable[Any], **options: Any) -> Iterator[Any]:
    """Iterate with a progress bar on the terminal."""
    from rich.progress import track

    sequence, total = _counted(tasks)
    yield from track(sequence, total=total, **options)


def track_progress(
    func: Callable[..., Any], tasks: Iterable[Any], *, bar_width: int = 50, **kwargs: Any
) -> list[Any]:
    """Results of a function for each task, with a progress bar."""
    return [func(task, **kwargs) for task in track_iter_progress(tasks)]


def track_parallel_progress(
    func: Callable[..., Any],
    tasks: Iterable[Any],
    nproc: int,
    *,
    chunksize: int = 1,
    keep_order: bool = True,
    **options: Any,
) -> list[Any]:
    """The same in `nproc` processes; with `keep_order` in the order of the tasks.

    Raises:
        What `func` raises.
    """
    from concurrent.futures import ProcessPoolExecutor, as_completed

    sequence, total = _counted(tasks)
    with ProcessPoolExecutor(nproc) as pool:
        if keep_order:
            done: Iterable[Any] = pool.map(func, sequence, chunksize=chunksize)
            return list(track_iter_progress((done, total)))
        jobs = [pool.submit(func, task) for task in sequence]
        return [job.result() for job in track_iter_progress((as_completed(jobs), len(jobs)))]


def _counted(tasks: Any) -> tuple[Iterable[Any], float | None]:
    """Tasks and their number; tasks may be a pair of both, for an iterator without a length."""
    pair = isinstance(tasks, tuple) and len(tasks) == 2 and isinstance(tasks[1], int)
    if pair and isinstance(tasks[0], Iterable):
        return tasks[0], tasks[1]
    return tasks, len(tasks) if hasattr(tasks, "__len__") else None
