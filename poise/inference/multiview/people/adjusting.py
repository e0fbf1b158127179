"""Bundle adjustment with people: cameras, focal lengths, joints and the lengths of limbs at once.

As in Puwein et al. (ACCV 2014) and Takahashi et al. (CVPRW 2018), a limb that keeps its length is
what a square of a board is: it ties the joints of a moment together. These are eliminated (Schur
complement, Triggs et al. 2000, section 6), all moments at once, so a step costs milliseconds and
the covariance of the cameras is what remains; `scipy.optimize.least_squares`, which is used with
boards, knows only iterative solvers for that many numbers and gives no covariance.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from poise._arrays import Array

__all__ = ["Observed", "Settings", "State", "adjust", "covariance"]

#: Standard deviation of the logarithm of a limb's length: keypoints do not lie in the joints.
_LIMB_SPREAD = 0.05
#: Errors, in standard deviations, above which Cauchy's loss lets them count less and less.
_TRUSTED = 2.0
#: Steps at most, and the part of the cost below which a step is the last.
_STEPS, _ENOUGH = 60, 1e-5
#: Standard deviation of the mean logarithm of lengths: holds the scale, which pixels leave open.
_SCALE_SPREAD = 1e-4
#: Logarithm of focal lengths by which cameras of one size differ.
_ALIKE = 0.03
#: Errors of keypoints repeat from moment to moment and are alike within a body, so so many of them
#: say as much as one; what is expected weighs the more.
_REPEATS = 25
#: Numbers of a camera: turn, shift, logarithm of the focal length.
_OWN = 7
_ROWS, _COLUMNS = np.arange(3)[:, None], np.arange(3)[None]


@dataclasses.dataclass(frozen=True)
class Observed:
    """What V cameras see in R rows (a person at a moment) of K keypoints.

    Attributes:
        pixels: (V, R, K, 2) from the principal point, without the lens; anything where unseen.
        spread: (V, R, K) standard deviation, pixels; infinite where unseen.
        people: (R,) number of the person.
        limbs: (L, 2) keypoints whose distance stays.
        kinds: (L,) number of the length.
        times: (R,) number of the frame.
    """

    pixels: Array
    spread: Array
    people: Array
    limbs: Array
    kinds: Array
    times: Array

    def part(self, rows: Array) -> Observed:
        """Some of the rows."""
        return dataclasses.replace(
            self,
            pixels=self.pixels[:, rows],
            spread=self.spread[:, rows],
            people=self.people[rows],
            times=self.times[rows],
        )


@dataclasses.dataclass(frozen=True)
class Settings:
    """What moves.

    Attributes:
        groups: (V,) cameras of one number have one focal length; -1: it stays as it is.
        alike: (V,) cameras of one number have about the same; -1: as it may be.
        guess: (V,) logarithm of the focal length that is expected.
        doubt: standard deviation of that expectation.
    """

    groups: Array
    alike: Array
    guess: Array
    doubt: float


@dataclasses.dataclass(frozen=True)
class State:
    """The numbers that are looked for; the first camera stays.

    Attributes:
        turns, shifts: (V, 3, 3), (V, 3) from the world to the camera.
        focals: (V,) logarithm of pixels.
        lengths: (P, M) logarithm of the lengths of each person's limbs.
        points: (R, K, 3); NaN where there is none.
    """

    turns: Array
    shifts: Array
    focals: Array
    lengths: Array
    points: Array


@dataclasses.dataclass
class _Normal:
    """Normal equations, the joints of each row by themselves; G numbers that all rows share."""

    shared: Array  # (G, G)
    right: Array  # (G,)
    own: Array  # (R, 3 K, 3 K)
    own_right: Array  # (R, 3 K)
    mixed: Array  # (R, 3 K, G)
    row_right: Array  # (R, G)


def adjust(
    seen: Observed, state: State, settings: Settings, *, steps: int = _STEPS
) -> tuple[State, float]:
    """The state at which joints lie where they are seen and limbs keep their lengths; its cost."""
    problem = _Problem(seen, state, settings)
    cost, damping = problem.cost(state), 1e-3
    normal = problem.normal(state)
    for _ in range(steps):
        moved = problem.moved(state, *_solved(normal, damping))
        value = problem.cost(moved)
        if not value < cost:
            damping *= 5
            if damping > 1e8:
                break
            continue
        saved, state, cost = cost - value, moved, value
        damping = max(damping / 5, 1e-9)
        if saved < _ENOUGH * cost:
            break
        normal = problem.normal(state)
    return state, cost


def _solved(normal: _Normal, damping: float) -> tuple[Array, Array]:
    """Steps (G,) and (R, 3 K) of Levenberg and Marquardt."""
    own = normal.own.copy()
    size = np.arange(own.shape[1])
    own[:, size, size] = own[:, size, size] * (1 + damping) + 1e-9
    both = np.concatenate((normal.mixed, normal.own_right[..., None]), -1)
    inner = np.linalg.solve(own, both)
    reduced = normal.shared + damping * np.diag(np.diag(normal.shared))
    reduced = reduced - np.einsum("rig,rih->gh", normal.mixed, inner[..., :-1], optimize=True)
    right = normal.right - np.einsum("rig,ri->g", normal.mixed, inner[..., -1])
    shared = np.linalg.lstsq(reduced, right, rcond=1e-14)[0]
    return shared, inner[..., -1] - inner[..., :-1] @ shared


def covariance(seen: Observed, state: State, settings: Settings, blocks: int) -> Array:
    """(7 V, 7 V) of turns (radians, from the left), shifts and logarithms of focal lengths.

    Errors of neighbouring moments are alike, so whole blocks of time count as one draw (the
    sandwich estimate of clustered data, Liang and Zeger 1986), where that says more than the
    inverse of the normal matrix.
    """
    problem = _Problem(seen, state, settings)
    normal = problem.normal(state)
    # joints of which nothing trusted is left move freely
    size = np.arange(normal.own.shape[1])
    normal.own[:, size, size] *= 1 + 1e-9
    normal.own[:, size, size] += 1e-9
    both = np.concatenate((normal.mixed, normal.own_right[..., None]), -1)
    inner = np.linalg.solve(normal.own, both)
    reduced = normal.shared - np.einsum("rig,rih->gh", normal.mixed, inner[..., :-1], optimize=True)
    plain = np.linalg.pinv(reduced, rcond=1e-13, hermitian=True)
    scores = normal.row_right - np.einsum("rig,ri->rg", normal.mixed, inner[..., -1])
    order = np.argsort(np.argsort(seen.times, kind="stable"), kind="stable")
    block = order * blocks // max(len(order), 1)
    sums = np.zeros((blocks, scores.shape[1]))
    np.add.at(sums, block, scores)
    spread = sums - sums.mean(0)
    middle = spread.T @ spread * blocks / max(blocks - 1, 1)
    clustered = plain @ middle @ plain
    own = np.maximum(np.diag(plain), 1e-300)
    # at least as if errors that repeat had counted once
    factor = np.sqrt(np.maximum(np.diag(clustered) / own, _REPEATS))
    whole = problem.chosen @ (factor[:, None] * plain * factor) @ problem.chosen.T
    count = _OWN * len(state.turns)
    return whole[:count, :count]


class _Problem:
    """Residuals, their slopes and what of the numbers moves."""

    def __init__(self, seen: Observed, state: State, settings: Settings) -> None:
        self.seen, self.settings = seen, settings
        self.known: Array = np.asarray(np.isfinite(state.points).all(-1))
        self.there = np.isfinite(seen.spread) & self.known[None]
        self.inverse = np.where(self.there, 1 / np.where(self.there, seen.spread, 1), 0)
        self.pixels = np.where(self.there[..., None], seen.pixels, 0)
        a, b = seen.limbs.T
        self.tied = self.known[:, a] & self.known[:, b]
        V, (P, M) = len(state.turns), state.lengths.shape
        self.size = _OWN * V + P * M
        self.chosen = self._choice(V, P * M)
        # lengths that are seen hold the scale; others would let it slip
        count = np.zeros((P, M))
        np.add.at(count, (seen.people[:, None], seen.kinds[None]), self.tied)
        self.scale = np.zeros(self.size)
        self.scale[_OWN * V :] = count.ravel() / max(count.sum(), 1)

    def _choice(self, V: int, lengths: int) -> Array:
        """(all, G) matrix from the numbers that move to all of them."""
        groups = [int(g) for g in np.unique(self.settings.groups) if g >= 0]
        columns = []
        for v in range(1, V):
            columns += [_unit(self.size, [_OWN * v + i]) for i in range(6)]
        for group in groups:
            own = np.flatnonzero(self.settings.groups == group)
            columns.append(_unit(self.size, (_OWN * own + 6).tolist()))
        columns += [_unit(self.size, [_OWN * V + i]) for i in range(lengths)]
        return np.stack(columns, 1)

    def moved(self, state: State, shared: Array, own: Array) -> State:
        """The state after a step."""
        from scipy.spatial.transform import Rotation

        V = len(state.turns)
        whole = self.chosen @ shared
        cameras = whole[: _OWN * V].reshape(V, _OWN)
        turns = Rotation.from_rotvec(cameras[:, :3]).as_matrix() @ state.turns
        return State(
            turns,
            state.shifts + cameras[:, 3:6],
            state.focals + cameras[:, 6],
            state.lengths + whole[_OWN * V :].reshape(state.lengths.shape),
            state.points + own.reshape(state.points.shape),
        )

    def _pixel_errors(self, state: State) -> tuple[Array, Array, Array]:
        """Errors (V, R, K, 2) in standard deviations, turned points and camera coordinates."""
        points = np.where(self.known[..., None], state.points, 1.0)
        turned = np.einsum("vij,rkj->vrki", state.turns, points, optimize=True)
        local = turned + state.shifts[:, None, None]
        depth = local[..., 2:]
        focal = np.exp(state.focals)[:, None, None, None]
        flat = local[..., :2] / np.where(depth > 1e-6, depth, np.nan) * focal
        # behind a camera: as wrong as can be, and nothing says where to
        off = np.where(np.isfinite(flat), flat - self.pixels, 1e6)
        return off * self.inverse[..., None], turned, local

    def _limb_errors(self, state: State) -> tuple[Array, Array, Array]:
        """Errors (R, L), differences (R, L, 3) and squared lengths (R, L)."""
        a, b = self.seen.limbs.T
        apart = np.where(self.tied[..., None], state.points[:, a] - state.points[:, b], 1.0)
        square = np.maximum((apart**2).sum(-1), 1e-18)
        wanted = state.lengths[self.seen.people][:, self.seen.kinds]
        return np.where(self.tied, (np.log(square) / 2 - wanted) / _LIMB_SPREAD, 0), apart, square

    def _prior(self, state: State) -> tuple[Array, Array, float]:
        """Errors of what is expected, (n,), their slopes (n, all), and the cost."""
        places = _OWN * np.arange(len(state.turns)) + 6
        settings = self.settings
        rows, errors = [self.scale / _SCALE_SPREAD], [0.0]
        cost = 0.0
        for v in np.flatnonzero(settings.groups >= 0).tolist():
            one = _unit(self.size, [places[v]])
            count = int((settings.groups == settings.groups[v]).sum())
            weight = np.sqrt(_REPEATS) / settings.doubt / np.sqrt(count)
            errors.append((state.focals[v] - settings.guess[v]) * weight)
            cost += errors[-1] ** 2
            rows.append(one * weight)
            same = settings.alike == settings.alike[v]
            if settings.alike[v] >= 0 and same.sum() > 1:
                off = (state.focals[v] - state.focals[same].mean()) / _ALIKE
                # cameras that differ after all do so without pulling at the others
                weight = np.sqrt(_REPEATS / (1 + off**2 / _TRUSTED**2))
                cost += _REPEATS * _TRUSTED**2 * np.log1p(off**2 / _TRUSTED**2)
                errors.append(off * weight)
                rows.append((one - _unit(self.size, places[same]) / same.sum()) * weight / _ALIKE)
        return np.array(errors), np.stack(rows), cost

    def cost(self, state: State) -> float:
        """The sum of all losses."""
        off, _, _ = self._pixel_errors(state)
        limbs, _, _ = self._limb_errors(state)
        square = _TRUSTED**2
        total = square * np.log1p((off**2).sum(-1) / square).sum()
        total += square * np.log1p(limbs**2 / square).sum()
        return float(total) + self._prior(state)[2]

    def normal(self, state: State) -> _Normal:
        R, K = self.known.shape
        own = np.zeros((R, K, 3, K, 3))
        own_right = np.zeros((R, K, 3))
        mixed = np.zeros((R, K, 3, self.size))
        row_right = np.zeros((R, self.size))
        shared = np.zeros((self.size, self.size))
        self._add_pixels(state, own, own_right, mixed, row_right, shared)
        self._add_limbs(state, own, own_right, mixed, row_right, shared)
        # what nobody knows does not move
        r, k = np.nonzero(~self.known)
        own[r, k, :, k] += np.eye(3)
        right = row_right.sum(0)
        errors, slopes, _ = self._prior(state)
        shared += slopes.T @ slopes
        right -= slopes.T @ errors
        pick = self.chosen
        return _Normal(
            pick.T @ shared @ pick,
            pick.T @ right,
            own.reshape(R, 3 * K, 3 * K),
            own_right.reshape(R, 3 * K),
            mixed.reshape(R, 3 * K, -1) @ pick,
            row_right @ pick,
        )

    def _add_pixels(
        self,
        state: State,
        own: Array,
        own_right: Array,
        mixed: Array,
        row_right: Array,
        shared: Array,
    ) -> None:
        off, turned, local = self._pixel_errors(state)
        weight = 1 / (1 + (off**2).sum(-1) / _TRUSTED**2)
        weight = np.where(local[..., 2] > 1e-6, weight, 0)
        keypoint = np.arange(self.known.shape[1])
        for v, focal in enumerate(np.exp(state.focals)):
            scale = self.inverse[v] * np.sqrt(weight[v])
            depth = np.where(local[v, ..., 2] > 1e-6, local[v, ..., 2], 1)
            x, y = local[v, ..., 0] / depth, local[v, ..., 1] / depth
            slope = np.zeros((*depth.shape, 2, 3))
            slope[..., 0, 0] = slope[..., 1, 1] = focal / depth
            slope[..., 0, 2], slope[..., 1, 2] = -focal * x / depth, -focal * y / depth
            slope *= scale[..., None, None]
            bent = np.zeros((*depth.shape, 2, _OWN))
            # a small turn w moves a turned point p by w x p
            bent[..., :3] = np.cross(turned[v][..., None, :], slope)
            bent[..., 3:6] = slope
            bent[..., 6] = focal * np.stack((x, y), -1) * scale[..., None]
            inner = slope @ state.turns[v]
            error = -off[v] * np.sqrt(weight[v])[..., None]
            columns = slice(_OWN * v, _OWN * (v + 1))
            own[:, keypoint, :, keypoint] += np.einsum("rkci,rkcj->krij", inner, inner)
            own_right += np.einsum("rkci,rkc->rki", inner, error)
            mixed[..., columns] += np.einsum("rkci,rkcg->rkig", inner, bent)
            row_right[:, columns] += np.einsum("rkcg,rkc->rg", bent, error)
            flat = bent.reshape(-1, _OWN)
            shared[columns, columns] += flat.T @ flat

    def _add_limbs(
        self,
        state: State,
        own: Array,
        own_right: Array,
        mixed: Array,
        row_right: Array,
        shared: Array,
    ) -> None:
        errors, apart, square = self._limb_errors(state)
        weight = np.where(self.tied, 1 / (1 + errors**2 / _TRUSTED**2), 0)
        slope = apart / square[..., None] / _LIMB_SPREAD
        M = state.lengths.shape[1]
        start = _OWN * len(state.turns)
        rows = np.arange(len(errors))
        for number, ((a, b), kind) in enumerate(zip(self.seen.limbs, self.seen.kinds, strict=True)):
            u, w, e = slope[:, number], weight[:, number], -errors[:, number]
            outer = np.einsum("r,ri,rj->rij", w, u, u)
            own[:, a, :, a] += outer
            own[:, b, :, b] += outer
            own[:, a, :, b] -= outer
            own[:, b, :, a] -= outer
            pull = (w * e)[:, None] * u
            own_right[:, a] += pull
            own_right[:, b] -= pull
            column = start + self.seen.people * M + kind
            across = -(w / _LIMB_SPREAD)[:, None] * u
            mixed[rows, a, :, column] += across
            mixed[rows, b, :, column] -= across
            np.add.at(row_right, (rows, column), -w * e / _LIMB_SPREAD)
            np.add.at(shared, (column, column), w / _LIMB_SPREAD**2)


def _unit(size: int, places: object) -> Array:
    row = np.zeros(size)
    row[list(places)] = 1  # type: ignore[call-overload]
    return row
