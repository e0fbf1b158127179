"""Videos in and out: times, rotation, sound, damage; memory does not grow."""

import queue
import threading
from fractions import Fraction
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer, SimpleHTTPRequestHandler

import av
import cv2
import numpy as np
import pytest

from poise._failures import Failure
from poise.errors import DataError, FileMissingError
from poise.inference import (
    Frame,
    Inferencer,
    PoseResult,
    SinkGroup,
    SinkOptions,
    SourceInfo,
    open_sinks,
    open_sources,
)
from poise.inference.results.pose_result import empty_instances
from poise.inference.sources.live import newest_frames
from poise.structures import parse_pose_metainfo

SIZE = (64, 48)


def write_clip(path, frames=10, *, times=None, rotation=0, sound=False, codec="mpeg4", size=SIZE):
    """Frame n is a grey of 20 * n, with a white corner above on the left."""
    container = av.open(str(path), "w")
    stream = container.add_stream(codec, rate=10)
    stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
    tick = Fraction(1, 1000) if times else Fraction(1, 10)
    stream.codec_context.time_base = tick
    if codec == "mjpeg":
        stream.pix_fmt = "yuvj420p"
    if rotation:
        stream.set_display_rotation(rotation)
    voice = container.add_stream("aac", rate=8000) if sound else None
    for n in range(frames):
        picture = np.full((size[1], size[0], 3), min(20 * n, 220), np.uint8)
        picture[:16, :16] = 255
        frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
        frame.time_base = tick
        frame.pts = round((times[n] if times else n / 10) / tick)
        container.mux(stream.encode(frame))
    if voice is not None:
        for n in range(frames * 800 // 1024):
            block = av.AudioFrame.from_ndarray(
                np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
            )
            block.sample_rate, block.pts = 8000, 1024 * n
            block.time_base = Fraction(1, 8000)
            container.mux(voice.encode(block))
        container.mux(voice.encode(None))
    container.mux(stream.encode(None))
    container.close()
    return path


def frames_of(inputs, **options):
    return [f for source in open_sources(inputs, **options) for f in source.frames()]


@pytest.fixture(scope="module")
def inferencer():
    def left_half(image):
        return [[0, 0, image.shape[1] / 2, image.shape[0], 0.9]]

    return Inferencer("movenet-lightning", device="cpu", detector=left_half)


def result(frame):
    meta = parse_pose_metainfo({"from_file": "coco"})
    return PoseResult(
        frame.image,
        empty_instances(17),
        meta,
        frame.source.name,
        frame_index=frame.index,
        time=frame.time,
        source=frame.source,
    )


def test_frames_have_their_times_and_know_their_video(tmp_path):
    times = [0, 0.1, 0.2, 0.5, 0.55, 2.0]
    path = write_clip(tmp_path / "clip.mp4", 6, times=times)
    frames = frames_of(path)
    assert [f.index for f in frames] == list(range(6))
    assert [f.time for f in frames] == pytest.approx(times, abs=2e-3)
    assert frames[0].source.kind == "video"
    assert frames[0].source.frames == 6
    grey = [float(f.image[30:, 30:].mean()) for f in frames]
    assert grey == pytest.approx([0, 20, 40, 60, 80, 100], abs=6)


def test_pixels_are_those_that_opencv_reads(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", 3)
    capture = cv2.VideoCapture(str(path))
    for frame in frames_of(path):
        good, expected = capture.read()
        assert good
        assert np.abs(frame.image.astype(int) - expected).max() <= 2
    capture.release()


@pytest.mark.parametrize(("rotation", "corner"), [(0, (0, 0)), (90, (1, 0)), (180, (1, 1))])
def test_rotation_of_the_file_is_honoured(tmp_path, rotation, corner):
    if rotation and not hasattr(av.VideoStream, "set_display_rotation"):
        pytest.skip("this version of av cannot write a rotation")
    path = write_clip(tmp_path / "clip.mp4", 2, rotation=rotation)
    image = frames_of(path)[0].image
    assert image.shape[:2] == ((64, 48) if rotation == 90 else (48, 64))
    # where the white corner has gone: (below, right)
    row, column = (slice(-8, None) if far else slice(0, 8) for far in corner)
    assert image[row, column].mean() > 200


def test_folder_holds_pictures_and_videos(tmp_path):
    write_clip(tmp_path / "b.mp4", 2)
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 4, 3), np.uint8))
    kinds = [(f.source.kind, f.index) for f in frames_of(tmp_path)]
    assert kinds == [("picture", 0), ("video", 0), ("video", 1)]


def test_generators_of_arrays_are_taken_as_they_come(inferencer):
    taken = []

    def pictures():
        for n in range(40):
            taken.append(n)
            yield np.zeros((20, 20, 3), np.uint8)

    results = inferencer.predict(pictures(), batch_size=1)
    assert next(results).name == "array-0"
    results.close()
    # queues are bounded: the generator is not run dry
    assert len(taken) < 40


def test_missing_and_broken_videos_are_named(tmp_path):
    (tmp_path / "x.mp4").write_bytes(b"junk" * 100)
    (tmp_path / "empty.mp4").write_bytes(b"")
    for name in ("none.avi", "none.mkv"):
        with av.open(str(tmp_path / name), "w") as container:
            stream = container.add_stream("mpeg4", rate=10)
            stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
            container.start_encoding()
    said = {
        "x.mp4": "(400 bytes) cannot be opened as a video",
        "empty.mp4": "is an empty file",
        "none.avi": "has no frames",
        "none.mkv": "cannot be opened as a video: End of file",
    }
    for name, text in said.items():
        (frame,) = frames_of(tmp_path / name)
        assert text in str(frame.error)
    (frame,) = frames_of(tmp_path / "no.mp4")
    assert isinstance(frame.error, FileMissingError)


def test_truncated_video_keeps_its_frames_and_says_how_many(tmp_path, inferencer):
    path = write_clip(tmp_path / "whole.avi", 40)
    cut = tmp_path / "cut.avi"
    cut.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.85)])
    results = inferencer(cut, keep_going=True)
    assert 5 < len(results) < 40
    assert all(r.error is None for r in results[:-1])
    assert "of 40 frames: the file is cut off" in results[-1].error
    seen = []
    with pytest.raises(DataError, match="cut off or damaged"):
        seen += inferencer.predict(cut)
    assert [r.frame_index for r in inferencer.predict(cut, keep_going=True)][-1] == len(results) - 1


def test_a_trimmed_video_is_not_called_damaged(tmp_path):
    path, trimmed = write_clip(tmp_path / "whole.mp4", 60), tmp_path / "trimmed.mp4"
    with av.open(str(path)) as source, av.open(str(trimmed), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is None:
                continue
            # what phones do that trim without encoding anew: the file keeps frames before its time
            shift = round(3 / packet.time_base)
            packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, stream
            target.mux(packet)
    frames = frames_of(trimmed)
    assert [f.error for f in frames] == [None] * 30
    assert frames[0].image.mean() > 200
    assert frames[0].source.frames == 30


def test_a_stream_without_an_index_and_with_unequal_times_is_not_called_damaged(tmp_path):
    times = np.cumsum([0.02, 0.16, 0.04, 0.02, 0.16] * 8).tolist()
    path = write_clip(tmp_path / "clip.ts", 40, times=times, codec="mpeg4")
    assert [f.error for f in frames_of(path)] == [None] * 40


def test_broken_frame_is_named_and_the_others_go_on(tmp_path):
    path = write_clip(tmp_path / "clip.avi", 12, codec="mjpeg")
    data = bytearray(path.read_bytes())
    start = data.index(b"movi")
    for _ in range(6):
        start = data.index(b"00dc", start + 1)
    # the data of one frame, not its size
    size = int.from_bytes(data[start + 4 : start + 8], "little")
    data[start + 8 : start + 8 + size] = bytes(size)
    path.write_bytes(bytes(data))
    frames = frames_of(path)
    assert [f.index for f in frames] == list(range(12))
    (bad,) = (f for f in frames if f.error is not None)
    assert str(bad.error).startswith(f"frame 5 of '{path}' cannot be decoded")
    # files of numbers tell which one it was, though nobody knows when
    written = result(bad).to_dict()
    assert (written["frame"], "time" in written) == (5, False)


class Stalling(BaseHTTPRequestHandler):
    """Answers with a part of a file, and then nothing."""

    content = b""
    release = threading.Event()

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content) * 2))
        self.end_headers()
        self.wfile.write(self.content)
        self.wfile.flush()
        self.release.wait(20)

    def log_message(self, *args):
        """Nothing on the terminal."""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        """Nothing on the terminal."""


@pytest.fixture
def serve():
    servers = []

    def start(handler):
        server = HTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    Stalling.release.set()
    for server in servers:
        server.shutdown()
        server.server_close()
    Stalling.release.clear()


def test_pictures_and_videos_behind_addresses(tmp_path, serve):
    write_clip(tmp_path / "clip.mp4", 4)
    cv2.imwrite(str(tmp_path / "a.png"), np.full((4, 6, 3), 7, np.uint8))
    address = serve(partial(Quiet, directory=str(tmp_path)))
    (picture,) = frames_of(f"{address}/a.png")
    assert (picture.image == 7).all()
    assert [f.index for f in frames_of(f"{address}/clip.mp4")] == [0, 1, 2, 3]
    (missing,) = frames_of(f"{address}/no.png")
    assert "cannot fetch" in str(missing.error)
    assert "File not found" in str(missing.error)


def test_refused_address_of_a_video_is_named(serve):
    address = serve(Quiet)
    # a port that nobody listens to any more
    gone = HTTPServer(("127.0.0.1", 0), Quiet)
    gone.server_close()
    refused = f"http://127.0.0.1:{gone.server_port}/clip.mp4"
    (frame,) = frames_of(refused)
    assert f"cannot fetch the video '{refused}' (within 10 s)" in str(frame.error)
    (frame,) = frames_of(f"{address}/nowhere-to-be-found.mp4")
    assert "cannot fetch the video" in str(frame.error)


def test_silent_address_is_given_up(serve, tmp_path):
    Stalling.content = write_clip(tmp_path / "clip.ts", 20, codec="mpeg4").read_bytes()
    address = serve(Stalling)
    frames = frames_of(f"{address}/clip.ts", timeout=1.0)
    assert str(frames[-1].error).endswith("nothing came in time")
    assert all(f.image is not None for f in frames[:-1])
    (picture,) = frames_of(f"{address}/a.png", timeout=0.5)
    assert "within 0.5 s" in str(picture.error)


CAMERA = SourceInfo("camera-0", "camera")


def live_frame(n):
    return Frame(CAMERA, n, n / 10, np.zeros((2, 2, 3), np.uint8))


def test_live_frames_are_the_newest():
    took, all_there, done = threading.Event(), threading.Event(), threading.Event()

    def read():
        yield live_frame(0)
        took.wait(60)
        for n in range(1, 50):
            yield live_frame(n)
        all_there.set()
        done.wait(60)

    frames = newest_frames(read, lambda: CAMERA, 60)
    assert next(frames).index == 0
    took.set()
    assert all_there.wait(60)
    assert next(frames).index == 49
    done.set()
    assert list(frames) == []


def test_what_goes_wrong_in_a_live_source_is_raised_where_frames_are_taken():
    def read():
        yield live_frame(0)
        raise ZeroDivisionError("in a thread")

    with pytest.raises(ZeroDivisionError, match="in a thread"):
        list(newest_frames(read, lambda: CAMERA, 60))


@pytest.mark.parametrize(("count", "after"), [(0, ""), (1, " after frame 0")])
def test_silence_ends_a_live_source(count, after, monkeypatch):
    silence, done = threading.Event(), threading.Event()

    class Later(queue.Queue):
        """Seconds count from the silence on, however late the thread begins on a busy machine."""

        def get(self, block=True, timeout=None):
            assert silence.wait(60)
            return super().get(block, timeout)

    def read():
        yield from map(live_frame, range(count))
        silence.set()
        done.wait(60)

    monkeypatch.setattr("poise.inference.sources.live.queue.Queue", Later)
    *before, silent = newest_frames(read, lambda: CAMERA, 0.2)
    done.set()
    assert [frame.index for frame in before] == list(range(count))
    assert str(silent.error) == f"'camera-0' has not answered for 0.2 s{after}"


def test_absent_camera_is_an_error_with_advice(capfd):
    frames = frames_of(63, timeout=60)
    assert "camera 63 cannot be opened" in str(frames[-1].error)
    # nor does OpenCV add words of its own
    assert "WARN" not in capfd.readouterr().err


# ------------------------------------------------------------------------- out


def test_drawn_video_keeps_times_and_sound(tmp_path):
    times = [0, 0.1, 0.3, 0.35, 0.9, 1.0, 1.1, 1.2]
    path = write_clip(tmp_path / "clip.mp4", 8, times=times, sound=True)
    (out,) = open_sinks("video", tmp_path / "out")
    with out:
        for frame in frames_of(path):
            out.write(result(frame))
    (written,) = out.written
    assert [f.time for f in frames_of(written)] == pytest.approx(times, abs=2e-3)
    before, after = (_sound(p) for p in (path, written))
    assert len(before) > 3
    # the same packets, without those before the first frame and after the last
    skipped = before.index(after[0])
    assert skipped <= 1
    assert before[skipped:][: len(after)] == after
    assert len(after) >= len(before) - 3


def test_a_video_that_the_disk_has_no_room_for_is_told_as_one(tmp_path):
    resource = pytest.importorskip("resource", reason="Windows limits no files")
    noise = np.random.default_rng(0).integers(0, 255, (20, 240, 320, 3), np.uint8)
    clip = SourceInfo("clip.mp4", "video", fps=10.0)
    (out,) = open_sinks("video", tmp_path)

    def write():
        with out:
            for index, picture in enumerate(noise):
                out.write(result(Frame(clip, index, index / 10, picture)))

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(DataError, match="the video .*clip_pose.mp4.* File too large") as caught:
            write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    # PyAV is compiled: where it was built is nobody's own code
    assert Failure(caught.value).lines() == []


def _sound(path):
    with av.open(str(path)) as container:
        packets = container.demux(container.streams.audio[0])
        return [bytes(p) for p in packets if p.size]


@pytest.mark.parametrize("codec", ["mpeg4", "h264"])
def test_video_that_was_never_finished_can_be_played(tmp_path, codec):
    if codec == "h264" and "libx264" not in av.codecs_available:
        pytest.skip("this FFmpeg has no libx264")
    path = write_clip(tmp_path / "clip.mp4", 160)
    (out,) = open_sinks("video", tmp_path, SinkOptions(codec=codec))
    for frame in frames_of(path):
        out.write(result(frame))
    copied = tmp_path / "crashed.mp4"
    copied.write_bytes(out.written[0].read_bytes())
    out.close()
    assert len([f for f in frames_of(copied) if f.error is None]) >= 50
    assert len(frames_of(out.written[0])) == 160


@pytest.mark.parametrize("codec", ["mpeg4", "h264"])
@pytest.mark.parametrize("size", [(98, 50), (96, 64), (33, 35)])
def test_encoded_pictures_look_like_the_drawn_ones(tmp_path, codec, size):
    if codec == "h264" and "libx264" not in av.codecs_available:
        pytest.skip("this FFmpeg has no libx264")
    # soft spots of many colours: a plane that is shifted is off by 40 levels
    spots = np.random.default_rng(0).integers(0, 255, (4, 5, 3), dtype=np.uint8)
    picture = cv2.resize(spots, size, interpolation=cv2.INTER_CUBIC)
    with open_sinks("video", tmp_path, SinkOptions(codec=codec))[0] as out:
        for frame in frames_of([picture] * 3):
            out.write(result(frame))
    for frame in frames_of(out.written[0]):
        seen = frame.image[: size[1], : size[0]].astype(int)
        assert abs(seen - picture).mean() < 10


def test_pictures_of_any_size_become_a_video(tmp_path):
    (out,) = open_sinks("video", tmp_path)
    with SinkGroup([out]) as group:
        for size in ((31, 41), (90, 100), (20, 10)):
            picture = np.full((*size, 3), 200, np.uint8)
            (frame,) = frames_of(picture)
            group.write(result(frame))
    frames = frames_of(tmp_path / "poses_pose.mp4")
    assert [f.image.shape for f in frames] == [(32, 42, 3)] * 3
    assert [f.time for f in frames] == pytest.approx([0, 1, 2])


def test_frames_between_detections_have_boxes(tmp_path, inferencer):
    path = write_clip(tmp_path / "clip.mp4", 8)
    calls = []

    class Moving:
        description = "a box that moves"

        def detect(self, images):
            calls.append(len(images))
            x = float(images[0][30:, 30:].mean()) / 20
            return [np.float32([[x, 0, x + 20, 40, 0.9]])]

    moving = Inferencer("movenet-lightning", device="cpu", detector=Moving())
    results = moving(path, detector_every=3)
    assert calls == [1, 1, 1, 1]
    left = [float(r.bboxes[0, 0]) for r in results]
    assert left == pytest.approx(range(8), abs=0.4)
