"""`poise zoo list`, `search` and `info`."""

import json

import pytest
from typer.testing import CliRunner

from poise.cli.zoo import app
from poise.errors import UnknownNameError
from poise.zoo import names

run = CliRunner().invoke


def test_list_shows_every_model_once():
    lines = run(app, ["list"]).output.splitlines()
    assert sorted(line.split()[0] for line in lines) == names()


def test_list_keeps_to_a_task_and_a_dataset():
    hands = run(app, ["list", "--task", "hand"]).output.splitlines()
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
    assert len(output.splitlines()) == 4


def test_search_without_a_find_says_so():
    done = run(app, ["search", "nothing-of-this-kind"])
    assert done.exit_code == 1
    assert "no model has all of: nothing-of-this-kind" in done.output


def test_info_knows_an_alias():
    output = run(app, ["info", "human"]).output
    assert "rtmpose-m_8xb256-420e_body8-256x192" in output
    assert "also called" in output
    assert "192 x 256" in output
    assert "AP 0.749" in output


def test_info_of_an_embedded_model_names_the_file():
    output = run(app, ["info", "movenet-thunder"]).output
    assert "movenet-thunder.safetensors" in output


def test_json_is_for_programs():
    record = json.loads(run(app, ["info", "rtmo", "--json"]).output)
    assert record["input_size"] == [640, 640]
    assert record["weights"].endswith(".pth")
    assert len(json.loads(run(app, ["list", "--json", "--task", "face"]).output)) == 26


def test_info_answers_an_unknown_name_with_the_nearest():
    done = run(app, ["info", "humn"])
    assert isinstance(done.exception, UnknownNameError)
    with pytest.raises(UnknownNameError, match="'humn' is not the name of a model; did you mean"):
        raise done.exception
