"""MMPose's visualizer interface."""

import cv2
import numpy as np
import pytest

from poise.errors import DataError
from poise.registry import VISUALIZERS
from poise.structures import InstanceData, PixelData, PoseDataSample
from poise.structures.metainfo import parse_pose_metainfo
from poise.visualization import FastVisualizer, PoseLocalVisualizer

COCO = "configs/_base_/datasets/coco.py"


@pytest.fixture(scope="module")
def meta():
    return parse_pose_metainfo({"from_file": COCO})


@pytest.fixture
def image():
    return np.full((120, 160, 3), 50, np.uint8)


@pytest.fixture
def sample(rng):
    def instances():
        return InstanceData(
            keypoints=rng.uniform(10, 110, (2, 17, 2)).astype(np.float32),
            keypoint_scores=np.ones((2, 17), np.float32),
            bboxes=np.array([[5, 5, 60, 100], [40, 10, 150, 110]], np.float32),
        )

    sample = PoseDataSample()
    sample.gt_instances, sample.pred_instances = instances(), instances()
    sample.pred_fields = PixelData(heatmaps=rng.random((17, 30, 40)).astype(np.float32))
    return sample


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def visualizer(meta):
    built = VISUALIZERS.build({"type": "PoseLocalVisualizer", "name": "visualizer"})
    built.set_dataset_meta(meta)
    return built


def test_truth_and_prediction_stand_side_by_side(visualizer, image, sample):
    before = image.copy()
    drawn = visualizer.add_datasample("x", image, sample)
    assert drawn.shape == (120, 320, 3)
    assert (drawn[:, :160] != drawn[:, 160:]).any()
    np.testing.assert_array_equal(image, before)
    assert visualizer.get_image() is drawn


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"draw_gt": False}, (120, 160, 3)),
        ({"draw_pred": False}, (120, 160, 3)),
        ({"draw_heatmap": True}, (240, 320, 3)),
        ({"draw_heatmap": True, "draw_gt": False}, (240, 160, 3)),
        ({"draw_gt": False, "draw_pred": False}, (120, 160, 3)),
    ],
)
def test_parts_that_are_wanted_make_the_picture(visualizer, image, sample, options, shape):
    assert visualizer.add_datasample("x", image, sample, **options).shape == shape


@pytest.mark.parametrize(
    "options", [{"draw_bbox": True}, {"show_kpt_idx": True}, {"skeleton_style": "openpose"}]
)
def test_options_change_the_drawing(meta, image, sample, options):
    plain = PoseLocalVisualizer()
    plain.set_dataset_meta(meta)
    other = PoseLocalVisualizer()
    other.set_dataset_meta(meta, skeleton_style=options.get("skeleton_style", "mmpose"))
    first = plain.add_datasample("x", image, sample)
    assert (first != other.add_datasample("x", image, sample, **options)).any()


def test_openpose_style_is_refused_for_other_datasets(visualizer):
    with pytest.raises(NotImplementedError, match="has not been supported for mpii"):
        visualizer.set_dataset_meta({"dataset_name": "mpii"}, skeleton_style="openpose")


def test_an_empty_sample_gives_the_picture(visualizer, image):
    drawn = visualizer.add_datasample("x", image, PoseDataSample(), draw_gt=False)
    np.testing.assert_array_equal(drawn, image)
    nobody = PoseDataSample()
    nobody.pred_instances = InstanceData(
        keypoints=np.zeros((0, 17, 2)), bboxes=np.zeros((0, 4)), keypoint_scores=np.zeros((0, 17))
    )
    drawn = visualizer.add_datasample("x", image, nobody, draw_gt=False, draw_bbox=True)
    np.testing.assert_array_equal(drawn, image)


def test_files_are_written_in_true_colours(visualizer, image, sample, tmp_path):
    image[..., 0] = 200
    file = tmp_path / "deep" / "x.png"
    drawn = visualizer.add_datasample("x", image, sample, out_file=str(file))
    np.testing.assert_array_equal(cv2.imread(str(file))[..., ::-1], drawn)


@pytest.mark.parametrize("name", ["x.foo", "x.mp4"])
def test_a_file_that_is_no_picture_is_told(name, image, tmp_path):
    visualizer = PoseLocalVisualizer()
    with pytest.raises(DataError, match="expected pixels, and .png"):
        visualizer.add_datasample("x", image, PoseDataSample(), out_file=tmp_path / "a" / name)
    assert not (tmp_path / "a").exists()


def test_backends_get_the_picture(meta, image, sample, tmp_path):
    class Backend:
        seen = None

        def add_image(self, name, image, step=0):
            self.seen = (name, image.shape, step)

        def add_scalars(self, scalars, step=0):
            self.figures = (scalars, step)

    backend = Backend()
    visualizer = PoseLocalVisualizer(
        vis_backends=[backend, {"type": "LocalVisBackend"}], save_dir=tmp_path
    )
    visualizer.set_dataset_meta(meta)
    visualizer.add_datasample("x", image, sample, draw_gt=False, step=3)
    assert backend.seen == ("x", (120, 160, 3), 3)
    assert (tmp_path / "vis_data" / "vis_image" / "x_3.png").is_file()
    visualizer.add_scalar("lr", 0.5, step=7)
    assert backend.figures == ({"lr": 0.5}, 7)


def test_boxes_carry_their_class(visualizer, image, sample):
    plain = visualizer.add_datasample("x", image, sample, draw_gt=False, draw_bbox=True)
    sample.pred_instances.labels = np.array([0, 1])
    named = visualizer.add_datasample("x", image, sample, draw_gt=False, draw_bbox=True)
    assert (plain != named).any()


def test_a_class_without_a_name_has_its_number(visualizer):
    visualizer.dataset_meta = {"classes": ("mouse",)}
    assert [visualizer.class_name(label) for label in (0, 1, -1)] == [
        "mouse",
        "class 1",
        "class -1",
    ]


def test_tensors_are_drawn_like_arrays(visualizer, image, sample):
    torch = pytest.importorskip("torch")
    arrays = visualizer.add_datasample("x", image, sample, draw_gt=False)
    sample.pred_instances.keypoints = torch.from_numpy(sample.pred_instances.keypoints)
    tensors = visualizer.add_datasample("x", image, sample, draw_gt=False)
    np.testing.assert_array_equal(arrays, tensors)


def test_there_is_no_picture_before_the_first():
    with pytest.raises(DataError, match="no picture yet"):
        PoseLocalVisualizer().get_image()


def test_the_style_may_change_between_pictures(visualizer, image, sample):
    first = visualizer.add_datasample("x", image, sample, draw_gt=False)
    visualizer.kpt_color = "white"
    assert (first != visualizer.add_datasample("x", image, sample, draw_gt=False)).any()


def test_fast_visualizer_draws_into_the_frame(meta, image, sample):
    fast = FastVisualizer(meta)
    assert fast.draw_pose(image, sample.pred_instances) is image
    assert (image != 50).any()
    assert fast.draw_pose(image, None) is image
