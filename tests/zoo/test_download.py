"""Downloads of weights against a real server on this machine, with the faults that servers have."""

import contextlib
import errno
import hashlib
import http.server
import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock

from poise.errors import CheckpointError, ConfigError
from poise.zoo.downloads import download, fetch
from poise.zoo.downloads.fetching import hash_in_name

CONTENT = os.urandom(300_000)
SHA = hashlib.sha256(CONTENT).hexdigest()
NAME = f"net-{SHA[:8]}_20230504.pth"


class Server:
    """A web server whose every answer can be bent.

    Attributes:
        content: bytes of every file.
        plan: one entry an answer, used up in turn: "ok", "404", "500", "cut" (closes in the
            middle), "other" (as many other bytes); "ok" once it is empty.
        ranges: "good"; "ignored": sends everything; "lies": says it goes on, but begins anew;
            "unsaid": goes on without saying where.
        length: whether the length is said.
        pause: seconds between two blocks.
        asked: `Range` of each request, in turn.
    """

    def __init__(self):
        self.content, self.plan, self.ranges = CONTENT, [], "good"
        self.length, self.pause, self.tag = True, 0.0, '"one"'
        self.asked = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                return

            def do_GET(self):
                with contextlib.suppress(ConnectionError):
                    outer.answer(self)
                self.close_connection = True

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()

    def answer(self, to):
        wanted = to.headers.get("Range")
        self.asked.append(wanted)
        step = self.plan.pop(0) if self.plan else "ok"
        if step.isdigit():
            to.send_error(int(step))
            return
        content = bytes(len(self.content)) if step == "other" else self.content
        start = int(re.match(r"bytes=(\d+)-", wanted)[1]) if wanted else 0
        condition = to.headers.get("If-Range")
        partial = bool(wanted) and self.ranges != "ignored" and condition in (None, self.tag)
        if partial and start >= len(content):
            to.send_error(416)
            return
        body = content[start:] if partial and self.ranges != "lies" else content
        to.send_response(206 if partial else 200)
        if partial and self.ranges != "unsaid":
            to.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        to.send_header("ETag", self.tag)
        if self.length:
            to.send_header("Content-Length", str(len(body)))
        to.end_headers()
        if step == "cut":
            body = body[: len(body) // 2]
        for place in range(0, len(body), 50_000):
            to.wfile.write(body[place : place + 50_000])
            time.sleep(self.pause)

    def close(self):
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def server():
    served = Server()
    yield served
    served.close()


@pytest.fixture(autouse=True)
def quiet_surroundings(monkeypatch, tmp_path):
    """No pauses, no settings of the machine that tests run on."""
    for variable in ("POISE_MIRRORS", "POISE_OFFLINE", "POISE_WEIGHTS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(download, "PAUSE_S", 0.01)


def names(folder):
    return sorted(p.name for p in folder.iterdir())


class TestTransfer:
    def test_a_file_is_fetched_once(self, server, tmp_path):
        path = fetch(f"{server.address}/{NAME}", tmp_path / "kept")
        assert path.read_bytes() == CONTENT
        assert names(tmp_path / "kept") == [NAME]
        assert fetch(f"{server.address}/{NAME}", tmp_path / "kept") == path
        assert len(server.asked) == 1

    def test_a_connection_that_is_cut_is_gone_on_with(self, server, tmp_path):
        server.plan = ["cut", "cut"]
        path = fetch(f"{server.address}/{NAME}", tmp_path)
        assert path.read_bytes() == CONTENT
        assert server.asked == [None, "bytes=150000-", "bytes=225000-"]

    def test_the_next_run_goes_on_where_the_last_one_ended(self, server, tmp_path):
        server.plan = ["cut", "404"]
        with pytest.raises(CheckpointError, match="HTTP 404"):
            fetch(f"{server.address}/{NAME}", tmp_path)
        assert (tmp_path / f"{NAME}.part").stat().st_size == 150_000
        assert fetch(f"{server.address}/{NAME}", tmp_path).read_bytes() == CONTENT
        assert server.asked[-1] == "bytes=150000-"
        assert names(tmp_path) == [NAME]

    @pytest.mark.parametrize("ranges", ["ignored", "lies", "unsaid"])
    def test_servers_that_cannot_go_on_are_asked_anew(self, server, tmp_path, ranges):
        server.plan, server.ranges = ["cut"], ranges
        assert fetch(f"{server.address}/{NAME}", tmp_path).read_bytes() == CONTENT

    def test_a_file_that_changed_meanwhile_begins_anew(self, server, tmp_path):
        server.plan = ["cut", "404"]
        with pytest.raises(CheckpointError):
            fetch(f"{server.address}/plain.pth", tmp_path)
        server.tag, server.content = '"two"', CONTENT[::-1]
        assert fetch(f"{server.address}/plain.pth", tmp_path).read_bytes() == CONTENT[::-1]

    def test_a_whole_part_needs_no_more_bytes(self, server, tmp_path):
        (tmp_path / f"{NAME}.part").write_bytes(CONTENT)
        note = dict(address=f"{server.address}/{NAME}", validator='"one"', size=len(CONTENT))
        (tmp_path / f"{NAME}.part.json").write_text(json.dumps(note))
        assert fetch(f"{server.address}/{NAME}", tmp_path).read_bytes() == CONTENT

    def test_no_length_is_needed(self, server, tmp_path):
        server.length = False
        assert fetch(f"{server.address}/{NAME}", tmp_path).read_bytes() == CONTENT

    def test_a_fault_of_the_server_is_tried_again(self, server, tmp_path):
        server.plan = ["500", "503"]
        assert fetch(f"{server.address}/{NAME}", tmp_path).read_bytes() == CONTENT
        server.plan = ["500"] * 9
        with pytest.raises(CheckpointError, match="HTTP 500 Internal Server Error"):
            fetch(f"{server.address}/other-{SHA[:8]}.pth", tmp_path)
        assert len(server.plan) == 6

    def test_a_server_without_an_answer_is_given_up(self, server, tmp_path, monkeypatch):
        monkeypatch.setattr(download, "TIMEOUT_S", 0.1)
        server.pause = 0.5
        with pytest.raises(CheckpointError, match="timed out"):
            fetch(f"{server.address}/{NAME}", tmp_path)


class TestContent:
    @pytest.mark.parametrize(
        "name", ["net-0123abcd.pth", "net-0123abcd_20230504.pth", "net_0123abcd-20230207.pth"]
    )
    def test_other_content_than_the_name_says_is_not_kept(self, server, tmp_path, name):
        with pytest.raises(CheckpointError, match="SHA-256 is .* expected 0123abcd: damaged"):
            fetch(f"{server.address}/{name}", tmp_path / "kept")
        assert names(tmp_path / "kept") == []

    def test_a_damaged_download_is_refused_and_the_next_is_good(self, server, tmp_path):
        server.plan = ["other"]
        with pytest.raises(CheckpointError, match="damaged"):
            fetch(f"{server.address}/{NAME}", tmp_path)
        assert names(tmp_path) == []
        assert fetch(f"{server.address}/{NAME}", tmp_path).read_bytes() == CONTENT

    def test_a_part_of_something_else_is_thrown_away(self, server, tmp_path):
        (tmp_path / f"{NAME}.part").write_bytes(bytes(1000))
        note = dict(address="http://elsewhere/", validator=None, size=len(CONTENT))
        (tmp_path / f"{NAME}.part.json").write_text(json.dumps(note))
        assert fetch(f"{server.address}/{NAME}", tmp_path).read_bytes() == CONTENT

    def test_an_address_can_give_the_whole_hash(self, server, tmp_path):
        url = f"{server.address}/net.pth"
        with pytest.raises(CheckpointError, match=r"expected 0{16}\.\.\."):
            fetch(f"{url}#sha256={'0' * 64}", tmp_path)
        assert fetch(f"{url}#sha256={SHA}", tmp_path).read_bytes() == CONTENT

    @pytest.mark.parametrize("name", ["net.pth", "net-256x192.pth", "net_20230504.pth"])
    def test_a_date_or_a_size_in_a_name_is_no_hash(self, name):
        assert hash_in_name(name) == ""


class TestMirrors:
    URL = f"https://download.openmmlab.com/mmpose/v1/{NAME}"

    def test_the_first_one_is_dead_and_the_second_serves(self, server, tmp_path, monkeypatch):
        monkeypatch.setenv("POISE_MIRRORS", f"http://127.0.0.1:9/ {server.address}")
        assert fetch(self.URL, tmp_path).read_bytes() == CONTENT
        assert server.asked == [None]

    def test_the_users_file_adds_to_them(self, server, tmp_path, monkeypatch):
        listed = tmp_path / "config/poise/mirrors.txt"
        listed.parent.mkdir(parents=True)
        listed.write_text(f"# ours\n{server.address}/deep/  # at home\n")
        assert fetch(self.URL, tmp_path).read_bytes() == CONTENT

    def test_a_part_of_one_mirror_is_gone_on_with_from_another(self, server, tmp_path, monkeypatch):
        other = Server()
        other.plan, other.tag = ["cut", "404"], '"elsewhere"'
        monkeypatch.setenv("POISE_MIRRORS", f"{other.address} {server.address}")
        assert fetch(self.URL, tmp_path).read_bytes() == CONTENT
        assert server.asked == ["bytes=150000-"]
        other.close()

    def test_a_mirror_can_stand_for_another_host(self, server, tmp_path, monkeypatch):
        monkeypatch.setenv("POISE_MIRRORS", f"https://example.org/a/={server.address}/b")
        assert fetch(f"https://example.org/a/{NAME}", tmp_path).read_bytes() == CONTENT

    @pytest.mark.parametrize("entry", ["mirror.example.org", "ftp=https://a.org"])
    def test_what_is_no_mirror_is_named(self, tmp_path, monkeypatch, entry):
        monkeypatch.setenv("POISE_MIRRORS", entry)
        with pytest.raises(ConfigError, match=f"POISE_MIRRORS: '{entry}' is no mirror"):
            fetch(self.URL, tmp_path)

    def test_when_all_fail_the_text_says_what_to_do(self, server, tmp_path, monkeypatch):
        server.plan = ["404"] * 2
        mirror = f"{server.address}/mirror"
        monkeypatch.setenv("POISE_MIRRORS", f"{server.address}/mmpose/={mirror}")
        with pytest.raises(CheckpointError) as failed:
            fetch(f"{server.address}/mmpose/{NAME}", tmp_path)
        text = str(failed.value)
        assert f"  {mirror}/{NAME}: HTTP 404" in text
        assert f"  {server.address}/mmpose/{NAME}: HTTP 404" in text
        assert f"curl -L --create-dirs -o {tmp_path / NAME} {server.address}/mmpose/{NAME}" in text


class TestPlaces:
    @pytest.mark.parametrize("place", ["", "checkpoints", "deep/path"])
    def test_folders_of_the_user_come_first(self, tmp_path, monkeypatch, place):
        file = tmp_path / place / NAME
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        monkeypatch.setenv("POISE_WEIGHTS", str(tmp_path))
        assert fetch(f"http://127.0.0.1:9/deep/path/{NAME}") == file

    def test_the_cache_is_that_of_torch(self, server, tmp_path, monkeypatch):
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        path = fetch(f"{server.address}/{NAME}")
        assert path == tmp_path / "hub/checkpoints" / NAME

    def test_offline_nothing_is_asked_for(self, server, tmp_path, monkeypatch):
        monkeypatch.setenv("POISE_OFFLINE", "1")
        with pytest.raises(CheckpointError, match="POISE_OFFLINE is set(?s:.*)curl -L"):
            fetch(f"{server.address}/{NAME}", tmp_path)
        assert server.asked == []
        (tmp_path / NAME).touch()
        assert fetch(f"{server.address}/{NAME}", tmp_path) == tmp_path / NAME

    def test_a_folder_that_cannot_be_written_to_is_named(self, server, tmp_path, monkeypatch):
        (tmp_path / "file").touch()
        with pytest.raises(CheckpointError, match="cannot keep .* or set TORCH_HOME"):
            fetch(f"{server.address}/{NAME}", tmp_path / "file")

    def test_a_read_only_cache_serves_what_it_has(self, server, tmp_path, monkeypatch):
        (tmp_path / NAME).touch()

        def refuse(*args, **kwargs):
            raise PermissionError(30, "Read-only file system")

        monkeypatch.setattr(os, "open", refuse)
        assert fetch(f"{server.address}/{NAME}", tmp_path) == tmp_path / NAME
        with pytest.raises(CheckpointError, match="Read-only file system"):
            fetch(f"{server.address}/other.pth", tmp_path)


class TestRoom:
    def test_too_little_room_is_said_before_anything_comes(self, server, tmp_path, monkeypatch):
        usage = type("Usage", (), {"free": 1000})
        monkeypatch.setattr(download.shutil, "disk_usage", lambda path: usage)
        with pytest.raises(CheckpointError, match="needs 300,000 bytes, 1,000 are free"):
            fetch(f"{server.address}/{NAME}", tmp_path)

    @pytest.mark.skipif(sys.platform == "win32", reason="limits of file sizes are POSIX")
    def test_a_disk_that_gets_full_keeps_the_part(self, server, tmp_path):
        """The system stops the writing of a child at 100 kB."""
        code = (
            "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000));"
            "from poise.models.weights import fetch; fetch(sys.argv[1], sys.argv[2])"
        )
        url = f"{server.address}/{NAME}"
        command = [sys.executable, "-c", code, url, str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "no room left after 100,000 bytes" in done.stderr
        assert "will be gone on with; make room" in done.stderr
        assert names(tmp_path) == [f"{NAME}.part", f"{NAME}.part.json"]
        assert fetch(url, tmp_path).read_bytes() == CONTENT
        assert server.asked[-1] == "bytes=100000-"

    def test_a_full_disk_is_told_from_other_faults(self, server, tmp_path, monkeypatch):
        class Full:
            def write(self, block):
                raise OSError(28, "No space left on device")

        job = download.Download(tmp_path / NAME, [])
        job.part.write_bytes(b"12345")
        with (
            download.urllib.request.urlopen(f"{server.address}/{NAME}") as answer,
            pytest.raises(download.DiskFullError, match="no room left after 5 bytes"),
        ):
            job._copy(answer, Full(), 0, None)


class TestProcesses:
    def test_of_two_processes_one_downloads_and_the_other_waits(self, server, tmp_path):
        server.pause = 0.2
        code = (
            "import sys, logging; logging.basicConfig();"
            "from poise.models.weights import fetch; print(fetch(sys.argv[1], sys.argv[2]))"
        )
        command = [sys.executable, "-c", code, f"{server.address}/{NAME}", str(tmp_path)]
        options = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        running = [subprocess.Popen(command, **options) for _ in range(2)]
        said = [process.communicate(timeout=240) for process in running]
        assert [out.strip() for out, _ in said] == [str(tmp_path / NAME)] * 2
        assert len(server.asked) == 1
        assert names(tmp_path) == [NAME]
        assert (tmp_path / NAME).read_bytes() == CONTENT

    def test_the_lock_of_a_process_that_was_killed_does_not_hold(self, server, tmp_path):
        code = (
            "import os, sys, filelock; filelock.FileLock(sys.argv[1]).acquire();"
            "os.kill(os.getpid(), 9)"
        )
        subprocess.run([sys.executable, "-c", code, str(tmp_path / f"{NAME}.lock")], check=False)
        assert fetch(f"{server.address}/{NAME}", tmp_path).read_bytes() == CONTENT
        assert names(tmp_path) == [NAME]

    @pytest.mark.skipif(sys.platform == "win32", reason="flock is POSIX")
    def test_file_systems_without_locks_are_worked_with_or_told(
        self, server, tmp_path, monkeypatch
    ):
        def fail(*args):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr("fcntl.flock", fail)
        number = errno.ENOLCK
        with pytest.raises(CheckpointError, match=r"No locks available.*`poise zoo download --out"):
            fetch(f"{server.address}/{NAME}", tmp_path / "other")
        number = errno.ENOSYS
        with pytest.warns(UserWarning, match="flock not supported"):
            assert fetch(f"{server.address}/{NAME}", tmp_path / "this").read_bytes() == CONTENT
        assert names(tmp_path / "this") == [NAME]

    def test_who_waits_is_told_for_what(self, server, tmp_path, caplog):
        found = []
        waiting = threading.Thread(
            target=lambda: found.append(fetch(f"{server.address}/{NAME}", tmp_path))
        )
        with FileLock(tmp_path / f"{NAME}.lock"):
            waiting.start()
            end = time.monotonic() + 240
            while "waiting for" not in caplog.text and time.monotonic() < end:
                time.sleep(0.05)
            assert f"waiting for another process, which downloads {NAME}" in caplog.text
            assert not found
        waiting.join(240)
        assert found == [tmp_path / NAME]


def test_nothing_of_this_imports_torch():
    code = "import poise.zoo.downloads.fetching, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
