"""Running statistics of batch norms that several processes share."""

import pytest
import torch

from poise.training.machine.sync_norm import ProcessorSyncBatchNorm


@pytest.mark.parametrize(
    ("momentum", "expected"), [(0.0, [0.0, 0.0]), (0.25, [0.5, 1.0]), (None, [2.0, 4.0])]
)
def test_momentum_is_the_share_of_the_new_batch(momentum, expected):
    """0 leaves them alone (a block computed again asks for that), None takes the plain mean."""
    norm = ProcessorSyncBatchNorm(2, momentum=momentum)
    norm._track(torch.tensor([2.0, 4.0]), torch.ones(2))
    assert norm.running_mean.tolist() == expected
    plain = torch.nn.BatchNorm1d(2, momentum=momentum)
    plain(torch.tensor([[1.0, 3.0], [3.0, 5.0]]))
    assert plain.running_mean.tolist() == expected
