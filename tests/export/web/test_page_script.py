"""The page's JavaScript beside Python: where to look, what is seen there, and what networks say."""

import json
import shutil
import subprocess
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from poise import codecs
from poise.export.web.page import page_script
from poise.export.web.plan import _CODECS, detector_plan, made_picture
from poise.geometry import box_nms
from poise.inference.boxes import PoseBoxes
from poise.inference.detectors.base import SelectingDetector
from poise.inference.detectors.exported import ExportedDetector
from poise.inference.exported.people import ExportedPeople, FittedPicture
from poise.inference.networks.crops import Crop, WarpCrops
from poise.inference.results import RESULT_VERSION
from poise.inference.results.reading import read_results
from poise.transforms import (
    BottomupResize,
    Compose,
    GetBBoxCenterScale,
    LoadImage,
    PackPoseInputs,
    TopdownAffine,
)

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(
    NODE is None, reason="node, which runs JavaScript, is not installed"
)

MODULES = ("geometry", "codecs", "people", "runtime", "poses")
#: Reads arrays as {data, dims} from JSON, runs an expression, and writes what it gives.
DRIVER = """
import fs from "node:fs";
const read = (_, v) => v?.dims ? { data: Float32Array.from(v.data), dims: v.dims } : v;
const given = JSON.parse(fs.readFileSync(0, "utf-8"), read);
const plain = (v) => Number.isNaN(v) ? "nan" : ArrayBuffer.isView(v) ? [...v] : v;
process.stdout.write(JSON.stringify((EXPRESSION)(given), (_, v) => plain(v)));
"""


def run_js(expression, given, page=None):
    """What `expression`, a function, gives for `given` with the page's modules at hand."""
    program = page_script(page or {}, MODULES) + DRIVER.replace("EXPRESSION", expression)
    done = subprocess.run(
        [NODE, "--input-type=module", "--eval", program],
        input=json.dumps(given, default=array),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout, parse_constant=float)


def array(value):
    return {"data": value.ravel().tolist(), "dims": list(value.shape)}


def picture_of(image):
    """A picture as a canvas gives it: RGBA."""
    rgba = cv2.cvtColor(image, cv2.COLOR_BGR2RGBA)
    return {"data": rgba.ravel().tolist(), "width": image.shape[1], "height": image.shape[0]}


def made_image(width, height):
    random = np.random.default_rng(1)
    coarse = random.integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("udp", [False, True])
@pytest.mark.parametrize(
    "box", [[30, 20, 90, 110], [-40.5, 10.25, 60, 300], [0, 0, 160, 120], [150, 100, 400, 130]]
)
def test_crops_are_those_of_predict(box, udp):
    image, size = made_image(160, 120), (48, 64)
    steps = (LoadImage(), GetBBoxCenterScale(), TopdownAffine(size, use_udp=udp), PackPoseInputs())
    crops = WarpCrops(Compose(steps), {})
    batch = crops.warped([Crop(image, np.array(box, np.float32), 1.0, "made")])
    points = np.random.default_rng(0).uniform(0, 48, (5, 2))
    given = {
        "picture": picture_of(image),
        "box": box,
        "size": size,
        "udp": udp,
        "points": points.tolist(),
    }
    found = run_js(
        "({picture, box, size, udp, points}) => { const place = placeOf(box, 1.25, size, udp);"
        " const moved = points.map(([x, y]) => toPicture(place, x, y));"
        " return { pixels: warped(picture, place), points: moved }; }",
        given,
    )
    pixels = np.array(found["pixels"]).reshape(64, 48, 3)
    apart = np.abs(pixels - batch.pixels[0])
    assert (apart > 0).mean() < 0.01
    assert apart.max() <= 8
    expected = batch.to_image_space(points[None])[0]
    np.testing.assert_allclose(found["points"], expected, atol=1e-3)


@pytest.mark.parametrize("shape", [(90, 60), (61, 130), (40, 40)])
def test_whole_pictures_are_fitted_as_by_predict(shape):
    image = made_image(*shape)
    results = {"img": image, "ori_shape": image.shape[:2], "img_shape": image.shape[:2]}
    fitted = BottomupResize((96, 96), pad_val=(114, 110, 90))(results)
    found = run_js(
        "({picture}) => warped(picture, fittedPlace(picture, [96, 96]), [114, 110, 90])",
        {"picture": picture_of(image)},
    )
    apart = np.abs(np.array(found).reshape(96, 96, 3) - fitted["img"])
    assert (apart > 0).mean() < 0.01
    assert apart.max() <= 8


@pytest.mark.parametrize("shape", [(200, 152), (61, 130), (96, 96)])
def test_resized_pictures_are_those_of_opencv(shape):
    image = made_image(*shape)
    found = run_js(
        "({picture}) => letterboxed(picture, [96, 96], [7, 8, 9], true)",
        {"picture": picture_of(image)},
    )
    room = 96 / max(image.shape[:2])
    width, height = round(image.shape[1] * room), round(image.shape[0] * room)
    expected = np.full((96, 96, 3), (7, 8, 9), np.uint8)
    x, y = found["corner"]
    expected[y : y + height, x : x + width] = cv2.resize(image, (width, height))
    apart = np.abs(np.array(found["pixels"]).reshape(96, 96, 3) - expected)
    # a rounding of one level where builds of OpenCV differ
    assert apart.max() <= 1


SIZE, MAPS, K = (48, 64), (12, 16), 5


def heatmaps(seed=0):
    """Smooth maps with peaks in many places, some near the border, and one without a response."""
    random = np.random.default_rng(seed)
    y, x = np.indices(MAPS[::-1])
    maps = np.empty((2, K, *MAPS[::-1]), np.float32)
    for one in maps.reshape(-1, *MAPS[::-1]):
        cx, cy = random.uniform(-0.5, MAPS[0] - 0.5), random.uniform(-0.5, MAPS[1] - 0.5)
        one[:] = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 8) + random.normal(0, 0.01, one.shape)
    return maps


def vectors(seed=0):
    random = np.random.default_rng(seed)
    axes = []
    for length in (96, 128):
        peaks = random.uniform(0, length, (2, K, 1))
        bell = np.exp(-((np.arange(length) - peaks) ** 2) / 72)
        axes.append((bell + random.normal(0, 0.01, bell.shape)).astype(np.float32))
    axes[0][0, 0] = -1
    return axes


def movenet_maps():
    random = np.random.default_rng(0)
    shapes = ((2, K, 16, 12), (2, 1, 16, 12), (2, 2 * K, 16, 12), (2, 2 * K, 16, 12))
    return [random.random(shape).astype(np.float32) * 2 for shape in shapes]


def combined_maps():
    maps = np.random.default_rng(0).normal(0, 0.3, (2, 3 * K, 16, 12)).astype(np.float32)
    maps[:, ::3] = heatmaps() > 0.5
    return maps


DRAWN = {
    "quarter": (codecs.MSRAHeatmap(SIZE, MAPS, 2), lambda: [heatmaps()]),
    "dark": (codecs.MSRAHeatmap(SIZE, MAPS, 2, unbiased=True), lambda: [heatmaps()]),
    "udp": (codecs.UDPHeatmap(SIZE, MAPS), lambda: [heatmaps()]),
    "combined": (
        codecs.UDPHeatmap(SIZE, MAPS, heatmap_type="combined", blur_kernel_size=3),
        lambda: [combined_maps()],
    ),
    "megvii": (codecs.MegviiHeatmap(SIZE, MAPS, kernel_size=5), lambda: [heatmaps() * 255]),
    "simcc": (codecs.SimCCLabel(SIZE), vectors),
    "simcc_dark": (codecs.SimCCLabel(SIZE, use_dark=True), lambda: vectors(3)),
    "regression": (
        codecs.RegressionLabel(SIZE),
        lambda: [np.random.default_rng(0).random((2, K, 2)).astype(np.float32)],
    ),
    "rle": (
        codecs.RegressionLabel(SIZE),
        lambda: [np.random.default_rng(0).random((2, K, 4)).astype(np.float32)],
    ),
    "integral": (
        codecs.IntegralRegressionLabel(SIZE, MAPS, 2),
        lambda: [np.random.default_rng(0).random((2, K, 2)).astype(np.float32)],
    ),
    "movenet": (codecs.MoveNetLabel(SIZE), movenet_maps),
}


@pytest.mark.parametrize("name", DRAWN)
def test_keypoints_are_those_of_the_codec(name):
    codec, made = DRAWN[name]
    outputs = made()
    points, scores = codec.batch_decode(*outputs)
    given = {"outputs": outputs, "codec": _CODECS[type(codec)](codec)}
    found = run_js(
        "({outputs, codec}) => [0, 1].map((row) => decoders[codec.name](outputs, row, codec))",
        given,
    )
    for row, own in enumerate(found):
        np.testing.assert_allclose(own["points"], points[row, 0], atol=2e-3)
        np.testing.assert_allclose(own["scores"], scores[row, 0], atol=1e-5)


def test_every_codec_of_the_page_is_compared():
    assert {type(codec) for codec, _ in DRAWN.values()} == set(_CODECS)


def test_a_map_without_response_has_no_place():
    codec = codecs.UDPHeatmap(SIZE, MAPS)
    given = {
        "outputs": [np.zeros((1, 1, 16, 12), np.float32)],
        "codec": _CODECS[type(codec)](codec),
    }
    found = run_js("({outputs, codec}) => decoders.udp(outputs, 0, codec)", given)
    assert found == {"points": [["nan", "nan"]], "scores": [0]}


def boxes(count, seed=0):
    corners = np.random.default_rng(seed).uniform(0, 60, (count, 2))
    return np.concatenate((corners, corners + 25), 1).astype(np.float32)


def test_doubles_are_those_of_box_nms():
    drawn = boxes(40)
    scores = np.random.default_rng(1).random(40).astype(np.float32)
    given = {"boxes": drawn.tolist(), "scores": scores.tolist()}
    found = run_js("({boxes, scores}) => suppressed(boxes, scores, 0.5)", given)
    assert found == box_nms(drawn, scores, 0.5).tolist()
    assert len(found) < 40


def test_boxes_follow_poses_as_in_predict():
    random = np.random.default_rng(0)
    start = random.uniform(20, 80, (2, 6, 2))
    frames = [start + 3 * step + random.normal(0, 0.5, start.shape) for step in range(3)]
    scores = np.full((2, 6), 0.9)
    scores[0, :2] = 0.1
    first = np.array([[10.0, 5, 95, 99], [15, 12, 90, 88]])
    own = PoseBoxes()
    own.detected(first, np.array([0.9, 0.8]), frames[0], scores)
    expected = [own.moved(frame, scores)[0].tolist() for frame in frames[1:]]
    given = {
        "frames": [f.tolist() for f in frames],
        "scores": scores.tolist(),
        "boxes": first.tolist(),
    }
    found = run_js(
        "({frames, scores, boxes}) => { const own = new Followed();"
        " const people = (f) => frames[f].map((keypoints, i) =>"
        " ({keypoints, keypoint_scores: scores[i], bbox: boxes[i], bbox_score: [0.9, 0.8][i]}));"
        " own.found(people(0));"
        " return [1, 2].map((f) => own.next(people(f)).map((b) => b.slice(0, 4))); }",
        given,
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("rate", [25, 30000 / 1001])
def test_frames_of_a_video_are_counted_by_their_times(rate):
    seen = [0, 2, 3, 4, 7, 8, *range(10, 4000, 3)]
    # browsers round the times of some videos to milliseconds
    times = [round(number / rate, 3) for number in seen]
    found = run_js(
        "({times}) => { let clock = null;"
        " return times.map((time) => (clock = ticked(clock, time, true)).frame); }",
        {"times": times},
    )
    # until two neighbours were seen nobody knows how far apart they are
    assert found[2:] == seen[2:]


def test_people_who_are_no_longer_sure_are_not_followed():
    given = {
        "keypoints": [[1, 2], [3, 4]],
        "keypoint_scores": [0.1, 0.1],
        "bbox": [0, 0, 5, 5],
        "bbox_score": 1,
    }
    assert (
        run_js(
            "(one) => { const own = new Followed(); own.found([one]); return own.next([one]); }",
            given,
        )
        == []
    )


def test_the_made_picture_is_the_same_on_both_sides():
    found = run_js("({size}) => madePixels(size)", {"size": [37, 21]})
    assert found == made_picture(37, 21).ravel().tolist()


def test_lines_are_read_as_results_of_predict(tmp_path):
    page = {"resultVersion": RESULT_VERSION, "schema": "mouse", "names": ["nose", "tail"]}
    one = {"bbox": [1, 2, 30.123, 40], "bbox_score": 0.98765, "keypoint_scores": [0.5, 0.25]}
    one["keypoints"] = [[3.14159, 4], [5, 6]]
    given = {"one": one, "moments": [{"frame": 0, "time": 0}, {"frame": 2, "time": 0.08}]}
    lines = run_js(
        "({one, moments}) => moments.map((moment) =>"
        " lineOf('a.mp4', {width: 64, height: 48}, [one], moment))",
        given,
        page,
    )
    file = tmp_path / "poses.jsonl"
    file.write_text("\n".join(lines) + "\n")
    first, second = read_results(file)
    assert (first.name, second.frame_index, second.time) == ("a.mp4", 2, 0.08)
    assert first.keypoint_names == ["nose", "tail"]
    found = first.to_dict()["instances"][0]
    assert (found["bbox"], found["bbox_score"]) == ([1, 2, 30.12, 40], 0.9877)
    assert (found["keypoints"], found["keypoint_scores"]) == ([[3.14, 4], [5, 6]], [0.5, 0.25])


def test_people_of_one_stage_networks_are_those_of_predict():
    random = np.random.default_rng(0)
    outputs = (
        boxes(30)[None],
        random.random((1, 30)).astype(np.float32),
        random.uniform(0, 96, (1, 30, K, 2)).astype(np.float32),
        random.random((1, 30, K)).astype(np.float32),
    )
    image = made_image(200, 120)
    for select in (
        {
            "score_threshold": 0.1,
            "candidates": 20,
            "iou_threshold": 0.4,
            "max_people": None,
            "in_image": False,
        },
        {
            "score_threshold": 0.3,
            "candidates": 99,
            "iou_threshold": 0.6,
            "max_people": 3,
            "in_image": True,
        },
    ):
        meta = {"ori_shape": (120, 200), "input_size": (96, 96), "input_center": (100, 60)}
        fitted = FittedPicture(image, {**meta, "input_scale": (200, 200)})
        network = ExportedPeople(SimpleNamespace(lanes=1), None, select)
        expected = network.decode(outputs, [fitted])[0]
        given = {"outputs": outputs, "about": {"select": select, "size": [96, 96]}}
        found = run_js(
            "({outputs, about}) => { const picture = {width: 200, height: 120};"
            " const place = fittedPlace(picture, [96, 96]);"
            " return peopleOf(outputs, about, (x, y) => toPicture(place, x, y), picture); }",
            given,
        )
        assert len(found) == len(expected.keypoints) > 1
        for own, *row in zip(
            found, expected.keypoints, expected.scores, expected.bboxes, strict=True
        ):
            np.testing.assert_allclose(own["keypoints"], row[0], atol=1e-3)
            np.testing.assert_allclose(own["keypoint_scores"], row[1], atol=1e-5)
            np.testing.assert_allclose(own["bbox"], row[2], atol=1e-3)


@pytest.mark.parametrize("several", [True, False])
def test_boxes_of_detectors_are_those_of_predict(several):
    random = np.random.default_rng(0)
    scores = random.random((1, 40, 3)).astype(np.float32) ** 2
    select = {
        "score_threshold": 0.05,
        "several_labels": several,
        "best_of_level": 12 if several else None,
        "smallest_side": 0,
        "iou_threshold": 0.5,
        "class_agnostic": False,
        "max_boxes": 20,
    }
    about = {
        "kind": "boxes",
        "num_classes": 3,
        "classes": ["fish", "mouse", "rat"],
        "input_size": [96, 96],
        "padding": 114,
        "levels": [30, 10],
        "select": select,
    }
    plan = detector_plan(about, {"dataset_name": "mouse"}, "made.onnx")
    own = ExportedDetector.__new__(ExportedDetector)
    SelectingDetector.__init__(own, 0.3, None, plan["classes"], None)
    own._select, own._levels = about["select"], about["levels"]
    factor = (96 / 200, 96 / 200)
    expected = own.select(*own._found(boxes(40), scores[0], factor), (120, 200))
    found = run_js(
        "({outputs, plan}) => boxesOf(outputs, plan, {scale: [0.48, 0.48], corner: [0, 0]}, 0.3,"
        " {width: 200, height: 120})",
        {"outputs": [boxes(40)[None], scores], "plan": plan},
    )
    assert {box[5] for box in found} == {1}
    np.testing.assert_allclose(np.array(found)[:, :5], expected, rtol=1e-5)


def test_the_whole_program_is_valid(tmp_path):
    file = tmp_path / "page.mjs"
    file.write_text(page_script({"names": ["</script>"]}))
    assert "</script>" not in file.read_text()
    done = subprocess.run([NODE, "--check", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
