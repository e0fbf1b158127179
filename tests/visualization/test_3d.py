"""People in space: as pictures, beside the 2D poses, and as a web page."""

import base64
import json
import re

import numpy as np
import pytest

from poise.errors import DataError
from poise.registry import VISUALIZERS
from poise.structures import InstanceData, PoseDataSample, parse_pose_metainfo
from poise.visualization import Pose3dLocalVisualizer, View, draw_keypoints, draw_poses_3d
from poise.visualization.viewer3d import viewer_page

H36M = parse_pose_metainfo({"from_file": "configs/_base_/datasets/h36m.py"})
#: somebody upright: hips, legs, spine, arms of H36M; metres, z up
STANDING = np.array([
    [0, 0, 0.9], [0.15, 0, 0.9], [0.15, 0, 0.45], [0.15, 0, 0], [-0.15, 0, 0.9], [-0.15, 0, 0.45],
    [-0.15, 0, 0], [0, 0, 1.1], [0, 0, 1.4], [0, 0, 1.5], [0, 0, 1.65], [-0.2, 0, 1.4],
    [-0.25, 0, 1.1], [-0.25, 0, 0.85], [0.2, 0, 1.4], [0.25, 0, 1.1], [0.25, 0, 0.85],
])  # fmt: skip


def sample(people=2, scores=1.0):
    found = PoseDataSample()
    poses = np.repeat(STANDING[None], people, 0).astype(np.float32)
    found.pred_instances = InstanceData(
        keypoints=poses, keypoint_scores=np.full((people, 17), scores)
    )
    return found


def test_the_camera_is_matplotlibs_with_x_left_as_in_mmpose():
    view = View(azimuth=90, elevation=0, distance=1e6, limit=2.0)
    places = view.project(
        np.array([[0, 0, 0], [0.5, 0, 0], [0, 0, 0.5], [0, 0.5, 0.0]]), np.zeros(3), (200, 200)
    )
    np.testing.assert_allclose(places[0], [100, 100])
    assert places[1, 0] < 100
    assert places[2, 1] < 100
    np.testing.assert_allclose(places[3], [100, 100], atol=1e-3)


def test_matplotlib_projects_as_we_do():
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    from matplotlib.figure import Figure
    from mpl_toolkits.mplot3d import proj3d

    axis = Figure().add_subplot(projection="3d", proj_type="ortho")
    axis.view_init(elev=15, azim=70)
    axis.set(xlim=(-1, 1), ylim=(-1, 1), zlim=(-1, 1))
    axis.set_box_aspect((1, 1, 1))
    points = np.random.default_rng(0).uniform(-1, 1, (20, 3))
    x, y, _ = proj3d.proj_transform(*points.T, axis.get_proj())
    ours = View(distance=1e6).project(points, np.zeros(3), (1, 1)) - 0.5
    for theirs, mine in ((x, ours[:, 0]), (y, -ours[:, 1])):
        assert np.corrcoef(theirs, mine)[0, 1] > 0.999999


def test_people_are_drawn_upright_and_unsure_or_unknown_joints_left_out():
    picture = draw_poses_3d(STANDING, None, H36M, size=(200, 200), ground=False)
    drawn = np.argwhere((picture != 255).any(-1))
    height, width = np.ptp(drawn, axis=0)
    assert 100 < height < 200
    assert width < height
    broken = np.where(np.arange(17)[:, None] < 16, np.nan, STANDING)
    dot = draw_poses_3d(broken, None, H36M, size=(200, 200), ground=False)
    assert 0 < (dot != 255).any(-1).sum() < 100
    nothing = draw_poses_3d(STANDING, np.zeros((1, 17)), H36M, ground=False)
    assert (nothing == 255).all()
    assert (draw_poses_3d(np.full((1, 17, 3), np.nan), None, H36M, background="black") < 255).all()
    with pytest.raises(DataError, match=r"\(N, K, 3\)"):
        draw_poses_3d(np.zeros((17, 2)))


def test_nearer_things_are_larger():
    view = View(azimuth=-90, elevation=0, distance=1.5, limit=1.0)
    near, far = view.project(np.array([[0.3, -0.4, 0], [0.3, 0.4, 0]]), np.zeros(3), (100, 100))
    assert near[0] > far[0] > 50


@pytest.mark.parametrize("backend", ["opencv", "matplotlib"])
def test_the_visualizer_puts_a_panel_a_person_beside_the_picture(backend, tmp_path):
    visualizer = VISUALIZERS.build(dict(type="Pose3dLocalVisualizer", backend=backend))
    visualizer.set_dataset_meta(H36M)
    coco = parse_pose_metainfo({"from_file": "configs/_base_/datasets/coco.py"})
    visualizer.det_kpt_color = coco["keypoint_colors"]
    visualizer.det_dataset_skeleton = coco["skeleton_links"]
    visualizer.det_dataset_link_color = coco["skeleton_link_colors"]
    image = np.full((100, 150, 3), 90, np.uint8)
    detected = PoseDataSample()
    points = np.random.default_rng(0).uniform(10, 90, (2, 17, 2))
    scores = np.ones((2, 17))
    scores[1] = 0
    detected.pred_instances = InstanceData(keypoints=points, keypoint_scores=scores)
    out = tmp_path / "a" / "drawn.png"
    drawn = visualizer.add_datasample("x", image, sample(), detected, draw_gt=False, out_file=out)
    assert drawn.shape == (150, 450, 3)
    assert out.is_file()
    left, first, second = drawn[25:125, :150], drawn[30:, 150:300], drawn[30:, 300:]
    assert (left != 90).any()
    colors = {tuple(c) for c in first.reshape(-1, 3).tolist()}
    assert (0, 255, 0) in colors or any(g > 150 > r for r, g, b in colors)
    # the second one's 2D scores hide the 3D joints
    assert np.ptp(second.astype(int), axis=-1).max() == 0
    assert (image == 90).all()


def test_2d_poses_have_the_links_of_their_own_schema():
    image = np.full((100, 100, 3), 90, np.uint8)
    points = np.random.default_rng(0).uniform(10, 90, (1, 17, 2))
    detected = PoseDataSample()
    detected.pred_instances = InstanceData(keypoints=points, keypoint_scores=np.ones((1, 17)))
    visualizer = Pose3dLocalVisualizer(alpha=1.0)
    visualizer.set_dataset_meta(H36M)
    nobody = PoseDataSample()
    for name in ("coco", "h36m"):
        meta = parse_pose_metainfo({"from_file": name})
        expected = draw_keypoints(
            image.copy(), points, metainfo=meta, order="rgb", line_width=1, radius=3
        )
        drawn = visualizer.add_datasample(
            "x", image, nobody, detected, draw_gt=False, dataset_2d=name
        )
        np.testing.assert_array_equal(drawn, expected)


def test_truth_is_drawn_on_demand_and_missing_truth_is_told():
    visualizer = Pose3dLocalVisualizer()
    visualizer.set_dataset_meta(H36M)
    image = np.zeros((80, 80, 3), np.uint8)
    both = sample(1)
    both.gt_instances = InstanceData(lifting_target=STANDING[None].astype(np.float32))
    assert visualizer.add_datasample("x", image, both, draw_2d=False).shape == (80, 160, 3)
    assert visualizer.add_datasample("x", image, both, num_instances=3).shape == (80, 560, 3)
    nobody = PoseDataSample()
    nobody.pred_instances = InstanceData()
    assert visualizer.add_datasample("x", image, nobody, draw_gt=False).shape == (80, 80, 3)
    both.gt_instances = InstanceData(bboxes=np.zeros((1, 4)))
    with pytest.raises(DataError, match="draw_gt=False leaves it out"):
        visualizer.add_datasample("x", image, both)


def test_the_page_holds_everything_and_its_numbers_are_millimetres():
    walk = np.repeat(STANDING[None], 4, 0)
    walk[2, 5] = np.nan
    text = viewer_page(
        [("one", 10, walk), ("two", 12, walk + 1)], H36M, fps=30, title="@DATA@ </script> <!--"
    )
    assert text.count("</script>") == 1
    assert "<!--" not in text
    assert text.count("const scene") == text.count("&lt;!--") == 1
    assert not re.search(r"(src|href)=|https?://|@TITLE@", text)
    scene = json.loads(re.search(r"const scene = (\{.*\});", text).group(1))
    assert scene["title"] == "@DATA@ </script> <!--"
    assert (scene["frames"], scene["firstFrame"], scene["fps"], scene["step"]) == (6, 10, 30, 1)
    first = np.frombuffer(base64.b64decode(scene["people"][0]["data"]), "<i2").reshape(4, 17, 3)
    np.testing.assert_array_equal(first[0], np.rint(STANDING * 1000))
    assert (first[2, 5] == -32768).all()
    assert scene["people"][1]["first"] == 2
    assert len(scene["links"]) == len(scene["linkColors"]) == 16


def test_people_far_from_the_origin_keep_their_places_on_the_page():
    pitch = STANDING[None] + np.array([105.0, 68, 0])
    text = viewer_page([("keeper", 0, pitch)], H36M, side_by_side=False)
    scene = json.loads(re.search(r"const scene = (\{.*\});", text).group(1))
    packed = np.frombuffer(base64.b64decode(scene["people"][0]["data"]), "<i2").reshape(17, 3)
    assert scene["step"] == 4
    np.testing.assert_allclose(packed * (scene["step"] / 1000), pitch[0], atol=0.0021)


def test_a_page_of_nobody_or_of_other_poses_is_refused():
    with pytest.raises(DataError, match="at least one person"):
        viewer_page([], H36M)
    with pytest.raises(DataError, match=r"'one' have the shape \(T, 17, 3\)"):
        viewer_page([("one", 0, np.zeros((4, 5, 3)))], H36M)
