"""Label one picture, find its keypoints in others: what a support is, and what is refused."""

import json
import logging

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from poise.cli.main import app
from poise.config import Config
from poise.data_tools.labelling import open_labels
from poise.errors import ArgumentError, ConfigError, DataError, FileMissingError
from poise.inference import Inferencer, Support
from poise.models import build_model

SIDE = 64
NAMES = ["top", "left", "right", "bottom"]
KITE = np.array([[60.0, 20], [30, 60], [90, 60], [60, 110]])
LINKS = [(0, 1), (0, 2), (1, 3), (2, 3)]
MODEL = {
    "type": "PoseAnythingModel",
    "encoder_config": {
        "type": "SwinTransformerV2", "embed_dim": 8, "depths": [1, 1, 1, 1],
        "num_heads": [1, 2, 2, 4], "window_size": 4, "img_size": SIDE,
    },
    "keypoint_head": {
        "type": "PoseHead", "in_channels": 64,
        "transformer": {
            "type": "EncoderDecoder", "d_model": 16, "nhead": 4, "graph_decoder": "pre",
            "dim_feedforward": 24, "similarity_proj_dim": 16, "dynamic_proj_dim": 8,
        },
        "positional_encoding": {
            "type": "SinePositionalEncoding", "num_feats": 8, "normalize": True
        },
    },
}  # fmt: skip


def draw(path, points=KITE):
    image = np.full((128, 120, 3), 200, np.uint8)
    for a, b in LINKS:
        cv2.line(image, *(tuple(map(int, points[k])) for k in (a, b)), (0, 90, 200), 4)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)
    return image


def annotation(number, points=KITE, visible=(2, 2, 2, 2), **more):
    triples = np.concatenate([points, np.array(visible, float)[:, None]], 1)
    row = {"id": number, "image_id": number, "category_id": 1, "bbox": [20, 10, 80, 110]}
    return row | {"keypoints": triples.ravel().tolist()} | more


def write(folder, annotations, category=None):
    numbers = [a["image_id"] for a in annotations]
    for number in numbers:
        draw(folder / f"{number}.png")
    images = [{"id": n, "file_name": f"{n}.png", "width": 120, "height": 128} for n in numbers]
    kite = {"id": 1, "name": "kite", "keypoints": NAMES, "skeleton": [[1, 2], [1, 3], [2, 4]]}
    content = {"images": images, "annotations": annotations}
    content["categories"] = [kite | (category or {})]
    (folder / "labelled.json").write_text(json.dumps(content))
    return folder / "labelled.json"


@pytest.fixture
def model():
    torch.manual_seed(0)
    made = build_model(MODEL).eval()
    made.cfg = Config({"model": MODEL})
    return made


def test_results_carry_the_keypoints_of_the_support(tmp_path, model):
    file = write(tmp_path, [annotation(1)])
    inferencer = Inferencer(model, support=file, device="cpu", detector="whole-image")
    (result,) = inferencer(draw(tmp_path / "query.png"))
    assert result.to_dict()["keypoint_names"] == NAMES
    assert inferencer.metainfo["skeleton_links"] == [(0, 1), (0, 2), (1, 3)]
    assert result.keypoints.shape == (1, 4, 2)
    assert np.isfinite(result.keypoints).all()
    assert (result.keypoint_scores == 1).all()
    # the model that was given may be used with another support
    assert not model.has_support
    assert inferencer.model.backbone is model.backbone


def test_boxes_of_several_objects_share_a_batch_and_come_out_as_alone(tmp_path, model):
    file = write(tmp_path, [annotation(1)])
    inferencer = Inferencer(model, support=file, device="cpu")
    picture, boxes = draw(tmp_path / "query.png"), [[20, 10, 100, 120], [0, 0, 60, 60]]
    (both,) = inferencer(picture, boxes=boxes)
    alone = [inferencer(picture, boxes=[box])[0].keypoints[0] for box in boxes]
    np.testing.assert_allclose(both.keypoints, alone, atol=1e-3)
    # a point is within the crop: the square around the box, a quarter larger
    half = 110 * 1.25 / 2
    assert (abs(both.keypoints[0] - (60, 65)) <= half).all()


def test_arrays_are_what_a_file_of_them_is(tmp_path, model):
    file = write(tmp_path, [annotation(1)])
    image = cv2.imread(str(tmp_path / "1.png"))
    arrays = Support([image], KITE[None], links=LINKS[:3], boxes=[[20, 10, 100, 120]], names=NAMES)
    query = draw(tmp_path / "query.png", KITE + 3)
    found = [
        Inferencer(model, support=own, device="cpu", detector="whole-image")(query)[0].keypoints
        for own in (file, arrays)
    ]
    np.testing.assert_array_equal(*found)


def test_the_model_looks_where_the_labelled_keypoints_are(tmp_path, model):
    """A keypoint's token is the backbone's map at its place in the crop."""
    image = draw(tmp_path / "1.png")
    seen = {}
    model.set_support = lambda pictures, heatmaps, weights, links: seen.update(
        pictures=pictures, heatmaps=heatmaps, weights=weights, links=links
    )
    Inferencer(model, support=Support([image], KITE[None], links=LINKS), device="cpu")
    # the picture's longer side and a quarter more is the crop's side, its centre the crop's
    expected = (KITE - (60, 64)) / (128 * 1.25) * SIDE + SIDE / 2
    peaks = seen["heatmaps"][0].flatten(1).argmax(1)
    places = np.stack([peaks % 64, peaks // 64], 1)
    assert abs(places - expected).max() <= 1
    assert seen["pictures"][0].shape == (3, SIDE, SIDE)
    assert seen["weights"].tolist() == [[1, 1, 1, 1]]
    assert seen["links"] == LINKS


def test_of_a_file_those_that_show_the_same_as_the_best_are_taken(tmp_path, caplog):
    rows = [annotation(1, visible=(2, 2, 0, 0)), annotation(2, visible=(1, 2, 2, 0))]
    rows += [annotation(n) for n in range(3, 10)]
    support = Support.read(write(tmp_path, rows))
    assert len(support.pictures) == 5
    assert support.visible.all()
    rows = [annotation(1, visible=(2, 2, 2, 0)), annotation(2, visible=(0, 0, 0, 2))]
    with caplog.at_level(logging.WARNING, "poise"):
        support = Support.read(write(tmp_path, rows))
    assert support.visible.tolist() == [[True, True, True, False]]
    assert "labels bottom only where others are not" in caplog.text


def test_keypoints_that_are_not_shown_are_told_and_score_nothing(tmp_path, model, caplog):
    file = write(tmp_path, [annotation(1, visible=(2, 0, 2, 2))])
    with caplog.at_level(logging.WARNING, "poise"):
        inferencer = Inferencer(model, support=file, device="cpu", detector="whole-image")
    assert "the support does not show left" in caplog.text
    (result,) = inferencer(draw(tmp_path / "query.png"))
    assert result.keypoint_scores.tolist() == [[1, 0, 1, 1]]


def test_a_support_without_links_is_used_and_told(tmp_path, model, caplog):
    file = write(tmp_path, [annotation(1)], {"skeleton": []})
    with caplog.at_level(logging.WARNING, "poise"):
        Inferencer(model, support=file, device="cpu", detector="whole-image")
    assert "no links between its keypoints. The model uses them as its graph" in caplog.text
    assert "[[1, 2], [2, 3]]" in caplog.text


def test_what_the_model_does_not_have_is_told(tmp_path, model):
    inferencer = Inferencer(model, support=write(tmp_path, [annotation(1)]), detector="whole-image")
    query = draw(tmp_path / "query.png")
    with pytest.raises(ConfigError, match="PoseHead has no flip test"):
        inferencer(query, flip_test=True)
    with pytest.raises(ConfigError, match="PoseHead has no covariances"):
        inferencer(query, covariances=True)


def test_links_that_count_from_zero_are_understood(tmp_path):
    file = write(tmp_path, [annotation(1)], {"skeleton": [[0, 1], [1, 3]]})
    assert Support.read(file).links == [(0, 1), (1, 3)]


def test_a_box_that_is_not_there_is_the_whole_picture(tmp_path):
    row = annotation(1)
    del row["bbox"]
    assert Support.read(write(tmp_path, [row])).boxes.tolist() == [[0, 0, 120, 128]]


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([annotation(1, visible=(0, 0, 0, 0))], "none of its 1 annotation has a labelled keypoint"),
        ([annotation(1, KITE + [[np.nan, 0]] * 4)], "NaN or infinite"),
        ([annotation(1, keypoints=[1, 2, 2] * 3)], "has 9 numbers, expected 12|an annotation has"),
        ([annotation(1), annotation(2, keypoints=["x", 2, 2] * 4)], "a keypoint cannot be read"),
        ([annotation(1), annotation(2, keypoints=[1, 2, 2] * 3)], "annotation 2 has 9 numbers"),
    ],
)
def test_labels_that_show_nothing_are_told(tmp_path, rows, text):
    with pytest.raises(DataError, match=text):
        Support.read(write(tmp_path, rows))


def test_pictures_that_are_missing_are_told(tmp_path):
    file = write(tmp_path, [annotation(1)])
    (tmp_path / "1.png").unlink()
    with pytest.raises(FileMissingError, match=r"labelled picture '1\.png' was not found in"):
        Support.read(file)
    with pytest.raises(FileMissingError, match=r"no support file .*poise data label"):
        Support.read(tmp_path / "no.json")
    content = json.loads(file.read_text())
    content["images"][0]["id"] = 7
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match="picture 1, which is not listed"):
        Support.read(file)


def test_arrays_that_do_not_fit_are_told():
    image = np.zeros((9, 9, 3), np.uint8)
    for points, options, text in [
        (KITE, {}, r"should be \(S, K, 2\)"),
        (np.zeros((1, 101, 2)), {}, "101 keypoints; expected at most 100"),
        (KITE[None], {"links": [(0, 4)]}, r"links \[\(0, 4\)\] lead to none of the 4"),
        (KITE[None], {"boxes": [1, 2, 3, 4]}, r"boxes \(1, 4\); got .* \(4,\)"),
        (KITE[None], {"visible": [[0] * 4]}, "shows no keypoint in all"),
    ]:
        with pytest.raises(DataError, match=text):
            Support([image], points, **options)


def test_models_that_take_no_support_and_those_that_need_one_say_so(tmp_path, model):
    file = write(tmp_path, [annotation(1)])
    with pytest.raises(ConfigError, match="none were given; --support labelled.json"):
        Inferencer(model, device="cpu")
    with pytest.raises(ArgumentError, match="knows its own keypoints"):
        Inferencer("movenet-lightning", device="cpu", support=file)
    with pytest.raises(ArgumentError, match="exported file, which cannot take a support"):
        Inferencer("model.onnx", support=file)
    # what an inferencer made may be given to another
    shown = Inferencer(model, support=file, device="cpu", detector="whole-image").model
    assert Inferencer(shown, device="cpu", detector="whole-image").metainfo["num_keypoints"] == 4


def test_one_command_from_a_labelled_picture_to_poses_and_corrections(tmp_path):
    file = write(tmp_path, [annotation(1)])
    for n in range(2):
        draw(tmp_path / "queries" / f"{n}.png", KITE + n)
    (tmp_path / "tiny.py").write_text(
        f"custom_imports = dict(imports=['models'])\nmodel = {MODEL}\n"
    )
    made = build_model(MODEL)
    torch.save({"state_dict": made.state_dict(), "meta": {}}, tmp_path / "tiny.pth")
    args = ["predict", str(tmp_path / "queries"), "-m", str(tmp_path / "tiny.py")]
    args += ["-w", str(tmp_path / "tiny.pth"), "--support", str(file), "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [*args, "--save", "image,json,coco"])
    assert done.exit_code == 0, done.output
    assert "2 of 2 pictures, 2 poses" in done.output
    assert json.loads((tmp_path / "out" / "0.json").read_text())["keypoint_names"] == NAMES
    args = ["data", "pick", str(tmp_path / "queries"), *args[2:-1], str(tmp_path / "to_label")]
    done = CliRunner().invoke(app, [*args, "-n", "2", "--by", "spread"])
    assert done.exit_code == 0, done.output
    (kind,) = open_labels(tmp_path / "to_label").labels.kinds.values()
    assert kind.keypoints == NAMES
    assert kind.links == [(0, 1), (0, 2), (1, 3)]
