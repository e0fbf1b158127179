"""`load_config` finds names and files, and says what it knows."""

import pytest

from poise.config import Config
from poise.errors import FileMissingError, UnknownNameError
from poise.zoo import default_weights, load_config, names


@pytest.mark.parametrize("name", names())
def test_every_name_expands_to_a_config_with_a_model(name):
    assert load_config(name).model.type


def test_config_is_given_back_as_it_is():
    cfg = Config(dict(a=1))
    assert load_config(cfg) is cfg


def test_real_file_wins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "movenet-thunder").write_text("a = 1\n")
    (tmp_path / "mine.py").write_text("a = 1\n")
    assert load_config("mine.py").a == 1


def test_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(
        UnknownNameError, match="'movenet-thundr' is neither.*did you mean 'movenet-thunder'"
    ):
        load_config("movenet-thundr")


@pytest.mark.parametrize("path", ["no.py", "some/folder/no"])
def test_missing_file_is_named(path):
    with pytest.raises(FileMissingError, match=f"no config file '{path}'"):
        load_config(path)


def test_embedded_weights_exist_only_for_embedded_models():
    assert default_weights("movenet-thunder").is_file()
    assert default_weights("rtmpose-m") is None
