"""What a reader kept and what it left out, and why: no annotation disappears silently."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

__all__ = ["LoadReport"]

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
        images: images listed in the file.
        images_without: images that have no usable annotation.

    Example:
        >>> report = LoadReport("person.json", total=10, kept=7)
        >>> report.dropped.update({"without keypoints": 2, "crowd": 1})
        >>> str(report)
        'person.json: kept 7 of 10: 2 without keypoints, 1 crowd'
    """

    source: str
    total: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    images: int = 0
    images_without: int = 0

    def drop(self, reason: str, count: int = 1) -> None:
        """Count annotations that are left out."""
        if count:
            self.dropped[reason] += count

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
        return text

    def log(self) -> None:
        """Write the counts as one line, as a warning where something looks wrong."""
        level = logging.WARNING if SUSPICIOUS & self.dropped.keys() else logging.INFO
        logger.log(level, "%s", self)
