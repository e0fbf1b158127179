"""Numbers of 16 bits: what networks compute in them reaches numpy, files and metrics."""

import numpy as np
import pytest
import torch

from poise._arrays import as_numpy, host_array
from poise.compat import to_numpy
from poise.inference.networks.any_model import _array
from poise.metrics.prediction_file import PredictionWriter, read_predictions
from poise.models.heads.base import per_sample
from poise.models.heads.dense_targets import DenseTargets
from poise.structures import InstanceData

WAYS = {
    "as_numpy": as_numpy,
    "host_array": host_array,
    "InstanceData": lambda values: InstanceData(keypoints=values).numpy().keypoints,
    "heads": lambda values: np.stack(per_sample(values)),
    "heads of several outputs": lambda values: per_sample((values, values))[0][0],
    "inference": _array,
    "helpers of MMPose": to_numpy,
}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("way", WAYS)
def test_all_reach_numpy(way, dtype):
    values = torch.tensor([[1.5, -2.0]], dtype=dtype, requires_grad=True)
    found = WAYS[way](values)
    assert found.tolist() == [[1.5, -2.0]]
    assert found.dtype == (np.float16 if found.dtype == np.float16 else np.float32)


def test_predictions_of_16_bits_are_kept_in_files(tmp_path):
    file = tmp_path / "predictions.jsonl"
    writer = PredictionWriter(file, {})
    halves = {kind: torch.ones(2, dtype=getattr(torch, kind)) for kind in ("bfloat16", "float16")}
    writer.write([halves])
    writer.close()
    (sample,) = read_predictions(file)[1]
    assert sample["bfloat16"].dtype == np.float32
    assert sample["float16"].dtype == np.float16
    assert all(value.tolist() == [1, 1] for value in sample.values())


def test_positive_points_are_counted_exactly():
    """Losses of one-stage heads are divided by their number."""
    none, points = torch.zeros(0, dtype=torch.bfloat16), torch.zeros(1, dtype=torch.bfloat16)
    targets = DenseTargets(
        none, none, points, none, none, none, none, none, none, torch.ones(257, 4)
    )
    assert targets.total() == 257
    assert targets.total().dtype == torch.float32
