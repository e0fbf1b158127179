"""The drawn picture of a result in all its styles."""

import numpy as np
import pytest

from poise.errors import DataError
from poise.inference.lifting import SPACE_3D
from poise.inference.results.pose_result import PoseResult, SourceInfo
from poise.inference.sinks.drawing import Drawer, drawer_of
from poise.structures import InstanceData, parse_pose_metainfo

COCO = parse_pose_metainfo({"from_file": "configs/_base_/datasets/coco.py"})
H36M = parse_pose_metainfo({"from_file": "configs/_base_/datasets/h36m.py"})


def result(frame=0, ids=(1, 2), lifted=False, schema=COCO):
    rng = np.random.default_rng(0)
    points = rng.uniform(20, 90, (2, 17, 2)) + np.array([[[4 * frame, 0]], [[100, 0]]])
    fields = InstanceData(
        keypoints=points.astype(np.float32),
        keypoint_scores=np.ones((2, 17), np.float32),
        bboxes=np.concatenate((points.min(1), points.max(1)), 1),
        bbox_scores=np.ones(2, np.float32),
    )
    if ids:
        fields.set_field(np.array(ids), "track_ids")
    image = np.full((120, 240, 3), 77, np.uint8)
    found = PoseResult(
        image, fields, schema, "v.mp4", frame_index=frame, source=SourceInfo("v.mp4", "video")
    )
    if lifted:
        fields.set_field(rng.uniform(-0.5, 0.5, (2, 17, 3)).astype(np.float32), "keypoints_3d")
        found.metainfo_3d, found.space_3d = H36M, SPACE_3D
    return found


def ground(picture):
    return (picture == picture[0, -1]).all(-1).mean()


@pytest.mark.parametrize(
    "words",
    ["", "mmpose", "openpose", "openpose,black", "trails=5,fade", "numbers,no-boxes,no-ids"],
)
def test_each_style_draws_on_a_copy(words):
    drawer, shown = drawer_of(words), result()
    picture = drawer(shown)
    assert (shown.image == 77).all()
    assert picture.shape == (120, 240, 3)
    assert ground(picture) < 1
    assert picture[0, -1].tolist() == ([0] * 3 if "black" in words else [77] * 3)
    assert drawer(shown) is picture


def test_ids_change_the_boxes_and_can_be_left_out():
    plain, named = Drawer()(result(ids=())), Drawer()(result())
    assert (plain != named).any()
    assert ground(drawer_of("no-boxes,no-ids")(result())) > ground(named)


def test_a_subset_by_name_and_a_misspelt_one():
    few = drawer_of("no-boxes,no-ids,keypoints=left_wrist+10")
    assert ground(few(result())) > ground(drawer_of("no-boxes,no-ids")(result()))
    with pytest.raises(DataError, match="did you mean 'left_wrist'"):
        drawer_of("keypoints=left_wrst")(result())


def test_trails_grow_with_the_frames_of_a_video():
    drawer = drawer_of("trails=20,no-boxes,no-ids,black,keypoints=0")
    shares = [ground(drawer(result(frame))) for frame in range(8)]
    assert shares[7] < shares[1] < shares[0]


def test_lifted_people_stand_in_a_panel_to_the_right():
    assert Drawer()(result(lifted=True)).shape == (120, 360, 3)
    assert drawer_of("no-3d")(result(lifted=True)).shape == (120, 240, 3)
    nobody = result(lifted=True)
    nobody.instances = nobody.instances[[]]
    assert Drawer()(nobody).shape == (120, 360, 3)


def test_joints_without_a_place_in_space_hide_nobody():
    placed = result(lifted=True)
    placed.space_3d = "metres, the world of the cameras"
    whole = drawer_of("")(placed)[:, 240:].copy()
    placed = result(lifted=True)
    placed.space_3d = "metres, the world of the cameras"
    placed.instances.keypoints_3d[0, 10] = np.nan
    placed.instances.keypoints_3d[1] = np.nan
    picture = drawer_of("")(placed)[:, 240:]
    inked = [(np.ptp(p.astype(int), axis=-1) > 40).sum() for p in (whole, picture)]
    assert 0.2 * inked[0] < inked[1] < inked[0]


def test_unknown_styles_and_datasets_without_openpose_colours_are_told():
    with pytest.raises(DataError, match="did you mean 'openpose'"):
        drawer_of("openpos")
    with pytest.raises(DataError, match="trails=FRAMES"):
        drawer_of("trails=x")
    with pytest.raises(NotImplementedError, match="openpose style"):
        drawer_of("openpose")(result(schema=H36M))


def test_a_video_is_as_wide_as_its_drawn_frames(tmp_path):
    av = pytest.importorskip("av", reason="PyAV is not installed")
    from poise.inference.sinks import open_sinks

    (sink,) = open_sinks("video", tmp_path)
    with sink:
        for frame in range(3):
            shown = result(frame, lifted=True)
            shown.time = frame / 25
            sink.write(shown)
    with av.open(str(sink.written[0])) as video:
        assert (video.streams.video[0].width, video.streams.video[0].height) == (360, 120)


def test_a_drawer_does_not_mistake_one_schema_for_another():
    """The colours that are kept belong to a schema, not to its place in memory."""
    drawer = Drawer(boxes=False)
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    for red, green, blue in colours:
        meta = {
            "dataset_name": "dot",
            "num_keypoints": 1,
            "keypoint_id2name": {0: "dot"},
            "keypoint_colors": np.array([[red, green, blue]]),
            "skeleton_links": [],
        }
        people = InstanceData(
            keypoints=np.full((1, 1, 2), 20, np.float32),
            keypoint_scores=np.ones((1, 1), np.float32),
            bboxes=np.array([[5, 5, 35, 35]], np.float32),
            bbox_scores=np.ones(1, np.float32),
        )
        picture = drawer(PoseResult(np.zeros((40, 40, 3), np.uint8), people, meta, "dot"))
        assert picture[20, 20].tolist() == [blue, green, red]
        del meta, people


def test_ellipses_are_drawn_where_results_have_covariances_and_somebody_asks():
    doubted = result(ids=())
    spread = np.tile(np.eye(2, dtype=np.float32) * 30, (2, 17, 1, 1))
    doubted.instances.set_field(spread, "keypoint_covariances")
    plain = Drawer()(doubted)
    np.testing.assert_array_equal(plain, Drawer()(result(ids=())))
    some, more = (ground(drawer_of(words)(doubted)) for words in ("ellipses", "ellipses=95"))
    assert more < some < ground(plain)
    np.testing.assert_array_equal(drawer_of("ellipses")(result(ids=())), plain)
    assert ground(drawer_of("ellipses,openpose")(doubted)) < 1
    for word in ("ellipses=0", "ellipses=100", "ellipses=x"):
        with pytest.raises(DataError, match="ellipses=PERCENT"):
            drawer_of(word)
