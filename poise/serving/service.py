"""From the pictures of a request to what is answered."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any, TypeVar

import cv2
import numpy as np
from fastapi import Request

from poise.errors import DataError
from poise.inference.results.pose_result import PoseResult, empty_instances
from poise.inference.sinks.drawing import drawer_of
from poise.inference.sinks.json_files import layout_of
from poise.serving.batching import Batcher, ClosedError
from poise.serving.limits import Limits, Room
from poise.serving.metrics import Metrics
from poise.serving.pictures import Sent, boxes_of, decode
from poise.serving.refusals import RefusedError
from poise.serving.requests import Asked, DrawOptions, Options, PredictOptions, gone
from poise.visualization.files import encoded

__all__ = ["ClientGoneError", "PoseService"]

_LOG = logging.getLogger(__name__)

#: Decoded pictures for each place in a batch: one is looked at, one waits.
_DECODED = 2
#: type of `/draw` -> (suffix, settings of OpenCV)
_PICTURES = {
    "jpeg": (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 92]),
    "png": (".png", [cv2.IMWRITE_PNG_COMPRESSION, 3]),
}

Written = TypeVar("Written")


class ClientGoneError(Exception):
    """The client does not wait any more."""


class PoseService:
    """Looks for poses in the pictures of all requests, within limits.

    Args:
        inferencer: `poise.Inferencer`, which nobody else may use meanwhile.
        limits: of clients, checked.
        metrics: told of each batch.
        batch_size: crops per network call; None: what is quickest.
        keypoint_threshold: keypoints with a lower score are not drawn.
    """

    def __init__(
        self,
        inferencer: Any,
        limits: Limits,
        metrics: Metrics,
        *,
        batch_size: int | None,
        keypoint_threshold: float,
    ) -> None:
        self.inferencer, self.limits = inferencer, limits
        self.room = Room(limits.queue)
        self.batcher = Batcher(
            inferencer,
            max_batch=limits.max_batch,
            batch_size=batch_size,
            on_batch=self._tell,
        )
        self.keypoint_threshold = keypoint_threshold
        self._metrics = metrics
        # bodies wait as they came; only so many are decoded at a time
        self._decoded = asyncio.Semaphore(_DECODED * limits.max_batch)

    def _tell(self, pictures: int, people: int, seconds: float) -> None:
        self._metrics.batch(pictures, people, seconds)
        self.room.seconds = seconds / pictures

    async def predicted(self, request: Request, asked: Asked[PredictOptions]) -> str:
        """JSON of an object, or of a list where several pictures may come."""
        layout = layout_of(asked.options.format)

        def write(result: PoseResult) -> str:
            return json.dumps(layout(result), separators=(",", ":"))

        found = await self._written(request, asked, write)
        return f"[{','.join(found)}]" if asked.several else found[0]

    async def drawn(self, request: Request, asked: Asked[DrawOptions]) -> bytes:
        """The drawn picture.

        Raises:
            RefusedError: several pictures, or an unknown style.
        """
        if asked.several:
            raise RefusedError(422, "/draw takes one picture", expected="'image'", got="'images'")
        options = asked.options
        try:
            drawer = drawer_of(options.style)
        except DataError as error:
            raise RefusedError(422, str(error)) from error
        threshold = options.keypoint_threshold

        def write(result: PoseResult) -> bytes:
            if threshold is not None:
                result.keypoint_threshold = threshold
            suffix, settings = _PICTURES[options.type]
            try:
                return encoded(drawer(result), suffix, "the drawn picture", settings)
            except DataError as error:  # a keypoint of the style that the schema has not
                raise RefusedError(422, str(error)) from error

        return (await self._written(request, asked, write))[0]

    async def _written(
        self, request: Request, asked: Asked[Any], write: Callable[[PoseResult], Written]
    ) -> list[Written]:
        """What is written of each picture, in order; given up when the client goes away.

        Raises:
            RefusedError: what is wrong with the only picture; of several each says its own.
            ClientGoneError: nobody waits any more.
        """
        boxes = self._boxes(asked)
        waiting = asyncio.ensure_future(gone(request))
        work = asyncio.ensure_future(self._all(asked, boxes, write))
        try:
            await asyncio.wait((work, waiting), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise ClientGoneError
            return work.result()
        finally:
            work.cancel()
            waiting.cancel()

    def _boxes(self, asked: Asked[Options]) -> list[np.ndarray | None]:
        text = asked.options.boxes
        if text is not None and not self.inferencer.needs_boxes:
            raise RefusedError(
                422,
                "this model finds everybody in the whole picture and takes no boxes",
                expected="a request without boxes",
                got=text[:80],
            )
        return boxes_of(text, len(asked.pictures), self.limits, several=asked.several)

    async def _all(
        self,
        asked: Asked[Any],
        boxes: list[np.ndarray | None],
        write: Callable[[PoseResult], Written],
    ) -> list[Written]:
        # the request itself has a place already
        with self.room.entered(len(asked.pictures) - 1):
            calls = [
                asyncio.ensure_future(self._one(sent, own, asked, write))
                for sent, own in zip(asked.pictures, boxes, strict=True)
            ]
            try:
                return await asyncio.gather(*calls)
            finally:
                # where one fails, nobody waits for the others
                for call in calls:
                    call.cancel()

    async def _one(
        self,
        sent: Sent,
        boxes: np.ndarray | None,
        asked: Asked[Any],
        write: Callable[[PoseResult], Written],
    ) -> Written:
        async with self._decoded:
            try:
                image = await asyncio.to_thread(decode, sent, self.limits)
                result = await self._looked_at(image, boxes)
            except RefusedError as error:
                if not asked.several or error.status >= 500:
                    raise
                # one of several: its entry says so, as in the files of `poise predict`
                result = self._without(error)
            result.name = sent.name
            unsure = result.bbox_scores < asked.options.bbox_threshold
            if unsure.any():
                result.instances = result.instances[~unsure]
            return await asyncio.to_thread(write, result)

    async def _looked_at(self, image: np.ndarray, boxes: np.ndarray | None) -> PoseResult:
        """Result of a picture whose turn has come.

        Raises:
            RefusedError: the server is shutting down, or the model failed.
        """
        try:
            future = self.batcher.submit(image, boxes)
        except ClosedError as error:
            raise RefusedError(503, "the server is shutting down") from error
        try:
            result = await asyncio.wrap_future(future)
        except Exception as error:  # whatever a model does wrong: the client is told that it did
            _LOG.exception("the model failed")
            raise _failed() from error
        if result.error is not None:
            _LOG.error("the model failed: %s", result.error)
            raise _failed()
        result.keypoint_threshold = self.keypoint_threshold
        return result

    def _without(self, error: RefusedError) -> PoseResult:
        """Result of a picture that could not be used."""
        meta = self.inferencer.metainfo
        people = empty_instances(meta["num_keypoints"])
        return PoseResult(None, people, meta, "", error=error.text())


def _failed() -> RefusedError:
    return RefusedError(
        500,
        "the model failed on this picture",
        hint="the server's log says why; other pictures may work",
    )
