"""A file is tried on real pictures: figures of both, distances, and a gate."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

import poise
from poise.cli.main import app
from poise.data_tools.opening import open_dataset
from poise.datasets import DetectionCocoDataset
from poise.errors import ConfigError, DataError, FileMissingError
from poise.export import Accuracy, Pictured, Pictures, export_model
from poise.export.checks.accuracy import Apart, Trial
from poise.export.checks.looking import looker_of
from poise.export.checks.scoring import main_figure, metrics_of
from poise.inference import Inferencer
from poise.inference.detectors import NanoDetDetector

pytest.importorskip("onnxruntime", reason="exporting needs onnxruntime")

PHOTO = Path(__file__).resolve().parents[3] / "examples" / "photos" / "astronaut.png"


@pytest.fixture(scope="module")
def labels(movenet, folder, tmp_path_factory):
    """What the model sees, as labels in COCO's form."""
    inferencer = Inferencer(movenet, device="cpu", detector="whole-image")
    images, annotations = [], []
    for i, result in enumerate(inferencer(folder)):
        height, width = result.image.shape[:2]
        images.append(dict(id=i, file_name=Path(result.name).name, width=width, height=height))
        points = np.concatenate((result.keypoints[0], np.full((17, 1), 2)), 1)
        annotations.append(
            dict(
                id=i,
                image_id=i,
                category_id=1,
                bbox=[0, 0, width, height],
                area=width * height,
                iscrowd=0,
                num_keypoints=17,
                keypoints=points.reshape(-1).tolist(),
            )
        )
    names = list(inferencer.metainfo["keypoint_id2name"].values())
    category = dict(id=1, name="person", keypoints=names, skeleton=[])
    path = tmp_path_factory.mktemp("labels") / "labels.json"
    path.write_text(json.dumps(dict(images=images, annotations=annotations, categories=[category])))
    return path


@pytest.fixture(scope="module")
def dataset(labels, folder):
    return open_dataset(labels, mode="topdown", images=folder)


def test_exact_file_loses_nothing_on_labelled_pictures(movenet, dataset, tmp_path):
    report = export_model(movenet, tmp_path / "m.onnx", pictured=Pictured(dataset))
    found = report.accuracy
    assert found.main == "coco/AP"
    before, after = found.figures["coco/AP"]
    assert before > 0.99
    assert after == pytest.approx(before, abs=1e-3)
    assert (found.pictures, found.people) == (8, 8)
    assert found.apart.largest < 0.1
    assert found.likeness == pytest.approx(1, abs=1e-4)
    assert len(found.keypoints) == 17
    assert set(report.times) == {"model", "file"}
    assert min(report.times.values()) > 0


def test_file_that_loses_more_is_refused_and_not_kept(movenet, dataset, tmp_path, monkeypatch):
    monkeypatch.setattr("poise.export.checks.accuracy.Accuracy.drop", 0.42)
    with pytest.raises(ConfigError, match=r"loses 0.42 points of coco/AP on 8 .*--max-drop"):
        export_model(movenet, tmp_path / "m.onnx", pictured=Pictured(dataset))
    assert list(tmp_path.iterdir()) == []
    export_model(movenet, tmp_path / "m.onnx", pictured=Pictured(dataset, max_drop=0.5))
    assert (tmp_path / "m.onnx").is_file()


def test_boxes_of_unlabelled_pictures_are_the_models(movenet, folder):
    trial = Trial(looker_of(movenet, "topdown"), Pictures.of(folder))
    assert trial.pictures.boxes is not None
    found = trial(looker_of(movenet, "topdown"))
    # as many threads as are free take a batch: the last digits may differ
    assert found.apart.largest < 0.1
    assert found.likeness == pytest.approx(1, abs=1e-4)
    assert found.main == ""
    assert found.drop == 0


def test_boxes_of_labelled_pictures_have_a_figure(tmp_path):
    detector = NanoDetDetector()
    picture = cv2.imread(str(PHOTO))
    cv2.imwrite(str(tmp_path / "photo.png"), picture)
    height, width = picture.shape[:2]
    x1, y1, x2, y2, _ = detector.detect([picture])[0][0].tolist()
    ann = dict(id=1, image_id=4, category_id=2, bbox=[x1, y1, x2 - x1, y2 - y1])
    image = dict(id=4, file_name="photo.png", width=width, height=height)
    categories = [dict(id=2, name="astronaut")]
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps(dict(images=[image], annotations=[ann], categories=categories)))
    dataset = DetectionCocoDataset(str(labels), data_prefix={"img": str(tmp_path)}, test_mode=True)
    looker = looker_of(None, None)
    trial = Trial(looker, Pictures.of(dataset))
    found = trial(looker_of(None, None))
    assert found.main == "coco/bbox_mAP"
    assert found.figures["coco/bbox_mAP"] == pytest.approx((1, 1))
    assert found.drop == 0

    def worse(pictures):
        away = np.array([40, 40, 40, 40, 0, 0])
        return [seen._replace(things=seen.things + away) for seen in looker(pictures)]

    refusal = trial(worse).refusal(0.3, exact=True)
    assert re.match(r"the file loses \d+\.\d\d points of coco/bbox_mAP on 1 pictures", refusal)
    # a detector whose classes have other names has no figure there
    looker.classes = ["cat", "dog"]
    assert Trial(looker, Pictures.of(dataset))(looker).main == ""


def test_command_takes_labels_of_boxes_for_detectors(tmp_path):
    image = dict(id=1, file_name="astronaut.png", width=512, height=512)
    ann = dict(id=1, image_id=1, category_id=1, bbox=[0, 0, 400, 512])
    labels = tmp_path / "labels.json"
    content = dict(images=[image], annotations=[ann], categories=[dict(id=1, name="person")])
    labels.write_text(json.dumps(content))
    args = ["export", "nanodet", "-o", str(tmp_path / "n.onnx"), "--data", str(labels)]
    done = CliRunner().invoke(app, [*args, "--images", str(PHOTO.parent)])
    assert done.exit_code == 0, done.output
    assert "coco/bbox_mAP:" in done.output


@pytest.mark.parametrize("main", ["PCK", "NME"])
def test_points_are_lost_by_what_is_worse(main):
    name, sign = main_figure({main: 0})
    lower, higher = (0.6, 0.5) if sign > 0 else (0.05, 0.15)
    found = Accuracy(3, 4, Apart(0, 0, 0), {}, 1.0, {name: (lower, higher)}, name, sign)
    assert found.drop == pytest.approx(10)
    assert found.refusal(10.5, exact=True) is None
    assert "loses 10.00 points" in found.refusal(9.5, exact=True)


def test_metrics_are_the_configs_where_they_suit():
    model = poise.load_config("td-hm_hrnet-w32_8xb64-210e_mpii-256x256")
    assert metrics_of(model) == [{"type": "CocoMetric"}]
    wflw = poise.load_config("td-hm_hrnetv2-w18_8xb64-60e_wflw-256x256")
    assert [m["type"] for m in metrics_of(wflw)] == ["NME"]


def test_nobody_and_nothing_are_explained(movenet, folder, tmp_path):
    with pytest.raises(FileMissingError, match="holds no pictures"):
        Pictures.of(tmp_path)
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((64, 64, 3), 128, np.uint8))
    with pytest.raises(DataError, match="finds nobody in 1 pictures"):
        Trial(looker_of(None, None), Pictures.of(tmp_path))
    gone = Pictures([str(folder / "gone.png"), str(PHOTO)])
    with pytest.raises(DataError, match=r"1 of 2 pictures are missing, such as .*gone.png"):
        gone.check()


def test_labels_of_other_keypoints_are_refused(dataset):
    hand = poise.build_model("rtmpose-m_8xb256-210e_hand5-256x256").eval()
    with pytest.raises(DataError, match=r"labels have 17 keypoints .*the model 21"):
        Trial(looker_of(hand, "topdown"), Pictures.of(dataset), [{"type": "CocoMetric"}])


def test_command_tells_figures_and_refuses(labels, folder, tmp_path):
    file = tmp_path / "m.onnx"
    args = ["export", "movenet-lightning", "-o", str(file), "--images", str(folder)]
    args += ["--data", str(labels)]
    done = CliRunner().invoke(app, args)
    assert done.exit_code == 0, done.output
    words = " ".join(done.output.split())
    assert re.search(r"coco/AP: \d+.\d\d -> \d+.\d\d", words)
    assert "left_wrist" in words
    assert re.search(r"torch \d+.\d\d ms, this file \d+.\d\d ms", words)
    done = CliRunner().invoke(app, [*args[:-1], str(tmp_path / "none.json")])
    assert done.exit_code
    assert "there is no annotation file" in f"{done.output}{done.exception}"
