"""`create_app`: an ASGI app around an inferencer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from poise.errors import ArgumentError
from poise.serving.limits import Limits
from poise.serving.running import check_libraries

__all__ = ["create_app", "warm_up"]

#: Side of the picture that is looked at before the first one comes.
_SIDE = 64


def create_app(
    inferencer: Any,
    *,
    limits: Limits | None = None,
    batch_size: int | None = None,
    keypoint_threshold: float = 0.3,
    token: str | None = None,
    allow_origins: Sequence[str] = (),
) -> Any:
    """An ASGI app that looks for poses in pictures that clients send.

    It may be mounted in another app. Its detector is built now, so that nobody waits for it. The
    thread that runs the model begins with the first picture, and ends with the app's lifespan, or
    with the program where the app is mounted.

    Args:
        inferencer: `poise.Inferencer`, which nobody else may use meanwhile.
        limits: how much clients may ask for; None: `Limits()`.
        batch_size: crops per network call; None: what is quickest.
        keypoint_threshold: keypoints with a lower score are not drawn, unless a request asks.
        token: what clients must send as `Authorization: Bearer TOKEN`; None: nothing. The page
            itself, `/health` and `/ready` need none.
        allow_origins: origins whose pages may ask from a browser, "*" for all; none unless given.

    Raises:
        MissingDependencyError: a library of the extra `serve` is not installed.
        ArgumentError: limits under which nothing could be served, or an empty token.

    Example:
        app = create_app(poise.Inferencer(), limits=Limits(max_batch=16))
    """
    check_libraries()
    from poise.serving.describing import describe
    from poise.serving.metrics import Metrics
    from poise.serving.routes import build_app
    from poise.serving.service import PoseService

    if token == "":
        raise ArgumentError(
            "token is an empty text; leave it out, or give one that is hard to guess"
        )
    limits = (limits or Limits()).checked()
    metrics = Metrics()
    service = PoseService(
        inferencer,
        limits,
        metrics,
        batch_size=batch_size,
        keypoint_threshold=keypoint_threshold,
    )
    about = describe(inferencer, limits, keypoint_threshold=keypoint_threshold)
    return build_app(service, metrics, about, token=token, allow_origins=allow_origins)


def warm_up(inferencer: Any) -> None:
    """Look at a picture, so that the first client does not wait for what is made once.

    Args:
        inferencer: `poise.Inferencer`.

    Raises:
        PoiseError: its detector, model and backend do not work together.
    """
    import numpy as np

    blank = np.zeros((_SIDE, _SIDE, 3), np.uint8)
    inferencer(blank)
    if inferencer.needs_boxes:
        # the detector found nobody, and so the network has not run yet
        inferencer(blank, boxes=[[0, 0, _SIDE, _SIDE]])
