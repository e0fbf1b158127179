"""What is too little for a calibration, and what to do about it, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from poise._arrays import Array
from poise._words import counted
from poise.errors import DataError
from poise.geometry.camera_model import Camera
from poise.inference.multiview.people.report import Accuracy
from poise.inference.multiview.tracks import Track
from poise.inference.multiview.views import View

__all__ = [
    "check_agreement",
    "check_angles",
    "check_result",
    "check_tracks",
    "no_pair",
    "not_joined",
]

#: What to film, in words.
_ADVICE = (
    "film one person who walks about for 20 seconds or more, to all sides and in full view of two "
    "cameras at least"
)
#: Part of the keypoints of two cameras that fit together: made people give 0.88 and more, two
#: different ones below 0.5, which is refused.
_LITTLE_AGREEMENT = 0.8
#: Degrees between the rays of two cameras that are too few, and that are few.
_LEAST_ANGLE, _SMALL_ANGLE = 2.0, 6.0
#: Degrees, parts of the distance and of a focal length that are too unsure to be written.
_WORST_TURN, _WORST_PLACE, _WORST_FOCAL = 6.0, 0.15, 0.15
#: Metres of deviation from the middle place below which somebody hardly walks about.
_LITTLE_WAY = 0.3
#: The same of keypoints, below which nobody moves at all.
_STILL = 0.1
#: Error in parts of the people's size above which a camera does not fit.
_WORST_ERROR = 0.06


def check_tracks(views: Sequence[View], tracks: Sequence[Sequence[Track]]) -> None:
    """See that somebody is in all views for a while.

    Raises:
        DataError: nobody is.
    """
    for view, own in zip(views, tracks, strict=True):
        if not own:
            seen = sum(len(s.keypoints) > 0 for s in view.frames.values())
            raise DataError(
                f"{view.name}: nobody is followed for 10 frames with sure keypoints (somebody is "
                f"in {seen} of {len(view.frames)}); {_ADVICE}"
            )


def no_pair(
    names: Sequence[str], tracks: Sequence[Sequence[Track]], offsets: Sequence[int], part: float
) -> DataError:
    """No two cameras see the same.

    Args:
        names: of the cameras.
        tracks: of each.
        offsets: of each.
        part: of the keypoints of two people that fit together at best; 0 with too few.
    """
    frames = [
        np.unique(np.concatenate([t.frames - offset for t in own]))
        for own, offset in zip(tracks, offsets, strict=True)
    ]
    if part == 0:
        spans = "; ".join(f"{n} {f[0]} to {f[-1]}" for n, f in zip(names, frames, strict=True))
        return DataError(
            "no two cameras have enough frames of one number with somebody in both; they see "
            f"people in the frames {spans}. Do offsets fit (--sync finds them)? Else {_ADVICE}"
        )
    return DataError(
        f"cameras do not see the same: at best {100 * part:.0f} % of the keypoints of two of them "
        "fit together, however they may stand. Did they begin at the same time (--sync finds "
        "out)? Is it the same person, or are there too many (--person largest takes one in each "
        "picture)?"
    )


def not_joined(names: Sequence[str], known: Sequence[int]) -> DataError:
    """Cameras that nothing connects with the others."""
    here = [names[v] for v in sorted(known)]
    there = [name for v, name in enumerate(names) if v not in known]
    return DataError(
        f"{', '.join(there)} cannot be placed: nobody whom {', '.join(here)} see is seen there "
        "at the same time and fits. Did it begin with the others (--sync finds out)? Let somebody "
        "walk from where the others look to where it looks, so that both see the same person"
    )


def check_agreement(names: Sequence[str], parts: Mapping[tuple[int, int], float]) -> list[str]:
    """What to say of cameras of which many keypoints contradict one another."""
    return [
        f"only {100 * part:.0f} % of the keypoints of {names[a]} and {names[b]} fit together; "
        "is it the same person all the time?"
        for (a, b), part in parts.items()
        if part < _LITTLE_AGREEMENT
    ]


def check_angles(cameras: Sequence[Camera], points: Array) -> list[str]:
    """What to say of the angle between the rays of the cameras that look from other sides.

    Raises:
        DataError: the cameras stand at one place.
    """
    known = points[np.isfinite(points).all(-1)]
    rays = np.stack([known - camera.center for camera in cameras])
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    # of rays that lie opposite, too, only two lines meet
    cosine = np.abs(np.einsum("vnk,wnk->vwn", rays, rays)).clip(0, 1)
    angle = float(np.rad2deg(np.median(np.arccos(cosine), axis=-1).max()))
    if angle < _LEAST_ANGLE:
        raise DataError(
            f"{' and '.join(c.name for c in cameras)} stand too near to one another: their rays to "
            f"a person meet at {angle:.1f}°, so nothing tells depth; put them farther apart, so "
            "that they look from different sides"
        )
    if angle < _SMALL_ANGLE:
        return [
            f"the cameras' rays meet at {angle:.0f}° only, so depth is unsure; 30 to 90 are good"
        ]
    return []


def check_result(
    names: Sequence[str],
    accuracy: Sequence[Accuracy],
    distances: Sequence[float],
    errors: Array,
    points: Array,
) -> list[str]:
    """What to say of a result.

    Args:
        names: of the cameras.
        accuracy: of each.
        distances: metres of each from the first.
        errors: (V,) in parts of the people's size.
        points: (R, K, 3) metres, where people were.

    Raises:
        DataError: it is worth nothing.
    """
    # of everybody's middle, and of single keypoints
    there: Array = np.asarray(np.isfinite(points).all(-1))
    known = points[there.any(1)]
    way = float(np.sqrt(np.var(np.nanmedian(known, axis=1), axis=0).sum()))
    own_way = float(np.nanmean(np.sqrt(np.nanvar(known, axis=0).sum(-1))))
    bad = [name for name, error in zip(names, errors, strict=True) if not error < _WORST_ERROR]
    if bad:
        worst = f"{100 * np.nanmax(errors):.0f} %"
        raise DataError(
            f"{', '.join(bad)} does not fit the others: keypoints lie {worst} of a person's size "
            "from where the other cameras have them. Is it the same scene, at the same time "
            "(--sync finds offsets), and are people told apart (--person largest)?"
        )
    if own_way < _STILL:
        raise DataError(
            f"nobody moves: keypoints stay within {own_way:.2f} m, and one pose alone makes no "
            f"camera sure; {_ADVICE}"
        )
    for name, own, distance in zip(names, accuracy, distances, strict=True):
        unsure = own.turn > _WORST_TURN or own.place > _WORST_PLACE * max(distance, 1e-9) > 1e-6
        if unsure or own.focal > _WORST_FOCAL:
            # the first one is where the world begins
            first = name == names[0]
            sure = f"± {own.turn:.1f}° and {100 * own.place:.0f} cm against {names[0]}, "
            raise DataError(
                f"{name} would be too unsure: {'' if first else sure}± {100 * own.focal:.0f} % of "
                f"its focal length. People were within {way:.1f} m of their middle place, in "
                f"{counted(own.rows, 'moment')}: {_ADVICE}; or give the lenses with --intrinsics "
                "FILE, or --fov DEGREES"
            )
    if way < _LITTLE_WAY:
        where = f"people were within {way:.1f} m of their middle place"
        return [f"{where}; somebody who walks about gives surer cameras"]
    return []
