"""What a reader kept and what it left out, and why: no annotation disappears silently."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["LoadReport", "reports_of"]

logger = logging.getLogger("poise.datasets")

# reasons that call for a look at the file, rather than being in the nature of the data
SUSPICIOUS = frozenset(
    {"with NaN", "with a duplicated id", "of an image that is not listed", "with a wrong box"}
)


@dataclass
class LoadReport:
    """Counts of one load.

    Attributes:
        source: the annotation file.
        total: annotations in it.
        kept: annotations that became (part of) records.
        dropped: reason -> number of annotations left out.
        ids: reason -> ids of these annotations, in file order.
        images: images listed in the file.
        images_without: images that have no usable annotation.
        note: what else is worth saying, such as frames of videos that are too short.

    Example:
        >>> report = LoadReport("person.json", total=10, kept=7)
        >>> report.drop("without keypoints", [4, 9])
        >>> report.drop("crowd", [7])
        >>> str(report)
        'person.json: kept 7 of 10: 2 without keypoints, 1 crowd'
        >>> report.ids["without keypoints"]
        [4, 9]
    """

    source: str
    total: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    images: int = 0
    images_without: int = 0
    ids: dict[str, list[Any]] = field(default_factory=dict)
    note: str = ""

    def drop(self, reason: str, ids: Iterable[Any]) -> None:
        """Count annotations that are left out.

        Args:
            reason: as in "12 REASON".
            ids: of the annotations; where a file has none, their places in it.
        """
        listed = list(ids)
        if listed:
            self.dropped[reason] += len(listed)
            self.ids.setdefault(reason, []).extend(listed)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON can hold them."""
        return {**vars(self), "dropped": dict(self.dropped)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> LoadReport:
        """The report that gave `values`."""
        return cls(**{**values, "dropped": Counter(values["dropped"])})

    def __str__(self) -> str:
        text = f"{self.source}: kept {self.kept:,} of {self.total:,}"
        reasons = [f"{n:,} {reason}" for reason, n in self.dropped.most_common()]
        if reasons:
            text += ": " + ", ".join(reasons)
        if self.images_without:
            text += f"; {self.images_without:,} of {self.images:,} images without people"
        return f"{text}; {self.note}" if self.note else text

    def log(self) -> None:
        """Write the counts as one line, as a warning where something looks wrong.

        At the level debug the ids follow, a line for each reason.
        """
        level = logging.WARNING if SUSPICIOUS & self.dropped.keys() else logging.INFO
        logger.log(level, "%s", self)
        for reason, ids in self.ids.items():
            logger.debug("%s: %s: %s", self.source, reason, ", ".join(map(str, ids)))


def reports_of(dataset: Any) -> list[Any]:
    """Load reports of a data set, or of the members of a mixture."""
    if hasattr(dataset, "report"):
        return [dataset.report]
    members = getattr(dataset, "datasets", None) or [getattr(dataset, "dataset", None)]
    return [report for member in members if member is not None for report in reports_of(member)]
