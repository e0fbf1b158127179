"""`poise zoo list`, `search` and `info`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from poise.cli.zoo import app
from poise.errors import PoiseError, UnknownNameError
from poise.zoo import default_weights, names

run = CliRunner().invoke


def test_list_shows_every_model_once():
    header, *lines = run(app, ["list"]).output.splitlines()
    assert header.split()[:3] == ["name", "task", "input"]
    assert sorted(line.split()[0] for line in lines) == names()


def test_list_keeps_to_a_task_and_a_dataset():
    hands = run(app, ["list", "--task", "hand"]).output.splitlines()[1:]
    assert len(hands) == 23
    assert all(" hand " in line for line in hands)
    crowd = run(app, ["list", "--data", "crowdpose"]).output
    assert "CrowdPose AP" in crowd
    assert "MPII" not in crowd


def test_list_of_models_with_weights_leaves_out_those_without():
    assert "dwpose" in run(app, ["list"]).output
    assert "dwpose" not in run(app, ["list", "--weights"]).output


def test_search_wants_all_words():
    output = run(app, ["search", "ViTPose", "human-art"]).output
    assert len(output.splitlines()) == 5


def test_search_without_a_find_says_so():
    done = run(app, ["search", "nothing-of-this-kind"])
    assert done.exit_code == 1
    assert "no model has all of: nothing-of-this-kind" in done.output


def test_info_knows_an_alias():
    output = run(app, ["info", "human"]).output
    assert "rtmpose-m_8xb256-420e_body8-256x192" in output
    assert "also called" in output
    assert "192x256 (width x height)" in output
    assert "AP 0.749" in output


def test_info_of_an_embedded_model_names_the_file():
    output = run(app, ["info", "movenet-thunder"]).output
    assert "movenet-thunder.safetensors" in output


def test_json_is_for_programs():
    record = json.loads(run(app, ["info", "rtmo", "--json"]).stdout)
    assert record["input_size"] == [640, 640]
    assert record["weights"].endswith(".pth")
    assert len(json.loads(run(app, ["list", "--json", "--task", "face"]).stdout)) == 26


def test_info_of_a_folder_of_transformers():
    folder = Path(__file__).parents[1] / "models/vitpose_plus_tiny"
    output = run(app, ["info", str(folder)]).output
    assert "TopdownPoseEstimator" in output
    assert "48x64" in output


def test_info_answers_an_unknown_name_with_the_nearest():
    done = run(app, ["info", "humn"])
    assert isinstance(done.exception, UnknownNameError)
    with pytest.raises(UnknownNameError, match="'humn' is not the name of a model; did you mean"):
        raise done.exception


def test_list_keeps_to_a_size_and_a_number_of_parameters():
    options = ["list", "--json", "--size", "192x256", "--max-parameters", "6"]
    found = json.loads(run(app, options).stdout)
    assert len(found) > 5
    assert all(r["input_size"] == [192, 256] and r["parameters_millions"] <= 6 for r in found)


def test_list_of_what_is_here_has_the_embedded_models():
    output = run(app, ["list", "--local"]).output
    assert "movenet-thunder" in output


@pytest.mark.parametrize("order", ["name", "parameters", "gflops"])
def test_list_is_sorted(order):
    found = json.loads(run(app, ["list", "--json", "--task", "body", "--sort", order]).stdout)
    key = {"parameters": "parameters_millions"}.get(order, order)
    values = [record[key] for record in found if record[key] is not None]
    assert values == sorted(values)
    assert [r[key] is None for r in found] == sorted(r[key] is None for r in found)


@pytest.mark.parametrize(("data", "best"), [("coco", max), ("wflw", min)])
def test_best_score_comes_first(data, best):
    found = json.loads(run(app, ["list", "--json", "--data", data, "--sort", "score"]).stdout)
    figures = [
        next(iter(score["figures"].values()))
        for record in found
        for score in record["scores"][:1]
        if score["data"].lower() == data
    ]
    assert figures[0] == best(figures)


def test_scores_of_many_datasets_are_not_compared():
    done = run(app, ["list", "--sort", "score"])
    assert "add --data NAME" in str(done.exception)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hand3d", "trained on InterHand2.6M, which is given for research only"),
        ("human", "of which AI Challenger, CrowdPose, MPII, JHMDB, Halpe, PoseTrack18 are given"),
        ("animal", "trained on AP-10K, whose own terms apply"),
    ],
)
def test_info_says_where_training_data_limits_the_use(name, text):
    assert text in run(app, ["info", name]).output


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--task", "foot"], "no model has the task 'foot'; there are animal 2d, any 2d, body 2d"),
        (["--data", "coc"], "no model has a score on 'coc'; .*did you mean 'COCO'"),
        (["--size", "big"], "--size takes width x height in pixels, such as 192x256; got 'big'"),
    ],
)
def test_list_names_an_option_that_no_model_could_fit(options, text):
    with pytest.raises(PoiseError, match=text):
        run(app, ["list", *options], catch_exceptions=False)


def test_list_without_a_find_says_so():
    done = run(app, ["list", "--task", "hand", "--max-parameters", "0.1"])
    assert done.exit_code == 1
    assert "no model fits all of these options" in done.output


def test_info_counts_the_network_of_a_config_file(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "_base_ = ['configs/body_2d_keypoint/simcc/coco/simcc_res50_8xb64-210e_coco-256x192.py']\n"
    )
    known = json.loads(run(app, ["info", "simcc_res50_8xb64-210e_coco-256x192", "--json"]).output)
    found = json.loads(run(app, ["info", str(file), "--json"]).output)
    assert found["name"] == "mine"
    for key in ("input_size", "gflops"):
        assert found[key] == known[key]
    assert found["parameters_millions"] == pytest.approx(known["parameters_millions"], abs=0.06)
    assert "GFLOPs      5.47 for one input" in run(app, ["info", str(file)]).output
    file.write_text("optimizer = dict(lr=1)\n")
    assert "has no `model`" in str(run(app, ["info", str(file)]).exception)


def test_a_file_that_is_here_already_is_copied_to_where_it_is_wanted(tmp_path):
    kept = tmp_path / "stick" / "movenet-thunder.safetensors"
    for _ in range(2):
        done = run(app, ["download", "movenet-thunder", "--out", str(tmp_path / "stick")])
        assert done.output.strip() == str(kept)
    assert kept.read_bytes() == default_weights("movenet-thunder").read_bytes()


def test_an_address_that_names_no_file_is_refused_before_anything_is_asked():
    done = run(app, ["download", "https://host.invalid/"])
    assert "'https://host.invalid/' names no file" in str(done.exception)


def test_search_without_a_find_is_json_where_that_is_asked_for():
    done = run(app, ["search", "no-such-model", "--json"])
    assert (done.exit_code, json.loads(done.stdout)) == (1, [])
