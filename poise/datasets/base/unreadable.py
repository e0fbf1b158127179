"""Images that cannot be read while training: named, skipped, counted, up to a limit."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from poise.datasets.paths import URL_SCHEMES
from poise.errors import DataError
from poise.transforms.image import stored_image

__all__ = ["UnreadableImages", "image_problem"]

logger = logging.getLogger("poise.datasets")

NAMED_ONE_BY_ONE = 10


def image_problem(path: str) -> str | None:
    """Why the image at `path` cannot be read, or `None` where it can."""
    address = path.startswith(URL_SCHEMES)
    if not address:
        file = Path(path)
        if not file.is_file():
            return "does not exist"
        if file.stat().st_size == 0:
            return "is an empty file"
    if stored_image(path, "unchanged") is None:
        return "cannot be fetched or decoded" if address else "cannot be decoded"
    return None


class UnreadableImages:
    """The unreadable images that one process has met.

    Args:
        limit: how many different images may be unreadable before training stops.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.paths: dict[str, str] = {}

    @property
    def example(self) -> str:
        """One of them for an error text, and what to look at; empty where there is none."""
        path, problem = next(iter(self.paths.items()), ("", ""))
        return f", such as {path}, which {problem}: see `data_root`, `data_prefix`" if path else ""

    def note(self, paths: Iterable[str], owner: str) -> bool:
        """Whether one of the images is unreadable; if so it is logged and counted.

        Raises:
            DataError: more than `limit` different images are unreadable.
        """
        problems = {path: image_problem(path) for path in dict.fromkeys(paths)}
        found = {path: why for path, why in problems.items() if why is not None}
        for path, problem in found.items():
            if path in self.paths:
                continue
            self.paths[path] = problem
            if len(self.paths) <= NAMED_ONE_BY_ONE:
                logger.warning("%s: image %s %s; it is skipped", owner, path, problem)
            else:
                logger.info("%s: image %s %s; it is skipped", owner, path, problem)
        if len(self.paths) > self.limit:
            examples = "; ".join(f"{p} {why}" for p, why in list(self.paths.items())[:3])
            raise DataError(
                f"{owner}: {len(self.paths)} images are unreadable, more than the limit of "
                f"{self.limit} (`max_unreadable`): {examples}; ... Check `data_root` and "
                "`data_prefix`"
            )
        return bool(found)
