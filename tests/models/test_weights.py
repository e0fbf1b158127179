"""Weights: safe reading, loading with an account, saving, and where files come from."""

import io
import os
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from poise.errors import CheckpointError, FileMissingError
from poise.layers import BaseModule
from poise.models.weights import (
    load_checkpoint,
    load_state_dict,
    locate,
    read_checkpoint,
    read_state_dict,
    save_checkpoint,
    state_dict_of,
    strip_prefix,
)
from poise.models.weights.unpickle import Inert


def make_net():
    return nn.Sequential(OrderedDict(conv=nn.Conv2d(3, 4, 3), bn=nn.BatchNorm2d(4)))


def prefixed(state, prefix):
    new = OrderedDict((prefix + k, v) for k, v in state.items())
    new._metadata = OrderedDict((prefix + k, v) for k, v in state._metadata.items())
    return new


def same(a, b):
    return all(torch.equal(v, b[k]) for k, v in a.items())


class Evil:
    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


class TestReading:
    @pytest.mark.parametrize("zipped", [True, False])
    def test_plain_values_come_back(self, tmp_path, zipped):
        net = make_net()
        content = {
            "state_dict": net.state_dict(),
            "meta": {"sigmas": np.array([0.1, 0.2], np.float32), "n": np.float64(3), "s": {1, 2}},
            "optimizer": torch.optim.AdamW(net.parameters()).state_dict(),
            "size": torch.Size([1, 2]),
            "dtype": torch.float16,
        }
        path = tmp_path / "a.pth"
        torch.save(content, path, _use_new_zipfile_serialization=zipped)
        read = read_checkpoint(path)
        assert same(net.state_dict(), read["state_dict"])
        assert read["state_dict"]._metadata == net.state_dict()._metadata
        np.testing.assert_array_equal(read["meta"]["sigmas"], content["meta"]["sigmas"])
        assert read["meta"]["n"] == 3
        assert read["meta"]["s"] == {1, 2}
        assert read["dtype"] is torch.float16

    @pytest.mark.parametrize("zipped", [True, False])
    @pytest.mark.parametrize(
        ("function", "args"),
        [
            (os.system, ("touch {}",)),
            (eval, ("open('{}', 'w')",)),
            (getattr, (list, "__subclasses__")),
            (torch.load, ("{}",)),
            (__import__, ("os",)),
        ],
    )
    def test_code_is_refused_by_name_and_never_runs(self, tmp_path, function, args, zipped):
        trace = tmp_path / "trace"
        args = tuple(a.format(trace) if isinstance(a, str) else a for a in args)
        path = tmp_path / "evil.pth"
        torch.save(
            {"state_dict": {"a": Evil(function, *args)}},
            path,
            _use_new_zipfile_serialization=zipped,
        )
        with pytest.raises(CheckpointError, match=r"system|eval|__subclasses__|load|__import__"):
            read_checkpoint(path)
        assert not trace.exists()

    def test_foreign_objects_become_inert(self, tmp_path):
        """A checkpoint of MMEngine with a HistoryBuffer and a ConfigDict."""
        import sys
        import types

        module = types.ModuleType("mmengine.logging")

        class HistoryBuffer:
            def __init__(self):
                self._log_history = np.arange(3.0)

        class ConfigDict(dict):
            pass

        for cls in (HistoryBuffer, ConfigDict):
            cls.__module__, cls.__qualname__ = "mmengine.logging", cls.__name__
            setattr(module, cls.__name__, cls)
        sys.modules["mmengine"] = types.ModuleType("mmengine")
        sys.modules["mmengine.logging"] = module
        try:
            content = {"hub": HistoryBuffer(), "cfg": ConfigDict(a=ConfigDict(b=1)), "x": 1}
            torch.save(content, tmp_path / "a.pth")
        finally:
            del sys.modules["mmengine"], sys.modules["mmengine.logging"]
        read = read_checkpoint(tmp_path / "a.pth")
        assert isinstance(read["hub"], Inert)
        assert read["hub"].origin == "mmengine.logging.HistoryBuffer"
        assert read["hub"].state["_log_history"].tolist() == [0, 1, 2]
        assert read["cfg"]["a"]["b"] == 1

    def test_torchscript_is_no_checkpoint(self, tmp_path):
        with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
            archive.writestr("a/constants.pkl", b"")
        with pytest.raises(CheckpointError, match="TorchScript"):
            read_checkpoint(tmp_path / "a.pth")

    @pytest.mark.parametrize("content", [b"", b"no pickle", b"\x80\x02]q\x00."])
    def test_damaged_files_are_named(self, tmp_path, content):
        path = tmp_path / "a.pth"
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"a\.pth"):
            read_checkpoint(path)

    def test_a_cut_file_is_named(self, tmp_path):
        buffer = io.BytesIO()
        torch.save(make_net().state_dict(), buffer)
        (tmp_path / "a.pth").write_bytes(buffer.getvalue()[:-200])
        with pytest.raises(CheckpointError, match="download it again"):
            read_checkpoint(tmp_path / "a.pth")

    def test_no_weights_is_named(self, tmp_path):
        torch.save({"epoch": 3}, tmp_path / "a.pth")
        with pytest.raises(CheckpointError, match="No state_dict found.*epoch"):
            load_checkpoint(make_net(), tmp_path / "a.pth")

    @pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict", None])
    def test_weights_are_found_under_usual_keys(self, key):
        state = make_net().state_dict()
        assert list(state_dict_of({key: state} if key else state)) == list(state)


class TestLoading:
    @pytest.mark.parametrize("prefix", ["", "module.", "model.", "model._orig_mod.", "net.module."])
    def test_wrappers_are_seen_through(self, prefix):
        source, target = make_net(), make_net()
        load_checkpoint(target, {"state_dict": prefixed(source.state_dict(), prefix)}, strict=True)
        assert same(source.state_dict(), target.state_dict())

    def test_two_candidates_are_for_the_caller(self):
        source, target = make_net(), make_net()
        state = prefixed(source.state_dict(), "teacher.")
        state.update(prefixed(make_net().state_dict(), "student."))
        with pytest.raises(CheckpointError, match=r"teacher\.conv\.weight"):
            load_checkpoint(target, state)
        load_checkpoint(target, state, prefix="teacher")
        assert same(source.state_dict(), target.state_dict())

    def test_revised_keys(self):
        source, target = make_net(), make_net()
        state = OrderedDict((k.replace("conv", "c"), v) for k, v in source.state_dict().items())
        load_checkpoint(target, state, strict=True, revise_keys=[(r"^c\.", "conv.")])
        assert same(source.state_dict(), target.state_dict())

    def test_a_table_says_what_does_not_fit(self, caplog):
        other = nn.Sequential(OrderedDict(conv=nn.Conv2d(3, 5, 3), fc=nn.Linear(2, 2)))
        state = {**make_net().state_dict(), **other.state_dict()}
        with pytest.raises(CheckpointError) as error:
            load_checkpoint(make_net(), state, strict=True)
        text = str(error.value)
        assert "does not fit Sequential: 2 keys unexpected, 2 keys of another shape" in text
        assert "unexpected   fc.weight  (2, 2)" in text
        assert "conv.bias  (5,) in the file, (4,) in the model" in text
        net = make_net()
        load_checkpoint(net, state)
        assert "conv.weight  (5, 3, 3, 3) in the file" in caplog.text
        assert torch.equal(net.bn.weight, state["bn.weight"])

    def test_long_tables_are_cut(self):
        big = nn.Sequential(*(nn.Linear(1, 1) for _ in range(20)))
        with pytest.raises(CheckpointError, match=r"\.\.\. and 28 more"):
            load_checkpoint(big, {"x": torch.ones(1)})

    def test_a_file_of_another_network_is_refused(self):
        with pytest.raises(CheckpointError, match="6 keys missing"):
            load_checkpoint(make_net(), nn.Linear(2, 2).state_dict())

    def test_counters_and_old_preprocessors_are_no_fault(self):
        state = dict(make_net().state_dict())
        del state["bn.num_batches_tracked"]
        state["data_preprocessor.mean"] = torch.ones(3)
        state["data_preprocessor.std"] = torch.ones(3)
        assert not load_state_dict(make_net(), state, strict=True)

    def test_versions_reach_the_hooks_of_modules(self):
        seen = []

        class Head(nn.Module):
            _version = 2

            def __init__(self):
                super().__init__()
                self.fc = nn.Linear(1, 1)
                self._register_load_state_dict_pre_hook(
                    lambda state, prefix, meta, *_: seen.append(meta.get("version"))
                )

        new = nn.ModuleDict({"head": Head()})
        load_checkpoint(new, {"state_dict": prefixed(new.state_dict(), "module.")})
        load_checkpoint(new, dict(new.state_dict()))
        assert seen == [2, None]

    def test_prefix_keeps_a_part(self):
        state = prefixed(make_net().state_dict(), "backbone.")
        part = strip_prefix(state, "backbone")
        assert "conv.weight" in part
        assert part._metadata["bn"] == {"version": 2}
        with pytest.raises(CheckpointError, match="did you mean 'backbone'"):
            strip_prefix(state, "backbon")

    def test_a_backbones_own_names(self, tmp_path):
        state = make_net().state_dict()
        torch.save(prefixed(state, "module.backbone."), tmp_path / "a.pth")
        assert list(read_state_dict(tmp_path / "a.pth")) == list(state)


class TestPretrained:
    class Net(BaseModule):
        def __init__(self, init_cfg):
            super().__init__(init_cfg)
            self.net = make_net()

    @pytest.mark.parametrize(("inside", "prefix"), [("", None), ("backbone.", "backbone.")])
    def test_init_cfg_reads_a_file(self, tmp_path, inside, prefix):
        state = prefixed(make_net().state_dict(), f"{inside}net.")
        torch.save({"state_dict": state}, tmp_path / "a.pth")
        cfg = {"type": "Pretrained", "checkpoint": str(tmp_path / "a.pth"), "prefix": prefix}
        net = self.Net(cfg)
        net.init_weights()
        assert torch.equal(net.net.conv.weight, state[f"{inside}net.conv.weight"])

    @pytest.mark.parametrize("prefix", ["teacher", "student."])
    def test_init_cfg_takes_the_part_that_is_asked_for(self, tmp_path, prefix):
        parts = {name: make_net().state_dict() for name in ("teacher", "student")}
        parts["student"] = {key: value + 1 for key, value in parts["student"].items()}
        whole = {f"{n}.net.{k}": v for n, part in parts.items() for k, v in part.items()}
        torch.save({"state_dict": whole}, tmp_path / "a.pth")
        cfg = {"type": "Pretrained", "checkpoint": str(tmp_path / "a.pth"), "prefix": prefix}
        net = self.Net(cfg)
        net.init_weights()
        wanted = parts[prefix.rstrip(".")]["conv.weight"]
        assert torch.equal(net.net.conv.weight, wanted)

    def test_a_missing_file_is_named(self):
        with pytest.raises(FileMissingError, match=r"nowhere\.pth") as missing:
            self.Net({"type": "Pretrained", "checkpoint": "nowhere.pth"}).init_weights()
        assert "Net starts from it, as its init_cfg says" in missing.value.__notes__[0]


class TestSaving:
    @pytest.mark.parametrize("suffix", ["pth", "safetensors"])
    def test_what_was_saved_comes_back(self, tmp_path, suffix):
        source, target = make_net(), make_net()
        source.dataset_meta = {"flip_indices": [1, 0], "sigmas": np.array([0.5, 0.25])}
        path = save_checkpoint(source, tmp_path / "deep" / f"a.{suffix}", meta={"epoch": 3})
        read = load_checkpoint(target, path, strict=True)
        assert same(source.state_dict(), target.state_dict())
        assert list(read["meta"]["dataset_meta"]["sigmas"]) == [0.5, 0.25]
        assert int(read["meta"]["epoch"]) == 3
        assert [p.name for p in path.parent.iterdir()] == [path.name]

    def test_torch_opens_it_without_trust(self, tmp_path):
        path = save_checkpoint(make_net(), tmp_path / "a.pth")
        assert "state_dict" in torch.load(path, weights_only=True)

    def test_a_failed_write_leaves_the_last_file(self, tmp_path):
        path = save_checkpoint(make_net(), tmp_path / "a.pth")
        before = path.read_bytes()
        with pytest.raises(Exception, match="pickle|local object"):
            save_checkpoint({"f": lambda: 0}, path)
        assert path.read_bytes() == before
        assert len(list(tmp_path.iterdir())) == 1

    def test_an_impossible_folder_is_named(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(CheckpointError, match="cannot write"):
            save_checkpoint(make_net(), tmp_path / "file" / "a.pth")


class TestSources:
    def test_names_lead_to_addresses(self, monkeypatch, tmp_path):
        asked = []
        monkeypatch.setattr(
            "poise.models.weights.sources.fetch", lambda url: asked.append(url) or tmp_path
        )
        for name in (
            "torchvision://resnet50",
            "torchvision://resnet50.imagenet1k_v2",
            "open-mmlab://msra/hrnetv2_w18",
            "open-mmlab://resnet50_caffe",
            "mmcls://mobilenet_v2",
        ):
            locate(name)
        assert asked[0].endswith("resnet50-0676ba61.pth")
        assert asked[1].endswith("resnet50-11ad3fa6.pth")
        assert asked[2].endswith("hrnetv2_w18-00eb2006.pth")
        assert asked[3].endswith("resnet50_caffe-788b5fa3.pth")
        assert asked[4].endswith("mobilenet_v2_batch256_imagenet_20200708-3b2dc3af.pth")

    @pytest.mark.parametrize(
        ("source", "text"),
        [
            ("torchvision://resnet5O", "did you mean 'resnet50'"),
            ("torchvision://resnet50.v9", "imagenet1k_v1"),
            ("mmcls://mobilenet_v9", "did you mean 'mobilenet_v2'"),
            ("s3://bucket/a.pth", "'s3' is not one of"),
        ],
    )
    def test_unknown_names_are_named(self, source, text):
        with pytest.raises(CheckpointError, match=text):
            locate(source)


class TestNoWeights:
    @pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
    @pytest.mark.parametrize(
        ("content", "text"),
        [
            (b"", "it is empty"),
            (b"<!DOCTYPE html><title>404</title>", "it is a web page"),
            (b"version https://git-lfs.github.com/spec/v1\n", "pointer of Git LFS"),
            (b"hello", "it is cut off, or no file of weights"),
        ],
    )
    def test_what_a_file_is_instead_is_said(self, tmp_path, name, content, text):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CheckpointError, match=text):
            read_checkpoint(tmp_path / name)

    def test_a_hash_in_the_name_tells_a_damaged_file(self, tmp_path):
        (tmp_path / "net-0123abcd.pth").write_bytes(b"PK")
        with pytest.raises(CheckpointError, match="does not begin with 0123abcd as its name says"):
            read_checkpoint(tmp_path / "net-0123abcd.pth")

    def test_a_cut_file_of_safetensors_is_named(self, tmp_path):
        path = save_checkpoint(make_net(), tmp_path / "a.safetensors")
        path.write_bytes(path.read_bytes()[:-50])
        with pytest.raises(
            CheckpointError, match=r"a\.safetensors .* as safetensors: it is cut off"
        ):
            read_checkpoint(path)
