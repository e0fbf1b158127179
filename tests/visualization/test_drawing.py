"""Drawing into the caller's picture."""

import subprocess
import sys

import cv2
import numpy as np
import pytest

from poise.errors import DataError
from poise.structures.metainfo import parse_pose_metainfo
from poise.visualization import (
    Palette,
    Sizes,
    Trails,
    draw_boxes,
    draw_heatmaps,
    draw_instances,
    draw_keypoints,
    draw_simcc,
    draw_tracks,
    named_color,
)
from poise.visualization.files import write_picture

META = {
    "keypoint_colors": np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8),
    "skeleton_links": [(0, 1), (1, 2)],
    "skeleton_link_colors": np.array([[250, 10, 20], [30, 240, 50]], np.uint8),
}
POSE = np.array([[20.0, 20.0], [80.0, 20.0], [80.0, 80.0]])


@pytest.fixture
def image():
    return np.full((100, 120, 3), 7, np.uint8)


@pytest.mark.parametrize("order", ["bgr", "rgb"])
def test_colours_stand_where_they_belong(image, order):
    assert draw_keypoints(image, POSE, metainfo=META, order=order, antialias=False) is image
    step = 1 if order == "rgb" else -1
    for (x, y), color in zip(POSE.astype(int), META["keypoint_colors"], strict=True):
        assert image[y, x].tolist() == color[::step].tolist()
    assert image[20, 50].tolist() == [250, 10, 20][::step]
    assert image[50, 80].tolist() == [30, 240, 50][::step]


def test_keypoints_below_the_threshold_are_left_out_with_their_links(image):
    draw_keypoints(image, POSE, [0.9, 0.2, np.nan], metainfo=META, keypoint_threshold=0.3)
    assert (image[20, 20] != 7).any()
    assert (image[10:30, 40:] == 7).all()
    assert (image[40:] == 7).all()


@pytest.mark.parametrize(
    "points",
    [
        np.full((2, 3, 2), np.nan),
        np.full((1, 3, 2), np.inf),
        np.full((1, 3, 2), 1e12),
        np.full((1, 3, 2), -5000.0),
        np.zeros((0, 3, 2)),
    ],
    ids=["nan", "inf", "huge", "outside", "nobody"],
)
@pytest.mark.parametrize("options", [{}, {"alpha": 0.5}, {"show_indices": True}])
def test_what_cannot_be_drawn_leaves_the_picture_alone(image, points, options):
    draw_keypoints(image, points, metainfo=META, **options)
    assert (image == 7).all()


def test_one_bad_keypoint_does_not_take_the_others_with_it(image):
    points = POSE.copy()
    points[2] = np.nan
    draw_keypoints(image, points, metainfo=META)
    assert (image[20, 50] != 7).any()


def test_a_link_to_a_keypoint_outside_runs_to_the_border(image):
    points = POSE.copy()
    points[1] = [400, 20]
    draw_keypoints(image, points, metainfo=META)
    assert (image[20, 30:] != 7).any(axis=-1).all()


@pytest.mark.parametrize("weigh_by_score", [False, True])
def test_transparency_lets_the_picture_through(image, weigh_by_score):
    solid, faint = image.copy(), image.copy()
    draw_keypoints(solid, POSE, metainfo=META)
    options = {"weigh_by_score": True} if weigh_by_score else {"alpha": 0.4}
    draw_keypoints(faint, POSE, np.full(3, 0.4), metainfo=META, **options)
    y, x = 20, 50
    expected = 7 + 0.4 * (solid[y, x].astype(float) - 7)
    np.testing.assert_allclose(faint[y, x], expected, atol=2)
    assert (faint[90:] == 7).all()


def test_a_picture_with_gaps_in_memory_is_drawn_into(image):
    half = image[:, ::2]
    draw_keypoints(half, POSE / [2, 1], metainfo=META)
    assert (image[:, ::2] != 7).any()
    assert (image[:, 1::2] == 7).all()


@pytest.mark.parametrize(("side", "line", "dot"), [(100, 1, 1), (555, 2, 3), (2900, 10, 17)])
def test_sizes_follow_the_picture(side, line, dot):
    assert Sizes().line((side, side, 3)) == line
    assert Sizes().dot((side, side, 3)) == dot
    assert Sizes(4, 9).line((side, side)) == 4
    assert Sizes(4, 9).dot((side, side)) == 9


def test_crowded_keypoints_are_as_fine_as_can_be_and_still_there():
    image = np.zeros((20, 20, 3), np.uint8)
    points = np.array([[[5, 5], [6, 5], [5, 6]]])
    draw_keypoints(image, points, metainfo=dict(keypoint_colors=[(255, 255, 255)] * 3))
    lit = image.any(-1)
    assert lit[[5, 5, 6], [5, 6, 5]].all()
    assert lit.sum() <= 5


def test_small_people_and_close_keypoints_get_finer_strokes():
    palette = Palette.of(META, 3)
    points = np.stack([POSE * 10, POSE, POSE * 10])
    points[2, 2] = points[2, 1] + [6, 0]
    widths, radii = Sizes().strokes((1000, 1000), points, np.ones((3, 3), bool), palette)
    assert (radii[0] > radii[1]).all()
    assert (widths[0] > widths[1]).all()
    assert radii[2].tolist() == [6, 2, 2]
    assert widths[2].tolist() == [3, 1]
    fixed, dots = Sizes(5, 8).strokes((1000, 1000), points, np.ones((3, 3), bool), palette)
    assert (fixed == 5).all()
    assert (dots == 8).all()


def test_boxes_are_drawn_with_labels(image):
    draw_boxes(image, [[10, 30, 60, 70]], color=(1, 2, 3), labels=["cat"], order="rgb")
    assert image[50, 10].tolist() == [1, 2, 3]
    assert image[70, 40].tolist() == [1, 2, 3]
    assert (image[29, 12:30] != 7).any()
    untouched = draw_boxes(np.full((9, 9, 3), 7, np.uint8), [[np.nan] * 4, [1e9] * 4])
    assert (untouched == 7).all()


def test_instances_may_be_a_dict(image):
    found = {
        "keypoints": POSE[None],
        "keypoint_scores": np.ones((1, 3)),
        "bboxes": np.array([[5, 5, 110, 95]]),
    }
    draw_instances(image, found, META)
    assert (image[50, 5] != 7).any()
    assert (image[20, 50] != 7).any()
    # two pixels: one would lose its colour in a video
    box = draw_instances(np.zeros((60, 60, 3), np.uint8), {"bboxes": [[10, 10, 40, 40]]})
    assert (box[25] > 0).any(axis=-1).sum() >= 4
    plain = draw_instances(np.full((100, 120, 3), 7, np.uint8), {"keypoints": np.zeros((0, 3, 2))})
    assert (plain == 7).all()


def test_heatmaps_are_laid_over_the_picture(image):
    maps = np.zeros((2, 25, 30), np.float32)
    maps[1, 10, 10] = 1
    drawn = draw_heatmaps(image, maps, order="rgb")
    assert drawn.shape == image.shape
    red, _, blue = drawn[42, 42].tolist()
    assert red > blue
    assert drawn[90, 100].tolist()[2] > drawn[90, 100].tolist()[0]
    assert draw_heatmaps(image, np.full((4, 4), np.nan)).shape == image.shape


def read_only(image):
    image = image.copy()
    image.setflags(write=False)
    return image


def test_parts_that_are_none_are_not_there(image):
    before = image.copy()
    draw_instances(image, {"keypoints": None, "bboxes": None})
    np.testing.assert_array_equal(image, before)


def test_tensors_with_a_gradient_are_drawn(image):
    torch = pytest.importorskip("torch")
    drawn = draw_keypoints(image, torch.tensor(POSE, requires_grad=True))
    assert drawn.any()


def test_links_to_keypoints_that_do_not_exist_are_left_out():
    assert Palette.of(None, 3, links=[[0, 1], [0, -1], [2, 3]]).links.tolist() == [[0, 1]]


@pytest.mark.parametrize("order", ["rgb", "bgr"])
@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 3), (4, 6, 4)])
def test_a_picture_file_holds_the_pixels_in_their_places(tmp_path, shape, order):
    picture = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    write_picture(picture, tmp_path / "a.png", order=order)
    found = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED)
    if order == "rgb" and len(shape) == 3:
        found[..., :3] = found[..., 2::-1]
    np.testing.assert_array_equal(found, picture)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda i: draw_keypoints(i.astype(float), POSE), r"uint8 to draw into, got float64"),
        (lambda i: draw_keypoints(i, POSE[:, 0]), r"shape \(N, K, 2\)"),
        (lambda i: draw_keypoints(i, POSE, np.ones(5)), r"scores \(1, 5\) do not fit"),
        (lambda i: draw_keypoints(i, POSE[:2], metainfo=META), r"length of kpt_color \(3\)"),
        (lambda i: draw_keypoints(i, POSE, palette=Palette.of(None, 5)), "colours for 5 keypoints"),
        (lambda i: draw_boxes(i, POSE, color="grene"), "did you mean 'green'"),
        (lambda i: draw_boxes(i, [[1, 2, 9, 9]] * 2, labels=["a"]), "1 labels and 2 boxes"),
        (lambda i: named_color("#gg0000"), "unknown colour '#gg0000'"),
        (lambda i: named_color((1, 2, 3, 4)), "three whole numbers"),
        (lambda i: named_color((0.5, 0.2, 1.0)), "three whole numbers"),
        (lambda i: named_color(None), "unknown colour None"),
        (lambda i: named_color((0, 0, 300)), "three whole numbers from 0 to 255"),
        (lambda i: draw_keypoints(i[..., :1], POSE), r"to draw into, got uint8 \(\d+, \d+, 1\)"),
        (lambda i: draw_keypoints(i[:0], POSE), r"to draw into, got uint8 \(0, "),
        (lambda i: draw_keypoints(read_only(i), POSE), "read-only; draw into a copy"),
        (lambda i: draw_boxes([1], [[1, 2, 9, 9]]), "to draw into, got list"),
        (lambda i: draw_heatmaps(i[..., 0], np.ones((4, 4))), "to draw into, got uint8"),
        (lambda i: draw_heatmaps(i, np.ones((0, 4, 4))), r"got \(0, 4, 4\)"),
        (lambda i: draw_heatmaps(i, np.ones((1, 2, 4, 4))), r"got \(1, 2, 4, 4\)"),
        (lambda i: draw_simcc(i, np.ones((0, 9)), np.ones((0, 9))), r"\(0, 9\)"),
        (lambda i: draw_tracks(i[..., 0], [1], [[1, 2, 9, 9]]), "to draw into, got uint8"),
        (lambda i: Trails().draw(i, [1, 2], POSE), "2 ids and 3 people"),
    ],
)
def test_misuse_is_explained(image, call, message):
    with pytest.raises(DataError, match=message):
        call(image)


def test_colours_have_names():
    assert named_color("red") == (255, 0, 0)
    assert named_color("g") == named_color("green")
    assert named_color("#0a0b0c") == (10, 11, 12)
    assert named_color(np.array([1, 2, 3], np.uint8)) == (1, 2, 3)
    # three names are a colour for each of three keypoints, three numbers one for all
    named = Palette.of(None, 3, point_color=["r", "lime", "b"], order="rgb").points
    assert named == ((255, 0, 0), (0, 255, 0), (0, 0, 255))
    same = Palette.of(None, 3, point_color=np.array([1, 2, 3]), order="rgb").points
    assert same == ((1, 2, 3),) * 3
    assert Palette.of(None, 3, point_color=[None, "r", None]).points[::2] == (None, None)


def test_left_and_right_of_coco_have_the_schemas_colours():
    meta = parse_pose_metainfo({"from_file": "configs/_base_/datasets/coco.py"})
    image = np.zeros((400, 400, 3), np.uint8)
    points = np.random.default_rng(0).uniform(20, 380, (17, 2))
    draw_keypoints(image, points, palette=Palette.of(meta, 17), radius=4, antialias=False)
    left, right = meta["keypoint_name2id"]["left_wrist"], meta["keypoint_name2id"]["right_wrist"]
    for k in (left, right):
        x, y = np.rint(points[k]).astype(int)
        assert image[y, x, ::-1].tolist() == meta["keypoint_colors"][k].tolist()


def test_drawing_works_where_torch_is_missing():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import numpy as np, poise.visualization as v\n"
        "[getattr(v, n) for n in v.__all__]\n"
        "v.draw_keypoints(np.zeros((50, 50, 3), np.uint8), np.full((1, 3, 2), 20.))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("count", "radius"), [(4, 1), (68, 0)])
def test_few_keypoints_are_seen_where_they_cover_each_other(count, radius):
    points = np.full((1, count, 2), 20.0)
    points[0, 0] = 120
    palette = Palette.of(None, count, links=[[i, i + 1] for i in range(count - 1)])
    _, radii = Sizes().strokes((480, 640), points, np.ones((1, count), bool), palette)
    assert radii[0, 0] == 2
    assert (radii[0, 2:] == radius).all()
