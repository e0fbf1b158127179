"""`poise serve` as a process: many clients at once, and an end that loses nothing."""

import json
import re
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from typer.testing import CliRunner

from poise.cli.main import app as commands
from poise.errors import ArgumentError, MissingDependencyError
from poise.serving import running
from poise.serving.running import open_socket

#: Seconds for an answer on a busy machine.
PATIENCE = 120
#: Options of a small model on a free port.
LIGHT = ["-m", "movenet-lightning", "--port", "0"]


@pytest.fixture(scope="module")
def server(start):
    """Address of a server that takes requests of up to 600,000 bytes."""
    return start("--max-bytes", "600000")[1]


def test_many_clients_get_their_own_answers(server, photo):
    address = server
    boxes = [[10.0 + i, 20.0, 400.0, 500.0 - i] for i in range(16)]

    def ask(box):
        with httpx.Client(timeout=PATIENCE) as client:
            return [
                client.post(
                    f"{address}/predict", files={"image": photo}, data={"boxes": f"[{box}]"}
                )
                for _ in range(3)
            ]

    with ThreadPoolExecutor(len(boxes)) as pool:
        answers = list(pool.map(ask, boxes))
    for box, own in zip(boxes, answers, strict=True):
        assert [answer.status_code for answer in own] == [200] * 3
        assert [answer.json()["instances"][0]["bbox"] for answer in own] == [box] * 3


def figures_of(address):
    return httpx.get(f"{address}/metrics", timeout=PATIENCE).text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 130)]
)
def test_a_signal_ends_it_when_what_is_under_way_is_done(start, photo, number, status):
    # done within the 30 s that a server has to end, on a slow machine, too
    process, address = start("--queue", "8")
    files = [("images", photo)] * 8

    def ask():
        return httpx.post(f"{address}/predict", files=files, timeout=PATIENCE)

    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(ask)
        while "poise_queue_pictures 8" not in figures_of(address):
            if call.done():  # all went by while this process had to wait for its turn
                assert call.result().status_code == 200
                call = pool.submit(ask)
        process.send_signal(number)
        answer = call.result()
    assert answer.status_code == 200
    assert [len(result["instances"]) for result in answer.json()] == [1] * 8
    assert process.wait(PATIENCE) == status
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{address}/health", timeout=PATIENCE)
    assert "Traceback" not in process.stderr.read()


@pytest.mark.slow
def test_a_second_ctrl_c_ends_it_at_once(start, photo):
    process, address = start("--queue", "60", "--max-batch", "1")
    files = [("images", photo)] * 60
    # so many people that it cannot be done between the signals, however late they come
    people = json.dumps([[[20, 30, 400, 500]] * 50] * 60)

    def ask():
        httpx.post(f"{address}/predict", files=files, data={"boxes": people}, timeout=PATIENCE)

    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(ask)
        while "poise_queue_pictures 60" not in figures_of(address):
            assert not call.done(), call.result()
        process.send_signal(signal.SIGINT)
        while "Waiting for connections" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
        with pytest.raises(httpx.TransportError):
            call.result()
    assert "Traceback" not in process.stderr.read()


def test_bad_bytes_do_not_end_it(server, photo):
    address = server
    host, port = address.removeprefix("http://").split(":")
    for junk in (b"\x00\xff" * 100, b"POST /predict HTTP/1.1\r\nContent-Length: -1\r\n\r\n"):
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as line:
            line.sendall(junk)
            assert line.recv(1000).startswith(b"HTTP/1.1 400")
    # cut off in the middle of the body
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as line:
        line.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\nabc")
    for body, status in ((bytes(700_000), 413), (photo, 200)):
        answer = httpx.post(f"{address}/predict", content=body, timeout=PATIENCE)
        assert answer.status_code == status


@pytest.mark.parametrize(
    ("options", "who"),
    [
        ([], None),
        (["--host", "0.0.0.0"], "everybody who reaches this machine; --token asks"),
        (["--host", "0.0.0.0", "--token", "secret"], "everybody who knows the token"),
    ],
)
def test_others_than_this_machine_are_noted(monkeypatch, options, who):
    monkeypatch.setattr(running, "run_server", lambda app, listener, *, started: started())
    done = CliRunner().invoke(commands, ["serve", *LIGHT, *options])
    assert done.exit_code == 0, done.output
    model, detector, address = done.stdout.splitlines()
    assert model.startswith("model: movenet-lightning")
    assert detector.startswith("detector: nanodet")
    assert re.match(r"serving on http://[\d.]+:\d+/ \(Ctrl-C ends it\)", address)
    if who is None:
        assert done.stderr == ""
    else:
        assert who in done.stderr
        assert "no TLS" in done.stderr


def test_a_port_that_is_taken_is_said_before_a_model_is_loaded():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ArgumentError, match=f"port {port} of 127.0.0.1.*--port takes another"):
            open_socket("127.0.0.1", port)
        done = CliRunner().invoke(commands, ["serve", "-m", "nonsense", "--port", str(port)])
    assert isinstance(done.exception, ArgumentError)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "300.1.1.1"])
def test_an_address_that_is_not_here_is_said(host):
    with pytest.raises(ArgumentError, match=f"--host {host} --port 8000 is no address"):
        open_socket(host, 8000)


@pytest.mark.parametrize("library", ["fastapi", "uvicorn", "python_multipart"])
def test_a_missing_library_is_named_with_its_extra(monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    done = CliRunner().invoke(commands, ["serve", "-m", "nonsense"])
    assert isinstance(done.exception, MissingDependencyError)
    assert f'needs the package {library}: pip install "poise[serve]"' in str(done.exception)
