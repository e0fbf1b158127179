"""What an audit finds, and the order in which a person should look at it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from poise.check.files import write_text
from poise.datasets.coco_file import read_json
from poise.errors import DataError, FileMissingError

__all__ = ["KINDS", "Audit", "Finding", "doubtful_ids", "read_findings"]

#: kind of fault -> what a person should know of it
KINDS: dict[str, str] = {
    "swapped": "left and right of the whole body are exchanged",
    "pair swapped": "left and right of these keypoints are exchanged",
    "shifted": "this keypoint is not where the model surely sees it",
    "other person's": "this keypoint lies on another person",
    "missing person": "a person without a label",
    "duplicate": "the same person is labelled twice",
    "box cuts": "the box does not hold what belongs to the person",
    "box size": "the box is far larger or smaller than its keypoints",
    "long limb": "a limb is longer than this body could have",
    "flag": "a visibility or a place that cannot be",
    "not a number": "a coordinate is NaN or infinite",
    "behind the camera": "a keypoint that no picture can show",
    "reprojection": "the 3D label is not where the 2D label is",
    "bone length": "a bone of another length than in the rest of the video",
    "jump": "a pose or keypoint that is far from between its neighbours in time",
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One label that may be wrong.

    Attributes:
        kind: a name of `KINDS`.
        sure: 0 to 1; `docs/how-to/audit-labels.md` says what it means for each kind.
        picture: path. image_id: as the data set has it.
        id: of the annotation; None for a missing person, and in files of arrays.
        keypoints: names of those concerned.
        oks_before, oks_after: of the label against the model's pose, as it is and mended; None
            where no model looked.
        about: a sentence with the figures.
        person: number in the audit's people or 3D poses; -1 for a missing one.
        pose: of a missing person: (K, 2) as lists, image space.
    """

    kind: str
    sure: float
    picture: str
    image_id: Any = None
    id: Any = None
    keypoints: Sequence[str] = ()
    oks_before: float | None = None
    oks_after: float | None = None
    about: str = ""
    person: int = -1
    pose: Any = None

    @property
    def place(self) -> str:
        """What finds it again: the annotation's id, else the picture with its folder."""
        if self.id is not None:
            return f"id {self.id}"
        return "/".join(Path(self.picture).parts[-2:])

    @property
    def gain(self) -> float:
        """OKS that mending the label would give."""
        return (self.oks_after or 0.0) - (self.oks_before or 0.0)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, without what is empty."""
        values = {
            "kind": self.kind,
            "sure": round(self.sure, 4),
            "id": self.id,
            "image_id": self.image_id,
            "picture": self.picture,
            "keypoints": list(self.keypoints),
            "about": self.about,
        }
        if self.oks_before is not None and self.oks_after is not None:
            values |= {
                "oks_before": round(self.oks_before, 4),
                "oks_after": round(self.oks_after, 4),
            }
        if self.pose is not None:
            values["pose"] = self.pose
        return values


@dataclass
class Audit:
    """All findings of a data set, the likeliest first.

    Attributes:
        findings: in order.
        facts: what was looked at and how.
        people, poses: the labels and predictions, for drawings; None of 3D labels.
        spatial: 3D labels.
    """

    findings: list[Finding]
    facts: dict[str, Any] = field(default_factory=dict)
    people: Any = None
    poses: Any = None
    spatial: Any = None

    @classmethod
    def ranked(cls, findings: Iterable[Finding], facts: Mapping[str, Any]) -> Audit:
        """Findings in order of how sure they are, then of what mending them would give.

        Of several that concern the same keypoints of a person the first one is kept: one look
        settles them all.
        """
        kept: list[Finding] = []
        told: set[tuple[int, str]] = set()
        for finding in sorted(findings, key=lambda f: (-f.sure, -f.gain, str(f.id), f.kind)):
            mine = {(finding.person, name) for name in finding.keypoints if finding.person >= 0}
            if not mine & told:
                kept.append(finding)
                told |= mine
        return cls(kept, dict(facts))

    @property
    def counts(self) -> dict[str, int]:
        """Findings by kind."""
        found = Counter(finding.kind for finding in self.findings)
        return {kind: found[kind] for kind in KINDS if found[kind]}

    def write(self, path: Path) -> None:
        """Write a JSON file.

        Raises:
            DataError: it cannot be written.
        """
        content = {
            "version": 1,
            "facts": self.facts,
            "counts": self.counts,
            "findings": [finding.as_dict() for finding in self.findings],
        }
        write_text(path, json.dumps(content, indent=1, default=_plain))


def _plain(value: Any) -> Any:
    """Numbers of numpy, which ids may be."""
    return value.item() if hasattr(value, "item") else str(value)


def doubtful_ids(path: Path, least: float) -> set[Any]:
    """Ids of annotations that an audit's file has findings about.

    Args:
        path: JSON file of `Audit.write`.
        least: findings that are less sure do not count.

    Raises:
        FileMissingError, DataError: as of `read_findings`.
    """
    found = read_findings(path)
    return {f["id"] for f in found if f.get("id") is not None and f["sure"] >= least}


def read_findings(path: Path) -> list[dict[str, Any]]:
    """Findings of an audit's file, as `Finding.as_dict` gives them.

    Args:
        path: JSON file of `Audit.write`.

    Raises:
        FileMissingError: there is no such file.
        DataError: it is of another kind.
    """
    if not path.is_file():
        raise FileMissingError(
            f"there is no file of findings {path}; `poise data audit LABELS --out FILE` writes one"
        )
    content = read_json(str(path), "the file of the audit", owner="poise data audit")
    findings = content.get("findings") if isinstance(content, dict) else None
    if not isinstance(findings, list) or not all(
        isinstance(finding, dict) and "sure" in finding for finding in findings
    ):
        raise DataError(f"{path} is no file of poise data audit --out: it has no `findings`")
    return findings
