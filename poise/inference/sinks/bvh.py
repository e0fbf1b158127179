"""BVH: a skeleton and its joint angles, as Blender and other animation programs read them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from poise._arrays import Array
from poise.errors import DataError
from poise.inference.sinks.spool import Motion, PersonSink, right_handed, y_up

__all__ = ["BvhSink", "Skeleton", "joint_rotations"]

_CENTIMETRES = 100.0
#: Order in which the three angles of a joint are given and applied.
_ORDER = "ZXY"
#: Rest pose of H36M's bones: arms sideways, legs down; x to the picture's right, y up.
_T_POSE = {
    "right_hip": (-1, 0, 0), "left_hip": (1, 0, 0), "right_knee": (0, -1, 0),
    "left_knee": (0, -1, 0), "right_foot": (0, -1, 0), "left_foot": (0, -1, 0),
    "spine": (0, 1, 0), "thorax": (0, 1, 0), "neck_base": (0, 1, 0), "head": (0, 1, 0),
    "left_shoulder": (1, 0, 0), "left_elbow": (1, 0, 0), "left_wrist": (1, 0, 0),
    "right_shoulder": (-1, 0, 0), "right_elbow": (-1, 0, 0), "right_wrist": (-1, 0, 0),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Skeleton:
    """A tree of joints.

    Attributes:
        names: of the K joints.
        parents: (K,) index of the parent of each; -1 for the root.
        offsets: (K, 3) from the parent in the rest pose; of the root zero.
    """

    names: Sequence[str]
    parents: Array
    offsets: Array

    @property
    def order(self) -> list[int]:
        """Joints, parents before children, as a BVH file lists them."""
        out: list[int] = []
        stack = [int(np.flatnonzero(self.parents < 0)[0])]
        while stack:
            out.append(stack.pop())
            stack += reversed(self.children(out[-1]))
        return out

    def children(self, joint: int) -> list[int]:
        """Children of a joint."""
        return np.flatnonzero(self.parents == joint).tolist()

    @classmethod
    def of(cls, names: Sequence[str], links: Sequence[tuple[int, int]], poses: Array) -> Skeleton:
        """Skeleton with the mean bone lengths of poses (T, K, 3).

        The rest pose stands with its arms sideways where the joints are H36M's; else it is the
        first pose.

        Raises:
            DataError: the links are no tree over all joints.
        """
        parents = _tree(len(names), links)
        child = np.flatnonzero(parents >= 0)
        bones = poses[:, child] - poses[:, parents[child]]
        lengths = np.nanmean(np.linalg.norm(bones, axis=-1), axis=0)
        ends = [names[c] for c in child.tolist()]
        if all(name in _T_POSE for name in ends):
            ways: Array = np.array([_T_POSE[name] for name in ends]).astype(float)
        else:
            first = poses[np.isfinite(poses).all((1, 2)).argmax()]
            ways = first[child] - first[parents[child]]
        offsets = np.zeros((len(names), 3))
        size = np.linalg.norm(ways, axis=-1, keepdims=True)
        offsets[child] = ways / np.where(size > 0, size, 1) * lengths[:, None]
        return cls(names, parents, offsets)


class BvhSink(PersonSink):
    """`NAME.bvh` of a person, `NAME_ID.bvh` of several: centimetres, y up, T pose at rest.

    Bone lengths are the means over the video, so joints stand where the lifter put them up to
    the change of the lengths. A joint that is not known follows its neighbour as it last did; in
    frames without the person the last angles stay.
    """

    suffix = ".bvh"

    def encode(self, name: str, motion: Motion, identity: int) -> bytes:
        """Skeleton of the mean bone lengths, and its angles in each frame."""
        _, points, _ = motion.track(identity)
        poses = y_up(right_handed(points.astype(np.float64), motion.space)) * _CENTIMETRES
        poses = _held(_completed(poses, _tree(len(motion.names), motion.links)))
        skeleton = Skeleton.of(motion.names, motion.links, poses)
        return encode_bvh(skeleton, poses, motion.fps).encode()


def joint_rotations(skeleton: Skeleton, poses: Array) -> Array:
    """Rotation of each joint against its parent that brings the rest pose to poses.

    A joint with several children takes the rotation that fits all of them best (Kabsch 1976), one
    with a single child the shortest turn from where its parent leaves it, so bones do not twist.

    Args:
        skeleton: K joints.
        poses: (T, K, 3) in the unit of the skeleton.

    Returns:
        (T, K, 3, 3); the identity for joints without children.
    """
    T, K = poses.shape[:2]
    whole = np.broadcast_to(np.eye(3), (T, K, 3, 3)).copy()
    for joint in skeleton.order:
        parent = skeleton.parents[joint]
        before = whole[:, parent] if parent >= 0 else np.broadcast_to(np.eye(3), (T, 3, 3))
        children = skeleton.children(joint)
        rest = skeleton.offsets[children]
        bones = poses[:, children] - poses[:, [joint]]
        if len(children) > 1 and np.linalg.matrix_rank(rest) > 1:
            whole[:, joint] = _best_rotation(rest, bones)
        elif children:
            whole[:, joint] = _shortest_turn(before @ rest[0], bones[:, 0]) @ before
        else:
            whole[:, joint] = before
    local = whole.copy()
    child = np.flatnonzero(skeleton.parents >= 0)
    local[:, child] = np.swapaxes(whole[:, skeleton.parents[child]], -1, -2) @ whole[:, child]
    return local


def encode_bvh(skeleton: Skeleton, poses: Array, fps: float) -> str:
    """Text of a BVH file.

    Args:
        skeleton: of the person.
        poses: (T, K, 3) in its unit, y up; no NaN.
        fps: frames a second.
    """
    lines: list[str] = ["HIERARCHY"]
    root = skeleton.order[0]
    _write_joint(lines, skeleton, root, 0)
    # leaves are end sites, which have no angles
    moving = [j for j in skeleton.order if skeleton.children(j)]
    local = joint_rotations(skeleton, poses)[:, moving]
    turns = Rotation.from_matrix(local.reshape(-1, 3, 3)).as_euler(_ORDER, degrees=True)
    angles = np.unwrap(turns.reshape(len(poses), -1), axis=0, period=360)
    rows = np.concatenate((poses[:, root], angles), axis=1)
    lines += ["MOTION", f"Frames: {len(poses)}", f"Frame Time: {1 / fps:.8f}"]
    lines += [" ".join(f"{v:.5f}" for v in row) for row in rows.tolist()]
    return "\n".join(lines) + "\n"


def _write_joint(lines: list[str], skeleton: Skeleton, joint: int, depth: int) -> None:
    indent = "\t" * depth
    children = skeleton.children(joint)
    is_root = skeleton.parents[joint] < 0
    kind = "ROOT" if is_root else "JOINT"
    offset = " ".join(f"{v:.5f}" for v in skeleton.offsets[joint])
    if not children:
        # the format has no name for the end of a limb
        lines += [f"{indent}End Site", f"{indent}{{", f"{indent}\tOFFSET {offset}", f"{indent}}}"]
        return
    angles = " ".join(f"{axis}rotation" for axis in _ORDER)
    channels = f"6 Xposition Yposition Zposition {angles}" if is_root else f"3 {angles}"
    lines += [f"{indent}{kind} {skeleton.names[joint]}", f"{indent}{{"]
    lines += [f"{indent}\tOFFSET {offset}", f"{indent}\tCHANNELS {channels}"]
    for child in children:
        _write_joint(lines, skeleton, child, depth + 1)
    lines.append(f"{indent}}}")


def _tree(count: int, links: Sequence[tuple[int, int]]) -> Array:
    """Parents (K,) of joints; the first joint is the root."""
    parents = np.full(count, -1)
    reached, waiting = {0}, [0]
    while waiting:
        joint = waiting.pop(0)
        for pair in links:
            if joint in pair:
                other = pair[0] if pair[1] == joint else pair[1]
                if other not in reached:
                    reached.add(other)
                    waiting.append(other)
                    parents[other] = joint
    if len(reached) != count:
        raise DataError(
            f"BVH needs a skeleton that hangs together; {count - len(reached)} of {count} joints "
            "are not linked to the first one"
        )
    return parents


def _completed(poses: Array, parents: Array) -> Array:
    """Poses (T, K, 3) in which unknown joints stand where their last known bones lead.

    Several cameras may lose a joint. One that is never known stands at its neighbour; frames
    without any joint stay NaN.
    """
    child = np.flatnonzero(parents >= 0)
    bones = _carried(poses[:, child] - poses[:, parents[child]])
    filled = poses.copy()
    for _ in range(len(parents)):
        if np.isfinite(filled).all():
            break
        for c, bone in zip(child.tolist(), np.moveaxis(bones, 1, 0), strict=True):
            p = parents[c]
            down, up = filled[:, p] + bone, filled[:, c] - bone
            filled[:, c] = np.where(np.isfinite(filled[:, c]), filled[:, c], down)
            filled[:, p] = np.where(np.isfinite(filled[:, p]), filled[:, p], up)
    return filled


def _carried(bones: Array) -> Array:
    """Bones (T, C, 3), where unknown the last known one, else the first, else nothing."""
    known = np.isfinite(bones).all(-1)
    times = np.arange(len(bones))[:, None]
    last = np.maximum.accumulate(np.where(known, times, -1), axis=0)
    place = np.where(last < 0, known.argmax(0), last)
    return np.nan_to_num(np.take_along_axis(bones, place[..., None], 0))


def _held(poses: Array) -> Array:
    """Poses without NaN: the last complete one stays, the first one stands before it."""
    whole = np.isfinite(poses).all((1, 2))
    if not whole.any():
        raise DataError("no frame has all joints, which a skeleton needs")
    place = np.maximum.accumulate(np.where(whole, np.arange(len(poses)), -1))
    return poses[np.where(place < 0, whole.argmax(), place)]


def _best_rotation(rest: Array, bones: Array) -> Array:
    """(T, 3, 3) that turn rest (C, 3) as near as can be to bones (T, C, 3)."""
    U, _, Vt = np.linalg.svd(np.einsum("tci,cj->tij", bones, rest))
    sign = np.sign(np.linalg.det(U @ Vt))
    U[..., -1] *= sign[:, None]
    return U @ Vt


def _shortest_turn(start: Array, end: Array) -> Array:
    """(T, 3, 3) that turn vectors (T, 3) onto others by the shortest way."""
    a = start / np.maximum(np.linalg.norm(start, axis=-1, keepdims=True), 1e-12)
    b = end / np.maximum(np.linalg.norm(end, axis=-1, keepdims=True), 1e-12)
    axis = np.cross(a, b)
    cosine = (a * b).sum(-1)
    # opposite vectors have no shortest way: turn about any axis across
    across = np.cross(a, np.eye(3)[np.abs(a).argmin(-1)])
    across /= np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-12)
    sine = np.linalg.norm(axis, axis=-1)
    unit = np.where((sine > 1e-9)[:, None], axis / np.maximum(sine, 1e-12)[:, None], across)
    return Rotation.from_rotvec(unit * np.arctan2(sine, cosine)[:, None]).as_matrix()
