"""3D poses against their neighbours in time: bones, jumps, exchanged sides."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from poise.data_tools.audit.evidence import surest
from poise.data_tools.audit.findings import Finding
from poise.data_tools.audit.poses3d import Poses3D
from poise.data_tools.audit.shapes import LEAST_PEOPLE, mirrored_ratio, odds, usual

__all__ = [
    "SURE",
    "bone_findings",
    "exchange_findings",
    "jump_findings",
    "kind_of_exchange",
    "mirror_findings",
]

#: what follows from a finding that is so sure is not told as well
SURE = 0.5
#: poses of a video that say how long its bones are
_LEAST_FRAMES = 5
#: no bones are known to keep their length better than that; log of the ratio
_LEAST_STRETCH = 0.02
#: no motion is steadier than that; parts of the person's size
_LEAST_JUMP = 0.005
#: a pair that is nearer together says nothing of its sides; parts of the person's size
_LEAST_APART = 0.1
#: where so many neighbours look exchanged, frames are too far apart to tell
_MOST_EXCHANGED = 0.02
#: of a video, so much may be exchanged; of more, the rest is
_MINORITY = 0.5
#: three directions tell left from right where so many poses agree on the sign
_AGREE = 0.97
#: poses looked at to find such directions
_LOOKED_AT = 500
#: of the pairs, so many exchanged at once are the whole body
_WHOLE = 2 / 3
_TINY = 1e-9


def bone_findings(
    poses: Poses3D, told: np.ndarray, prior: float, least: float
) -> Iterator[Finding]:
    """Bones of another length than in the rest of the video, or than in other poses.

    Args:
        poses: all of them.
        told: (F, K) bool, of which another fault is known; what is surely found is marked here.
        prior, least: as in `audit_labels`.
    """
    if not len(poses.links) or len(poses) < LEAST_PEOPLE:
        return
    a, b = poses.links.T
    length = np.linalg.norm(poses.points[:, a] - poses.points[:, b], axis=-1)
    known = poses.seen[:, a] & poses.seen[:, b] & ~told[:, a] & ~told[:, b]
    zero = known & (length <= 0)
    logs = np.log(np.maximum(length, _TINY))
    away, by_video = _against_usual(poses, logs, known & ~zero)
    _, spread = usual(np.abs(away), known & ~zero)
    spreads = np.abs(away) / np.maximum(spread, _LEAST_STRETCH)
    sure = np.where(known & ~zero, odds(spreads, prior), 0)
    sure[zero] = 1.0
    for pose in np.flatnonzero((sure >= least).any(axis=1)).tolist():
        chosen = surest(sure[pose], least)
        worst = chosen[np.argmax(sure[pose, chosen])]
        first, second = (poses.names[k] for k in poses.links[worst])
        about = (
            f"{first} and {second} are at the same place"
            if zero[pose, worst]
            else f"{first} to {second} is {np.exp(away[pose, worst]):.2f} times as long as in "
            + ("the rest of its video" if by_video[pose] else "other poses")
        )
        ends = list(dict.fromkeys(poses.links[chosen].ravel().tolist()))
        told[pose, ends] |= sure[pose, worst] >= SURE
        yield poses.finding(pose, "bone length", sure[pose, worst], ends, about)


def _against_usual(
    poses: Poses3D, logs: np.ndarray, known: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(F, L) logs of lengths against the usual ones, and (F,) whether these are the video's."""
    typical, _ = usual(logs, known)
    rest = np.where(known, logs - typical, np.nan)
    rest[~known.any(axis=1)] = 0
    # people differ in size
    away = np.where(known, logs - typical - np.nanmedian(rest, axis=1, keepdims=True), 0)
    by_video = np.zeros(len(poses), bool)
    for rows in poses.videos():
        if len(rows) >= _LEAST_FRAMES:
            own, _ = usual(logs[rows], known[rows])
            away[rows] = np.where(known[rows], logs[rows] - own, 0)
            by_video[rows] = True
    return away, by_video


def jump_findings(
    poses: Poses3D, told: np.ndarray, prior: float, least: float
) -> Iterator[Finding]:
    """Poses, and single keypoints, that are far from between their neighbours.

    Args:
        poses: all of them.
        told: (F, K) bool, of which another fault is known.
        prior, least: as in `audit_labels`.
    """
    rows = np.flatnonzero((poses.before >= 0) & (poses.after >= 0))
    if len(rows) < LEAST_PEOPLE:
        return
    around = (poses.before[rows], poses.after[rows])
    known = poses.seen[rows] & poses.seen[around[0]] & poses.seen[around[1]]
    away = poses.points[rows] - (poses.points[around[0]] + poses.points[around[1]]) / 2
    away = np.where(known[..., None], away, np.nan) / poses.sizes[rows][:, None, None]
    away[~known.any(axis=1)] = 0
    together = np.nanmedian(away, axis=1)
    alone = np.nan_to_num(np.linalg.norm(away - together[:, None], axis=-1))
    lengths = np.concatenate([np.linalg.norm(together, axis=-1)[:, None], alone], axis=1)
    judged = np.concatenate([known.any(axis=1)[:, None], known], axis=1)
    middle, spread = usual(lengths, judged)
    sure = np.zeros((len(poses), lengths.shape[1]))
    sure[rows] = np.where(
        judged, odds((lengths - middle) / np.maximum(spread, _LEAST_JUMP), prior), 0
    )
    # the neighbours of what jumps seem to jump by half of it
    far = np.zeros(sure.shape)
    far[rows] = lengths
    for beside in around:
        lower = far[rows] < far[beside] * (1 - 1e-6)
        sure[rows] = np.where(lower, 0, sure[rows])
    # nor does what is next to a known fault
    near = told.copy()
    near[rows] |= told[around[0]] | told[around[1]]
    sure[:, 1:][near] = 0
    sure[near.any(axis=1), 0] = 0
    yield from _jumps(poses, sure, far, least)


def _jumps(poses: Poses3D, sure: np.ndarray, far: np.ndarray, least: float) -> Iterator[Finding]:
    """Findings of how surely (F, 1 + K) the whole and its keypoints jump, and how far."""
    for pose in np.flatnonzero((sure >= least).any(axis=1)).tolist():
        whole, alone = sure[pose, 0], sure[pose, 1:]
        frames = f"frames {poses.frame[poses.before[pose]]} and {poses.frame[poses.after[pose]]}"
        if whole >= alone.max():
            about = f"the whole pose is {far[pose, 0]:.0%} of its size away from between {frames}"
            yield poses.finding(pose, "jump", whole, (), about)
        else:
            chosen = surest(alone, least)
            chosen = chosen[np.argsort(-far[pose, 1:][chosen])]
            about = (
                f"{poses.names[chosen[0]]} is {far[pose, 1 + chosen[0]]:.0%} of the person's size "
                f"away from between {frames}"
            )
            yield poses.finding(pose, "jump", alone.max(), chosen, about)


def exchange_findings(poses: Poses3D, told: np.ndarray, least: float) -> Iterator[Finding]:
    """Left and right that change places from one frame to the next, and back.

    Args:
        poses: all of them.
        told: (F, K) bool; what is found is marked here.
        least: findings that are less sure are left out.
    """
    turns, sure = _turns(poses)
    frequent = turns.sum(axis=0) > np.maximum(
        2, _MOST_EXCHANGED * (poses.after >= 0).sum() * np.ones(len(poses.pairs))
    )
    turns[:, frequent] = False
    for rows in poses.videos():
        changed = np.flatnonzero(turns[rows].any(axis=1))
        if not len(changed):
            continue
        # an odd number of turns before a frame: exchanged, or the rest is
        odd = np.zeros((len(rows), len(poses.pairs)), np.int64)
        odd[1:] = turns[rows][:-1].cumsum(axis=0) % 2
        state = np.asarray((odd == 1) != (odd.mean(axis=0) > _MINORITY))
        edges = np.flatnonzero((state[1:] != state[:-1]).any(axis=1)) + 1
        for run in np.split(np.arange(len(rows)), edges):
            pairs = np.flatnonzero(state[run[0]])
            if not len(pairs):
                continue
            ends = [rows[e] for e in (run[0] - 1, run[-1]) if 0 <= e < len(rows) - 1]
            certain = max(float(sure[e, pairs].max(initial=0)) for e in ends)
            if certain >= least:
                told[np.ix_(rows[run], poses.pairs[pairs].ravel())] = True
                yield _exchange(poses, rows[run], pairs, certain)


def _turns(poses: Poses3D) -> tuple[np.ndarray, np.ndarray]:
    """(F, P) whether sides change places after a frame, and how much steadier that is."""
    shape = (len(poses), len(poses.pairs))
    turns, sure = np.zeros(shape, bool), np.zeros(shape)
    rows = np.flatnonzero(poses.after >= 0)
    if not len(rows) or not shape[1]:
        return turns, sure
    nexts = poses.after[rows]
    sides = poses.points[:, poses.pairs]
    mine, other = sides[rows], sides[nexts]
    straight = np.linalg.norm(mine - other, axis=-1).sum(axis=-1)
    crossed = np.linalg.norm(mine - other[:, :, ::-1], axis=-1).sum(axis=-1)
    apart = np.linalg.norm(sides[:, :, 0] - sides[:, :, 1], axis=-1) / poses.sizes[:, None]
    known = np.asarray(poses.seen[:, poses.pairs].all(axis=-1))
    judged = known[rows] & known[nexts]
    judged &= np.minimum(apart[rows], apart[nexts]) > _LEAST_APART
    turns[rows] = judged & (crossed < straight / 2)
    sure[rows] = 1 - crossed / np.maximum(straight, _TINY)
    return turns, sure


def _exchange(poses: Poses3D, run: np.ndarray, pairs: np.ndarray, sure: float) -> Finding:
    first, last = poses.frame[run[0]], poses.frame[run[-1]]
    span = f"in frame {first}" if len(run) == 1 else f"in frames {first} to {last}"
    about = f"{span} left and right are where right and left are before and after"
    kind = kind_of_exchange(poses, len(pairs))
    return poses.finding(int(run[0]), kind, sure, poses.pairs[pairs].ravel(), about)


def kind_of_exchange(poses: Poses3D, pairs: int) -> str:
    """What it is if so many pairs are exchanged at once."""
    return "swapped" if pairs >= max(2, _WHOLE * len(poses.pairs)) else "pair swapped"


def mirror_findings(
    poses: Poses3D, told: np.ndarray, prior: float, least: float
) -> Iterator[Finding]:
    """Whole bodies whose left is on the other side than in most poses, seen from inside.

    Args:
        poses: all of them.
        told: (F, K) bool; what is found is marked here.
        prior, least: as in `audit_labels`.
    """
    values, known = _handedness(poses)
    if known.sum() < LEAST_PEOPLE:
        return
    ratio = np.ones(len(poses))
    ratio[known] = mirrored_ratio(values[known])
    sure = prior * ratio / (prior * ratio + 1 - prior)
    free = ~told[:, poses.pairs.ravel()].any(axis=1)
    for pose in np.flatnonzero((sure >= least) & free).tolist():
        told[pose, poses.pairs.ravel()] = True
        about = "the body is the mirror image of the others: its left is where their right is"
        yield poses.finding(pose, "swapped", sure[pose], poses.pairs.ravel(), about)


def _handedness(poses: Poses3D) -> tuple[np.ndarray, np.ndarray]:
    """(F,) volume that is turned inside out by an exchange of all sides, and (F,) known.

    It is spanned by the way across a pair, the way to another pair, and that to a keypoint of
    neither: those whose sign is the same in most poses, such as hips, shoulders and nose.
    """
    none = np.zeros(len(poses)), np.zeros(len(poses), bool)
    single = np.setdiff1d(np.arange(len(poses.names)), poses.pairs)
    if len(poses.pairs) < 2 or not len(single):
        return none
    some = np.arange(0, len(poses), max(1, len(poses) // _LOOKED_AT))
    best, chosen = 0.0, None
    for one in range(len(poses.pairs)):
        for two in range(len(poses.pairs)):
            if one == two:
                continue
            volume, known = _volume(poses, some, one, two, single)
            count = known.sum(axis=0)
            sign = np.where(known, np.sign(volume), 0).sum(axis=0) / np.maximum(count, 1)
            agree = np.where(count >= LEAST_PEOPLE, (1 + np.abs(sign)) / 2, 0)
            size = np.median(np.abs(np.where(known, volume, 0)), axis=0)
            score = np.where(agree >= _AGREE, size, 0)
            if score.max() > best:
                best, chosen = float(score.max()), (one, two, single[[score.argmax()]])
    if chosen is None:
        return none
    volume, known = _volume(poses, np.arange(len(poses)), *chosen)
    return volume[:, 0], known[:, 0]


def _volume(
    poses: Poses3D, rows: np.ndarray, one: int, two: int, single: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(R, S) volumes in cubes of the size, and which are known."""
    first, second = poses.points[rows][:, poses.pairs[[one, two]]].swapaxes(0, 1)
    across, middle = first[:, 1] - first[:, 0], first.mean(axis=1)
    normal = np.cross(across, second.mean(axis=1) - middle)
    ways = poses.points[rows][:, single] - middle[:, None]
    volume = (ways * normal[:, None]).sum(axis=-1) / poses.sizes[rows][:, None] ** 3
    known = poses.seen[rows][:, poses.pairs[[one, two]].ravel()].all(axis=1)
    return volume, known[:, None] & poses.seen[rows][:, single]
