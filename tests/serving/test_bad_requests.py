"""Whatever comes, the answer says what was expected, and the next one is served."""

import asyncio
import struct
import zlib

import pytest

from poise.serving import Limits, create_app, pictures, requests

PNG = {"content-type": "image/png"}


def bomb(width: int, height: int) -> bytes:
    """A PNG that claims a size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(b"0" * 99)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def check(answer, status, *fragments):
    said = answer.json()
    assert answer.status_code == status, said
    assert set(said) <= {"error", "expected", "got", "try"}
    for fragment in fragments:
        assert fragment in " ".join(said.values()), said
    assert "Traceback" not in answer.text


BODIES = [
    ("empty", b"", PNG, 400, "the body is empty"),
    ("text", b"hello", PNG, 415, "5 bytes of something else"),
    ("cut", None, PNG, 422, "'array-0' is a broken picture"),
    ("gif", b"GIF89a" + bytes(20), PNG, 415, "a GIF"),
    ("heic", b"\0\0\0\x18ftypheic" + bytes(20), {}, 415, "a HEIC picture"),
    ("video", b"\0\0\0\x18ftypisom" + bytes(20), {}, 415, "a video (MP4 or QuickTime)"),
    ("curl -d", b"x", {"content-type": "application/x-www-form-urlencoded"}, 415, "--data-binary"),
    ("json", b"{}", {"content-type": "application/json; charset=utf-8"}, 422, "the JSON body"),
    ("yaml", b"{}", {"content-type": "application/yaml"}, 415, "application/yaml"),
    ("form without a border", b"x", {"content-type": "multipart/form-data"}, 422, "form cannot be"),
    (
        "form of noise",
        b"x",
        {"content-type": "multipart/form-data; boundary=a"},
        422,
        "form cannot",
    ),
]


@pytest.mark.parametrize(
    ("raw", "headers", "status", "text"), [b[1:] for b in BODIES], ids=[b[0] for b in BODIES]
)
def test_bodies_that_are_no_pictures(app, ask, photo, raw, headers, status, text):
    raw = photo[:1000] if raw is None else raw
    check(ask(app, "POST", "/predict", content=raw, headers=headers), status, text)
    check(ask(app, "POST", "/draw", content=raw, headers=headers), status, text)
    assert ask(app, "POST", "/predict", content=photo).status_code == 200


@pytest.mark.parametrize("size", [(1001, 1000), (50_000, 50_000), (2**31 - 1, 2**31 - 1)])
def test_a_picture_of_too_many_pixels_is_not_decoded(app, ask, monkeypatch, size):
    monkeypatch.setattr(pictures, "decoded", lambda *_: pytest.fail("it was decoded"))
    check(ask(app, "POST", "/predict", content=bomb(*size)), 413, "too many pixels")


def test_a_picture_of_just_enough_pixels_is_decoded(app, ask):
    check(ask(app, "POST", "/predict", content=bomb(1000, 1000)), 422, "cannot be decoded")


def test_a_body_that_is_too_long_is_refused_with_and_without_a_length(app, ask):
    async def parts():
        for _ in range(30):
            yield bytes(100_000)

    check(ask(app, "POST", "/predict", content=bytes(2_000_001)), 413, "2000001 bytes")
    answer = ask(app, "POST", "/predict", content=parts(), headers=PNG)
    check(answer, 413, "2100000 bytes and more", "at most 2000000")
    check(ask(app, "POST", "/predict", files={"image": bytes(2_000_001)}), 413, "too large")


def test_a_body_that_comes_too_slowly_is_given_up(app, ask, monkeypatch):
    async def parts():
        yield b"begin"
        await asyncio.sleep(60)

    monkeypatch.setattr(requests, "_UPLOAD_SECONDS", 0.05)
    answer = ask(app, "POST", "/predict", content=parts(), headers=PNG)
    check(answer, 408, "within 0.05 s")
    assert app.state.service.room.taken == 0


FORMS = [
    ("no file", {"data": {"bbox_threshold": "0.5"}, "files": {"x": b""}}, "a file 'x'"),
    ("two", {"files": [("image", b"a"), ("image", b"a")]}, "2 files 'image'"),
    (
        "both",
        {"files": [("image", b"a"), ("images", b"a")]},
        "1 files 'image' and 1",
    ),
    ("text", {"files": {"image": (None, "photo.jpg")}}, "'image' as a text"),
    ("long text", {"files": {"image": (None, "x" * 1_100_000)}}, "maximum size"),
    ("unknown", {"files": {"image": b"a"}, "data": {"formt": "poise"}}, "did you mean 'format'?"),
    (
        "value",
        {"files": {"image": b"a"}, "data": {"bbox_threshold": "2"}},
        "equal to 1",
    ),
    ("not finite", {"files": {"image": b"a"}, "data": {"bbox_threshold": "nan"}}, "bbox_threshold"),
]


@pytest.mark.parametrize(("sent", "text"), [f[1:] for f in FORMS], ids=[f[0] for f in FORMS])
def test_forms_that_do_not_fit(app, ask, sent, text):
    check(ask(app, "POST", "/predict", **sent), 422, text)


def test_more_pictures_than_there_is_room_for(inferencer, ask):
    app = create_app(inferencer, limits=Limits(queue=3))
    files = [("images", b"a")]
    check(ask(app, "POST", "/predict", files=files * 4), 413, "at most 3", "4")
    check(ask(app, "POST", "/predict", files=files * 9), 422, "Too many files")
    assert ask(app, "POST", "/predict", files=files * 3).status_code == 200


JSON = [
    ("broken", b'{"image": "a', 422, "no JSON"),
    ("empty", b"", 400, "the body is empty"),
    ("deep", b'{"image": ' + b"[" * 100_000, 422, "no JSON"),
    ("list", b'["a"]', 422, "a list"),
    ("other field", b'{"img": "YQ=="}', 422, "the fields img"),
    ("both", b'{"image": "YQ==", "images": ["YQ=="]}', 422, "the fields image, images"),
    ("number", b'{"image": 7}', 422, "'image' that is no text"),
    ("none", b'{"images": []}', 422, "'images' that is no list of texts"),
    ("a text for a list", b'{"images": "YQ=="}', 422, "'images' that is no list of texts"),
    ("letters", b'{"image": "%%%%"}', 422, "picture 0 is not base64"),
    ("no picture", b'{"image": "aGVsbG8="}', 415, "5 bytes of something else"),
    ("address", b'{"image": "http://169.254.169.254/a"}', 422, "the server fetches no addresses"),
    ("file", b'{"image": "file:///etc/passwd"}', 422, "the server fetches no addresses"),
    ("url", b'{"image": "YQ==", "image_url": "http://a"}', 422, "fetches no addresses"),
    ("parameter", b'{"image": "YQ==", "bbox_threshold": 2}', 422, "equal to 1"),
    ("many values", b'{"image": "YQ==", "boxes": [' + b"0," * 200_001, 413, "at most 200000"),
]


@pytest.mark.parametrize(
    ("body", "status", "said"), [b[1:] for b in JSON], ids=[b[0] for b in JSON]
)
def test_json_that_does_not_fit(app, ask, body, status, said):
    headers = {"content-type": "application/json"}
    check(ask(app, "POST", "/predict", content=body, headers=headers), status, said)


def test_more_pictures_in_json_than_there_is_room_for(inferencer, ask):
    app = create_app(inferencer, limits=Limits(queue=3))
    check(ask(app, "POST", "/predict", json={"images": ["YQ=="] * 4}), 413, "at most 3", "4")
    assert ask(app, "POST", "/predict", json={"images": ["YQ=="] * 3}).status_code == 200


def test_an_address_in_a_form_is_told_why_it_is_not_fetched(app, ask):
    sent = {"image": (None, "https://a.example/b.jpg")}
    check(ask(app, "POST", "/predict", files=sent), 422, "fetches no addresses")


BOXES = [
    ("no json", "[[1,2", "is not JSON"),
    ("deep", "[" * 100_000, "is not JSON"),
    ("nan", "[[1, 2, NaN, 4]]", "box 0 is [1.0, 2.0, nan, 4.0]"),
    ("infinite", "[[1, 2, 1e999, 4]]", "inf"),
    ("large", "[[1, 2, 1e300, 4]]", "inf"),
    ("far away", "[[1, 2, 3, 4], [-1e30, -1e30, 1e30, 1e30]]", "-10000000 to 10000000"),
    ("larger", f"[[1, 2, {10**400}, 4]]", "too large"),
    ("text", '[["a", 2, 3, 4]]', "must be numbers"),
    ("dict", '{"x": 1}', "no list"),
    ("number", "7", "no list"),
    ("ragged", "[[1, 2, 3, 4], [1, 2]]", "must be numbers"),
    ("three", "[[1, 2, 3]]", "(1, 3)"),
    ("width and height", "[[100, 100, 50, 50]]", "x, y, width, height"),
    ("too many", str([[1, 2, 3, 4]] * 257), "at most 256"),
]


@pytest.mark.parametrize(("text", "said"), [b[1:] for b in BOXES], ids=[b[0] for b in BOXES])
def test_boxes_that_cannot_be_used(app, ask, photo, text, said):
    answer = ask(app, "POST", "/predict", files={"image": photo}, data={"boxes": text})
    check(answer, 422, said)
    check(ask(app, "POST", "/predict", files={"images": photo}, data={"boxes": f"[{text}]"}), 422)


def test_boxes_for_another_number_of_pictures(app, ask, photo):
    answer = ask(
        app, "POST", "/predict", files=[("images", photo)] * 2, data={"boxes": "[[[1,2,3,4]]]"}
    )
    check(answer, 422, "a list of 2", "a list of 1")


ADDRESSES = [
    ("GET", "/predict?url=http://a.example/b.jpg", 405, "fetches no addresses"),
    ("POST", "/predict?url=http://a.example/b.jpg", 422, "there is no parameter 'url'"),
    ("POST", "/predict?bbox_threshold=x", 422, "bbox_threshold"),
    ("POST", "/draw?style=sketchy", 422, "there is no style 'sketchy'"),
    ("POST", "/draw?style=keypoints=nase", 422, "there is no keypoint 'nase'"),
    ("POST", "/draw?type=gif", 422, "'jpeg' or 'png'"),
    ("POST", "/draw?keypoint_threshold=nan", 422, "finite"),
    ("POST", "/draw?format=mmpose", 422, "there is no parameter 'format'"),
    ("GET", "/nothing", 404, "GET /nothing"),
    ("DELETE", "/model", 405, "DELETE /model"),
]


@pytest.mark.parametrize(("method", "path", "status", "text"), ADDRESSES)
def test_addresses_that_mean_nothing(app, ask, photo, method, path, status, text):
    content = photo if method == "POST" else None
    check(ask(app, method, path, content=content), status, text)


def test_several_pictures_are_not_drawn(app, ask, photo):
    check(ask(app, "POST", "/draw", files=[("images", photo)] * 2), 422, "one picture")


@pytest.mark.parametrize("fault", [RuntimeError("CUDA error at /secret"), MemoryError()])
def test_a_model_that_fails_is_said_without_details_and_used_again(held, ask, photo, caplog, fault):
    app = create_app(held)
    held.fault = fault
    held.go.set()
    answer = ask(app, "POST", "/predict", content=photo)
    check(answer, 500, "the model failed on this picture")
    assert "secret" not in answer.text
    assert type(fault).__name__ in caplog.text
    check(ask(app, "POST", "/predict", files=[("images", photo)] * 2), 500, "the model failed")
    held.fault = None
    assert ask(app, "POST", "/predict", content=photo).status_code == 200


def test_an_error_of_the_detector_is_told_so(inferencer, ask, photo, monkeypatch, caplog):
    def fail(_):
        raise RuntimeError("broken detector")

    monkeypatch.setattr(inferencer.detector, "detect", fail)
    check(ask(create_app(inferencer), "POST", "/predict", content=photo), 500, "the model failed")
    assert "broken detector" in caplog.text


def test_a_fault_of_the_server_is_json_too(app, ask, photo, monkeypatch):
    monkeypatch.setattr(app.state.service, "predicted", None)
    check(ask(app, "POST", "/predict", content=photo), 500, "a fault in the server")
