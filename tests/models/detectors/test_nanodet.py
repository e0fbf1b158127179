"""NanoDet: the released network, cell for cell."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from poise.errors import DataError
from poise.models.detectors import NanoDet
from poise.zoo import default_weights


@pytest.fixture(scope="module")
def network():
    model = NanoDet().eval()
    weights = load_file(default_weights("nanodet"))
    model.load_state_dict({name: value.float() for name, value in weights.items()})
    return model


def test_raw_outputs_equal_the_released_graph(network, shared):
    oracle = np.load(shared / "weights" / "oracle.npz")
    for picture in ("skier", "astronaut", "table"):
        image = torch.from_numpy(oracle[f"nanodet/{picture}/input_bgr_uint8"])
        outputs = [oracle[f"nanodet/{picture}/output{i}"] for i in range(6)]
        # fine levels first, as the module gives them
        outputs.sort(key=lambda x: -x.shape[1])
        with torch.inference_mode():
            scores, logits = network(image.permute(2, 0, 1)[None])
        for ours, width in ((scores, 80), (logits.flatten(2), 44)):
            theirs = np.concatenate([x for x in outputs if x.shape[-1] == width], 1)
            np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-3, rtol=0)


def test_distribution_on_one_distance_gives_that_distance(network, monkeypatch):
    logits = torch.full((1, 84, 4, 11), -1000.0)
    logits[..., 3] = 1000.0
    monkeypatch.setattr(network, "forward", lambda _: (torch.zeros(1, 84, 80), logits))
    boxes, _ = network.detect(torch.zeros(1, 3, 64, 64))
    # three cells of 8, of 16 and of 32 pixels around the centres of cells
    assert boxes[0, 0].tolist() == [4 - 24, 4 - 24, 4 + 24, 4 + 24]
    assert boxes[0, 1].tolist() == [12 - 24, 4 - 24, 12 + 24, 4 + 24]
    assert boxes[0, 64].tolist() == [8 - 48, 8 - 48, 8 + 48, 8 + 48]
    assert boxes[0, -1].tolist() == [48 - 96, 48 - 96, 48 + 96, 48 + 96]


def test_size_that_is_no_multiple_of_the_stride_is_refused(network):
    with pytest.raises(DataError, match="multiples of 32, got 416 x 300"):
        network(torch.zeros(1, 3, 416, 300))


def test_raw_outputs_are_exported(network):
    x = torch.zeros(1, 3, 64, 64)
    with torch.no_grad():
        program = torch.export.export(network, (x,)).module()
        torch.testing.assert_close(program(x), network(x), rtol=1e-4, atol=1e-4)


def test_only_sure_cells_are_decoded_to_the_same_boxes(network):
    pictures = torch.randint(0, 255, (2, 3, 64, 96), generator=torch.Generator().manual_seed(0))
    boxes, scores = network.detect(pictures)
    threshold = float(scores.median())
    for i, (sure, own) in enumerate(network.detect_sure(pictures, threshold)):
        wanted = scores[i] >= threshold
        assert 0 < wanted.sum() < wanted.numel()
        torch.testing.assert_close(own, scores[i][wanted])
        torch.testing.assert_close(sure, boxes[i][wanted])
