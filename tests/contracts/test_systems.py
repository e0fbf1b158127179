"""What other systems do otherwise, imitated: Windows, macOS, newer ways to start processes.

None of it has run there. Each test takes away what such a system lacks, or refuses what it refuses.
"""

import logging
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from poise import _files
from poise.config import Config
from poise.data_tools.formats.reading import Reading
from poise.data_tools.formats.yolo import read_yolo
from poise.datasets.base.unreadable import image_problem
from poise.datasets.draws import SeededLoader
from poise.inference.sources import open_sources
from poise.models.weights.sources import locate
from poise.runtimes import available_cores
from poise.training.machine.environment import (
    apply_environment,
    distributed_settings,
    memory_mb,
    worker_settings,
)
from poise.training.run import engine
from poise.transforms.image import stored_image
from poise.visualization.files import write_picture
from poise.zoo.downloads import download

WINDOWS = SimpleNamespace(**{**vars(os), "name": "nt"})


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "Bücher 写真"
    place.mkdir()
    return place


# ------------------------------------------------------------------ names of files


def test_pictures_are_found_by_any_name(folder, monkeypatch):
    monkeypatch.setattr(cv2, "imread", lambda *_: None)
    monkeypatch.setattr(cv2, "imwrite", lambda *_: False)
    path, picture = folder / "é.png", np.full((4, 6, 3), (10, 20, 30), np.uint8)
    write_picture(picture, path)
    assert np.array_equal(stored_image(path), picture[..., ::-1])
    assert image_problem(str(path)) is None


@pytest.mark.parametrize("content", [None, b"", b"no picture"])
def test_what_is_no_picture_is_none(folder, content):
    path = folder / "é.png"
    if content is not None:
        path.write_bytes(content)
    assert stored_image(path) is None
    assert stored_image(folder) is None


@pytest.mark.parametrize(
    ("address", "elsewhere", "on_windows"),
    [
        ("C:\\data\\a b.png", "C:\\data\\a b.png", "C:\\data\\a b.png"),
        ("rtsp://host/a", "rtsp://host/a", "rtsp://host/a"),
        ("file:///data/a%20b.png", "/data/a b.png", "/data/a b.png"),
        ("file://localhost/data/a.png", "/data/a.png", "/data/a.png"),
        ("file:///C:/data/%C3%A9.png", "/C:/data/é.png", "C:/data/é.png"),
        ("file://C:/data/a.png", "C:/data/a.png", "C:/data/a.png"),
        ("file://server/share/a.png", "server/share/a.png", "//server/share/a.png"),
    ],
)
def test_addresses_of_files_become_paths(monkeypatch, address, elsewhere, on_windows):
    assert _files.path_of_address(address) == elsewhere
    monkeypatch.setattr(_files, "os", WINDOWS)
    assert _files.path_of_address(address) == on_windows


def test_an_address_leads_to_the_file(folder):
    path = folder / "a b.pth"
    path.touch()
    assert locate(path.as_uri()) == path


def test_output_of_other_letters_ends_no_command(folder):
    """Into a file or pipe, Windows writes the letters of one language."""
    path = folder / "写真.py"
    path.write_text("from mmpose.datasets import CocoDataset\n", encoding="utf-8")
    env = {**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}
    run = subprocess.run(
        [sys.executable, "-m", "poise", "migrate", str(path)],
        capture_output=True,
        env=env,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert b"+from poise.datasets import CocoDataset" in run.stdout
    assert b"\\u5199\\u771f.py" in run.stdout


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("rtsp://me:secret@10.0.0.7:554/live?user=me", "live"),
        ("udp://0.0.0.0:1234", "0-0-0-0-1234"),
        ("rtsp://me:secret@camera:554/", "camera-554"),
        ("http://host/a:b*c.jpg?size=large", "a_b_c.jpg"),
        ("http://host/video:1.mp4", "video_1.mp4"),
        ("http://host/", "picture"),
    ],
)
def test_results_of_an_address_get_a_name_that_windows_takes(address, name):
    (source,) = open_sources(address)
    assert source.info.relative == Path(name)
    assert source.info.name == address


#: what editors on Windows put in front of a text
MARK = "\ufeff"


def test_texts_of_windows_editors_are_read(folder):
    for name, text in {"a.py": 'x = {"y": "é"}\r\n', "b.json": '{"x": {"y": "é"}}\r\n'}.items():
        (folder / name).write_bytes(f"{MARK}{text}".encode())
        assert Config.fromfile(folder / name).to_dict() == {"x": {"y": "é"}}
    derived = folder / "c.py"
    derived.write_bytes(f"{MARK}_base_ = 'a.py'\r\nz = 1\r\n".encode())
    assert Config.fromfile(derived).to_dict() == {"x": {"y": "é"}, "z": 1}


def test_labels_of_windows_editors_are_read(folder):
    write_picture(np.zeros((10, 10, 3), np.uint8), folder / "images" / "é.png")
    (folder / "labels").mkdir()
    row = "0 0.5 0.5 1 1 0.5 0.5 2\r\n"
    (folder / "labels" / "é.txt").write_bytes(f"{MARK}{row}".encode())
    about = "path: .\r\ntrain: images\r\nkpt_shape: [1, 3]\r\nnames: {0: dog}\r\n"
    (folder / "data.yaml").write_bytes(f"{MARK}{about}".encode())
    (person,) = read_yolo(folder / "data.yaml", Reading()).people
    assert person["keypoints"] == [5, 5, 2]


# -------------------------------------------------------- files that are in use


class InUse:
    """A file operation that Windows refuses as long as somebody else has the file open."""

    def __init__(self, act, times):
        self.act, self.times = act, times

    def __call__(self, *args, **kwargs):
        if self.times > 0:
            self.times -= 1
            raise PermissionError(13, "the file is used by another process")
        return self.act(*args, **kwargs)


@pytest.fixture
def on_windows(monkeypatch):
    monkeypatch.setattr(_files, "os", WINDOWS)
    monkeypatch.setattr(_files, "_PAUSE", 0.0)


def test_a_file_is_put_in_place_once_it_is_free(on_windows, tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    path.write_text("old", encoding="utf-8")
    replace = InUse(Path.replace, 3)
    monkeypatch.setattr(Path, "replace", lambda self, target: replace(self, target))
    _files.write_whole(path, b"new")
    assert replace.times == 0
    assert path.read_bytes() == b"new"
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_a_file_that_is_never_free_is_an_error(on_windows, tmp_path):
    calls = InUse(lambda: None, 1000)
    with pytest.raises(PermissionError, match="used by another"):
        _files.patiently(calls)
    assert calls.times == 990


def test_elsewhere_a_refusal_is_final(tmp_path):
    calls = InUse(lambda: None, 1000)
    with pytest.raises(PermissionError):
        _files.patiently(calls)
    assert calls.times == 999


def test_only_files_open_for_writing_are_flushed(tmp_path, monkeypatch):
    """Windows refuses the others, which would be every download."""
    fcntl = pytest.importorskip("fcntl", reason="how a file is open is asked on POSIX systems")

    def fsync(number):
        if fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr(download.os, "fsync", fsync)
    path = tmp_path / "a.pth"
    coming = download.Download(path, [])
    coming.part.write_bytes(b"weights")
    coming._put_in_place()
    assert path.read_bytes() == b"weights"


# ------------------------------------------------------------------ processes


def test_workers_start_in_the_way_that_the_system_has(monkeypatch, caplog):
    fork = {"mp_cfg": {"mp_start_method": "fork"}}
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    with caplog.at_level(logging.INFO, logger="poise"):
        assert worker_settings(fork) == {}
    assert "mp_start_method='fork' is not of this system" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_leave_ctrl_c_to_the_process_that_they_work_for(method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system does not start processes by {method}")
    numbers = TensorDataset(torch.arange(8))
    loader = SeededLoader(numbers, seed=0, num_workers=1, multiprocessing_context=method)
    batches = iter(loader)
    found = [next(batches)]
    os.kill(batches._workers[0].pid, signal.SIGINT)
    found += list(batches)
    assert torch.cat([batch[0] for batch in found]).tolist() == list(range(8))
    assert loader.worker_init_fn is None


# ------------------------------------------------------ what a system lacks


#: Imports every module of the package without what only POSIX systems have.
WITHOUT_POSIX = """
import importlib, os, pkgutil, sys
# what these need of the system is their own affair
import av, cv2, lightning.pytorch, rich, torch, typer
for name in ("fcntl", "grp", "pwd", "resource", "syslog", "termios", "tty"):
    sys.modules[name] = None
for name in ("fork", "getuid", "killpg", "mkfifo", "nice", "sched_getaffinity", "setsid", "statvfs",
             "sysconf", "uname"):
    vars(os).pop(name, None)
import poise
for module in pkgutil.walk_packages(poise.__path__, "poise."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""


@pytest.mark.slow
def test_all_modules_load_without_posix():
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_POSIX], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


def test_systems_without_limits_and_affinity_train(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(Path, "is_file", lambda self: False)
    apply_environment({"resource_limit": 100})
    assert memory_mb() == 0
    assert available_cores() == os.cpu_count()


def test_processes_on_windows_talk_without_nccl(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    for given in ({"dist_cfg": {"backend": "nccl"}}, None):
        assert distributed_settings(given, gpu=True) == {"process_group_backend": "gloo"}


@pytest.mark.parametrize(
    ("accelerator", "precision"), [("cpu", "bf16-mixed"), ("mps", "bf16-mixed"), ("gpu", None)]
)
def test_float16_and_its_loss_scale_are_for_gpus(monkeypatch, accelerator, precision):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.amp.GradScaler", lambda device, **args: (device, args))
    runner = SimpleNamespace(
        precision=None,
        settings=SimpleNamespace(precision="16-mixed", loss_scale=512.0),
        engine={"accelerator": accelerator},
        logger=logging.getLogger("poise"),
    )
    found, plugins = engine._precision(runner)
    assert found == precision
    assert len(plugins) == (accelerator == "gpu")
