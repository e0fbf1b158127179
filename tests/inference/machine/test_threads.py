"""Threads of torch for one caller alone."""

import threading

import numpy as np
import pytest
import torch
from torch import nn

import poise
from poise.inference.machine.threads import lane_threads, limited_threads

#: Where torch has another pool of threads, it counts them for all callers together.
OPENMP = pytest.mark.skipif(
    not torch.backends.openmp.is_available(), reason="this torch has no OpenMP"
)


@pytest.fixture
def _two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def threads_elsewhere():
    """What a thread sees that has never asked before."""
    seen = []
    thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return seen[0]


@pytest.mark.usefixtures("_two_threads")
def test_a_limit_is_for_the_thread_that_asked():
    with limited_threads(1):
        assert torch.get_num_threads() == 1
        assert threads_elsewhere() == 2
    assert torch.get_num_threads() == threads_elsewhere() == 2
    with limited_threads(5):
        assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("_two_threads")
def test_a_limit_ends_with_an_error():
    with pytest.raises(ZeroDivisionError), limited_threads(1):
        raise ZeroDivisionError
    assert torch.get_num_threads() == threads_elsewhere() == 2


class Counting(nn.Linear):
    """A user's module, which may keep anything."""


@OPENMP
@pytest.mark.usefixtures("_two_threads")
def test_modules_of_others_are_called_one_batch_at_a_time():
    assert lane_threads(nn.Sequential(nn.Linear(2, 2))) == 2
    assert lane_threads(nn.Sequential(Counting(2, 2))) == 1
    assert lane_threads(nn.Linear(2, 2, device="meta")) == 1


@OPENMP
def test_batches_on_threads_of_their_own_give_the_same():
    rng = np.random.default_rng(0)
    model = poise.build_model("rtmpose-t_8xb256-420e_coco-256x192").eval()
    pictures = list(rng.integers(0, 255, (12, 60, 40, 3), dtype=np.uint8))
    before, found = torch.get_num_threads(), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        inferencer = poise.Inferencer(model, device="cpu", mode="balanced", detector=None)
        results = inferencer(pictures, batch_size=2)
        assert inferencer._network(False, False, False).lanes == threads
        found.append([(r.keypoints, r.keypoint_scores) for r in results])
        assert torch.get_num_threads() == threads
    torch.set_num_threads(before)
    for (points, scores), (same_points, same_scores) in zip(*found, strict=True):
        np.testing.assert_allclose(scores, same_scores, atol=1e-4)
        # vectors of untrained networks are flat: a maximum may move by a bin
        assert np.mean(np.abs(points - same_points) < 1e-2) > 0.9
