"""`poise data prepare`: data sets as their makers publish them, made small.

What is expected here was compared with the files that MMPose's own scripts
(`tools/dataset_converters`, 1.3.2) write for such data; orders of random divisions are theirs.
"""

from __future__ import annotations

import csv
import json
import pickle
import tarfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from scipy.io import savemat
from typer.testing import CliRunner

from poise.cli.main import app
from poise.data_tools.preparing import SOURCES, animals, mpi_inf_3dhp, prepare
from poise.errors import ArgumentError, DataError, FileMissingError
from poise.registry import DATASETS

RNG = np.random.default_rng


def picture(path: Path, width: int = 40, height: int = 30) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((height, width, 3), 90, np.uint8))


def video(path: Path, frames: int, code: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), 25, (64, 48))
    for n in range(frames):
        writer.write(np.full((48, 64, 3), 20 * n, np.uint8))
    writer.release()


def text(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def open_as(name: str, ann_file: str, root: Path, img: str = "", **options: Any) -> Any:
    """The data set class of MMPose's, over what was prepared."""
    options |= {"type": name, "data_root": str(root), "ann_file": ann_file, "pipeline": []}
    return DATASETS.build({**options, "data_prefix": {"img": img}})


# ------------------------------------------------------------------------------------- faces


def wflw_line(points: np.ndarray, name: str, attributes: str = "") -> str:
    return f"{' '.join(f'{v:.6f}' for v in points.ravel())} {attributes} {name}"


def test_wflw_has_centers_scales_and_boxes(tmp_path: Path) -> None:
    points = RNG(0).uniform(1, 29, (3, 98, 2)).round(6)
    names = ["0--Parade/a.jpg", "0--Parade/a.jpg", "1--Car/b.jpg"]
    for name in set(names):
        picture(tmp_path / "WFLW_images" / name)
    lines = [wflw_line(p, n, "1 2 3 4 0 0 0 0 0 0") for p, n in zip(points, names, strict=True)]
    lists = tmp_path / "WFLW_annotations"
    text(lists / "list_98pt_rect_attr_train_test/list_98pt_rect_attr_train.txt", lines)
    text(lists / "list_98pt_test/list_98pt_test_blur.txt", [wflw_line(points[2], names[2])])
    prepare("wflw", tmp_path)
    found = read(tmp_path / "annotations/face_landmarks_wflw_train.json")
    assert [image["file_name"] for image in found["images"]] == [names[0], names[2]]
    assert [face["image_id"] for face in found["annotations"]] == [0, 0, 1]
    low, high = points[1].min(0), points[1].max(0)
    face = found["annotations"][1]
    assert face["center"] == pytest.approx((low + high) / 2)
    assert face["scale"] == np.ceil((high - low).max()) / 200
    assert face["bbox"] == pytest.approx([*low, *(high - low)])
    blurred = read(tmp_path / "annotations/face_landmarks_wflw_test_blur.json")
    assert len(blurred["annotations"]) == 1
    data = open_as(
        "WFLWDataset", "annotations/face_landmarks_wflw_train.json", tmp_path, "WFLW_images/"
    )
    assert len(data) == 3
    np.testing.assert_allclose(data[2]["keypoints"][0], points[2], atol=1e-4)


def test_what_wflw_loses_is_counted(tmp_path: Path) -> None:
    points = RNG(0).uniform(1, 29, (98, 2))
    picture(tmp_path / "WFLW_images/a.jpg")
    text(tmp_path / "WFLW_images/broken.jpg", ["no picture"])
    lines = [wflw_line(points, n) for n in ("a.jpg", "gone.jpg", "gone.jpg", "broken.jpg")]
    text(tmp_path / "WFLW_annotations/list_train.txt", [*lines, "1 2 3 a.jpg", "", "x " * 196])
    report = prepare("wflw", tmp_path)
    assert {reason: len(where) for reason, where in report.lost.items()} == {
        "pictures that are absent": 1,
        "pictures that are unreadable": 1,
        "lines without 98 points and the name of a picture": 3,
    }
    # as an editor counts them
    places = report.lost["lines without 98 points and the name of a picture"]
    assert [place.rpartition(":")[2] for place in places] == ["5", "6", "7"]
    found = read(tmp_path / "annotations/face_landmarks_wflw_train.json")
    assert len(found["annotations"]) == len(found["images"]) == 1


def small_wflw(root: Path) -> Path:
    picture(root / "WFLW_images/a.jpg")
    line = wflw_line(RNG(0).uniform(1, 29, (98, 2)), "a.jpg")
    text(root / "WFLW_annotations/list_train.txt", [line])
    return root


def test_pictures_are_linked_where_configs_look_for_them(tmp_path: Path) -> None:
    home, out = small_wflw(tmp_path / "wflw"), tmp_path / "out"
    for target in (home, out):
        report = prepare("wflw", home, target)
        assert report.said == [
            f"configs look for the pictures in {target}/images: it is a link to {home}/WFLW_images"
        ]
        data = open_as(
            "WFLWDataset", "annotations/face_landmarks_wflw_train.json", target, "images/"
        )
        assert Path(data[0]["img_path"]).is_file()
    assert (home / "images").readlink() == Path("WFLW_images")  # the folder may be moved
    assert prepare("wflw", home).said == []


def test_where_no_link_can_be_made_the_user_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: Any, **_options: Any) -> None:
        raise OSError("a required privilege is not held")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    home = small_wflw(tmp_path)
    (said,) = prepare("wflw", home).said
    assert f"move or copy {home}/WFLW_images there" in said
    assert "privilege" in said


def test_a_folder_too_high_or_low_or_packed_is_told(tmp_path: Path) -> None:
    home = small_wflw(tmp_path / "data/wflw")
    with pytest.raises(FileMissingError, match=f"give the folder {home}$"):
        prepare("wflw", home.parent)
    with pytest.raises(FileMissingError, match=f"give the folder {home}$"):
        prepare("wflw", home / "WFLW_images")
    packed = tmp_path / "packed"
    text(packed / "WFLW_images.tar.gz", [""])
    with pytest.raises(FileMissingError, match=r"; unpack WFLW_images.tar.gz first$"):
        prepare("wflw", packed)
    with pytest.raises(FileMissingError, match="is a file; unpack it and give the folder"):
        prepare("wflw", packed / "WFLW_images.tar.gz")
    with pytest.raises(FileMissingError, match="has no train;"):
        prepare("mpi_inf_3dhp", packed)
    assert [path.name for path in packed.iterdir()] == ["WFLW_images.tar.gz"]


def test_lapa(tmp_path: Path) -> None:
    points = RNG(1).uniform(1, 29, (3, 106, 2)).round(3)
    for part, values in zip(("train", "val", "test"), points, strict=True):
        picture(tmp_path / part / "images/7_0.jpg")
        text(tmp_path / part / "landmarks/7_0.txt", ["106", *(f"{x} {y}" for x, y in values)])
    text(tmp_path / "train/landmarks/8_0.txt", ["106", "1 2"])
    report = prepare("lapa", tmp_path)
    assert [path.name for path in report.files] == [
        f"lapa_{part}.json" for part in ("train", "val", "test", "trainval")
    ]
    assert len(report.lost["files without 106 points"]) == 2
    both = read(tmp_path / "annotations/lapa_trainval.json")
    assert [i["file_name"] for i in both["images"]] == [
        "train/images/7_0.jpg",
        "val/images/7_0.jpg",
    ]
    side = points[0].max(0) - points[0].min(0)
    assert both["annotations"][0]["area"] == int(side[0] * side[1])
    data = open_as("LapaDataset", "annotations/lapa_test.json", tmp_path)
    np.testing.assert_allclose(data[0]["keypoints"][0], points[2], atol=1e-4)


def test_300wlp_is_divided_once(tmp_path: Path) -> None:
    home = tmp_path / "300W_LP"
    points = RNG(2).uniform(1, 29, (68, 2))
    for folder in ("AFW", "HELEN"):
        (home / "landmarks" / folder).mkdir(parents=True)
        for n in range(10):
            picture(home / folder / f"{folder}_{n}_0.jpg")
            file = home / "landmarks" / folder / f"{folder}_{n}_0_pts.mat"
            savemat(file, {"pts_2d": points + n})
    (home / "landmarks/AFW/AFW_3_0_pts.mat").write_bytes(b"no such file")
    report = prepare("300wlp", tmp_path)
    names = {}
    for part, count in (("train", 16), ("val", 2), ("test", 2)):
        folder = sorted(path.name for path in (tmp_path / part).iterdir())
        assert len(folder) == count
        found = read(tmp_path / f"annotations/face_landmarks_300wlp_{part}.json")
        names[part] = [image["file_name"] for image in found["images"]]
        assert set(names[part]) == set(folder) - {"AFW_3_0.jpg"}
        for face in found["annotations"]:
            number = int(names[part][face["image_id"] - found["images"][0]["id"]].split("_")[1])
            assert face["keypoints"][:2] == pytest.approx(points[0] + number)
            break
    assert report.lost["pictures without readable landmarks"] == ["AFW_3_0.jpg"]
    # the config asks for the name that MMPose's script does not write
    home_of_files = tmp_path / "annotations"
    assert read(home_of_files / "face_landmarks_300wlp_valid.json") == read(
        home_of_files / "face_landmarks_300wlp_val.json"
    )
    before = {path: path.read_bytes() for path in report.files}
    assert {path: path.read_bytes() for path in prepare("300wlp", tmp_path).files} == before
    # the pictures of the data set are where they were
    assert len(list((home / "AFW").iterdir())) == 10


def pts(path: Path, points: np.ndarray) -> None:
    rows = [f"{x:.3f} {y:.3f}" for x, y in points]
    text(path, ["version: 1", f"n_points: {len(rows)}", "{", *rows, "}"])


def test_300vw_takes_frames_of_videos(tmp_path: Path) -> None:
    points = RNG(3).uniform(1, 29, (68, 2)).round(3)
    video(tmp_path / "001/vid.avi", 3, "MJPG")
    for n in (1, 2, 3, 9):
        pts(tmp_path / f"001/annot/{n:06d}.pts", points + n)
    picture(tmp_path / "410/imgs/000001.jpg")
    picture(tmp_path / "410/imgs/000002.jpg")
    pts(tmp_path / "410/annot/000001.pts", points)
    pts(tmp_path / "410/annot/000002.pts", points)
    pts(tmp_path / "410/annot/000003.pts", points[:60])
    np.save(tmp_path / "broken_frames.npy", np.array({"410": [2]}, dtype=object))
    report = prepare("300vw", tmp_path)
    found = read(tmp_path / "anno_300vw.json")
    assert [image["file_name"] for image in found["images"]] == [
        *(f"001/imgs/{n:06d}.png" for n in (1, 2, 3)),
        "410/imgs/000001.jpg",
    ]
    assert found["images"][0]["width"] == 64
    assert report.lost == {
        "pictures that are absent": ["001/imgs/000009.png"],
        "frames that broken_frames.npy names": ["410/000002"],
        "files without 68 points": ["410/000003"],
    }
    assert len(read(tmp_path / "anno_300vw_test_3.json")["annotations"]) == 1
    data = open_as("Face300VWDataset", "anno_300vw_train.json", tmp_path)
    np.testing.assert_allclose(data[2]["keypoints"][0], points + 3, atol=1e-4)


def test_300vw_has_the_frames_of_videos_where_it_is_written(tmp_path: Path) -> None:
    root, out = tmp_path / "raw", tmp_path / "made"
    for name in ("001", "002", "003"):
        picture(root / name / "imgs/000001.jpg")
        pts(root / name / "annot/000001.pts", RNG(3).uniform(1, 29, (68, 2)))
    report = prepare("300vw", root, out)
    assert (out / "002/imgs/000001.jpg").is_file()
    (said,) = report.said
    assert str(out / "001/imgs") in said
    assert said.endswith("and so on for 2 more videos")


def test_300vw_equals_mmposes_file(shared: Path, tmp_path: Path) -> None:
    samples = shared / "data/mmpose_samples/300vw"
    prepare("300vw", samples, tmp_path)
    theirs, ours = read(samples / "anno_300vw.json"), read(tmp_path / "anno_300vw.json")
    assert {i["file_name"]: i for i in ours["images"]} == {
        i["file_name"]: i for i in theirs["images"]
    }
    for a, b in zip(ours["annotations"], theirs["annotations"], strict=True):
        for key in ("id", "image_id", "keypoints", "center", "scale", "num_keypoints"):
            assert a[key] == b[key]


def test_cofw_pictures_and_occlusion(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="h5py is not installed: COFW's files are HDF5")
    rng = RNG(4)
    points = rng.uniform(2, 29, (2, 29, 2))
    points[0, 0] = 0.5  # outside of the picture, counted from 0
    hidden = rng.integers(0, 2, (2, 29))
    for part, ending in (("train", "Tr"), ("test", "T")):
        with h5py.File(tmp_path / f"COFW_{part}_color.mat", "w") as mat:
            references = mat.create_dataset(f"Is{ending}", (1, 2), dtype=h5py.ref_dtype)
            for n, shape in enumerate(((3, 40, 30), (40, 30))):
                made = mat.create_dataset(f"picture{n}", data=np.full(shape, 200, np.uint8))
                references[0, n] = made.ref
            columns = [np.concatenate([*p.T, h]) for p, h in zip(points, hidden, strict=True)]
            mat[f"phis{ending}"] = np.stack(columns, axis=1)
            mat[f"bboxes{ending}"] = np.array([[-3.0, 4, 20, 25], [1, 2, 3, 4]]).T
    prepare("cofw", tmp_path)
    found = read(tmp_path / "annotations/cofw_test.json")
    assert [i["file_name"] for i in found["images"]] == ["000003.jpg", "000004.jpg"]
    assert cv2.imread(str(tmp_path / "images/000004.jpg")).shape == (30, 40, 3)
    face = found["annotations"][0]
    assert face["bbox"] == [0, 4, 20, 25]
    triples = np.reshape(face["keypoints"], (29, 3))
    np.testing.assert_allclose(triples[:, :2], (points[0] - 1).clip(0))
    assert triples[:, 2].tolist() == (2 - hidden[0]).tolist()
    data = open_as("COFWDataset", "annotations/cofw_train.json", tmp_path, "images/")
    assert len(data) == 2


# ----------------------------------------------------------------------------------- animals


def animal_xml(path: Path, image: str, points: dict[str, tuple[int, float, float]], **more: str):
    top = more.pop("top", "ymin")
    keypoints = "".join(
        f'<keypoint name="{n}" visible="{v}" x="{x}" y="{y}" z="0"/>'
        for n, (v, x, y) in points.items()
    )
    fields = "".join(f"<{key}>{value}</{key}>" for key, value in more.items())
    bounds = f'<visible_bounds xmin="1" {top}="2" width="20" height="10"/>'
    text(
        path,
        [
            f"<annotation><image>{image}</image>{fields}{bounds}",
            f"<keypoints>{keypoints}</keypoints></annotation>",
        ],
    )


def test_animalpose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(animals, "_VALIDATION", 3)
    points = {"L_Eye": (1, 5.5, 6.5), "R_EarBase": (1, 7.0, 8.0), "Nose": (0, 9.0, 9.0)}
    for n in range(6):
        for k in range(1 + n % 2):
            image = f"2008_{n:06d}"
            picture(tmp_path / f"VOC2012/JPEGImages/{image}.jpg")
            animal_xml(
                tmp_path / f"PASCAL2011_animal_annotation/cat/{image}_{k}.xml", image, points
            )
    text(tmp_path / "PASCAL2011_animal_annotation/cat/broken.xml", ["<annotation>"])
    text(tmp_path / "PASCAL2011_animal_annotation/dog/2009_1.xml", ["<annotation/>"])
    other = {"L_eye": (1, 5.5, 6.5), "R_ear": (1, 7.0, 8.0), "Tail": (1, 1.0, 2.0)}
    for kind in ("cat", "sheep", "yeti"):
        picture(tmp_path / f"animalpose_image_part2/{kind}/{kind}12.jpeg")
        file = tmp_path / f"animalpose_anno2/{kind}/12.xml"
        animal_xml(file, f"{kind}12.jpeg", other, category=kind, top="xmax")
    report = prepare("animalpose", tmp_path)
    home = tmp_path / "annotations"
    everything = read(home / "animalpose_trainval.json")
    assert [a["id"] for a in everything["annotations"]] == list(range(1_000_000, 1_000_009))
    assert everything["images"][0]["id"] == 2008000000
    triples = np.reshape(everything["annotations"][0]["keypoints"], (20, 3))
    assert triples[0].tolist() == [5.5, 6.5, 2]
    assert triples[3].tolist() == [7, 8, 2]
    assert triples[4].tolist() == [0, 0, 0]
    order = np.arange(6)
    np.random.RandomState(0).shuffle(order)
    chosen, count = [], 0
    for n in order:
        if count + 1 + n % 2 <= 3:
            chosen.append(2008000000 + n)
            count += 1 + n % 2
    kept = read(home / "animalpose_val.json")
    assert [image["id"] for image in kept["images"]] == chosen
    assert [a["image_id"] for a in kept["annotations"]] == [
        i for i in chosen for _ in range(1 + i % 2)
    ]
    assert len(read(home / "animalpose_train.json")["images"]) == 6 - len(chosen)
    tests = read(home / "animalpose_test.json")
    assert [image["id"] for image in tests["images"]] == [1012, 5012]
    assert tests["annotations"][1]["bbox"] == [1, 2, 20, 10]
    assert np.reshape(tests["annotations"][1]["keypoints"], (20, 3))[6].tolist() == [1, 2, 2]
    assert {reason: len(where) for reason, where in report.lost.items()} == {
        "files that are no XML": 1,
        "pictures that are absent": 1,
        "files without an animal that is known and a picture": 1,
    }
    assert len(open_as("AnimalPoseDataset", "annotations/animalpose_test.json", tmp_path)) == 2


def test_insects_and_zebras_are_divided_as_mmposes_are(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="h5py is not installed: these files are HDF5")
    rng = RNG(5)
    points = rng.uniform(0, 30, (20, 9, 2))
    seen = rng.uniform(size=(20, 9)) > 0.3
    seen[4] = False
    with h5py.File(tmp_path / "annotation_data_release.h5", "w") as file:
        file["annotations"], file["annotated"] = points, seen
        file["images"] = np.arange(20, dtype=np.uint8)[:, None, None, None] * np.ones(
            (1, 16, 18, 1), np.uint8
        )
    report = prepare("zebra", tmp_path)
    # after a shuffle of 1,500 flies and one of 700 locusts
    random = np.random.RandomState(0)
    for count in (1500, 700):
        random.shuffle(np.arange(count))
    order = np.arange(20)
    random.shuffle(order)
    assert report.lost == {"pictures without keypoints": [4]}
    train, test = (read(tmp_path / f"annotations/zebra_{part}.json") for part in ("train", "test"))
    numbers = [a["id"] for part in (train, test) for a in part["annotations"]]
    assert numbers == [n for n in range(20) if order[n] != 4]
    for part in (train, test):
        for animal in part["annotations"]:
            n = order[animal["id"]]
            triples = np.reshape(animal["keypoints"], (9, 3))
            np.testing.assert_array_equal(triples[:, :2], points[n])
            np.testing.assert_array_equal(triples[:, 2], 2 * seen[n])
            low, high = points[n][seen[n]].min(0), points[n][seen[n]].max(0)
            assert animal["bbox"] == pytest.approx([*low, *(high - low + 1)])
            shown = cv2.imread(str(tmp_path / f"images/{animal['id']}.jpg"))
            assert abs(int(shown[0, 0, 0]) - n) <= 2
    assert len(open_as("ZebraDataset", "annotations/zebra_test.json", tmp_path, "images/")) > 0


def test_another_number_of_keypoints_is_told(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="h5py is not installed: these files are HDF5")
    with h5py.File(tmp_path / "annotation_data_release.h5", "w") as file:
        file["annotations"], file["annotated"] = np.zeros((2, 8, 2)), np.zeros((2, 8))
        file["images"] = np.zeros((2, 4, 4, 1), np.uint8)
    with pytest.raises(DataError, match=r"fly has annotations \(N, 32, 2\).*got \(2, 8, 2\)"):
        prepare("fly", tmp_path)
    (tmp_path / "annotation_data_release.h5").write_bytes(b"nothing")
    with pytest.raises(DataError, match="is no file of DeepPoseKit's data"):
        prepare("locust", tmp_path)


def test_macaques(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(animals, "_MACAQUE_TRAINING", 8)
    square = [[1, 2], [11, 2], [11, 12], [1, 12]]
    rows = [["image file name", "keypoints", "segmentation"]]
    for n in range(10):
        points = [{"name": "", "position": [n, 2 * n] if k else None} for k in range(17)]
        outline = [{"segment": square}, {"segment": []}]
        rows.append(
            [f"{n}.jpg", json.dumps([points] * 2), json.dumps([outline, [{"segment": []}]])]
        )
        picture(tmp_path / f"images/{n}.jpg")
    with (tmp_path / "annotations.csv").open("w", newline="") as file:
        csv.writer(file).writerows([*rows, ["10.jpg", "no json", "[]"]])
    report = prepare("macaque", tmp_path)
    order = np.arange(11)
    np.random.RandomState(0).shuffle(order)
    found = read(tmp_path / "annotations/macaque_train.json")
    expected = [f"{n}.jpg" for n in order[:8] if n != 10]
    assert [image["file_name"] for image in found["images"]] == expected
    first, second = found["annotations"][:2]
    assert first["bbox"] == [1, 2, 11, 11]
    assert first["area"] == 100
    assert first["segmentation"] == [[1, 2, 11, 2, 11, 12, 1, 12]]
    assert first["num_keypoints"] == 16
    # without an outline the box is that of the keypoints
    n = int(expected[0].split(".")[0])
    assert second["bbox"] == [n, 2 * n, 1, 1]
    tests = read(tmp_path / "annotations/macaque_test.json")
    assert tests["images"][0]["id"] == 8 + (order[8] == 10)
    assert tests["annotations"][0]["id"] == len(found["annotations"])
    assert len(report.lost["rows that are not as MacaquePose has them"]) == 1


# ------------------------------------------------------------------------------------- in 3D


def human36m_folder(root: Path, cdf: Any, frames: int = 11) -> None:
    rng = RNG(6)
    subjects = [f"S{n}" for n in range(1, 12)]
    rows = [["", "", *subjects]]
    for action in range(1, 17):
        for again in (1, 2):
            name = "_ALL 1" if action == 1 else f"Walking {again}" if action == 2 else "absent"
            rows.append([str(action), str(again), *[name] * 11])
    table = "".join(f"<tr>{''.join(f'<td>{c}</td>' for c in row)}</tr>" for row in rows)
    cameras = ("54138969", "55011271", "58860488", "60457274")
    numbers = " ".join(f"{v:.6f}" for v in rng.uniform(-3, 3, 300))
    text(
        root / "metadata.xml",
        [
            f"<db><mapping>{table}</mapping><dbcameras><index2id>",
            "".join(f"<item>{c}</item>" for c in cameras),
            f"</index2id></dbcameras><w0>[{numbers}]</w0></db>",
        ],
    )
    for subject in ("S1", "S9"):
        home = root / "made" / subject
        for again in (1, 2):
            base = f"Walking {again}.{cameras[0]}"
            for folder, axes in (("D2_Positions", 2), ("D3_Positions_mono", 3)):
                path = home / "MyPoseFeatures" / folder / f"{base}.cdf"
                path.parent.mkdir(parents=True, exist_ok=True)
                file = cdf(str(path), delete=True)
                about = {"Variable": "Pose", "Data_Type": 45, "Num_Elements": 1, "Rec_Vary": True}
                values = rng.uniform(0, 1000, (1, frames, 32 * axes))
                file.write_var({**about, "Dim_Sizes": [frames, 32 * axes]}, var_data=values)
                file.close()
            video(home / "Videos" / f"{base}.mp4", frames - 5 * (again == 2), "mp4v")
        (root / subject.lower()).mkdir()
        for name, folder in (
            ("Videos", "Videos"),
            ("D2_Positions", "MyPoseFeatures/D2_Positions"),
            ("D3_Positions_mono", "MyPoseFeatures/D3_Positions_mono"),
        ):
            with tarfile.open(root / subject.lower() / f"{name}.tgz", "w:gz") as archive:
                archive.add(home / folder, f"{subject}/{folder}")


def test_human36m(tmp_path: Path) -> None:
    written = pytest.importorskip(
        "cdflib.cdfwrite", reason="cdflib is not installed: Human3.6M's poses are CDF files"
    )
    human36m_folder(tmp_path, written.CDF)
    report = prepare("h36m", tmp_path)
    assert len(report.lost["subjects that are absent"]) == 5
    assert len(report.lost["sequences whose videos end early"]) == 2
    home = tmp_path / "annotation_body3d"
    arrays = dict(np.load(home / "fps10/h36m_train.npz"))
    # of 11 frames the first, sixth and eleventh; of 6 the first and sixth
    assert arrays["imgname"].tolist() == [
        f"S1/S1_Walking_{a}.54138969/S1_Walking_{a}.54138969_{n:06d}.jpg"
        for a, frames in ((1, (1, 6, 11)), (2, (1, 6)))
        for n in frames
    ]
    assert all((tmp_path / "images" / name).is_file() for name in arrays["imgname"])
    import cdflib

    file = tmp_path / "extracted/S1/MyPoseFeatures/D3_Positions_mono/Walking 1.54138969.cdf"
    joints = cdflib.CDF(str(file)).varget("Pose").reshape(11, 32, 3)[5, [0, 1, 2, 3, 6]]
    np.testing.assert_allclose(arrays["S"][1, :5, :3], joints / 1000)
    side = np.ptp(arrays["part"][..., :2], axis=1).max(axis=1)
    np.testing.assert_allclose(arrays["scale"], 1.2 * side / 200)
    stats = pickle.loads((home / "fps10/joint3d_rel_stats.pkl").read_bytes())
    relative = arrays["S"][:, 1:, :3] - arrays["S"][:, :1, :3]
    np.testing.assert_allclose(stats["std"], relative.std(axis=0))
    cameras = pickle.loads((home / "cameras.pkl").read_bytes())
    rotation = cameras["S9", "60457274"]["R"]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert cameras["S9", "60457274"]["h"] == 1002
    data = open_as(
        "Human36mDataset",
        "annotation_body3d/fps10/h36m_train.npz",
        tmp_path,
        "images/",
        camera_param_file="annotation_body3d/cameras.pkl",
    )
    assert len(data) == 5

    prepare("h36m-coco", tmp_path)
    coco = read(tmp_path / "annotations/h36m_coco_train.json")
    assert coco["images"][1]["file_name"] == arrays["imgname"][1]
    camera = cameras["S1", "54138969"]
    world = arrays["S"][1, :, :3] @ camera["R"].T + camera["T"].T
    solid = np.reshape(coco["annotations"][1]["keypoints_3d"], (17, 4))
    np.testing.assert_allclose(solid[:, :3], world, atol=1e-6)


def test_broken_metadata_and_archives(tmp_path: Path) -> None:
    text(tmp_path / "metadata.xml", ["<db><mapping/></db>"])
    with pytest.raises(DataError, match=r"metadata.xml is not Human3.6M's metadata"):
        prepare("h36m", tmp_path)
    text(tmp_path / "metadata.xml", ["<db><mapping><tr><td/><td/></tr></mapping></db>"])
    with pytest.raises(DataError, match="it has 0 cameras of 4, and 0 numbers"):
        prepare("h36m", tmp_path)


def test_mpi_inf_3dhp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    h5py = pytest.importorskip("h5py", reason="h5py is not installed: the tests are HDF5 files")
    monkeypatch.setattr(mpi_inf_3dhp, "FRAMES", {(1, 1): 3, (1, 2): 3})
    rng = RNG(7)
    home = tmp_path / "train/S1/Seq1"
    flat, solid = (np.empty((14, 1), object) for _ in range(2))
    for camera in range(14):
        flat[camera, 0] = rng.uniform(-100, 2200, (5, 56))
        solid[camera, 0] = rng.uniform(-1000, 1000, (5, 84))
        if camera in mpi_inf_3dhp.CAMERAS:
            video(home / f"imageSequence/video_{camera}.avi", 4 - (camera == 8), "MJPG")
    video(home / "imageSequence/video_8.avi", 2, "MJPG")
    savemat(home / "annot.mat", {"annot2": flat, "annot3": solid})
    lines = ["Skeleton Camera Calibration v1"]
    matrix = np.array([[1500.0, 0, 1000, 0], [0, 1400, 900, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    outer = np.eye(4) + np.eye(4, k=3) * 250
    for camera in range(14):
        lines += [f"name          {camera}", "  sensor      10 10", "  size        2048 2048"]
        lines += [f"  intrinsic   {' '.join(map(str, matrix.ravel()))} "]
        lines += [f"  extrinsic   {' '.join(map(str, outer.ravel()))} ", "  radial      0"]
    text(home / "camera.calibration", lines)
    points = rng.uniform(-1000, 1000, (4, 1, 17, 3))
    points[..., 2] += 4000
    pixels = points[..., :2] / points[..., 2:] * [1500, 1400] + [1000, 900]
    for n in range(1, 5):
        picture(tmp_path / f"test/TS6/imageSequence/img_{n:06d}.jpg")
    with h5py.File(tmp_path / "test/TS6/annot_data.mat", "w") as mat:
        mat["annot2"], mat["annot3"] = pixels, points
        mat["valid_frame"] = np.array([1, 0, 1, 1])[:, None]
    report = prepare("mpi_inf_3dhp", tmp_path)
    assert report.lost["sequences that are absent"] == ["S1_Seq2", *(f"TS{n}" for n in range(1, 6))]
    assert report.lost["sequences whose videos end early"] == ["S1_Seq1_Cam8 (1 frame)"]
    arrays = dict(np.load(tmp_path / "annotations/mpi_inf_3dhp_train.npz"))
    assert len(arrays["S"]) == 8 * 3 - 1
    joints = flat[0, 0][1].reshape(28, 2)[[7, 5, 14]]
    np.testing.assert_array_equal(arrays["part"][1, :3, :2], joints)
    inside = ((joints >= 0) & (joints < 2048)).all(axis=1)
    np.testing.assert_array_equal(arrays["part"][1, :3, 2], inside)
    cameras = pickle.loads((tmp_path / "annotations/cameras_train.pkl").read_bytes())
    camera = cameras["S1_Seq1_Cam4"]
    assert camera["T"].ravel().tolist() == [0.25, 0, 0]
    assert camera["f"].ravel().tolist() == [1500, 1400]
    tests = pickle.loads((tmp_path / "annotations/cameras_test.pkl").read_bytes())
    np.testing.assert_allclose(tests["TS6"]["f"].ravel(), [1500, 1400])
    np.testing.assert_allclose(tests["TS6"]["c"].ravel(), [1000, 900])
    valid = np.load(tmp_path / "annotations/mpi_inf_3dhp_test_valid.npz")["imgname"]
    assert valid.tolist() == ["TS6_000001.jpg", "TS6_000003.jpg", "TS6_000004.jpg"]


def test_ubody_keeps_everybody_on_a_picture(tmp_path: Path) -> None:
    pictures = [
        {"id": 7 + n, "file_name": f"/{video}/00000{n}.png", "height": 30, "width": 40}
        for n, video in enumerate(("a", "b_Trim1", "b"))
    ]
    for image in pictures[:2]:
        picture(tmp_path / "images/Magic_show" / image["file_name"][1:])
    people = [
        {"id": 50 + n, "image_id": image, "category_id": 1, "keypoints": [n] * 399}
        for n, image in enumerate((7, 8, 7, 9))
    ]
    scene = tmp_path / "annotations/Magic_show"
    content = {"images": pictures, "annotations": people, "categories": [{"id": 1, "name": "p"}]}
    text(scene / "keypoint_annotation.json", [json.dumps(content)])
    with pytest.raises(FileMissingError, match=r"has no splits/intra_scene_test_list.npy"):
        prepare("ubody", tmp_path)
    (tmp_path / "splits").mkdir()
    np.save(tmp_path / "splits/intra_scene_test_list.npy", np.array(["b", "x"]))
    report = prepare("ubody", tmp_path)
    assert report.lost == {"annotations whose picture is absent": ["Magic_show/b/000002.png"]}
    own = read(scene / "train_annotations.json")
    assert [i["file_name"] for i in own["images"]] == ["Magic_show/a/000000.png"]
    assert [a["id"] for a in own["annotations"]] == [50, 52]
    whole = read(tmp_path / "annotations/train_annotations.json")
    assert [(i["id"], i["file_name"]) for i in whole["images"]] == [
        (0, "Magic_show/a/000000.png"),
        (1, "Magic_show/a/000000.png"),
    ]
    assert [(a["id"], a["image_id"]) for a in whole["annotations"]] == [(0, 0), (1, 1)]
    assert len(read(tmp_path / "annotations/val_annotations.json")["annotations"]) == 1


# ---------------------------------------------------------------------------------- the command


def test_the_command_lists_and_prepares(tmp_path: Path) -> None:
    listed = CliRunner().invoke(app, ["data", "prepare"])
    assert listed.exit_code == 0
    assert all(name in listed.output for name in SOURCES)
    picture(tmp_path / "WFLW_images/a.jpg")
    line = wflw_line(RNG(0).uniform(1, 29, (98, 2)), "a.jpg")
    text(tmp_path / "WFLW_annotations/list_train.txt", [line, "1 2"])
    done = CliRunner().invoke(
        app, ["data", "prepare", "wflw", str(tmp_path), "-o", str(tmp_path / "out")]
    )
    assert done.exit_code == 0
    assert "left out: 1 line without 98 points" in done.output
    file = tmp_path / "out/annotations/face_landmarks_wflw_train.json"
    assert f"wrote {file}: 1 picture, 1 annotation" in done.output.replace("\n", "")
    assert file.is_file()


@pytest.mark.parametrize("name", [n for n in SOURCES if n not in ("h36m-coco", "h36m-fps50")])
def test_an_empty_folder_is_told(name: str, tmp_path: Path) -> None:
    with pytest.raises((FileMissingError, DataError)) as error:
        prepare(name, tmp_path)
    assert str(tmp_path) in str(error.value)
    with pytest.raises(FileMissingError, match=r"there is no folder .*gone; .* has "):
        prepare(name, tmp_path / "gone")


def test_unknown_names_are_told(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"got 'wflv'; did you mean 'wflw'\?"):
        prepare("wflv", tmp_path)


def test_nothing_left_says_what_was_left_out(tmp_path: Path) -> None:
    (tmp_path / "WFLW_images").mkdir()
    text(tmp_path / "WFLW_annotations/list_train.txt", ["1 2 3"])
    with pytest.raises(DataError, match=r"nothing is left for .*left out: 1 line without 98"):
        prepare("wflw", tmp_path)
