"""The server answers what `poise.Inferencer` finds, in the form of the result files."""

import base64
import json

import cv2
import numpy as np
import pytest
from fastapi import FastAPI

import poise
from poise.errors import ArgumentError, DataError
from poise.inference.sinks.drawing import drawer_of
from poise.serving import Limits, create_app, warm_up

JPEG = {"content-type": "image/jpeg"}


@pytest.fixture(scope="module")
def pixels(photo):
    return cv2.imdecode(np.frombuffer(photo, np.uint8), cv2.IMREAD_COLOR)


@pytest.fixture(scope="module")
def expected(inferencer, pixels):
    [result] = inferencer(pixels)
    assert len(result) == 1
    return result


def test_a_picture_as_the_body_is_answered_with_its_result(app, ask, photo, expected):
    answer = ask(app, "POST", "/predict", content=photo, headers={"content-type": "image/png"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["server-timing"].startswith("total;dur=")
    assert answer.json() == expected.to_dict()


def test_a_file_of_a_form_keeps_its_name(app, ask, photo, expected):
    answer = ask(app, "POST", "/predict", files={"image": ("a/ä.png", photo)})
    assert answer.json() == {**expected.to_dict(), "image": "a/ä.png"}


def test_several_files_are_a_list_in_which_a_broken_one_says_so(app, ask, photo, expected):
    files = [("images", (name, raw)) for name, raw in (("1", photo), ("2", b"no"), ("3", photo))]
    answer = ask(app, "POST", "/predict", files=files)
    assert answer.status_code == 200
    first, broken, last = answer.json()
    assert first == {**expected.to_dict(), "image": "1"}
    # in a batch of two the last digit may differ
    assert last["instances"][0]["keypoints"] == pytest.approx(
        np.array(expected.to_dict()["instances"][0]["keypoints"]), abs=0.05
    )
    assert (broken["image"], broken["width"], broken["instances"]) == ("2", 0, [])
    assert "'2' is no readable picture; expected a JPEG" in broken["error"]
    # a list also for a single one
    assert len(ask(app, "POST", "/predict", files=files[:1]).json()) == 1


@pytest.mark.parametrize("begin", ["", "data:image/png;base64,", "data:image/png;x=1;BASE64,"])
def test_a_picture_in_json_is_answered_as_the_body_is(app, ask, photo, expected, begin):
    text = begin + base64.b64encode(photo).decode()
    answer = ask(app, "POST", "/predict", json={"image": text, "boxes": None})
    assert answer.status_code == 200
    assert answer.json() == expected.to_dict()


def test_json_holds_several_pictures_and_parameters(app, ask, photo, inferencer, pixels):
    # broken lines, the alphabet for addresses and no padding are base64 as well
    first = base64.encodebytes(photo).decode()
    second = base64.urlsafe_b64encode(photo).decode().rstrip("=")
    boxes = [[20, 30, 400, 500, 1], [100, 0, 300, 300, 0.5]]
    body = {"images": [first, second], "boxes": [boxes, None], "bbox_threshold": 0.6}
    mine, found = ask(app, "POST", "/predict", json=body).json()
    assert [person["bbox_score"] for person in mine["instances"]] == [1.0]
    assert len(found["instances"]) == 1
    drawn = ask(app, "POST", "/draw", json={"image": first, "type": "png"})
    assert drawn.content.startswith(b"\x89PNG")


def test_mmpose_layout(app, ask, photo, expected):
    answer = ask(app, "POST", "/predict?format=mmpose", content=photo, headers=JPEG)
    # JSON knows no tuples
    assert answer.json() == json.loads(json.dumps(expected.to_mmpose()))


@pytest.mark.parametrize("place", ["address", "form"])
def test_own_boxes_take_the_place_of_the_detector(app, ask, photo, inferencer, pixels, place):
    boxes = [[20, 30, 400, 500, 1], [100, 0, 300, 300, 0.5]]
    text = json.dumps(boxes)
    [expected] = inferencer(pixels, boxes=boxes)
    sent = {"params": {"boxes": text}} if place == "address" else {"data": {"boxes": text}}
    answer = ask(app, "POST", "/predict", files={"image": ("array-0", photo)}, **sent)
    assert answer.json() == expected.to_dict()
    sent.setdefault("params", {})["bbox_threshold"] = 0.6
    answer = ask(app, "POST", "/predict", files={"image": photo}, **sent)
    assert [person["bbox_score"] for person in answer.json()["instances"]] == [1.0]


def test_boxes_of_several_pictures_are_a_list_where_null_means_the_detector(
    app, ask, photo, expected
):
    files = [("images", ("a", photo))] * 3
    boxes = "[null, [], [[20, 30, 400, 500]]]"
    found = ask(app, "POST", "/predict", files=files, data={"boxes": boxes}).json()
    assert found[0]["instances"] == expected.to_dict()["instances"]
    assert found[1]["instances"] == []
    assert [person["bbox"] for person in found[2]["instances"]] == [[20, 30, 400, 500]]


def test_nobody_in_the_picture_is_an_empty_list(app, ask):
    _, raw = cv2.imencode(".png", np.zeros((60, 80, 3), np.uint8))
    answer = ask(app, "POST", "/predict", content=raw.tobytes())
    assert answer.status_code == 200
    assert answer.json()["instances"] == []
    assert (answer.json()["width"], answer.json()["height"]) == (80, 60)


def test_the_drawn_picture(app, ask, photo, expected):
    drawn = drawer_of("numbers,no-boxes")(expected)
    answer = ask(app, "POST", "/draw?type=png&style=numbers,no-boxes", content=photo)
    assert answer.headers["content-type"] == "image/png"
    found = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(found, drawn)
    nothing = ask(app, "POST", "/draw?type=png&style=no-boxes&keypoint_threshold=2", content=photo)
    bare = cv2.imdecode(np.frombuffer(nothing.content, np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(bare, expected.image)
    jpeg = ask(app, "POST", "/draw", files={"image": photo})
    assert jpeg.headers["content-type"] == "image/jpeg"
    assert jpeg.content[:2] == b"\xff\xd8"


def test_what_runs_is_described(app, ask):
    about = ask(app, "GET", "/model").json()
    assert (about["poise"], about["model"]) == (poise.__version__, "movenet-lightning")
    assert about["keypoint_names"][:2] == ["nose", "left_eye"]
    assert about["input_size"] == [192, 192]
    assert set(about["limits"]) == set(Limits._fields)
    assert about["mode"] == "accurate"
    assert about["takes_boxes"]
    assert "nanodet" in about["detector"]
    assert about["licence"].startswith("Apache-2.0")
    assert len(about["links"]) == len(about["link_colors"]) == 19
    assert len(about["keypoint_colors"]) == about["num_keypoints"] == 17
    assert about["limits"]["max_pixels"] == 1_000_000


def test_own_weights_have_no_licence_that_is_known(inferencer, ask, monkeypatch):
    monkeypatch.setattr(inferencer, "weights", "/secret/folder/mine.pth")
    about = ask(create_app(inferencer), "GET", "/model").json()
    assert (about["weights"], about["licence"]) == ("mine.pth", None)


def test_a_model_of_whole_pictures_takes_no_boxes(inferencer, ask, photo, monkeypatch):
    monkeypatch.setattr(inferencer, "needs_boxes", False)
    answer = ask(create_app(inferencer), "POST", "/predict?boxes=[[1,2,3,4]]", content=photo)
    assert answer.status_code == 422
    assert "takes no boxes" in answer.json()["error"]


def test_counters(app, ask, photo):
    ask(app, "POST", "/predict", content=photo)
    ask(app, "POST", "/predict", content=b"")
    ask(app, "GET", "/no/such/thing")
    # batches are counted when their answers are on their way
    app.state.service.batcher.close()
    answer = ask(app, "GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    values = dict(line.rsplit(" ", 1) for line in lines)
    assert values['poise_requests_total{route="/predict",status="200"}'] == "1"
    assert values['poise_requests_total{route="/predict",status="400"}'] == "1"
    assert values['poise_requests_total{route="other",status="404"}'] == "1"
    assert values['poise_request_seconds_bucket{route="/predict",le="+Inf"}'] == "2"
    assert values['poise_batch_pictures_bucket{le="1"}'] == "1"
    assert values["poise_batch_pictures_count"] == "1"
    assert values["poise_people_total"] == "1"
    assert float(values["poise_inference_seconds_total"]) > 0
    assert values["poise_queue_pictures"] == "0"


def test_alive_and_ready(app, ask):
    assert ask(app, "GET", "/health").json() == {"status": "alive"}
    assert ask(app, "GET", "/ready").json() == {"status": "ready"}
    app.state.service.batcher.close()
    answer = ask(app, "GET", "/ready")
    assert (answer.status_code, answer.json()) == (503, {"status": "shutting down"})


def test_warming_up_runs_detector_and_network(inferencer, monkeypatch):
    warm_up(inferencer)
    stages = [stage for stage, *_ in inferencer.timings.rows()]
    assert "network" in stages
    monkeypatch.setattr(inferencer.detector, "detect", lambda _: [np.zeros((1, 3))])
    with pytest.raises(DataError, match="the detector's boxes"):
        warm_up(inferencer)


def test_the_app_can_be_mounted_in_another(app, ask, photo, expected):
    outer = FastAPI()
    outer.mount("/pose", app)
    answer = ask(outer, "POST", "/pose/predict", content=photo)
    assert answer.json() == expected.to_dict()
    assert "<title>Poise</title>" in ask(outer, "GET", "/pose/").text
    assert 'route="/predict",status="200"} 1' in ask(outer, "GET", "/pose/metrics").text


def test_a_token_guards_all_but_the_page_and_the_probes(inferencer, ask, photo):
    app = create_app(inferencer, token="gehéim")
    for path in ("/predict", "/draw", "/model", "/metrics"):
        method = "POST" if path in ("/predict", "/draw") else "GET"
        answer = ask(app, method, path, headers={"Authorization": "Bearer wrong"})
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["got"] == "another token"
    assert ask(app, "GET", "/openapi.json").json()["got"] == "no such header"
    for path in ("/", "/health", "/ready"):
        assert ask(app, "GET", path).status_code == 200
    right = {"Authorization": "Bearer gehéim".encode()}
    assert ask(app, "POST", "/predict", content=photo, headers=right).status_code == 200
    with pytest.raises(ArgumentError, match="token is an empty text"):
        create_app(inferencer, token="")


def test_other_origins_are_allowed_only_where_asked(inferencer, ask):
    headers = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    closed = ask(create_app(inferencer), "GET", "/model", headers=headers)
    assert "access-control-allow-origin" not in closed.headers
    opened = create_app(inferencer, allow_origins=["https://a.example"])
    answer = ask(opened, "OPTIONS", "/predict", headers=headers)
    assert answer.headers["access-control-allow-origin"] == "https://a.example"
    other = ask(opened, "GET", "/model", headers={"Origin": "https://b.example"})
    assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize("wrong", [{"max_batch": 0}, {"queue": 1.5}, {"max_pixels": 10**9}])
def test_limits_under_which_nothing_could_be_served_are_refused(inferencer, wrong):
    with pytest.raises(ArgumentError, match=f"{next(iter(wrong))} must be a whole number"):
        create_app(inferencer, limits=Limits(**wrong))


def test_a_server_may_say_how_unsure_places_are(ask, photo, pixels):
    inferencer = poise.Inferencer("movenet-lightning", device="cpu", covariances=True)
    answer = ask(create_app(inferencer), "POST", "/predict", content=photo, headers=JPEG)
    assert answer.status_code == 200
    [person] = answer.json()["instances"]
    assert np.shape(person["keypoint_covariances"]) == (17, 2, 2)
    assert answer.json() == inferencer(pixels)[0].to_dict() | {"image": answer.json()["image"]}
