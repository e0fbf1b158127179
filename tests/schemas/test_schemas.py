"""Tables of keypoints: what they expand to, and what users' own files must say."""

# Patterns of errors read better on one line.
# ruff: noqa: E501

import json

import pytest

from poise import schemas
from poise.config import Config
from poise.errors import DataError, FileMissingError
from poise.schemas.schema import chains, expand_points, names_of, numbers

LENGTHS = {
    "300vw": 68, "300w": 68, "300wlp": 68, "aflw": 19, "aic": 14, "ak": 23, "animalpose": 20,
    "ap10k": 17, "atrw": 15, "campus": 14, "coco": 17, "coco_aic": 19, "coco_openpose": 18,
    "coco_wholebody": 133, "coco_wholebody_face": 68, "coco_wholebody_hand": 21,
    "coco_wholebody_openpose": 134, "cofw": 29, "crowdpose": 14, "deepfashion2": 294,
    "deepfashion_full": 8, "deepfashion_lower": 4, "deepfashion_upper": 6, "exlpose": 14,
    "fly": 32, "freihand2d": 21, "goliath": 308, "h36m": 17, "h3wb": 133, "halpe": 136, "halpe26": 26,
    "horse10": 22, "humanart": 17, "humanart21": 21, "humanart_aic": 19, "interhand2d": 21,
    "interhand3d": 42, "jhmdb": 15, "lapa": 106, "locust": 35, "macaque": 17, "mhp": 16,
    "mpi_inf_3dhp": 17, "mpii": 16, "mpii_trb": 40, "ochuman": 17, "onehand10k": 21, "openpose25": 25,
    "panoptic_body3d": 19, "panoptic_hand2d": 21, "posetrack18": 17, "rhd2d": 21, "shelf": 14,
    "ubody2d": 133, "ubody3d": 137, "wflw": 98, "zebra": 9,
}  # fmt: skip
NO_SWAPS = {
    "300wlp",
    "horse10",
    *(n for n in LENGTHS if "hand" in n and n != "interhand3d"),
    "rhd2d",
}


def test_every_dataset_has_a_table():
    assert schemas.names() == sorted(LENGTHS)


@pytest.mark.parametrize("name", LENGTHS)
def test_tables_expand_to_whole_descriptions(name):
    info = schemas.get(name)
    points, links = info["keypoint_info"], info["skeleton_info"]
    assert list(points) == list(range(LENGTHS[name]))
    assert {frozenset(p) for p in points.values()} == {
        frozenset(("name", "id", "color", "type", "swap"))
    }
    known = [p["name"] for p in points.values()]
    assert len(set(known)) == len(known)
    assert {p["type"] for p in points.values()} <= {"upper", "lower", ""}
    assert all(end in known for link in links.values() for end in link["link"])
    assert len(info["sigmas"]) in (0, LENGTHS[name])
    assert len(info["joint_weights"]) == LENGTHS[name] - (name in ("coco_aic", "humanart_aic"))
    papers = info["paper_info"]
    for paper in papers if isinstance(papers, list) else [papers]:
        assert paper["title"]
        assert paper["homepage"].startswith("http")


@pytest.mark.parametrize("name", LENGTHS)
def test_tables_pass_the_checks_that_users_files_pass_but_for_known_faults(name):
    info = schemas.get(name)
    if name in ("coco_aic", "humanart_aic"):
        with pytest.raises(DataError, match="'joint_weights' has 18 numbers for 19 keypoints"):
            schemas.validate(info, name)
    elif name == "deepfashion2":
        with pytest.raises(DataError, match="'vest_kpt9' swaps with 'vest_kpt13'"):
            schemas.validate(info, name)
    else:
        schemas.validate(info, name)


@pytest.mark.parametrize("name", sorted(set(LENGTHS) - NO_SWAPS))
def test_left_and_right_are_each_others_swap(name):
    swaps = {p["name"]: p["swap"] for p in schemas.get(name)["keypoint_info"].values()}
    pairs = [(a, b) for a, b in swaps.items() if b and a != "vest_kpt9"]
    assert pairs
    assert all(swaps[b] == a for a, b in pairs)


@pytest.mark.parametrize(
    "asked",
    ["coco", "coco.py", "configs/_base_/datasets/coco.py", "/nowhere/_base_/datasets/coco.py"],
)
def test_names_and_paths_that_need_not_exist(asked):
    assert schemas.get(asked) == schemas.get("coco")
    assert schemas.known(asked)


def test_results_are_new_each_time():
    schemas.get("coco")["keypoint_info"][0]["color"][0] = -1
    assert schemas.get("coco")["keypoint_info"][0]["color"] == [51, 153, 255]


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(FileMissingError, match=r"'cocoo'.*did you mean 'coco'"):
        schemas.get("cocoo")
    with pytest.raises(FileNotFoundError, match=r"'data/mine\.py' is neither a file"):
        schemas.get("data/mine.py")


def test_tables_equal_the_files_of_mmpose(shared):
    folder = shared.parent / "ref" / "mmpose" / "configs" / "_base_" / "datasets"
    if not folder.is_dir():
        pytest.skip("needs MMPose's config files")

    def lists(value):
        if isinstance(value, dict):
            return {key: lists(item) for key, item in value.items()}
        return [lists(v) for v in value] if isinstance(value, (list, tuple)) else value

    for file in sorted(folder.glob("*.py")):
        expected = lists(Config.fromfile(file).to_dict()["dataset_info"])
        assert lists(schemas.get(file.stem)) == expected
        assert lists(schemas.get(file)) == expected


def test_known_faults_are_described():
    assert set(schemas.FAULTS) <= set(LENGTHS)
    assert all(fault.about for faults in schemas.FAULTS.values() for fault in faults)
    ids = [p["id"] for p in schemas.get("deepfashion_full")["keypoint_info"].values()]
    assert ids == [0, 1, 2, 3, 0, 1, 2, 3]


# -- the notation ---------------------------------------------------------------------------------


def test_names_count_up_and_down():
    assert names_of("a, b1..3, c_2..1") == ["a", "b1", "b2", "b3", "c_2", "c_1"]
    assert chains("a > b1..2, c > a") == [("a", "b1"), ("b1", "b2"), ("c", "a")]
    assert numbers("1 0.5*3") == [1.0, 0.5, 0.5, 0.5]


def test_rows_give_colors_in_turn_and_swaps_by_name_or_number():
    points = expand_points(
        """
        upper green orange: left_eye, right_eye, eyeL, eyeR
        - white: k-0..3,
            L_Paw, R_Paw, Paw
        swap k-: 0 3 1, 1 2 1
        """
    )
    assert [p["color"] for p in points.values()][:3] == [[0, 255, 0], [255, 128, 0], [0, 255, 0]]
    assert {p["name"]: p["swap"] for p in points.values()} == {
        "left_eye": "right_eye",
        "right_eye": "left_eye",
        "eyeL": "eyeR",
        "eyeR": "eyeL",
        "k-0": "k-3",
        "k-1": "k-2",
        "k-2": "k-1",
        "k-3": "k-0",
        "L_Paw": "R_Paw",
        "R_Paw": "L_Paw",
        "Paw": "",
    }


# -- users' own files -------------------------------------------------------------------------------

MOUSE = """
dataset_info = dict(
    dataset_name='mouse',
    paper_info=dict(),
    keypoint_info={
        0: dict(name='snout', id=0, color=[255, 0, 0], type='upper', swap=''),
        1: dict(name='leftear', id=1, color=[0, 255, 0], type='upper', swap='rightear'),
        2: dict(name='rightear', id=2, color=[0, 0, 255], type='upper', swap='leftear'),
        3: dict(name='tailbase', id=3, color=[0, 0, 0], type='lower'),
    },
    skeleton_info={0: dict(link=('snout', 'leftear'), id=0, color=[0, 255, 0])},
    joint_weights=[1.0] * 4,
    sigmas=[],
)
"""


def test_a_users_file_wins_over_a_table(tmp_path):
    path = tmp_path / "coco.py"
    path.write_text(MOUSE)
    info = schemas.get(path)
    assert info["dataset_name"] == "mouse"
    assert type(info) is type(info["keypoint_info"]) is dict
    assert info["keypoint_info"][1]["swap"] == "rightear"


def test_json_files_have_numbers_for_keys(tmp_path):
    info = schemas.get("coco_wholebody_hand")
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"dataset_info": info}))
    got = schemas.get(path)
    assert list(got["keypoint_info"]) == list(range(21))
    assert got["keypoint_info"] == info["keypoint_info"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("dataset_name='mouse',", "", r"dataset_info lacks 'dataset_name'"),
        ("sigmas=[]", "sigma=[]", r"lacks 'sigmas'; did you mean 'sigma'.*sigmas=\[\]"),
        ("dataset_info =", "info =", r"dataset_info = dict\(.*but it has info"),
        ("sigmas=[]", "sigmas=[0.1] * 3", r"line 13: 'sigmas' has 3 numbers for 4 .*or none"),
        ("[1.0] * 4", "[1.0] * 5", r"line 12: 'joint_weights' has 5 numbers for 4 keypoints"),
        ("[1.0] * 4", "[]", r"'joint_weights' has 0 numbers for 4 keypoints"),
        ("[1.0] * 4", "[1, 1, -1, 1]", r"'joint_weights' 2 is a number of at least 0, got -1"),
        ("[1.0] * 4", "[1, 1, 'a', 1]", r"'joint_weights' 2 is a number of at least 0, got 'a'"),
        ("[1.0] * 4", "[1, 1, float('nan'), 1]", r"joint_weights"),
        ("[1.0] * 4", "1.0", r"'joint_weights' is a list of numbers, got 1\.0"),
        ("sigmas=[]", "sigmas=[0.1, 0, 1, 1]", r"'sigmas' 1 is a number above 0, got 0"),
        ("name='tailbase'", "name='snout'", r"line 9: keypoints 0 and 3 are both called 'snout'"),
        ("name='tailbase', ", "", r"keypoint 3 needs a 'name', got None"),
        (
            "swap='rightear'",
            "swap='rightea'",
            r"line 7: .*'rightea', which does not exist; did you mean 'rightear'",
        ),
        (
            "swap='rightear'",
            "swap='snout'",
            r"'leftear' swaps with 'snout', but 'snout' swaps with ''",
        ),
        (
            "swap='leftear'",
            "swap=''",
            r"'leftear' swaps with 'rightear', but 'rightear' swaps with ''; a swap is mutual",
        ),
        (
            "('snout', 'leftear')",
            "('snout', 'ear')",
            r"line 11: link 0 names the keypoint 'ear', which does not exist",
        ),
        ("('snout', 'leftear')", "('snout',)", r"link 0 is a pair of keypoint names"),
        ("color=[255, 0, 0]", "color=[255, 0]", r"color of 'keypoint_info' 0 is three numbers"),
        ("color=[255, 0, 0]", "color=[256, 0, 0]", r"three numbers 0\.\.255, got \[256, 0, 0\]"),
        ("        3: dict", "        4: dict", r"count from 0 without gaps.*number 3 is 4"),
        ("{0: dict(link", "{1: dict(link", r"keys of 'skeleton_info' count from 0"),
        ("skeleton_info={", "skeleton_info=[], x={", r"'skeleton_info' is a dict"),
    ],
)
def test_faults_of_users_files_name_place_and_remedy(tmp_path, old, new, message):
    assert old in MOUSE
    path = tmp_path / "mouse.py"
    path.write_text(MOUSE.replace(old, new, 1))
    with pytest.raises(DataError, match=f"(?s)mouse.py.*{message}"):
        schemas.get(path)


def test_schemas_import_nothing_heavy():
    import subprocess
    import sys

    code = (
        "import sys; from poise import schemas; schemas.get('coco_wholebody'); "
        "print([m for m in ('torch', 'numpy', 'cv2', 'poise.schemas.animal') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
