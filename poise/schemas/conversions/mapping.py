"""What a mapping between two skeletons is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

__all__ = ["Joint", "Kind", "Mapping", "Pair"]

Kind = Literal["measured", "derived", "missing"]
#: (source index, target index), or ((source, source), target) for the middle of two
Pair = tuple[int | tuple[int, int], int]

# from the surest to nothing
_KINDS: tuple[Kind, ...] = ("measured", "derived", "missing")


@dataclass(frozen=True)
class Joint:
    """A keypoint of the target skeleton, and where it comes from.

    Attributes:
        name: as the target calls it.
        kind: `measured`: the source has the same point; `derived`: it is made of others, or of
            one that lies nearby; `missing`: the source says nothing about it.
        terms: (index in the source, weight); the weights sum to 1.
    """

    name: str
    kind: Kind = "missing"
    terms: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Mapping:
    """How the keypoints of `target` follow from those of `source`.

    Attributes:
        source, target: names of the schemas.
        source_names: names of the K source keypoints.
        joints: the K' target keypoints, in the target's order.
        listing: places in `joints` in the order in which `pairs` gives them.

    Example:
        >>> from poise.schemas import conversions
        >>> to_h36m = conversions.find("coco", "h36m")
        >>> to_h36m.joints[0]
        Joint(name='root', kind='derived', terms=((11, 0.5), (12, 0.5)))
        >>> to_h36m.counts
        {'measured': 12, 'derived': 5, 'missing': 0}
    """

    source: str
    target: str
    source_names: tuple[str, ...]
    joints: tuple[Joint, ...]
    listing: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """`source->target`."""
        return f"{self.source}->{self.target}"

    @property
    def counts(self) -> dict[str, int]:
        """How many target keypoints are of each kind."""
        kinds = [joint.kind for joint in self.joints]
        return {kind: kinds.count(kind) for kind in _KINDS}

    def pairs(self, *, derived: bool = False) -> list[Pair]:
        """The mapping as `KeypointConverter` writes it.

        Args:
            derived: also keypoints that are another one, or the middle of two others; sums of
                more or with other weights cannot be written so and are left out.
        """
        found: list[Pair] = []
        for place in self.listing or range(len(self.joints)):
            joint = self.joints[place]
            if joint.kind == "missing" or (joint.kind == "derived" and not derived):
                continue
            sources = [index for index, _ in joint.terms]
            if len(sources) == 1:
                found.append((sources[0], place))
            elif len(sources) == 2 and joint.terms[0][1] == joint.terms[1][1]:
                found.append(((sources[0], sources[1]), place))
        return found

    def then(self, second: Mapping) -> Mapping:
        """This mapping followed by another, as one.

        Raises:
            ValueError: the second one starts from another number of keypoints.
        """
        if len(second.source_names) != len(self.joints):
            raise ValueError(
                f"{self.name} gives {len(self.joints)} keypoints, {second.name} takes "
                f"{len(second.source_names)}"
            )
        joints = tuple(_through(joint, self.joints) for joint in second.joints)
        listing = tuple(
            sorted(range(len(joints)), key=lambda i: [t for t, _ in joints[i].terms][:1])
        )
        return Mapping(self.source, second.target, self.source_names, joints, listing)

    def lines(self) -> Iterator[tuple[str, str, str]]:
        """(target keypoint, kind, what it is made of) of each, for people to read."""
        for joint in self.joints:
            parts = [
                self.source_names[i] if w == 1 else f"{w:.3g} {self.source_names[i]}"
                for i, w in joint.terms
            ]
            yield joint.name, joint.kind, " + ".join(parts)


def _through(joint: Joint, before: tuple[Joint, ...]) -> Joint:
    """A joint whose terms are joints of an earlier mapping, in that mapping's source."""
    kinds = [joint.kind, *(before[i].kind for i, _ in joint.terms)]
    worst = max(kinds, key=_KINDS.index)
    if worst == "missing":
        return Joint(joint.name)
    summed: dict[int, float] = {}
    for place, weight in joint.terms:
        for index, share in before[place].terms:
            summed[index] = summed.get(index, 0.0) + weight * share
    return Joint(joint.name, worst, tuple(summed.items()))
