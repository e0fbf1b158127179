"""`poise serve`: poses over HTTP."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from poise.cli import options
from poise.serving.limits import MOST_PIXELS, Limits

__all__ = ["serve"]

_LIMITS = Limits()

#: Addresses that only this machine reaches.
_LOCAL = ("127.0.0.1", "localhost", "::1")


def serve(
    model: options.Model = "auto",
    weights: options.Weights = None,
    support: options.Support = None,
    host: Annotated[
        str, typer.Option(help="Address to serve on; 0.0.0.0: all of this machine.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0: any that is free.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="POISE_TOKEN", help="Clients must send it: Authorization: Bearer TOKEN."
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="Whose pages may ask from a browser; may be repeated."),
    ] = None,
    mode: options.Mode = "accurate",
    detector: options.Detector = "auto",
    detector_weights: options.DetectorWeights = None,
    tiles: options.Tiles = None,
    batch_size: options.BatchSize = None,
    device: options.Device = "auto",
    backend: options.Backend = "torch",
    flip_test: options.FlipTest = None,
    keypoint_threshold: options.KeypointThreshold = 0.3,
    calibration: options.Calibration = None,
    covariances: Annotated[
        bool, typer.Option("--covariances", help="Also say how unsure each keypoint's place is.")
    ] = False,
    max_batch: Annotated[
        int, typer.Option(min=1, help="Pictures that are looked at together; 1: one by one.")
    ] = _LIMITS.max_batch,
    queue: Annotated[
        int, typer.Option(min=1, help="Pictures in the house; further ones are refused (503).")
    ] = _LIMITS.queue,
    max_pixels: Annotated[
        int, typer.Option(min=1, max=MOST_PIXELS, help="Pixels of a picture.")
    ] = _LIMITS.max_pixels,
    max_bytes: Annotated[
        int, typer.Option(min=1, help="Bytes of a request's body.")
    ] = _LIMITS.max_bytes,
) -> None:
    """Serve poses over HTTP, with a page to try it: POST /predict, POST /draw, GET /.

    Pictures that wait at the same time go through detector and network together. Addresses are
    not fetched. Ctrl-C or SIGTERM ends it when what is under way is done.
    """
    from poise.serving.running import check_libraries, open_socket, run_server

    check_libraries()
    listener = open_socket(host, port)
    from poise.serving import create_app, warm_up

    with listener:
        inferencer = options.open_inferencer(
            model,
            weights,
            detector=detector,
            detector_weights=detector_weights,
            tiles=tiles,
            device=device,
            backend=backend,
            mode=mode,
            flip_test=flip_test,
            calibration=calibration,
            covariances=covariances,
            support=support,
        )
        warm_up(inferencer)
        app = create_app(
            inferencer,
            batch_size=batch_size,
            limits=Limits(max_batch, queue, max_pixels, max_bytes),
            keypoint_threshold=keypoint_threshold,
            token=token,
            allow_origins=allow_origin or (),
        )
        run_server(app, listener, started=lambda: _say_address(listener, host, token))


def _say_address(listener: Any, host: str, token: str | None) -> None:
    """Where it is, and who can get there."""
    port = listener.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    typer.echo(f"serving on http://{shown}:{port}/ (Ctrl-C ends it)")
    if host not in _LOCAL:
        who = "knows the token" if token else "reaches this machine; --token asks for a password"
        typer.echo(f"note: the server answers everybody who {who}. It has no TLS", err=True)
