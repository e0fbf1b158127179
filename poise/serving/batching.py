"""Pictures of all requests -> one thread -> detector and network, several at a time.

Nobody waits for others to come: what arrived while a batch was under way is the next one. So a
picture that is alone goes at once, and the more there are, the larger the batches.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

import numpy as np

from poise.inference.results.pose_result import PoseResult

__all__ = ["Batcher", "ClosedError"]


class ClosedError(Exception):
    """A picture came after the end."""


class _Errand(NamedTuple):
    """A picture that waits: (H, W, 3), boxes (N, 5) or None, and where its result goes."""

    image: np.ndarray
    boxes: np.ndarray | None
    future: Future[PoseResult]


class Batcher:
    """Runs an inferencer in a thread of its own.

    Args:
        inferencer: `poise.Inferencer`, which nobody else may use meanwhile.
        max_batch: pictures at a time; 1: one by one.
        batch_size: crops per network call; None: what is quickest.
        on_batch: told of each batch: pictures, people, seconds.
    """

    def __init__(
        self,
        inferencer: Any,
        *,
        max_batch: int,
        batch_size: int | None = None,
        on_batch: Callable[[int, int, float], None] | None = None,
    ) -> None:
        self._inferencer, self._max_batch, self._batch_size = inferencer, max_batch, batch_size
        self._on_batch = on_batch
        self._waiting: deque[_Errand] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False

    @property
    def waiting(self) -> int:
        """Pictures that are decoded and wait for their turn."""
        return len(self._waiting)

    @property
    def closing(self) -> bool:
        """Whether it takes no more pictures."""
        return self._closing

    def submit(self, image: np.ndarray, boxes: np.ndarray | None) -> Future[PoseResult]:
        """The result of a picture, when its turn has come; one that is cancelled costs nothing.

        Args:
            image: (H, W, 3) uint8 BGR.
            boxes: (N, 5) xyxy and score, image space; None: the detector looks.

        Raises:
            ClosedError: it was closed.
        """
        future: Future[PoseResult] = Future()
        with self._changed:
            if self._closing:
                raise ClosedError("no pictures are taken any more")
            self._waiting.append(_Errand(image, boxes, future))
            # here, since an app that is mounted in another is not told when it starts
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._work, name="poise-batches", daemon=True
                )
                self._thread.start()
            self._changed.notify()
        return future

    def close(self) -> None:
        """Finish what waits, and take no more."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        # a step is a call, so that no pictures are kept while nothing is to be done
        while self._step():
            pass

    def _step(self) -> bool:
        """Wait for pictures and look at some; False at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            count = min(len(self._waiting), self._max_batch)
            taken = [self._waiting.popleft() for _ in range(count)]
        wanted = [errand for errand in taken if errand.future.set_running_or_notify_cancel()]
        given = [errand for errand in wanted if errand.boxes is not None]
        sought = [errand for errand in wanted if errand.boxes is None]
        for group in (given, sought):
            if group:
                self._predict(group)
        return bool(taken)

    def _predict(self, group: Sequence[_Errand]) -> None:
        """Results of pictures that all have boxes, or of which none has."""
        start, people = time.perf_counter(), 0
        boxes = [errand.boxes for errand in group] if group[0].boxes is not None else None
        try:
            results = self._inferencer.predict(
                [errand.image for errand in group],
                boxes=boxes,
                batch_size=self._batch_size,
                keep_going=True,
            )
            for errand, result in zip(group, results, strict=True):
                people += len(result)
                errand.future.set_result(result)
        except Exception as error:  # whatever goes wrong, those who wait are told
            for errand in group:
                if not errand.future.done():
                    errand.future.set_exception(error)
        if self._on_batch is not None:
            self._on_batch(len(group), people, time.perf_counter() - start)
