"""The table of models: names, addresses, scores."""

import re

import pytest

from poise.zoo import models, names
from poise.zoo.index import Score

_LIFTER = "motionbert_dstformer-243frm_8xb32-240e_h36m"
_TUNED = "motionbert_dstformer-ft-243frm_8xb32-120e_h36m"


def test_there_are_the_models_of_mmpose_and_the_embedded_ones():
    of_mmpose = [m for m in models().values() if (m.config or "").startswith("configs/")]
    assert len(of_mmpose) == 408
    others = set(names()) - {model.name for model in of_mmpose}
    assert {"movenet-thunder", "movenet-lightning"} < others
    project = models()["rtmpose-x_8xb256-700e_coco-384x288"]
    assert project.task == "body 2d"
    assert project.config == f"projects/rtmpose/rtmpose/body_2d_keypoint/{project.name}.py"


def test_addresses_are_files_and_no_two_models_share_one_without_reason():
    seen = {}
    for model in models().values():
        if model.weights is None:
            continue
        assert re.fullmatch(
            r"https://(download\.openmmlab\.com/(mmpose|mmdetection)|storage\.googleapis\.com/rfdetr)"
            r"/[-\w./]+\.pth",
            model.weights,
        )
        seen.setdefault(model.weights, []).append(model.name)
    shared = sorted(sorted(n) for n in seen.values() if len(n) > 1)
    assert shared == [
        # the same weights, measured on poses as the cameras saw them
        [_LIFTER, f"{_LIFTER}-original"],
        [_TUNED, f"{_TUNED}-original"],
        # one config in two styles
        ["py_yolox_pose_s_8xb32_300e_coco", "yolox-pose_s_8xb32-300e_coco"],
        # MMPose names the file of the smaller input for both
        ["td-hm_res101_8xb32-210e_coco-384x288", "td-hm_res101_8xb64-210e_coco-256x192"],
    ]


def test_short_form_of_an_address_names_the_folder_and_the_model():
    model = models()["td-hm_hrnet-w32_8xb64-210e_coco-256x192"]
    assert model.weights == (
        "https://download.openmmlab.com/mmpose/v1/body_2d_keypoint/topdown_heatmap/coco/"
        "td-hm_hrnet-w32_8xb64-210e_coco-256x192-81c58e40_20220909.pth"
    )


def test_no_alias_names_two_models():
    aliases = [alias for model in models().values() for alias in model.aliases]
    assert len(aliases) == len(set(aliases))
    assert not set(aliases) & set(names())


def test_scores_have_names_and_figures():
    (score,) = models()["td-hm_hrnet-w32_8xb64-210e_coco-256x192"].scores
    figures = {"AP": 0.746, "AP@0.5": 0.904, "AP@0.75": 0.819, "AR": 0.799, "AR@0.5": 0.942}
    assert score == Score("COCO", figures)
    assert score.main == ("AP", 0.746)


def test_models_without_weights_are_few():
    missing = [
        m.name
        for m in models().values()
        # settings of training that a project has, and nothing was released for
        if m.weights is None and not m.folder.startswith("projects/rtmpose/")
    ]
    # trainings of DWPose, variants of DeepFashion, three others, the embedded models, and
    # two detectors
    kinds = (
        "pose-anything",
        "yolox_nano",
        "yolox_m",
        "dwpose",
        "_dis_",
        "deepfashion_",
        "movenet",
        "nanodet",
        "simcc_res50_wo-deconv",
        "cspnext-l_udp",
    )
    assert all(any(kind in name for kind in kinds) for name in missing)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("td-hm_hrnet-w32_8xb64-210e_coco-256x192", (192, 256)),
        ("yoloxpose_tiny_4xb64-300e_coco-416", (416, 416)),
        ("td-hm_hrnet-w32_8xb64-210e_coco-aic-256x192-merge", (192, 256)),
        ("image-pose-lift_tcn_8xb64-200e_h36m", None),
        ("motionbert_dstformer-243frm_8xb32-240e_h36m", None),
    ],
)
def test_input_size_comes_from_the_name(name, size):
    assert models()[name].input_size == size


def test_tasks_come_from_the_folder():
    assert models()["internet_res50_4xb16-20e_interhand3d-256x256"].task == "hand 3d"
    assert models()["movenet-thunder"].task == "body 2d"
    assert models()["movenet-thunder"].config is None
    face = models()["yolox-s_8xb8-300e_coco-face"]
    assert (face.task, face.is_detector) == ("detection", True)
    assert face.config == "demo/mmdetection_cfg/yolox-s_8xb8-300e_coco-face.py"
    assert (
        models()["rtmdet_m_8xb32-300e_coco"].config == "mmdet::rtmdet/rtmdet_m_8xb32-300e_coco.py"
    )
