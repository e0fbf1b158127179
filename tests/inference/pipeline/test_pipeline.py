"""Order, batches, errors and boxes that follow, with networks that are mocked."""

import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from poise.errors import DataError
from poise.inference import Frame, SourceInfo
from poise.inference.boxes.given import GivenBoxes
from poise.inference.networks.network import Poses
from poise.inference.pipeline.jobs import Job
from poise.inference.pipeline.locating import located
from poise.inference.pipeline.overlap import Timings, mapped, prefetched
from poise.inference.pipeline.posing import posed

CLIP = SourceInfo("clip.mp4", "video", fps=10.0)
CAMERA = SourceInfo("camera-0", "camera")


def frames(count, source=CLIP, bad=()):
    for n in range(count):
        if n in bad:
            yield Frame(source, n, error=DataError(f"frame {n} is broken"))
        else:
            yield Frame(source, n, n / 10, np.full((20, 30, 3), n, np.uint8))


class Network:
    """The pose is the box's corner and the picture's grey; remembers its batches."""

    lanes = 1

    def __init__(self, fails=()):
        self.batches, self.fails = [], fails

    def prepare(self, crops):
        return [(c.box, int(c.image[0, 0, 0])) for c in crops]

    def run(self, batch):
        self.batches.append(len(batch))
        if any(grey in self.fails for _, grey in batch):
            raise RuntimeError("out of memory")
        return batch

    def decode(self, outputs, batch):
        return [
            Poses(
                np.float32([[[box[0], box[1]], [box[2], box[3]], [grey, 0], [0, grey]]]),
                np.ones((1, 4), np.float32),
            )
            for box, grey in outputs
        ]


class Detector:
    """As many people as the picture's grey, up to three; remembers its calls."""

    description = "mock"

    def __init__(self, fails=()):
        self.calls, self.fails = [], fails

    def detect(self, images):
        greys = [int(i[0, 0, 0]) for i in images]
        self.calls.append(greys)
        if any(g in self.fails for g in greys):
            raise ZeroDivisionError("no")
        return [
            np.float32([[k, 1, k + 9, 19, 0.9] for k in range(g % 4)]).reshape(-1, 5) for g in greys
        ]


def run(source_frames, network, overlap=True, batch_size=4, **options):
    jobs = located(source_frames, **options)
    return list(posed(jobs, network, batch_size=batch_size, timings=Timings(), overlap=overlap))


def test_pictures_share_calls_of_the_detector_also_where_it_skips_frames_of_videos():
    def mixed():
        for n in range(8):
            yield from frames(1, SourceInfo(f"{n}.jpg", "picture"))
        yield from frames(6)
        yield from frames(1, SourceInfo("last.jpg", "picture"))

    detector = Detector()
    jobs = list(located(mixed(), detector=detector, every=5, batch=4))
    names = [f"{n}.jpg" for n in range(8)] + ["clip.mp4"] * 6 + ["last.jpg"]
    assert [job.frame.source.name for job in jobs] == names
    assert all(job.bboxes is not None for job in jobs)
    # two calls for the eight pictures; of the video its first and its sixth frame
    assert [len(call) for call in detector.calls] == [4, 4, 1, 1, 1]


class Kinds:
    """A dog (3) and a hen (5) that change places within four frames."""

    description = "mock"

    def detect(self, images):
        shifts = [2 * int(image[0, 0, 0]) for image in images]
        return [
            np.float32([[s, 0, s + 9, 19, 0.9, 3], [8 - s, 0, 17 - s, 19, 0.8, 5]]) for s in shifts
        ]


@pytest.mark.parametrize("source", [CLIP, CAMERA])
def test_categories_go_with_the_boxes_of_frames_that_no_detector_saw(source):
    jobs = run(frames(6, source), Network(), overlap=False, detector=Kinds(), every=4)
    for job in jobs:
        assert job.instances().categories.tolist() == [3, 5]
    if source is CLIP:
        assert [int(job.bboxes[0, 0]) for job in jobs] == [0, 2, 4, 6, 8, 10]


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_order_is_kept_and_nobody_is_lost(overlap, batch_size):
    network = Network()
    jobs = run(frames(13), network, overlap, batch_size, detector=Detector())
    assert [j.frame.index for j in jobs] == list(range(13))
    assert [0 if j.instances() is None else len(j.instances()) for j in jobs] == [
        n % 4 for n in range(13)
    ]
    for job in jobs:
        found = job.instances()
        if found is not None:
            # each person's pose comes from its own picture and box
            assert (found.keypoints[:, 2, 0] == job.frame.index).all()
            np.testing.assert_array_equal(found.keypoints[:, 0], found.bboxes[:, :2])
    assert max(network.batches) <= batch_size
    assert sum(network.batches) == sum(n % 4 for n in range(13))


def test_batches_take_people_of_several_frames():
    network = Network()
    run(frames(12), network, batch_size=6, detector=Detector())
    assert network.batches == [6, 6, 6]


def test_broken_frame_is_reported_in_its_place():
    jobs = run(frames(6, bad=(2,)), Network(), detector=Detector())
    assert [str(j.error) if j.error else None for j in jobs] == [
        None,
        None,
        "frame 2 is broken",
        None,
        None,
        None,
    ]
    assert len(jobs[3].instances()) == 3


def test_failing_network_costs_the_frame_that_made_it_fail():
    jobs = run(frames(8), Network(fails=(3,)), batch_size=8, detector=Detector())
    assert [j.frame.index for j in jobs if j.error is not None] == [3]
    assert "frame 3 of clip.mp4" in jobs[3].error.__notes__[0]
    assert [len(j.instances()) for j in jobs if j.instances() is not None] == [1, 2, 1, 2, 3]


def test_failing_detector_costs_the_frame_that_made_it_fail():
    jobs = run(frames(8), Network(), detector=Detector(fails=(2,)))
    assert [j.frame.index for j in jobs if j.error is not None] == [2]
    assert isinstance(jobs[2].error, ZeroDivisionError)
    assert "frame 2 of clip.mp4" in jobs[2].error.__notes__[0]


def test_boxes_of_a_camera_follow_from_its_poses():
    detector = Detector()
    jobs = run(
        (Frame(CAMERA, n, n / 10, np.full((20, 30, 3), 3, np.uint8)) for n in range(7)),
        Network(),
        overlap=False,
        detector=detector,
        every=3,
    )
    assert len(detector.calls) == 3
    assert [len(j.instances()) for j in jobs] == [3] * 7
    assert [j.detected for j in jobs] == [True, False, False, True, False, False, True]


def test_frames_of_a_camera_count_as_they_come_however_many_were_dropped():
    detector = Detector()
    numbers = [2, 7, 12, 17, 22, 27, 32]
    came = [Frame(CAMERA, n, n / 10, np.full((20, 30, 3), 3, np.uint8)) for n in numbers]
    came[2] = Frame(CAMERA, 12, error=DataError("broken"))
    jobs = run(came, Network(), overlap=False, detector=detector, every=5)
    assert [j.detected for j in jobs] == [True, False, True, False, False, True, False]
    # nor is anybody lost behind a frame that could not be read
    assert [len(j.instances() or ()) for j in jobs] == [3, 3, 0, 3, 3, 3, 3]
    assert len(detector.calls) == 2


def test_frames_between_two_where_the_detector_failed_have_a_look_of_their_own():
    jobs = run(frames(7), Network(), detector=Detector(fails=(0, 4)), every=4)
    assert [j.frame.index for j in jobs if j.error is not None] == [0, 4]
    assert all(isinstance(jobs[n].error, ZeroDivisionError) for n in (0, 4))
    assert [len(jobs[n].instances() or ()) for n in (1, 2, 3)] == [1, 2, 3]


def test_videos_and_pictures_in_one_run_have_their_own_detections():
    still = SourceInfo("a.png")
    other = SourceInfo("b.mp4", "video")
    detector = Detector()
    mixed = [
        *frames(5),
        Frame(still, image=np.full((9, 9, 3), 1, np.uint8)),
        Frame(still, image=np.full((9, 9, 3), 2, np.uint8)),
        *frames(3, other),
    ]
    jobs = run(mixed, Network(), detector=detector, every=4)
    assert len(jobs) == 10
    assert detector.calls == [[0], [4], [1, 2], [0], [2]]


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ([[0, 0, 5, 5]], [1, 1, 1]),  # the same in all frames
        ([[[0, 0, 5, 5]], [], [[0, 0, 5, 5], [1, 1, 6, 6]]], [1, 0, 2]),
        (iter([[[0, 0, 5, 5]], [], [[0, 0, 5, 5]]]), [1, 0, 1]),
        ({"clip.mp4": [[[0, 0, 5, 5]], [], [[0, 0, 5, 5]]]}, [1, 0, 1]),
        ({"clip.mp4": [[0, 0, 5, 5]]}, [1, 1, 1]),
    ],
)
def test_boxes_of_a_video_come_in_every_usual_form(boxes, expected):
    jobs = run(frames(3), Network(), given=GivenBoxes(boxes, None))
    assert [0 if j.instances() is None else len(j.instances()) for j in jobs] == expected


@pytest.mark.parametrize("form", [list, iter])
def test_boxes_stay_with_their_pictures_behind_one_that_cannot_be_read(form):
    boxes = form([[[n, 1, n + 9, 19]] for n in range(4)])
    jobs = run(frames(5, bad=(1, 4)), Network(), given=GivenBoxes(boxes, None))
    assert [str(j.error) if j.error else int(j.bboxes[0, 0]) for j in jobs] == [
        0,
        "frame 1 is broken",
        2,
        3,
        "frame 4 is broken",
    ]


def test_frame_without_boxes_is_an_error_that_names_it():
    jobs = run(frames(3), Network(), given=GivenBoxes([[[0, 0, 5, 5]]], None))
    assert jobs[0].error is None
    assert "no boxes left for frame 1 of clip.mp4" in str(jobs[1].error)


def test_prefetched_is_bounded_passes_errors_on_and_ends_its_thread():
    taken = []
    closed = threading.Event()

    def endless():
        try:
            for n in range(10**6):
                taken.append(n)
                yield n
        finally:
            closed.set()

    items = prefetched(endless(), 3, "test")
    assert next(items) == 0
    time.sleep(0.3)
    assert len(taken) <= 6
    items.close()
    assert closed.wait(60)

    def failing():
        yield 1
        raise DataError("what went wrong")

    items = prefetched(failing(), 3, "test")
    assert next(items) == 1
    with pytest.raises(DataError, match="what went wrong"):
        next(items)


def test_mapped_runs_calls_beside_one_another_and_keeps_their_order():
    meeting = threading.Barrier(2, timeout=60)

    def wait(number):
        if number < 4:
            meeting.wait()  # passes only when two calls are under way
        time.sleep(0.01 * (number % 3))
        return number

    assert list(mapped(wait, iter(range(12)), lanes=2, size=2, name="test")) == list(range(12))


def test_mapped_is_bounded_raises_in_turn_and_ends_its_threads():
    begun = []

    def call(number):
        begun.append(number)
        if number == 3:
            raise DataError("what went wrong")
        return number

    results = mapped(call, iter(range(1000)), lanes=2, size=2, name="bounded")
    assert next(results) == 0
    time.sleep(0.3)
    assert len(begun) <= 6
    assert [next(results), next(results)] == [1, 2]
    with pytest.raises(DataError, match="what went wrong"):
        next(results)
    for thread in threading.enumerate():
        if thread.name.startswith("poise-bounded"):
            thread.join(timeout=60)
            assert not thread.is_alive()


@pytest.mark.parametrize("kind", ["mapped", "prefetched"])
def test_stages_may_be_collected_in_one_of_their_own_threads(kind):
    """The garbage collector runs anywhere: no thread may wait for itself."""
    stage, taken, closed, errors = [], threading.Event(), threading.Event(), []

    def call(number):
        if number == 1:
            assert taken.wait(60)
            try:
                stage[0].close()
            except RuntimeError as error:
                errors.append(error)
            closed.set()
        return number

    if kind == "mapped":
        stage.append(mapped(call, iter(range(3)), lanes=1, size=1, name="own"))
    else:
        stage.append(prefetched(map(call, range(3)), 1, "own"))
    assert next(stage[0]) == 0
    taken.set()
    assert closed.wait(60)
    assert errors == []


@pytest.mark.parametrize("lanes", [1, 3])
def test_batches_that_are_under_way_at_once_give_the_same(lanes):
    network = Network(fails=(7,))
    network.lanes = lanes
    jobs = run(frames(40), network, batch_size=3, detector=Detector())
    assert [j.frame.index for j in jobs] == list(range(40))
    assert [j.frame.index for j in jobs if j.error is not None] == [7]
    for job in jobs:
        if job.error is None and job.frame.index % 4:
            found = job.instances()
            assert (found.keypoints[:, 2, 0] == job.frame.index).all()
            np.testing.assert_array_equal(found.keypoints[:, 0], found.bboxes[:, :2])


def test_timings_are_a_table():
    timings = Timings()
    assert list(timings.watched(iter([1, 2]), "read")) == [1, 2]
    with timings.measure("network", 3):
        pass
    names, items = zip(*[row[:2] for row in timings.rows()], strict=True)
    assert names == ("read", "network", "all, overlapping")
    assert items == (2, 3, 2)
    assert timings.table().count("\n") == 3


def test_job_without_answers_has_no_instances():
    assert Job(Frame(CLIP)).instances() is None


def test_what_waits_does_not_grow_with_the_video(monkeypatch, capsys):
    import poise

    inferencer = poise.Inferencer("movenet-lightning", device="cpu", detector=Detector())
    network = Network()
    monkeypatch.setattr(inferencer, "_network", lambda *_: network)
    made = 0

    def pictures():
        nonlocal made
        for n in range(600):
            made += 1
            yield np.full((8, 8, 3), n % 4, np.uint8)

    ahead = []
    results = inferencer.predict(pictures(), batch_size=8, timing=True)
    for taken, _ in enumerate(results, 1):
        if taken in (100, 500):  # a slow reader: every queue fills as far as it can
            time.sleep(0.3)
        ahead.append(made - taken)
    assert taken == 600
    # the queues and the batches in hand hold about 60 pictures, at any moment of the video
    assert max(ahead) < 80
    assert "all, overlapping" in capsys.readouterr().err


def test_no_stage_is_under_way_when_the_program_ends():
    """Libraries such as torch abort where a thread is torn from under them."""
    code = (
        "import atexit, itertools, threading\n"
        "atexit.register(lambda: print([t.name for t in threading.enumerate()]))\n"
        "from poise.inference.pipeline.overlap import mapped, prefetched\n"
        "stage = prefetched(prefetched(itertools.count(), 2, 'a'), 2, 'b')\n"
        "stage = mapped(str, stage, lanes=2, size=2, name='c')\n"
        "print(next(stage))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["0", "['MainThread']"], done.stderr
