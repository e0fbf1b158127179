"""Which frames of a video make up a sequence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

__all__ = ["multi_target_sequences", "padded_sequences", "random_run", "sliding_sequences"]

Frames = list[list[int]]


def sliding_sequences(frames: Sequence[int], length: int, step: int, stride: int = 1) -> Frames:
    """Sequences that lie wholly inside the video.

    Args:
        frames: frame numbers of the video.
        length: frames of a sequence.
        step: from a frame of a sequence to the next.
        stride: from the start of a sequence to that of the next.

    Example:
        >>> sliding_sequences([10, 11, 12, 13], length=2, step=2)
        [[10, 12], [11, 13]]
    """
    span = (length - 1) * step + 1
    starts = range(0, len(frames) - span + 1, stride)
    return [list(frames[i : i + span : step]) for i in starts]


def padded_sequences(frames: Sequence[int], length: int, step: int, *, causal: bool) -> Frames:
    """A sequence for every frame as target; ends are filled with the first and last frame.

    Args:
        frames: frame numbers of the video.
        length: frames of a sequence.
        step: from a frame of a sequence to the next.
        causal: the target is the last frame of its sequence, otherwise the one in the middle.

    Example:
        >>> padded_sequences([10, 11, 12], length=3, step=1, causal=False)
        [[10, 10, 11], [10, 11, 12], [11, 12, 12]]
    """
    before = length - 1 if causal else length // 2
    offsets = np.arange(-before, length - before) * step
    places = np.arange(len(frames))[:, None] + offsets
    # outside the video stands its first or last frame, whatever the step
    inside = np.clip(places, 0, len(frames) - 1)
    return np.asarray(frames)[inside].tolist()


def multi_target_sequences(
    frames: Sequence[int], targets: int, target_step: int, step: int
) -> Frames:
    """Runs of `targets` frames, a new one every `target_step`, each frame a target.

    Example:
        >>> multi_target_sequences([10, 11, 12, 13, 14], targets=2, target_step=2, step=1)
        [[10, 11], [12, 13]]
    """
    count = max((len(frames) - targets) // target_step + 1, 0)
    starts = range(0, count * target_step, target_step)
    return [list(frames[i : i + targets : step]) for i in starts]


def random_run(sequences: Frames, share: float) -> Frames:
    """A share of the sequences, neighbours, from a start drawn by numpy's global generator."""
    size = int(len(sequences) * share)
    start = np.random.randint(0, len(sequences) - size + 1)
    return sequences[start : start + size]


def by_video(keys: Iterable[tuple[str, ...]]) -> dict[tuple[str, ...], list[int]]:
    """Frame numbers of each video, the videos sorted by their key."""
    videos: dict[tuple[str, ...], list[int]] = {}
    for number, key in enumerate(keys):
        videos.setdefault(key, []).append(number)
    return dict(sorted(videos.items()))
