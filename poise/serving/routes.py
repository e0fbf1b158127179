"""The app: routes over a `PoseService`, and how errors are told."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import poise
from poise.serving.metrics import CONTENT_TYPE, Metrics
from poise.serving.refusals import NO_ADDRESSES, RefusedError, parameter_refusal
from poise.serving.requests import ANSWERS, BODY, DrawOptions, PredictOptions, read_request
from poise.serving.service import ClientGoneError, PoseService

__all__ = ["build_app"]

_PAGE = Path(__file__).with_name("page.html")
#: The page loads nothing from elsewhere, and no other page may frame it.
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; connect-src 'self'; img-src 'self' blob: "
    "data:; media-src 'self' blob:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
#: Of a client that did not wait, in counters; nobody reads it.
_GONE = 499
_ROUTES = ("/", "/predict", "/draw", "/model", "/health", "/ready", "/metrics", "/openapi.json")


def build_app(
    service: PoseService,
    metrics: Metrics,
    about: Mapping[str, Any],
    *,
    token: str | None,
    allow_origins: Sequence[str],
) -> FastAPI:
    """The app of a service; arguments as of `poise.serving.create_app`."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(service.batcher.close)

    app = FastAPI(
        title="Poise",
        version=poise.__version__,
        description="Poses in pictures.",
        # their pages load scripts from elsewhere; the page at / says how to ask
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lifespan,
    )
    app.state.service = service
    _add_open_routes(app, service)
    guarded = [Depends(_guard(token))] if token else []
    _add_picture_routes(app, service, guarded)
    _add_other_routes(app, service, metrics, about, guarded)
    _add_error_handlers(app)
    app.add_middleware(_Counted, metrics=metrics)
    if allow_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(allow_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=["Server-Timing", "Retry-After"],
        )
    return app


def _guard(token: str) -> Any:
    """What lets nobody through who does not know the token."""
    expected = f"Bearer {token}".encode()

    async def check(request: Request) -> None:
        given = request.headers.get("authorization", "").encode("latin-1")
        if not hmac.compare_digest(given, expected):
            raise RefusedError(
                401,
                "this server wants a token",
                expected="the header Authorization: Bearer TOKEN",
                got="another token" if given else "no such header",
                headers={"WWW-Authenticate": "Bearer"},
            )

    return check


def _add_open_routes(app: FastAPI, service: PoseService) -> None:
    """Routes that need no token."""

    @app.get("/", include_in_schema=False)
    async def page() -> HTMLResponse:
        return HTMLResponse(_PAGE.read_text(encoding="utf-8"), headers=_PAGE_HEADERS)

    @app.get("/health", summary="Whether the server is alive")
    async def health() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/ready", summary="Whether it would take a picture now; 503 if not")
    async def ready() -> JSONResponse:
        if service.batcher.closing or service.room.full:
            why = "shutting down" if service.batcher.closing else "the queue is full"
            return JSONResponse({"status": why}, 503)
        return JSONResponse({"status": "ready"})


def _add_picture_routes(app: FastAPI, service: PoseService, guarded: Sequence[Any]) -> None:
    """Routes that take pictures."""

    @app.post(
        "/predict",
        summary="Poses as JSON",
        dependencies=guarded,
        responses=ANSWERS,
        openapi_extra=BODY,
    )
    async def predict(request: Request, options: Annotated[PredictOptions, Query()]) -> Response:
        """One object for a picture as the body or as `image`, a list for `images`.

        The objects are those of `poise predict`'s JSON files.
        """
        start = time.perf_counter()
        with service.room.entered():
            asked = await read_request(request, options, service.limits)
            text = await service.predicted(request, asked)
        return Response(text, media_type="application/json", headers=_timing(start))

    drawn: dict[str, Any] = {"content": {"image/jpeg": {}, "image/png": {}}}

    @app.post(
        "/draw",
        summary="The picture with its poses",
        dependencies=guarded,
        response_class=Response,
        responses={200: drawn, **ANSWERS},
        openapi_extra=BODY,
    )
    async def draw(request: Request, options: Annotated[DrawOptions, Query()]) -> Response:
        """A JPEG or PNG."""
        start = time.perf_counter()
        with service.room.entered():
            asked = await read_request(request, options, service.limits)
            picture = await service.drawn(request, asked)
        kind = f"image/{asked.options.type}"
        return Response(picture, media_type=kind, headers=_timing(start))


def _timing(start: float) -> dict[str, str]:
    """Milliseconds since then, as browsers show them."""
    taken = 1000 * (time.perf_counter() - start)
    return {"Server-Timing": f"total;dur={taken:.1f}", "X-Content-Type-Options": "nosniff"}


def _add_other_routes(
    app: FastAPI,
    service: PoseService,
    metrics: Metrics,
    about: Mapping[str, Any],
    guarded: Sequence[Any],
) -> None:
    @app.get("/model", summary="What runs, and what its keypoints are", dependencies=guarded)
    async def model() -> JSONResponse:
        return JSONResponse(dict(about))

    @app.get("/metrics", summary="Counters for Prometheus", dependencies=guarded)
    async def counters() -> Response:
        gauges = {
            "poise_queue_pictures": ("Pictures in the house.", float(service.room.taken)),
            "poise_queue_limit": ("Pictures that there is room for.", float(service.room.places)),
            "poise_waiting_pictures": (
                "Decoded pictures that wait for the next batch.",
                float(service.batcher.waiting),
            ),
        }
        return Response(metrics.text(gauges), media_type=CONTENT_TYPE)

    @app.get("/openapi.json", include_in_schema=False, dependencies=guarded)
    async def openapi() -> JSONResponse:
        return JSONResponse(app.openapi())


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(RefusedError)
    async def refused(_: Request, error: RefusedError) -> Response:
        return JSONResponse(error.content(), error.status, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def wrong_parameter(request: Request, error: RequestValidationError) -> Response:
        model = DrawOptions if request.url.path.endswith("/draw") else PredictOptions
        return await refused(request, parameter_refusal(error.errors(), model.model_fields))

    @app.exception_handler(HTTPException)
    async def no_such_thing(request: Request, error: HTTPException) -> Response:
        asked = f"{request.method} {request.url.path}"
        picture = error.status_code == 405 and asked.endswith(("/predict", "/draw"))
        refusal = RefusedError(
            error.status_code,
            f"{asked}: {error.detail}",
            expected=", ".join(_ROUTES),
            hint=NO_ADDRESSES if picture else None,
            headers=error.headers,
        )
        return await refused(request, refusal)

    @app.exception_handler(ClientGoneError)
    @app.exception_handler(ClientDisconnect)
    async def nobody_there(_: Request, __: Exception) -> Response:
        return Response(status_code=_GONE)

    @app.exception_handler(Exception)
    async def own_fault(request: Request, error: Exception) -> Response:
        # the traceback goes to the log of the server that runs the app
        return JSONResponse(
            {"error": "a fault in the server", "try": "its log says what went wrong"}, 500
        )


class _Counted:
    """Tells the metrics of every request."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            # an app that is mounted sees the whole path; others have no end of paths
            path = scope["path"].removeprefix(scope.get("root_path", "")) or "/"
            route = path if path in _ROUTES else "other"
            self._metrics.request(route, status, time.perf_counter() - start)
