"""How well an audit works on some data: faults are planted in a copy of its labels and looked for.

What it finds besides may be faults that were there before, so the precision is a lower bound.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from poise.data_tools.audit.auditing import audit_people
from poise.data_tools.audit.evidence import PRIOR
from poise.data_tools.audit.findings import KINDS, Finding
from poise.data_tools.audit.people import People
from poise.data_tools.audit.predictions import Predictions

__all__ = ["measure_audit", "plant_faults"]

#: how far keypoints are moved, in parts of the person's size
_SHIFT = (0.25, 0.6)
#: scatter of a second label of the same person
_SECOND_LABEL = 0.02
#: part of a box that is cut off
_CUT = 0.3
#: an exchange of keypoints that lie nearer than this would be no fault that anybody sees
_APART = 0.15
#: counts of first findings for which precision and recall are told
TOPS = (10, 20, 50, 100)


@dataclass
class Planted:
    """Labels with faults.

    Attributes:
        people, poses: as the audit takes them.
        kinds: person -> kind of its fault.
        missing: (picture, pose) of people whose label was taken away.
    """

    people: People
    poses: Predictions | None
    kinds: dict[int, str] = field(default_factory=dict)
    missing: list[tuple[str, np.ndarray]] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Faults; both labels of a person that has two count once."""
        twice = sum(kind == "duplicate" for kind in self.kinds.values()) // 2
        return len(self.kinds) - twice + len(self.missing)

    def fault_of(self, finding: Finding) -> Any:
        """What tells the planted fault that a finding is about; None for no planted one."""
        if finding.pose is not None:
            pose = np.asarray(finding.pose)
            near = (
                n
                for n, (picture, planted) in enumerate(self.missing)
                if picture == finding.picture and np.abs(np.nan_to_num(planted) - pose).max() < 1
            )
            number = next(near, None)
            return None if number is None else ("missing", number)
        kind = self.kinds.get(finding.person)
        if kind == "duplicate":
            return ("duplicate", self.people.ids[finding.person])
        return None if kind is None else finding.person


def plant_faults(
    people: People, poses: Predictions | None, *, rate: float = PRIOR, seed: int = 0
) -> Planted:
    """Copy of labels with faults of each kind, each in another person.

    Args:
        people, poses: good labels, and predictions.
        rate: share of the people that get a fault of each kind.
        seed: of the choice.
    """
    rng = np.random.default_rng(seed)
    people = people.take(range(len(people)))
    count = max(1, round(rate * len(people)))
    free = rng.permutation(len(people)).tolist()
    planted = Planted(people, poses)
    for kind, plant in _PLANT.items():
        done = 0
        # each takes the next people in whom such a fault can be
        for person in list(free):
            if done == count:
                break
            if plant(people, person, rng):
                planted.kinds[person] = kind
                free.remove(person)
                done += 1
    _label_twice(planted, free[:count], rng)
    if poses is not None and poses.others:
        _take_away(planted, [p for p in free[count:] if _found(poses, p)][:count])
    return planted


def _swap_all(people: People, person: int, rng: Any) -> bool:
    if people.seen[person][people.pairs].all(axis=-1).sum() < 2:
        return False
    order = people.other_sides
    people.points[person] = people.points[person][order]
    people.seen[person] = people.seen[person][order]
    return True


def _swap_pair(people: People, person: int, rng: Any) -> bool:
    both = people.seen[person][people.pairs].all(axis=-1)
    gap = np.linalg.norm(np.diff(people.points[person][people.pairs], axis=1)[:, 0], axis=-1)
    fitting = np.flatnonzero(both & (gap > _APART * people.sizes[person]))
    if not len(fitting):
        return False
    pair = people.pairs[rng.choice(fitting)]
    people.points[person, pair] = people.points[person, pair[::-1]]
    return True


def _shift(people: People, person: int, rng: Any) -> bool:
    seen = np.flatnonzero(people.seen[person])
    if len(seen) < 3:
        return False
    angle = rng.uniform(0, 2 * np.pi)
    way = rng.uniform(*_SHIFT) * people.sizes[person]
    people.points[person, rng.choice(seen)] += way * np.array([np.cos(angle), np.sin(angle)])
    return True


def _borrow(people: People, person: int, rng: Any) -> bool:
    others = people.in_picture(int(people.image[person]))
    both = people.seen[person] & people.seen[others]
    both[others == person] = False
    gap = np.linalg.norm(people.points[others] - people.points[person], axis=-1)
    fitting = np.argwhere(both & (gap > _APART * people.sizes[person]))
    if not len(fitting):
        return False
    other, k = fitting[rng.integers(len(fitting))]
    people.points[person, k] = people.points[others[other], k]
    return True


def _cut_box(people: People, person: int, rng: Any) -> bool:
    side = int(rng.integers(4))
    low, high = people.boxes[person].reshape(2, 2)
    step = _CUT * (high - low)[side % 2]
    shown = people.points[person][people.seen[person]]
    edge = people.boxes[person, side] + (step if side < 2 else -step)
    beyond = (edge - shown[:, side % 2]) * (1 if side < 2 else -1)
    if not len(shown) or beyond.max() < _APART * (high - low).max():
        return False
    people.boxes[person, side] = edge
    return True


_PLANT = {
    "swapped": _swap_all,
    "pair swapped": _swap_pair,
    "shifted": _shift,
    "other person's": _borrow,
    "box cuts": _cut_box,
}


def _label_twice(planted: Planted, chosen: list[int], rng: Any) -> None:
    """Add a second label of people."""
    people, poses = planted.people, planted.poses
    first = len(people)
    rows = [*range(first), *chosen]
    planted.people = people.take(rows)
    second = planted.people.points[first:]
    second += _SECOND_LABEL * rng.normal(size=second.shape) * people.sizes[chosen, None, None]
    if poses is not None:
        planted.poses = replace(poses, points=poses.points[rows], scores=poses.scores[rows])
    planted.kinds |= dict.fromkeys(chosen, "duplicate")
    planted.kinds |= {first + n: "duplicate" for n in range(len(chosen))}


def _found(poses: Predictions, person: int) -> bool:
    """Whether a pose that was found without labels is this person's."""
    return any((owner == person).any() for owner in poses.matched.values())


def _take_away(planted: Planted, chosen: list[int]) -> None:
    """Take labels away of people that the model found."""
    people, poses = planted.people, planted.poses
    if poses is None:
        return
    kept = np.setdiff1d(np.arange(len(people)), chosen)
    number = np.full(len(people), -1)
    number[kept] = np.arange(len(kept))
    for picture, owner in poses.matched.items():
        for n in np.flatnonzero(np.isin(owner, chosen)):
            planted.missing.append((people.pictures[picture], poses.others[picture].points[n]))
    planted.people = people.take(kept)
    planted.poses = replace(
        poses,
        points=poses.points[kept],
        scores=poses.scores[kept],
        matched={p: np.where(o >= 0, number[o], -1) for p, o in poses.matched.items()},
    )
    planted.kinds = {int(number[p]): kind for p, kind in planted.kinds.items()}


def measure_audit(
    people: People,
    poses: Predictions | None,
    *,
    rate: float = PRIOR,
    seeds: int = 3,
    prior: float = PRIOR,
) -> dict[str, Any]:
    """Precision and recall of the first findings, by planted faults.

    Args:
        people, poses: labels and predictions; faults that the labels have already count against
            the audit.
        rate: share of people that get a fault of each kind.
        seeds: how often to plant; figures are means.
        prior: of the audit.

    Returns:
        `planted` (mean number), `top` (number of first findings -> `precision`, `recall`), and
        `kinds` (kind -> `planted`, `recall` among as many first findings as faults were planted,
        and twice as many).
    """
    runs = [_one(people, poses, rate, seed, prior) for seed in range(seeds)]
    return {
        "planted": float(np.mean([run["planted"] for run in runs])),
        "top": {
            top: {
                key: round(float(np.mean([run["top"][top][key] for run in runs])), 3)
                for key in ("precision", "recall")
            }
            for top in TOPS
        },
        "kinds": {
            kind: {
                key: round(
                    float(np.mean([r["kinds"][kind][key] for r in runs if kind in r["kinds"]])), 3
                )
                for key in ("planted", "recall", "recall_twice")
            }
            for kind in KINDS
            if any(kind in run["kinds"] for run in runs)
        },
    }


def _one(
    people: People, poses: Predictions | None, rate: float, seed: int, prior: float
) -> dict[str, Any]:
    planted = plant_faults(people, poses, rate=rate, seed=seed)
    found = audit_people(planted.people, planted.poses, prior=prior, least=0.0).findings
    faults = [planted.fault_of(finding) for finding in found]
    top = {}
    for count in TOPS:
        first = faults[:count]
        hits = [fault for fault in first if fault is not None]
        top[count] = {
            "precision": len(hits) / max(len(first), 1),
            "recall": len(set(hits)) / planted.count,
        }
    # kind of each planted fault, by what tells it
    kinds: dict[Any, str] = {("missing", n): "missing person" for n in range(len(planted.missing))}
    for person, kind in planted.kinds.items():
        twice = ("duplicate", planted.people.ids[person])
        kinds[twice if kind == "duplicate" else person] = kind
    near, far = set(faults[: planted.count]), set(faults[: 2 * planted.count])
    by_kind = {}
    for kind in set(kinds.values()):
        mine = {fault for fault, k in kinds.items() if k == kind}
        by_kind[kind] = {
            "planted": len(mine),
            "recall": len(mine & near) / len(mine),
            "recall_twice": len(mine & far) / len(mine),
        }
    return {"planted": planted.count, "top": top, "kinds": by_kind}
