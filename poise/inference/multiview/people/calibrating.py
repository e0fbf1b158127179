"""`calibrate_from_people`: predictions of people in several views -> calibrated cameras."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poise.errors import ArgumentError, DataError
from poise.geometry.camera_model import Camera
from poise.geometry.triangulation import triangulate_points
from poise.inference.multiview.people.adjusting import Settings, covariance
from poise.inference.multiview.people.body import Body
from poise.inference.multiview.people.grounding import Ground, Scale, ground_of, scale_of
from poise.inference.multiview.people.judging import (
    check_agreement,
    check_angles,
    check_result,
    check_tracks,
)
from poise.inference.multiview.people.report import Accuracy, PeopleCalibrated
from poise.inference.multiview.people.solving import Solution, solve
from poise.inference.multiview.people.starting import Pair, Scene, all_pairs
from poise.inference.multiview.timing import find_offsets, timing_note
from poise.inference.multiview.tracks import LEAST_SCORE, extent_of, plain_view, tracks_of
from poise.inference.multiview.views import (
    View,
    check_together,
    check_words,
    distinct_names,
    gather_view,
    named_view,
    told_offsets,
)
from poise.inference.results.pose_result import PoseResult
from poise.inference.results.reading import read_results

__all__ = ["calibrate_from_people"]

#: Focal length in longer sides of the picture that most videos have, and the standard deviation of
#: its logarithm: phones have 0.75 to 0.9, action cameras 0.5, portrait lenses 1.5.
_FOCAL, _DOUBT = 0.9, 0.3
#: The same deviation where a field of view was told.
_TOLD_DOUBT = 0.05
#: Blocks of time that count as one draw each.
_BLOCKS = 10


def calibrate_from_people(
    views: Sequence[Any],
    *,
    names: Sequence[str] | None = None,
    known: Sequence[Camera] | None = None,
    fov: float | None = None,
    same_focal: bool = False,
    offsets: Mapping[str, int] | str | None = None,
    person: str = "all",
    height: float | None = None,
    limb: tuple[str, float] | None = None,
    distance: tuple[str, str, float] | None = None,
) -> PeopleCalibrated:
    """Matrix and place of each camera, from people whom several of them see at once.

    Joints of people who walk about are what corners of a board are (Puwein et al. 2014, Takahashi
    et al. 2018): two cameras are related by an essential matrix of all moments (Nister 2004),
    others join by what those place, and a bundle adjustment finds all at once, with limbs that keep
    their length. The floor is where feet stand; metres follow from a length that is told.

    Args:
        views: of each camera results of its video, or a file of `poise predict --save jsonl`.
        names: of the cameras; None: those of the files, else view-0, view-1 ...
        known: cameras whose matrix and lens are taken as they are, by name.
        fov: degrees along the longer side of the pictures; None: about 58, found by the way.
        same_focal: all cameras with pictures of one size have the same focal length.
        offsets: view or camera -> frames: its frame t + offset shows what frame t of the first
            view shows. "auto" finds them. None: all begin together.
        person: "all"; or one person, in each view the most "confident" or the "largest".
        height: metres of the people, of several their mean.
        limb: two keypoints, such as "left_knee:left_ankle", and metres between them.
        distance: two cameras and metres between them.

    Raises:
        DataError: too little of the same people in two cameras; cameras that nothing connects;
            cameras at one place; people who do not move.
        ArgumentError: a word or number that is none of the choices.

    Example:
        found = calibrate_from_people(["left.jsonl", "right.jsonl"], height=1.78)
        print(found.text())
        write_cameras("cameras.toml", found.cameras, error=found.error)
    """
    check_words(person, offsets)
    _check_arguments(views, fov, (height, limb and limb[1], distance and distance[2]))
    gathered = _gathered(views, names, {c.name: c for c in known or ()}, fov)
    check_together(gathered)
    body = Body.of(gathered[0].metainfo)
    titles = [view.camera.name for view in gathered]
    if limb is not None:
        body.pair(limb[0])
    for name in distance[:2] if distance is not None else ():
        named_view(gathered, name)
    plain = [plain_view(view, body.index) for view in gathered]
    tracks = [tracks_of(view, person) for view in plain]
    check_tracks(plain, tracks)
    frames, notes = told_offsets(plain, offsets), list[str]()
    if offsets == "auto":
        frames, notes = find_offsets(titles, tracks)
    settings = _settings(gathered, titles, known, fov, same_focal=same_focal)
    scene = Scene(plain, tracks, frames, body, settings, person)
    pairs = all_pairs(scene)
    notes += check_agreement(titles, {which: pair.part for which, pair in pairs.items()})
    solution = solve(scene, pairs)
    points = triangulate_points(
        solution.matched.pixels, solution.cameras, scores=solution.matched.scores,
        min_score=LEAST_SCORE, max_error=6 * float(np.max(solution.errors)),
    ).points  # fmt: skip
    notes += check_angles(solution.cameras, points)
    scale = scale_of(
        body, points, solution.matched.ids, solution.cameras,
        height=height, limb=limb, distance=distance,
    )  # fmt: skip
    ground = ground_of(body, points * scale.factor, solution.cameras[0], scale.height)
    cameras = [
        _placed(view.camera, own, scale, ground, keep=settings.groups[v] < 0)
        for v, (view, own) in enumerate(zip(gathered, solution.cameras, strict=True))
    ]
    if offsets != "auto":
        notes += _timing_notes(scene, pairs)
    accuracy = _accuracy(solution, settings)
    accuracy = [dataclasses.replace(own, place=own.place * scale.factor) for own in accuracy]
    away = [float(np.linalg.norm(c.center - cameras[0].center)) for c in cameras]
    sizes = np.array([extent_of(own) for own in tracks])
    notes += check_result(titles, accuracy, away, solution.errors / sizes, points * scale.factor)
    return PeopleCalibrated(
        cameras, dict(zip(titles, frames, strict=True)), accuracy, scale, ground, notes
    )


# ------------------------------------------------------------------- what comes in


def _check_arguments(
    views: Sequence[Any], fov: float | None, lengths: Sequence[float | None]
) -> None:
    if len(views) < 2:
        raise DataError(
            f"at least two cameras that see the same people are calibrated, got {len(views)}"
        )
    if fov is not None and not 5 <= fov <= 150:
        raise ArgumentError(f"fov is given in degrees, 5 to 150; got {fov:g}")
    told = [length for length in lengths if length is not None]
    if len(told) > 1:
        raise ArgumentError("height, limb and distance each say the scale; give one of them")
    if told and not 0.01 < told[0] < 1000:
        raise ArgumentError(f"lengths are given in metres, such as 1.78; got {told[0]:g}")


def _gathered(
    views: Sequence[Any],
    names: Sequence[str] | None,
    known: Mapping[str, Camera],
    fov: float | None,
) -> list[View]:
    """Views with the cameras that are known or guessed."""
    paths = [Path(str(v)) if isinstance(v, (str, Path)) else None for v in views]
    if names is None:
        names = [f"view-{i}" if path is None else path.stem for i, path in enumerate(paths)]
    out = []
    for name, item, path in zip(distinct_names(names), views, paths, strict=True):
        results: Iterable[PoseResult] = item if path is None else read_results(path)
        view = gather_view(name, results, Camera(name, np.eye(3)))
        view.camera = _camera(name, view.size, known.get(name), fov)
        out.append(view)
    return out


def _camera(
    name: str, size: tuple[int, int] | None, known: Camera | None, fov: float | None
) -> Camera:
    if known is not None:
        return known.fitted(size)
    if size is None:
        raise DataError(
            f"{name}: nothing says how large its pictures are, so its focal length cannot be "
            "guessed; predict the video again, or give the camera's matrix with --intrinsics FILE"
        )
    width, height = size
    focal = _FOCAL * max(size)
    if fov is not None:
        focal = max(size) / 2 / np.tan(np.deg2rad(fov) / 2)
    matrix = [[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]]
    return Camera(name, np.array(matrix), size=size)


def _settings(
    views: Sequence[View],
    names: Sequence[str],
    known: Sequence[Camera] | None,
    fov: float | None,
    *,
    same_focal: bool,
) -> Settings:
    """What the adjustment may change of the focal lengths."""
    given = {camera.name for camera in known or ()}
    sizes = [tuple(sorted(view.size or (0, 0))) for view in views]
    kinds = {size: number for number, size in enumerate(dict.fromkeys(sizes))}
    free = np.array([name not in given for name in names])
    alike = np.where(free, [kinds[size] for size in sizes], -1)
    groups = alike if same_focal else np.where(free, np.arange(len(views)), -1)
    focals = [np.sqrt(v.camera.matrix[0, 0] * v.camera.matrix[1, 1]) for v in views]
    return Settings(groups, alike, np.log(focals), _DOUBT if fov is None else _TOLD_DOUBT)


def _timing_notes(scene: Scene, pairs: Mapping[tuple[int, int], Pair]) -> list[str]:
    """Where other offsets would fit better."""
    notes = []
    for pair, found in pairs.items():
        own = zip(pair, found.matches[0], strict=True)
        one, other = (scene.tracks[v][n].later(-scene.offsets[v]) for v, n in own)
        notes += timing_note((scene.names[pair[0]], scene.names[pair[1]]), one, other)
    return notes


# ------------------------------------------------------------------------ what goes out


def _placed(camera: Camera, own: Camera, scale: Scale, ground: Ground, *, keep: bool) -> Camera:
    """The camera with its lens and centre, in the world of the floor."""
    matrix = camera.matrix.copy()
    if not keep:
        matrix[[0, 1], [0, 1]] = own.matrix[0, 0]
    placed = dataclasses.replace(
        camera, matrix=matrix, rotation=own.rotation, translation=own.translation * scale.factor
    )
    return placed.moved(ground.turn, ground.shift)


def _accuracy(solution: Solution, settings: Settings) -> list[Accuracy]:
    """How sure each camera is, against the first; lengths in units of the solution."""
    spread = covariance(solution.seen, solution.state, settings, _BLOCKS)
    out = []
    for v, own in enumerate(solution.cameras):
        part = spread[7 * v : 7 * v + 7, 7 * v : 7 * v + 7]
        # the place -R' t moves with turns from the left, too
        x, y, z = own.translation
        slope = np.array([[0, z, -y, 1, 0, 0], [-z, 0, x, 0, 1, 0], [y, -x, 0, 0, 0, 1]])
        out.append(
            Accuracy(
                rows=int(np.isfinite(solution.seen.spread[v]).any(-1).sum()),
                error=float(solution.errors[v]),
                turn=float(np.rad2deg(np.sqrt(np.linalg.eigvalsh(part[:3, :3])[-1].clip(0)))),
                place=float(np.sqrt(np.trace(slope @ part[:6, :6] @ slope.T).clip(0))),
                focal=float(np.sqrt(part[6, 6].clip(0))),
            )
        )
    return out
