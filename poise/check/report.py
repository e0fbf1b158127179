"""What a check found: single findings, and all of them together."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from poise._words import counted

__all__ = ["LEVELS", "UNDONE", "Finding", "Level", "Report"]

Level = Literal["error", "warning", "note"]
#: gravest first: will fail or be worthless; is hardly meant; is good to know
LEVELS: tuple[Level, ...] = ("error", "warning", "note")
#: part of findings that a check could not be made
UNDONE = "check"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, odd or good to know.

    Attributes:
        level: "error", "warning" or "note".
        part: what it is about: "config", "network", "course", "metrics", "data", "weights", or
            "check" where a check itself failed.
        text: what is wrong, in a sentence or two.
        where: setting with its file and line, annotation file and ids, or key of a checkpoint.
        expected: what would fit.
        found: what is there instead.
        fix: what to change, best as the very line.

    Example:
        >>> print(Finding("error", "network", "the head does not fit", "model.head", fix="x=1"))
        error: model.head: the head does not fit
          -> x=1
    """

    level: Level
    part: str
    text: str
    where: str = ""
    expected: str = ""
    found: str = ""
    fix: str = ""

    def __str__(self) -> str:
        start = f"{self.level}: {self.where}: " if self.where else f"{self.level}: "
        lines = [start + self.text]
        if self.expected or self.found:
            lines.append(f"  expected {self.expected or 'something else'}, found {self.found}")
        if self.fix:
            lines.append(f"  -> {self.fix}")
        return "\n".join(lines)


@dataclass
class Report:
    """All that a check found.

    Attributes:
        findings: gravest first.
        checked: what was looked at, in words.
        seconds: how long it took.

    Example:
        >>> print(Report([], ["config", "network"]))
        config and network fit together: 0 errors, 0 warnings, 0 notes
    """

    findings: list[Finding] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.findings = sorted(dict.fromkeys(self.findings), key=lambda f: LEVELS.index(f.level))

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def of(self, level: Level) -> list[Finding]:
        """Findings of a level."""
        return [finding for finding in self.findings if finding.level == level]

    @property
    def errors(self) -> list[Finding]:
        """Findings that would stop a run, or make it worthless."""
        return self.of("error")

    @property
    def fits(self) -> bool:
        """Whether there is no error."""
        return not self.errors

    @property
    def summary(self) -> str:
        """The verdict and the counts, in a line."""
        counts = Counter(finding.level for finding in self.findings)
        said = ", ".join(counted(counts[level], level) for level in LEVELS)
        if not self.fits:
            return said
        if any(finding.part == UNDONE for finding in self.findings):
            return f"no errors were found, but not everything could be looked at: {said}"
        if len(self.checked) == 1:
            return f"the {self.checked[0]} is sound: {said}"
        return f"{_listed(self.checked)} fit together: {said}"

    def __str__(self) -> str:
        return "\n".join([*map(str, self.findings), self.summary])

    def to_dict(self) -> dict[str, Any]:
        """Plain values: `fits`, counts by level, `checked`, `seconds`, `findings`."""
        counts = {f"{level}s": len(self.of(level)) for level in LEVELS}
        rest = {"checked": self.checked, "seconds": round(self.seconds, 2)}
        return {"fits": self.fits, **counts, **rest, "findings": [asdict(f) for f in self.findings]}

    def to_json(self) -> str:
        """`to_dict` as text."""
        return json.dumps(self.to_dict(), indent=1)


def _listed(words: Iterable[str]) -> str:
    *first, last = words or ["nothing"]
    return f"{', '.join(first)} and {last}" if first else last
