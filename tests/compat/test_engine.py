"""Builders, progress bars, pickles and objects found by name, as code for MMPose knows them."""

import io
import pickle

import numpy as np
import pytest

import poise.compat as compat
from poise.compat import builder
from poise.errors import ArgumentError, DataError
from poise.models.backbones import ResNet
from poise.registry import MODELS, current_scope, init_default_scope, use_scope
from poise.training.logs.message_hub import MessageHub
from poise.visualization import PoseLocalVisualizer


def test_parts_are_built_by_their_old_names():
    assert isinstance(builder.build_backbone({"type": "ResNet", "depth": 18}), ResNet)
    assert isinstance(compat.build_from_cfg({"type": "ResNet"}, MODELS, {"depth": 18}), ResNet)


def test_the_default_scope_stays():
    with use_scope("mmpose"):
        init_default_scope("mmdet")
        assert current_scope() == "mmdet"
    assert current_scope() == "mmpose"


def test_objects_are_found_by_name(monkeypatch):
    monkeypatch.setattr(MessageHub, "_instances", {})
    hub = MessageHub.get_current_instance()
    hub.update_info("epoch", 3)
    assert MessageHub.get_current_instance().get_info("epoch") == 3
    other = MessageHub.get_instance("other")
    assert other is not hub
    assert MessageHub.get_current_instance() is other
    assert MessageHub.check_instance_created("other")
    with pytest.raises(ArgumentError, match="no PoseLocalVisualizer yet"):
        PoseLocalVisualizer.get_current_instance()
    visualizer = PoseLocalVisualizer.get_instance("vis", radius=5)
    assert PoseLocalVisualizer.get_instance("vis") is visualizer
    assert visualizer.radius == 5


def test_pickles_of_plain_data_are_read_and_no_others(tmp_path):
    file = tmp_path / "cameras.pkl"
    compat.dump({"K": np.eye(3)}, file)
    np.testing.assert_array_equal(compat.load(file)["K"], np.eye(3))
    file.write_bytes(pickle.dumps(print))
    with pytest.raises(DataError, match="not plain data"):
        compat.load(file)
    text = io.StringIO()
    compat.dump({"a": 1}, text, "json")
    text.seek(0)
    assert compat.load(text, "json") == {"a": 1}
    (tmp_path / "x.txt").write_text("a")
    assert compat.fileio.get(tmp_path / "x.txt") == b"a"
    assert compat.fileio.get_text(tmp_path / "x.txt") == "a"


def test_progress_bars_pass_on_what_they_count():
    assert compat.track_progress(lambda x, plus: x + plus, [1, 2], plus=1) == [2, 3]
    assert list(compat.track_iter_progress((iter("ab"), 2))) == ["a", "b"]
    assert compat.track_parallel_progress(abs, [-2, -1], 1) == [2, 1]
    assert sorted(compat.track_parallel_progress(abs, [-2, -1], 1, keep_order=False)) == [1, 2]
    out = io.StringIO()
    bar = compat.ProgressBar(2, file=out)
    bar.update()
    bar.update()
    assert bar.completed == 2
    assert "2/2" in out.getvalue()
