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
#: Depth below which a point counts as behind a camera, which is as wrong as can be.
_BEHIND, _WRONG = 1e-6, 1e6


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


@dataclasses.dataclass(frozen=True)
class _Linear:
    """Weighted errors and their slopes: E of each row, n of what is expected.

    Attributes:
        missing: (R, E) what a step should add to the errors.
        own: (R, E, 3 K) slopes along the joints of the row.
        shared: (R, E, G) and along what all rows share.
        expected, missed: (n, G), (n,) the same of what is expected of the shared numbers.
    """

    missing: Array
    own: Array
    shared: Array
    expected: Array
    missed: Array


def adjust(seen: Observed, state: State, settings: Settings) -> tuple[State, float]:
    """The state at which joints lie where they are seen and limbs keep their lengths; its cost."""
    problem = _Problem(seen, state, settings)
    cost, damping = problem.cost(state), 1e-3
    linear = problem.linear(state)
    for _ in range(_STEPS):
        matrix, scores, inner = _eliminated(linear, damping)
        right = scores.sum(0) + linear.expected.T @ linear.missed
        shared = np.linalg.lstsq(matrix, right, rcond=1e-14)[0]
        moved = problem.moved(state, shared, inner[..., -1] - inner[..., :-1] @ shared)
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
        linear = problem.linear(state)
    return state, cost


def _eliminated(linear: _Linear, damping: float) -> tuple[Array, Array, Array]:
    """Normal equations of the shared numbers, at joints that follow.

    Returns:
        matrix: (G, G).
        scores: (R, G) each row's part of the right side.
        inner: (R, 3 K, G + 1) the steps of joints per shared number, and without any.
    """
    turned = linear.own.transpose(0, 2, 1)
    own = turned @ linear.own
    size = np.arange(own.shape[1])
    # joints of which nothing trusted is left do not move
    own[:, size, size] = own[:, size, size] * (1 + damping) + 1e-9
    both = np.concatenate((linear.shared, linear.missing[..., None]), -1)
    inner = np.linalg.solve(own, turned @ both)
    left = linear.shared.transpose(0, 2, 1) @ (both - linear.own @ inner)
    whole = (linear.shared**2).sum((0, 1)) + (linear.expected**2).sum(0)
    matrix = left[..., :-1].sum(0) + linear.expected.T @ linear.expected
    return matrix + damping * np.diag(whole), left[..., -1], inner


def covariance(seen: Observed, state: State, settings: Settings, blocks: int) -> Array:
    """(7 V, 7 V) of turns (radians, from the left), shifts and logarithms of focal lengths.

    Errors of neighbouring moments are alike, so whole blocks of time count as one draw (the
    sandwich estimate of clustered data, Liang and Zeger 1986), where that says more than the
    inverse of the normal matrix.
    """
    problem = _Problem(seen, state, settings)
    matrix, scores, _ = _eliminated(problem.linear(state), 1e-9)
    plain = np.linalg.pinv(matrix, rcond=1e-13, hermitian=True)
    order = np.argsort(np.argsort(seen.times, kind="stable"), kind="stable")
    block = order * blocks // max(len(order), 1)
    sums = np.zeros((blocks, scores.shape[1]))
    np.add.at(sums, block, scores)
    clustered = plain @ np.cov(sums.T, bias=False) @ plain * blocks
    own = np.maximum(np.diag(plain), 1e-300)
    # at least as if errors that repeat had counted once
    factor = np.sqrt(np.maximum(np.diag(clustered) / own, _REPEATS))
    whole = problem.chosen @ (factor[:, None] * plain * factor) @ problem.chosen.T
    count = _OWN * len(state.turns)
    return whole[:count, :count]


class _Problem:
    """Errors, their slopes and what of the numbers moves."""

    def __init__(self, seen: Observed, state: State, settings: Settings) -> None:
        self.seen, self.settings = seen, settings
        self.known: Array = np.asarray(np.isfinite(state.points).all(-1))
        self.inverse = np.where(self.known, 1 / seen.spread, 0)
        self.pixels = np.where(self.inverse[..., None] > 0, seen.pixels, 0)
        a, b = seen.limbs.T
        self.tied = self.known[:, a] & self.known[:, b]
        V, (P, M) = len(state.turns), state.lengths.shape
        self.size = _OWN * V + P * M
        self.chosen = self._choice(V)
        # lengths that are seen hold the scale; others would let it slip
        count = np.zeros((P, M))
        np.add.at(count, (seen.people[:, None], seen.kinds[None]), self.tied)
        self.scale = np.zeros(self.size)
        self.scale[_OWN * V :] = count.ravel() / max(count.sum(), 1)

    def _choice(self, V: int) -> Array:
        """(all, G) matrix from the numbers that move to all of them."""
        every, groups = np.eye(self.size), self.settings.groups
        focals = every[:, 6 : _OWN * V : _OWN]
        parts = [every[:, _OWN * v : _OWN * v + 6] for v in range(1, V)]
        parts += [
            focals[:, groups == g].sum(1, keepdims=True) for g in np.unique(groups[groups >= 0])
        ]
        return np.concatenate([*parts, every[:, _OWN * V :]], 1)

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
        before = local[..., 2:] > _BEHIND
        flat = local[..., :2] / np.where(before, local[..., 2:], 1)
        flat = flat * np.exp(state.focals)[:, None, None, None]
        off = np.where(before, flat - self.pixels, _WRONG)
        return off * self.inverse[..., None], turned, local

    def _limb_errors(self, state: State) -> tuple[Array, Array]:
        """Errors (R, L) and their slopes along the first end (R, L, 3)."""
        a, b = self.seen.limbs.T
        apart = np.where(self.tied[..., None], state.points[:, a] - state.points[:, b], 1.0)
        square = np.maximum((apart**2).sum(-1), 1e-18)
        wanted = state.lengths[self.seen.people][:, self.seen.kinds]
        errors = np.where(self.tied, (np.log(square) / 2 - wanted) / _LIMB_SPREAD, 0)
        return errors, apart / square[..., None] / _LIMB_SPREAD

    def _expected(self, state: State) -> tuple[Array, Array, float]:
        """Errors of what is expected, (n,), their slopes (n, all), and the cost."""
        guess, groups, alike = self.settings.guess, self.settings.groups, self.settings.alike
        slopes = np.eye(self.size)[6 : _OWN * len(groups) : _OWN]
        free = groups >= 0
        weight = np.sqrt(_REPEATS / np.bincount(groups[free])[groups[free]]) / self.settings.doubt
        off = (state.focals - guess)[free] * weight
        same = (alike[:, None] == alike) & (alike >= 0)
        apart = np.diag(alike >= 0) - same / np.maximum(same.sum(1, keepdims=True), 1)
        # cameras that differ after all do so without pulling at the others
        square = (apart @ state.focals / _ALIKE) ** 2
        pull = np.sqrt(_REPEATS * _trust(square)) / _ALIKE
        errors = (np.zeros(1), off, apart @ state.focals * pull)
        rows = (
            self.scale[None] / _SCALE_SPREAD,
            slopes[free] * weight[:, None],
            apart @ slopes * pull[:, None],
        )
        cost = float((off**2).sum() + _REPEATS * _loss(square).sum())
        return np.concatenate(errors), np.concatenate(rows), cost

    def cost(self, state: State) -> float:
        """The sum of all losses."""
        pixels = (self._pixel_errors(state)[0] ** 2).sum(-1)
        limbs = self._limb_errors(state)[0] ** 2
        return float(_loss(pixels).sum() + _loss(limbs).sum()) + self._expected(state)[2]

    def linear(self, state: State) -> _Linear:
        """All errors, and how they change."""
        pixels, limbs = self._linear_pixels(state), self._linear_limbs(state)
        missing, own, shared = (
            np.concatenate(parts, 1) for parts in zip(pixels, limbs, strict=True)
        )
        errors, slopes, _ = self._expected(state)
        return _Linear(missing, own, shared @ self.chosen, slopes @ self.chosen, -errors)

    def _linear_pixels(self, state: State) -> tuple[Array, Array, Array]:
        off, turned, local = self._pixel_errors(state)
        V, R, K, _ = off.shape
        before = local[..., 2] > _BEHIND
        # nothing says where to, behind a camera
        weight = np.where(before, np.sqrt(_trust((off**2).sum(-1))), 0)
        depth = np.where(before, local[..., 2], 1)
        flat = local[..., :2] / depth[..., None]
        focal = np.exp(state.focals)[:, None, None]
        slope = np.zeros((V, R, K, 2, 3))
        slope[..., 0, 0] = slope[..., 1, 1] = 1
        slope[..., 2] = -flat
        slope *= (focal / depth * self.inverse * weight)[..., None, None]
        # a small turn w moves a turned point p by w x p
        turn = np.cross(turned[..., None, :], slope)
        zoom = flat * (focal * self.inverse * weight)[..., None]
        camera = np.concatenate((turn, slope, zoom[..., None]), -1)
        own = np.zeros((R, V, K, 2, K, 3))
        every = np.arange(K)
        inner = slope @ state.turns[:, None, None]
        own[:, :, every, :, every] = inner.transpose(2, 1, 0, 3, 4)
        shared = np.zeros((R, V, K, 2, self.size))
        for v in range(V):
            shared[:, v, ..., _OWN * v : _OWN * (v + 1)] = camera[v]
        missing = -(off * weight[..., None]).transpose(1, 0, 2, 3)
        return missing.reshape(R, -1), own.reshape(R, -1, 3 * K), shared.reshape(R, -1, self.size)

    def _linear_limbs(self, state: State) -> tuple[Array, Array, Array]:
        errors, slope = self._limb_errors(state)
        (R, K), (a, b) = self.known.shape, self.seen.limbs.T
        weight = np.where(self.tied, np.sqrt(_trust(errors**2)), 0)
        own = np.zeros((R, len(a), K, 3))
        every = np.arange(len(a))
        own[:, every, a] = slope * weight[..., None]
        own[:, every, b] = -slope * weight[..., None]
        shared = np.zeros((R, len(a), self.size))
        first = _OWN * len(state.turns) + self.seen.people * state.lengths.shape[1]
        columns = first[:, None] + self.seen.kinds
        shared[np.arange(R)[:, None], every, columns] = -weight / _LIMB_SPREAD
        return -errors * weight, own.reshape(R, -1, 3 * K), shared


def _loss(square: Array) -> Array:
    """Cauchy's, of squared errors in standard deviations."""
    return np.asarray(_TRUSTED**2 * np.log1p(square / _TRUSTED**2))


def _trust(square: Array) -> Array:
    """What such an error's square weighs beside the loss."""
    return np.asarray(1 / (1 + square / _TRUSTED**2))
