"""`calibrate_cameras`: pictures or videos of a board -> calibrated cameras."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poise.errors import DataError, FileMissingError
from poise.geometry.camera_model import Camera
from poise.inference.multiview.boards import Board, Sighting
from poise.inference.multiview.lens_calibration import LensFit, calibrate_lens
from poise.inference.multiview.placing import Places, place_cameras
from poise.inference.multiview.views import distinct_names
from poise.inference.sources.opening import open_sources
from poise.report.text import aligned

__all__ = ["Calibrated", "calibrate_cameras"]

#: Frames of a video of which one is looked at.
_EVERY = 10


@dataclasses.dataclass(frozen=True)
class Calibrated:
    """Cameras, and how they came about.

    Attributes:
        cameras: V of them, in one world; at the origin each where only lenses were asked for.
        lenses: how each lens was found; None where it was given.
        places: how the cameras were placed; None where only lenses were asked for.
        looked: pictures that were looked at, by camera.
        found: those in which the board is.
        unreadable: file -> why it could not be used.
    """

    cameras: list[Camera]
    lenses: list[LensFit | None]
    places: Places | None
    looked: list[int]
    found: list[int]
    unreadable: dict[str, str]

    @property
    def error(self) -> float:
        """RMS reprojection error over all cameras, pixels."""
        own = [fit.error for fit in self.lenses if fit is not None]
        errors = self.places.errors if self.places else own
        return float(np.sqrt(np.mean(np.square(errors)))) if errors else float("nan")

    def text(self) -> str:
        """A table, and what was left out."""
        rows = [("camera", "pictures", "board in", "lens px", "place px")]
        for v, (camera, fit) in enumerate(zip(self.cameras, self.lenses, strict=True)):
            lens = "given" if fit is None else f"{fit.error:.2f}"
            place = "-" if self.places is None else f"{self.places.errors[v]:.2f}"
            rows.append((camera.name, str(self.looked[v]), str(self.found[v]), lens, place))
        lines = aligned(rows, right=range(1, 5))
        lines += [f"not readable: {why}" for why in self.unreadable.values()]
        for fit in self.lenses:
            if fit is not None:
                name = fit.camera.name
                lines += [f"{name}, lens without {k}: {why}" for k, why in fit.dropped.items()]
        if self.places is not None:
            dropped = self.places.dropped.items()
            lines += [f"{name}, place without {key}: {why}" for (name, key), why in dropped]
            lines.append(
                f"the origin is the board in '{self.places.origin}': x along its columns, z from "
                "the board to who looks at it"
            )
        return "\n".join(lines)


def calibrate_cameras(
    inputs: Sequence[Any],
    board: Board,
    *,
    lens: str = "standard",
    known: Sequence[Camera] | None = None,
    lens_only: bool = False,
    origin: str | None = None,
    every: int | None = None,
    offsets: Mapping[str, int] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Calibrated:
    """Matrix, lens and place of each camera, from pictures of a board that is moved about.

    Pictures of one name, and frames of one number, were taken at the same time by all cameras.

    Args:
        inputs: of each camera a folder of pictures or a video; its name is the camera's.
        board: what was shown.
        lens: "standard" (4 coefficients), "brown" (5), "rational" (8), "fisheye" (4) or "none".
        known: cameras whose matrix and lens are taken as they are, by name.
        lens_only: do not look for places.
        origin: picture (its name without suffix) or frame in which the board lies at the world's
            origin; on the floor, z points up. None: the first that most cameras see.
        every: look at every n-th frame of a video; None: 10.
        offsets: camera -> frames by which its numbers are ahead.
        progress: called with 1 after each picture that was looked at.

    Raises:
        FileMissingError: an input that is not there.
        DataError: a board that is found too seldom; cameras that no picture connects; pictures of
            several sizes; names that occur twice.
    """
    paths = [Path(os.fspath(item)) for item in inputs]
    for path in paths:
        if not path.exists():
            raise FileMissingError(f"there is no file or folder '{path}' (looked in {Path.cwd()})")
    names = distinct_names([path.stem if path.is_file() else path.name for path in paths])
    if board.turns and len(paths) > 1 and not lens_only:
        raise DataError(
            f"a checkerboard of {board.columns} x {board.rows} inner corners looks the same after "
            "half a turn, so cameras cannot tell which way it lies; use one with an odd and an "
            "even number, such as 9x6, or a ChArUco board"
        )
    shifts = dict(offsets or {})
    for name in shifts:
        if name not in names:
            raise DataError(f"there is no camera '{name}'; there are {', '.join(names)}")
    given = {camera.name: camera for camera in known or ()}
    looks = [
        _look(path, board, every or _EVERY, shifts.get(name, 0), progress)
        for path, name in zip(paths, names, strict=True)
    ]
    fits: list[LensFit | None] = []
    cameras: list[Camera] = []
    for name, look in zip(names, looks, strict=True):
        fit = None
        if name not in given:
            fit = calibrate_lens(name, look.sightings, board, look.size, lens=lens)
            cameras.append(fit.camera)
        else:
            cameras.append(given[name].fitted(look.size))
        fits.append(fit)
    places = None
    if not lens_only:
        seen = [look.sightings for look in looks]
        places = place_cameras(cameras, seen, board, origin=origin, fixed=given)
        cameras = places.cameras
    return Calibrated(
        cameras,
        fits,
        places,
        [look.count for look in looks],
        [len(look.sightings) for look in looks],
        {file: why for look in looks for file, why in look.unreadable.items()},
    )


@dataclasses.dataclass(frozen=True)
class _Look:
    """What one camera's pictures show.

    Attributes:
        sightings: key of a picture -> the board in it.
        size: (width, height) of the pictures.
        count: pictures that were looked at.
        unreadable: file -> why it could not be used.
    """

    sightings: dict[str, Sighting]
    size: tuple[int, int]
    count: int
    unreadable: dict[str, str]


def _look(
    path: Path, board: Board, every: int, offset: int, progress: Callable[[int], None] | None
) -> _Look:
    """Find the board in a folder of pictures or in a video."""
    sightings: dict[str, Sighting] = {}
    unreadable: dict[str, str] = {}
    size: tuple[int, int] | None = None
    count = 0
    for source in open_sources(str(path)):
        for frame in source.frames():
            number = frame.index - offset
            if source.info.moves and number % every:
                continue
            count += 1
            if frame.image is None:
                unreadable[f"{source.info.name} {frame.index}"] = str(frame.error)
                continue
            own = frame.image.shape[1], frame.image.shape[0]
            if size is not None and own != size:
                raise DataError(
                    f"'{source.info.name}' has {own[0]} x {own[1]} pixels, the pictures of this "
                    f"camera before {size[0]} x {size[1]}"
                )
            size = own
            found = board.find(frame.image)
            if found is not None:
                relative = source.info.relative.with_suffix("").as_posix()
                sightings[str(number) if source.info.moves else relative] = found
            if progress is not None:
                progress(1)
    if size is None:
        reasons = list(unreadable.values()) or ["it has none"]
        raise DataError(f"no picture of '{path}' can be used: {reasons[-1]}")
    return _Look(sightings, size, count, unreadable)
