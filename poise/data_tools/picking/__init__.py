"""Frames that are most worth labelling, out of videos and folders.

`shots` goes through the frames, `doubts` measures how unsure a model is of each, `choosing` takes
those that differ and those that are doubtful, `picking` does all of it, `proposals` writes pictures
and the model's poses as labels to correct.
"""

from __future__ import annotations

from poise._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "choosing": "WAYS",
        "picking": "Picked Wishes pick_frames",
    },
)
