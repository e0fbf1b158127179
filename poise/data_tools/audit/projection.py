"""Where the picture shows 3D poses: by the file's camera, else by one that is fitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from poise.datasets.people import extent
from poise.errors import DataError
from poise.geometry import SimpleCamera

__all__ = ["Projection", "project_poses", "spans"]

#: a camera fits where half of all keypoints are nearer than that; parts of the person's size
FITS = 0.1
#: so many poses are enough to see which coordinates a file has, and to fit a camera
_LOOKED_AT = 2000
#: keypoints of a video that a camera can be fitted to
_LEAST_POINTS = 50
#: of poses in the camera's coordinates, so much is in front of it
_AHEAD = 0.9
#: rounds in which the worst tenth is left out
_ROUNDS = 3
_TINY = 1e-9


@dataclass
class Projection:
    """Projected poses.

    Attributes:
        points: (F, K, 2) image space; NaN where it is not known.
        depth: (F, K) from the camera, in the file's unit; NaN where it is not known.
        about: what was taken, in a few words.
        median: distance to the 2D labels, pixels; NaN without any. share: in parts of the size.
    """

    points: np.ndarray
    depth: np.ndarray
    about: str
    median: float = float("nan")
    share: float = float("nan")

    @property
    def fits(self) -> bool:
        """Whether single keypoints can be judged by it."""
        return self.share < FITS


def spans(flat: np.ndarray) -> np.ndarray:
    """(F,) longer side of what 2D labels (F, K, 2) span, pixels; NaN where none are."""
    known = np.isfinite(flat).all(axis=-1)
    low, high = extent(flat, known)
    found: np.ndarray = np.where(known.any(axis=1), (high - low).max(axis=1), np.nan)
    return np.where(found > 1, found, np.nan)


def project_poses(
    points: np.ndarray,
    seen: np.ndarray,
    flat: np.ndarray,
    cameras: Sequence[Mapping[str, Any] | None],
    video: np.ndarray,
) -> Projection | None:
    """Poses as the picture shows them.

    Files do not say whether poses are in the camera's coordinates, in the world's, or pixels with a
    depth: what fits the 2D labels is taken. Without a camera one is fitted to each video, with
    poses in the camera's coordinates.

    Args:
        points: (F, K, 3). seen: (F, K) bool. flat: (F, K, 2) image space or NaN.
        cameras: F parameters as `SimpleCamera` takes them, or None.
        video: (F,) number of each one's video.
    """
    given: list[Projection] = []
    if not any(camera is None for camera in cameras):
        given.append(_projected(points, seen, cameras, world=False))
        if all("R" in camera and "T" in camera for camera in cameras if camera):
            given.append(_projected(points, seen, cameras, world=True))
    given = [_measured(found, flat) for found in given]
    given.sort(key=lambda found: np.nan_to_num(found.share, nan=np.inf))
    pixels = _measured(_pixels(points, seen), flat)
    if pixels.fits and not any(found.fits for found in given):
        return pixels
    if given:
        return given[0]
    fitted = _fitted(points, seen, flat, video)
    return fitted and _measured(fitted, flat)


def _pixels(points: np.ndarray, seen: np.ndarray) -> Projection:
    shown = np.where(seen[..., None], points[..., :2], np.nan)
    return Projection(shown, np.full(seen.shape, np.nan), "poses in pixels, with a depth")


def _projected(
    points: np.ndarray,
    seen: np.ndarray,
    cameras: Sequence[Mapping[str, Any] | None],
    *,
    world: bool,
) -> Projection:
    """By the cameras of the file, each of which has many frames."""
    shown, depth = np.full((*points.shape[:2], 2), np.nan), np.full(points.shape[:2], np.nan)
    groups: dict[Any, list[int]] = {}
    for place, camera in enumerate(cameras):
        groups.setdefault(_key(camera or {}), []).append(place)
    for rows in groups.values():
        camera = SimpleCamera(_parameters(cameras[rows[0]] or {}, world=world))
        own = camera.world_to_camera(points[rows]) if world else points[rows]
        depth[rows] = np.where(seen[rows], own[..., 2], np.nan)
        ahead = own[..., 2] > _TINY
        safe = np.where(ahead[..., None], own, 1.0)
        pixels = camera.camera_to_pixel(safe)
        shown[rows] = np.where((ahead & seen[rows])[..., None], pixels, np.nan)
    where = "the world's" if world else "the camera's coordinates"
    return Projection(shown, depth, f"camera of the file, poses in {where}")


def _key(camera: Mapping[str, Any]) -> tuple[Any, ...]:
    """The same for the same parameters; records may have their own copy of them."""
    return tuple((name, np.asarray(camera[name]).tobytes()) for name in sorted(camera))


def _parameters(camera: Mapping[str, Any], *, world: bool) -> dict[str, Any]:
    """What `SimpleCamera` takes: focal length and centre before a matrix of another unit."""
    chosen = {key: camera[key] for key in ("k", "p") if key in camera}
    if "f" in camera and "c" in camera:
        chosen |= {key: np.reshape(camera[key], (2, 1)) for key in ("f", "c")}
    elif "K" in camera:
        chosen["K"] = np.asarray(camera["K"])[:2]
    else:
        raise DataError(
            f"a camera needs f and c, or K, to be compared with 2D labels; it has {sorted(camera)}"
        )
    if world:
        return {**chosen, "R": camera["R"], "T": np.reshape(camera["T"], (3, 1))}
    return {**chosen, "R": np.eye(3), "T": np.zeros((3, 1))}


def _fitted(
    points: np.ndarray, seen: np.ndarray, flat: np.ndarray, video: np.ndarray
) -> Projection | None:
    """By a pinhole for each video: u = f x / z + c, and the same for v."""
    known = seen & np.isfinite(flat).all(axis=-1)
    if not known.any():
        return None
    if (points[known][:, 2] > 0).mean() <= _AHEAD:
        # around a root, or in the world: nothing says how a camera sees them
        return None
    depth = points[..., 2]
    shown = np.full(flat.shape, np.nan)
    for number in np.unique(video):
        rows = np.flatnonzero(video == number)
        fit = rows[:: max(1, len(rows) // _LOOKED_AT)]
        used = known[fit] & (depth[fit] > _TINY)
        if used.sum() < _LEAST_POINTS:
            continue
        ahead = depth[rows] > _TINY
        rays = points[rows, :, :2] / np.where(ahead, depth[rows], 1)[..., None]
        pixels = np.stack(
            [
                _line(points[fit][used][:, a] / depth[fit][used], flat[fit][used][:, a], rays, a)
                for a in (0, 1)
            ],
            axis=-1,
        )
        shown[rows] = np.where((ahead & seen[rows])[..., None], pixels, np.nan)
    return Projection(shown, np.where(seen, depth, np.nan), "a fitted camera")


def _line(ray: np.ndarray, pixel: np.ndarray, rays: np.ndarray, axis: int) -> np.ndarray:
    """(R, K) pixels of all rays by the line through (M,) rays and pixels, without the worst."""
    kept = np.ones(len(ray), bool)
    design = np.stack([ray, np.ones(len(ray))], axis=1)
    slope, offset = 0.0, 0.0
    for _ in range(_ROUNDS):
        (slope, offset), *_ = np.linalg.lstsq(design[kept], pixel[kept], rcond=None)
        error = np.abs(design @ (slope, offset) - pixel)
        kept = error <= np.quantile(error, 0.9)
    result: np.ndarray = rays[..., axis] * slope + offset
    return result


def _measured(found: Projection, flat: np.ndarray) -> Projection:
    """The same with its usual distance to the 2D labels."""
    away = np.linalg.norm(found.points - flat, axis=-1)
    known = np.isfinite(away)
    if known.any():
        found.median = float(np.median(away[known]))
        share = (away / spans(flat)[:, None])[known]
        share = share[np.isfinite(share)]
        found.share = float(np.median(share)) if len(share) else float("nan")
    return found
