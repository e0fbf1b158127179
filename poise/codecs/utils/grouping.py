"""Grouping of keypoint candidates into people by their embedding tags."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from poise.codecs.arrays import Array
from poise.codecs.utils.assignment import assign_rows
from poise.errors import DataError

__all__ = ["fill_missing", "group_keypoints_by_tags"]

#: Weight of a unit of rounded tag distance against the response of a candidate.
TAG_COST = 100
#: Cost of opening a new group instead of joining one.
NEW_GROUP_COST = 1e10
#: Pixels per step of the search for missing keypoints: keeps the work arrays in the cache.
SEARCH_BLOCK = 1 << 20


def group_keypoints_by_tags(
    vals: Array,
    tags: Array,
    locs: Array,
    keypoint_order: Sequence[int],
    val_thr: float,
    tag_thr: float = 1.0,
    max_groups: int | None = None,
) -> Array:
    """People from candidates: kind by kind, candidates join the group with the nearest tag.

    Associative embedding (Newell 2017, arXiv:1611.05424, section 3.2).

    Args:
        vals: (K, M) responses of the candidates of each keypoint kind.
        tags: (K, M, L) their tags.
        locs: (K, M, 2) their places, output space.
        keypoint_order: all kinds, in the order of grouping: torso first, limbs last.
        val_thr: least response of a candidate.
        tag_thr: a candidate further from all groups founds a new one.
        max_groups: groups returned at most; None for all.

    Returns:
        groups (G, K, 3) float32: x, y, response; zeros where a group lacks a kind.

    Raises:
        DataError: (a ValueError) if `keypoint_order` does not name each kind.
    """
    K = len(vals)
    if len(keypoint_order) != K:
        raise DataError(
            f"keypoint_order has {len(keypoint_order)} entries for {K} keypoints; set "
            "`decode_keypoint_order` to the order in which the kinds are grouped"
        )
    groups = _Groups(K, tags.shape[2])
    for kind in keypoint_order:
        chosen = vals[kind] > val_thr
        if not chosen.any():
            continue
        response = vals[kind][chosen]
        members = np.concatenate((locs[kind][chosen], response[:, None]), axis=1)
        tag = tags[kind][chosen]
        distance = np.linalg.norm(tag[:, None].astype(np.float64) - groups.means(), axis=2)
        cost = np.round(distance) * TAG_COST - response[:, None].astype(np.float64)
        column = _assign(cost)
        near = column < distance.shape[1]
        near[near] = distance[near, column[near]] < tag_thr
        groups.join(kind, members, tag, column, near)
    return groups.people(max_groups)


class _Groups:
    """The groups so far, as arrays with a row per group in the order of their founding.

    A group is known by the first component of its founder's tag: a founder with a tag that is
    known already takes that group over, as in the released decoder.
    """

    def __init__(self, kinds: int, tag_size: int) -> None:
        self.row: dict[float, int] = {}
        self.members = np.zeros((8, kinds, 3), dtype=np.float32)
        self.tag_sum = np.zeros((8, tag_size), dtype=np.float32)
        self.tag_count = np.zeros(8, dtype=np.float32)

    def means(self) -> Array:
        """Mean tags (G, L) of the groups."""
        G = len(self.row)
        return np.asarray(self.tag_sum[:G] / self.tag_count[:G, None])

    def found(self, kind: int, members: Array, tags: Array) -> None:
        """Open a group for each of the members (M, 3) with tags (M, L)."""
        rows = [self.row.setdefault(key, len(self.row)) for key in tags[:, 0].tolist()]
        self._grow(len(self.row))
        # of several founders with one tag the last one stays, as in any indexed store
        self.members[rows, kind] = members
        self.tag_sum[rows] = tags
        self.tag_count[rows] = 1

    def join(self, kind: int, members: Array, tags: Array, column: Array, near: Array) -> None:
        """Add members (M, 3) to the groups `column` (M,) where `near`; the others found groups."""
        keys = tags[:, 0].tolist()
        if any(keys[i] in self.row for i in np.flatnonzero(~near).tolist()):
            # a founder takes over a group that others may join: what comes last counts
            for i, fits in enumerate(near.tolist()):
                if fits:
                    self._add(kind, members[i : i + 1], tags[i : i + 1], column[i : i + 1])
                else:
                    self.found(kind, members[i : i + 1], tags[i : i + 1])
            return
        self._add(kind, members[near], tags[near], column[near])
        self.found(kind, members[~near], tags[~near])

    def _add(self, kind: int, members: Array, tags: Array, rows: Array) -> None:
        self.members[rows, kind] = members
        self.tag_sum[rows] += tags
        self.tag_count[rows] += 1

    def people(self, limit: int | None) -> Array:
        """Members (G, K, 3) of the first `limit` groups."""
        return self.members[: len(self.row)][:limit].copy()

    def _grow(self, size: int) -> None:
        """Make room for `size` groups, at least doubling."""
        have = len(self.members)
        if size > have:
            more = max(size, 2 * have) - have
            for name in ("members", "tag_sum", "tag_count"):
                old = getattr(self, name)
                blank = np.zeros((more, *old.shape[1:]), dtype=old.dtype)
                setattr(self, name, np.concatenate((old, blank)))


def _assign(cost: Array) -> Array:
    """Columns (M,) of the cheapest assignment of M rows; a column >= G stands for a new group."""
    rows, columns = cost.shape
    if rows > columns:
        cost = np.concatenate((cost, np.full((rows, rows - columns), NEW_GROUP_COST)), axis=1)
    return assign_rows(cost)


def fill_missing(
    keypoints: Array, scores: Array, heatmaps: Array, tags: Array
) -> tuple[Array, Array]:
    """Give each group the keypoints it lacks: the best response among pixels with its tag.

    Args:
        keypoints: (N, K, 2) float32, output space.
        scores: (N, K), 0 where the keypoint is missing.
        heatmaps: (K, H, W).
        tags: (L * K, H, W).

    Returns:
        The arrays `keypoints` and `scores`, changed in place.
    """
    N, K = scores.shape
    H, W = heatmaps.shape[1:]
    fields = tags.reshape(-1, K, H * W)
    found = scores > 0
    if found.all() or not N:
        return keypoints, scores
    x = keypoints[..., 0].astype(np.int64).clip(0, W - 1)
    y = keypoints[..., 1].astype(np.int64).clip(0, H - 1)
    # (L, N, K): the tag at each keypoint; (L, N): the mean over those found
    at_keypoints = fields[:, np.arange(K), y * W + x]
    mean = np.where(found, at_keypoints, 0).sum(axis=2) / found.sum(axis=1)
    mean = mean.astype(np.float32)
    responses = heatmaps.reshape(K, H * W)
    person, kind = np.nonzero(~found)
    block = max(1, SEARCH_BLOCK // (H * W))
    for start in range(0, len(person), block):
        n, k = person[start : start + block], kind[start : start + block]
        pixel = _nearest_tag(fields[:, k], mean[:, n], responses[k])
        keypoints[n, k, 0], keypoints[n, k, 1] = pixel % W, pixel // W
        scores[n, k] = responses[k, pixel]
    return keypoints, scores


def _nearest_tag(fields: Array, wanted: Array, responses: Array) -> Array:
    """Pixels (M,) of least rounded tag distance, and of those with the largest response.

    Args:
        fields: (L, M, P) tags of all pixels.
        wanted: (L, M) tags to look for.
        responses: (M, P).
    """
    away = fields - wanted[..., None]
    distance = np.abs(away[0]) if len(away) == 1 else np.sqrt((away * away).sum(axis=0))
    np.rint(distance, out=distance)
    distance *= TAG_COST
    distance -= responses
    return np.asarray(distance.argmin(axis=1))
