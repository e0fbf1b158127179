"""`load_config` finds names, aliases, MMPose's paths and files, and says what it knows."""

import subprocess
import sys

import pytest

from poise.config import Config
from poise.errors import ConfigError, FileMissingError, UnknownNameError
from poise.zoo import default_weights, find_model, load_config, names, weights_url
from poise.zoo.loading import source
from poise.zoo.refused import PROJECTS

HRNET = "td-hm_hrnet-w32_8xb64-210e_coco-256x192"
HRNET_PATH = f"body_2d_keypoint/topdown_heatmap/coco/{HRNET}.py"


@pytest.mark.parametrize("name", names())
def test_every_name_expands_to_a_config_with_a_model(name):
    assert load_config(name).model.type


@pytest.mark.parametrize("name", names())
def test_every_pose_model_knows_its_keypoints(name):
    """Without them nothing can be predicted or drawn."""
    from poise.models.build import dataset_meta_of
    from poise.zoo import models

    # of the last what a picture shows is looked for
    without = ("semi-supv", "pose-anything")
    if not models()[name].is_detector and not any(part in name for part in without):
        assert dataset_meta_of(load_config(name))["num_keypoints"] > 0


def test_config_is_given_back_as_it_is():
    cfg = Config(dict(a=1))
    assert load_config(cfg) is cfg


def test_real_file_wins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "movenet-thunder").write_text("a = 1\n")
    (tmp_path / "mine.py").write_text("a = 1\n")
    assert load_config("mine.py").a == 1


@pytest.mark.parametrize(
    "spelling",
    [
        HRNET,
        f"{HRNET}.py",
        f"configs/{HRNET_PATH}",
        f"mmpose::{HRNET_PATH}",
        "mmpose.configs.body_2d_keypoint.topdown_heatmap.coco." + HRNET.replace("-", "_"),
    ],
)
def test_model_is_found_by_name_and_by_path(spelling):
    cfg = load_config(spelling)
    assert cfg.codec.heatmap_size == (48, 64)
    assert cfg.model.head.out_channels == 17


@pytest.mark.parametrize(
    ("alias", "name"),
    {
        "human": "rtmpose-m_8xb256-420e_body8-256x192",
        "body": "rtmpose-m_8xb256-420e_body8-256x192",
        "body17": "rtmpose-m_8xb256-420e_body8-256x192",
        "body26": "rtmpose-m_8xb512-700e_body8-halpe26-256x192",
        "face": "rtmpose-m_8xb256-120e_face6-256x256",
        "hand": "rtmpose-m_8xb256-210e_hand5-256x256",
        "wholebody": "rtmpose-m_8xb64-270e_coco-wholebody-256x192",
        "animal": "rtmpose-m_8xb64-210e_ap10k-256x256",
        "human3d": "motionbert_dstformer-ft-243frm_8xb32-120e_h36m",
        "hand3d": "internet_res50_4xb16-20e_interhand3d-256x256",
        "rtmo": "rtmo-l_16xb16-600e_body7-640x640",
        "vitpose": "td-hm_ViTPose-base-simple_8xb64-210e_coco-256x192",
        "vitpose-s": "td-hm_ViTPose-small-simple_8xb64-210e_coco-256x192",
        "vitpose-b": "td-hm_ViTPose-base-simple_8xb64-210e_coco-256x192",
        "vitpose-l": "td-hm_ViTPose-large-simple_8xb64-210e_coco-256x192",
        "vitpose-h": "td-hm_ViTPose-huge-simple_8xb64-210e_coco-256x192",
        "rtmpose-l": "rtmpose-l_8xb256-420e_body8-384x288",
        "edpose": "edpose_res50_8xb2-50e_coco-800x1333",
    }.items(),
)
def test_alias_is_the_model_that_mmpose_loads(alias, name):
    assert find_model(alias).name == name
    assert weights_url(alias).startswith("https://")


def test_change_of_a_config_changes_no_other():
    first = load_config(HRNET)
    first.model.data_preprocessor.mean[0] = 0
    first.model.backbone.extra.stage1.num_modules = 9
    first.val_dataloader.batch_size = 1
    second = load_config(HRNET)
    assert second.model.data_preprocessor.mean[0] == 123.675
    assert second.model.backbone.extra.stage1.num_modules == 1
    assert first.test_dataloader.batch_size == 32


def test_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(
        UnknownNameError, match="'movenet-thundr' is neither.*did you mean 'movenet-thunder'"
    ):
        load_config("movenet-thundr")


def test_the_beginning_of_names_is_answered_with_their_number():
    with pytest.raises(UnknownNameError, match=r"\d\d names begin so .*such as 'td-hm_hrnet-w32_"):
        load_config("td-hm_hrnet-w32")


def test_a_part_of_names_is_answered_with_their_number():
    with pytest.raises(UnknownNameError, match=r"\d names have this in them .*zoo search hourgl"):
        load_config("hourgl")


@pytest.mark.parametrize("text", ["", "model = dict()\n" * 500])
def test_text_that_can_be_no_name_is_no_name(text):
    with pytest.raises(UnknownNameError, match="is neither a config file nor the name of a model"):
        load_config(text)
    assert default_weights(text) is None


@pytest.mark.parametrize("name", ["_base_/default_runtime.py", "configs/_base_/datasets/coco.py"])
def test_a_base_of_mmpose_can_be_loaded_by_itself(name):
    assert load_config(name).to_dict() == Config.fromfile(name).to_dict() == source(name)


def test_a_path_to_a_model_that_is_not_there_is_answered_with_its_name():
    with pytest.raises(FileMissingError, match=f"'{HRNET}' alone is the name of a model"):
        load_config(f"mine/{HRNET}.py")


@pytest.mark.parametrize("path", ["no.py", "some/folder/no", f"mine/{HRNET}.py"])
def test_missing_file_is_named(path):
    with pytest.raises(FileMissingError, match=f"no config file '{path}'"):
        load_config(path)


def test_path_of_mmpose_that_the_zoo_has_not_is_answered_with_the_nearest():
    with pytest.raises(FileMissingError, match=f"no model '{HRNET[:-1]}'; did you mean"):
        load_config(f"configs/{HRNET_PATH.replace('192.py', '19.py')}")


def test_source_answers_for_the_runtime_in_the_newer_style():
    tree = source("mmpose.configs._base_.default_runtime")
    assert tree["default_scope"] is None
    assert tree["default_hooks"]["timer"]["type"] == "mmengine.hooks.IterTimerHook"
    assert "badcase" not in tree["default_hooks"]


@pytest.mark.parametrize(
    "name",
    [
        "_base_/default_runtime.py",
        "configs/_base_/default_runtime.py",
        "mmpose::_base_/default_runtime.py",
    ],
)
def test_source_answers_for_the_runtime(name):
    runtime = source(name)
    assert runtime["default_hooks"]["checkpoint"] == dict(type="CheckpointHook", interval=10)
    assert runtime["train_cfg"] == dict(by_epoch=True)


def test_source_answers_for_schemas_and_models_and_nothing_else():
    assert source("_base_/datasets/coco.py")["dataset_info"]["dataset_name"] == "coco"
    assert source(f"mmpose::{HRNET_PATH}")["model"]["type"] == "TopdownPoseEstimator"
    assert source("_base_/datasets/nothing.py") is None
    assert source("_base_/nothing.py") is None


@pytest.mark.parametrize(
    "module", ["rtmpose_s_8xb256_420e_aic_coco_256x192", "rtmpose-s_8xb256-420e_aic-coco-256x192"]
)
def test_source_answers_for_modules_whose_names_have_no_hyphens(module):
    tree = source(f"mmpose.configs.body_2d_keypoint.rtmpose.coco.{module}")
    assert tree["model"]["backbone"]["widen_factor"] == 0.5
    assert source("mmpose.configs.body_2d_keypoint.nothing") is None


@pytest.mark.parametrize("spelling", ["Human", "VITPOSE-S", HRNET.upper()])
def test_capitals_do_not_matter(spelling):
    assert find_model(spelling) is find_model(spelling.lower())


def test_base_of_a_users_config_need_not_be_on_disk(tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text(f"_base_ = 'mmpose::{HRNET_PATH}'\ntrain_dataloader = dict(batch_size=7)\n")
    cfg = Config.fromfile(mine)
    assert cfg.train_dataloader.batch_size == 7
    assert cfg.train_dataloader.dataset.type == "CocoDataset"


@pytest.mark.parametrize(
    ("base", "clip"),
    [
        ("rtmpose-m_8xb256-420e_coco-256x192", None),
        ("projects/rtmpose/rtmpose/body_2d_keypoint/rtmpose-m_8xb256-420e_coco-256x192.py", 35),
    ],
)
def test_base_of_a_users_config_may_be_a_name_or_of_a_project(tmp_path, base, clip):
    mine = tmp_path / "mine.py"
    mine.write_text(f"_base_ = ['{base}']\n")
    assert Config.fromfile(mine).optim_wrapper.get("clip_grad", {}).get("max_norm") == clip


@pytest.mark.parametrize("folder", PROJECTS)
def test_projects_that_are_not_part_say_so(folder):
    with pytest.raises(ConfigError, match=f"'{folder}x.py' is not part of Poise: .{{10}}"):
        load_config(f"{folder}x.py")


def test_a_base_that_is_no_name_is_refused(tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text("_base_ = 'rtmoo'\n")
    with pytest.raises(ConfigError, match=r"line 1: .*or the name of a model"):
        Config.fromfile(mine)


def test_printed_config_reads_back_the_same(tmp_path):
    cfg = load_config("rtmo-s_8xb32-600e_coco-640x640")
    printed = tmp_path / "printed.py"
    printed.write_text(cfg.dumps(".py"))
    assert Config.fromfile(printed).to_dict() == cfg.to_dict()


@pytest.mark.parametrize("name", names()[::9])
def test_printed_config_is_plain_python(name):
    """What MMPose does with a file: it runs it and takes the names."""
    cfg = load_config(name)
    found: dict = {}
    exec(cfg.dumps(".py"), {"__builtins__": {"dict": dict, "float": float}}, found)
    assert found == cfg.to_dict()


def test_embedded_weights_exist_only_for_embedded_models(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert default_weights("movenet-thunder").is_file()
    assert default_weights("rtmpose-l") is None
    assert default_weights("no-such-model") is None


@pytest.mark.parametrize("place", ["", "checkpoints", "body_2d_keypoint/topdown_heatmap/coco"])
def test_weights_are_found_in_the_users_folder(monkeypatch, tmp_path, place):
    file = weights_url(HRNET).rpartition("/")[2]
    folder = tmp_path / place
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).touch()
    monkeypatch.setenv("POISE_WEIGHTS", str(tmp_path))
    assert default_weights(HRNET) == folder / file


def test_zoo_needs_neither_torch_nor_numpy_nor_opencv():
    code = (
        "import sys; from poise.zoo import load_config; load_config('body26'); "
        "load_config('wholebody'); "
        "print([m for m in ('torch', 'numpy', 'cv2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_only_the_family_of_a_model_is_imported():
    code = (
        "import sys; from poise.zoo import load_config; load_config('rtmo'); "
        "print(sorted(m for m in sys.modules if m.startswith('poise.zoo.families.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['poise.zoo.families.rtmo']"
