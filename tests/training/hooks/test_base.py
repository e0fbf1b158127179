"""What a hook overrides once is called at each point of training, validation and test."""

from types import SimpleNamespace

import pytest

from poise.training.hooks import Hook


class Recording(Hook):
    def __init__(self):
        self.seen = []

    def _before_epoch(self, runner, mode="train"):
        self.seen.append(("before epoch", mode))

    def _after_epoch(self, runner, mode="train"):
        self.seen.append(("after epoch", mode))

    def _before_iter(self, runner, batch_idx, data_batch=None, mode="train"):
        self.seen.append((batch_idx, data_batch, mode))

    def _after_iter(self, runner, batch_idx, data_batch=None, outputs=None, mode="train"):
        self.seen.append((batch_idx, data_batch, outputs, mode))


@pytest.mark.parametrize("mode", ["train", "val", "test"])
def test_points_of_all_loops_lead_to_one(mode):
    hook, runner = Recording(), object()
    getattr(hook, f"before_{mode}_epoch")(runner)
    getattr(hook, f"before_{mode}_iter")(runner, 3, "data")
    getattr(hook, f"after_{mode}_iter")(runner, 3, "data", "out")
    getattr(hook, f"after_{mode}_epoch")(runner)
    assert hook.seen == [
        ("before epoch", mode),
        (3, "data", mode),
        (3, "data", "out", mode),
        ("after epoch", mode),
    ]


def test_counts_begin_with_one():
    hook, runner = Hook(), SimpleNamespace(epoch=3, iter=5)
    assert hook.every_n_epochs(runner, 2)
    assert not hook.every_n_epochs(runner, 3)
    assert hook.every_n_inner_iters(5, 3)
    assert not hook.every_n_inner_iters(5, 5)
    assert hook.every_n_train_iters(runner, 6)
    assert not hook.every_n_train_iters(runner, 0)
    assert hook.end_of_epoch([1, 2, 3], 2)
    assert not hook.end_of_epoch([1, 2, 3], 1)
