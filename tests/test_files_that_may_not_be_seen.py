"""Caches of somebody else's home folder, as containers have them, are as good as absent."""

from pathlib import Path

import pytest

from poise._files import is_file
from poise.zoo import default_weights


@pytest.fixture
def forbidden(monkeypatch):
    """Every folder below /sealed may not be looked into."""
    plain = Path.is_file

    def looked_at(path: Path) -> bool:
        if path.is_relative_to("/sealed"):
            raise PermissionError(13, "Permission denied", str(path))
        return plain(path)

    monkeypatch.setattr(Path, "is_file", looked_at)
    return Path("/sealed")


def test_a_file_that_may_not_be_seen_is_none(forbidden, tmp_path):
    (tmp_path / "a").touch()
    assert is_file(tmp_path / "a")
    assert not is_file(tmp_path / "b")
    assert not is_file(forbidden / "a")


def test_weights_that_may_not_be_seen_are_not_there(forbidden, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(forbidden))
    monkeypatch.setenv("POISE_WEIGHTS", str(forbidden))
    assert default_weights("td-hm_hrnet-w32_8xb64-210e_coco-256x192") is None
    assert default_weights("movenet-thunder").name == "movenet-thunder.safetensors"
