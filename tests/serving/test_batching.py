"""Requests that wait together are looked at together; too many are refused; none is lost."""

import asyncio

import pytest

from poise.serving import Limits, create_app
from poise.serving.batching import Batcher, ClosedError


async def post(client, photo, **options):
    return await client.post("/predict", content=photo, **options)


async def until(condition):
    async with asyncio.timeout(120):
        while not condition():
            await asyncio.sleep(0.005)


def test_what_waits_is_the_next_batch(held, client_of, photo):
    app = create_app(held, limits=Limits(max_batch=4))
    service = app.state.service

    async def run():
        async with client_of(app) as client:
            first = asyncio.create_task(post(client, photo))
            await until(held.came.is_set)
            others = [asyncio.create_task(post(client, photo)) for _ in range(6)]
            await until(lambda: service.batcher.waiting == 6)
            boxed = asyncio.create_task(post(client, photo, params={"boxes": "[[9,9,400,400]]"}))
            await until(lambda: service.batcher.waiting == 7)
            held.go.set()
            return await asyncio.gather(first, *others, boxed)

    answers = asyncio.run(run())
    assert [answer.status_code for answer in answers] == [200] * 8
    people = [answer.json()["instances"] for answer in answers]
    assert all(len(found) == 1 for found in people)
    assert people[-1][0]["bbox"] == [9, 9, 400, 400]
    # one alone, then four that waited; given boxes and sought ones apart
    assert held.groups == [1, 4, 1, 2]


def test_one_by_one(held, client_of, photo):
    app = create_app(held, limits=Limits(max_batch=1))

    async def run():
        async with client_of(app) as client:
            calls = [asyncio.create_task(post(client, photo)) for _ in range(3)]
            await until(held.came.is_set)
            held.go.set()
            return await asyncio.gather(*calls)

    assert all(answer.status_code == 200 for answer in asyncio.run(run()))
    assert held.groups == [1, 1, 1]


def test_a_full_queue_refuses_and_says_when_to_come_again(held, client_of, photo):
    app = create_app(held, limits=Limits(max_batch=1, queue=3))

    async def run():
        async with client_of(app) as client:
            calls = [asyncio.create_task(post(client, photo)) for _ in range(3)]
            await until(lambda: app.state.service.room.full)
            refused = await post(client, photo)
            ready = await client.get("/ready")
            alive = await client.get("/health")
            held.go.set()
            done = await asyncio.gather(*calls)
            again = await post(client, photo)
            return refused, ready, alive, done, again

    refused, ready, alive, done, again = asyncio.run(run())
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) >= 1
    assert "3 of 3 pictures" in refused.json()["error"]
    assert (ready.status_code, alive.status_code) == (503, 200)
    assert [answer.status_code for answer in (*done, again)] == [200] * 4
    assert app.state.service.room.taken == 0


def test_several_pictures_take_several_places(held, client_of, photo):
    app = create_app(held, limits=Limits(queue=3))
    files = [("images", photo)] * 3

    async def run():
        async with client_of(app) as client:
            first = asyncio.create_task(post(client, photo))
            await until(held.came.is_set)
            refused = await client.post("/predict", files=files)
            held.go.set()
            await first
            return refused, await client.post("/predict", files=files)

    refused, again = asyncio.run(run())
    assert (refused.status_code, again.status_code) == (503, 200)


def test_only_some_pictures_are_decoded_at_a_time(held, client_of, photo, monkeypatch):
    from poise.serving import service

    app = create_app(held, limits=Limits(max_batch=1, queue=10))
    decoded, plain = [], service.decode
    monkeypatch.setattr(service, "decode", lambda *args: decoded.append(1) or plain(*args))

    async def run():
        async with client_of(app) as client:
            calls = [asyncio.create_task(post(client, photo)) for _ in range(8)]
            await until(lambda: app.state.service.room.taken == 8)
            await until(lambda: held.came.is_set() and app.state.service.batcher.waiting == 1)
            # time enough for a third one, if nothing kept it back
            await asyncio.sleep(0.05)
            count = len(decoded)
            held.go.set()
            await asyncio.gather(*calls)
            return count

    assert asyncio.run(run()) == 2
    assert len(decoded) == 8


@pytest.mark.parametrize("moment", ["waiting", "sending"])
def test_a_client_that_goes_away_costs_nothing_more(held, client_of, photo, moment):
    app = create_app(held, limits=Limits(max_batch=1))
    service = app.state.service
    sent = []

    async def run():
        left = asyncio.Event()
        whole = [{"type": "http.request", "body": photo, "more_body": moment == "sending"}]

        async def receive():
            if whole:
                return whole.pop()
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        async with client_of(app) as client:
            first = asyncio.create_task(post(client, photo))
            await until(held.came.is_set)
            scope = {
                "type": "http",
                "asgi": {"version": "3.0"},
                "http_version": "1.1",
                "method": "POST",
                "path": "/predict",
                "raw_path": b"/predict",
                "root_path": "",
                "query_string": b"",
                "headers": [(b"content-type", b"image/png")],
                "scheme": "http",
                "client": ("test", 1),
                "server": ("test", 80),
            }
            second = asyncio.create_task(app(scope, receive, send))
            await until(lambda: service.room.taken == 2)
            if moment == "waiting":
                await until(lambda: service.batcher.waiting == 1)
            left.set()
            await second
            # its place is free although the model has not come to it
            await until(lambda: service.room.taken == 1)
            held.go.set()
            return await first

    assert asyncio.run(run()).status_code == 200
    service.batcher.close()
    assert held.groups == [1]
    assert sent[0]["status"] == 499


def test_closing_finishes_what_waits_and_takes_no_more(held, photo, ask):
    import cv2
    import numpy as np

    pixels = cv2.imdecode(np.frombuffer(photo, np.uint8), cv2.IMREAD_COLOR)
    batcher = Batcher(held, max_batch=2)
    futures = [batcher.submit(pixels, None) for _ in range(5)]
    held.go.set()
    batcher.close()
    assert [len(future.result(0)) for future in futures] == [1] * 5
    with pytest.raises(ClosedError):
        batcher.submit(pixels, None)
    app = create_app(held)
    app.state.service.batcher.close()
    answer = ask(app, "POST", "/predict", content=photo)
    assert answer.status_code == 503
    assert "shutting down" in answer.json()["error"]


def test_closing_what_never_began(held):
    batcher = Batcher(held, max_batch=2)
    batcher.close()
    assert batcher.closing
    assert held.groups == []
