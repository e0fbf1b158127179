"""The pretended device of these tests refuses what hardware would refuse, and computes."""

import numpy as np
import pytest
import torch
from torch import nn

from poise._arrays import as_numpy
from poise.codecs import (
    SPR,
    AssociativeEmbedding,
    DecoupledHeatmap,
    Hand3DHeatmap,
    IntegralRegressionLabel,
    MegviiHeatmap,
    MoveNetLabel,
    MSRAHeatmap,
    RegressionLabel,
    SimCC3DLabel,
    SimCCLabel,
    UDPHeatmap,
)
from poise.models.preprocessors import BaseDataPreprocessor
from poise.registry.tables.codecs import TABLE
from poise.structures import InstanceData, PoseDataSample

K = 5
#: what goes wrong on hardware: name -> call with a tensor (2, 3) on the device
REFUSED = {
    "a tensor of the host is added": lambda x: x + torch.ones(3),
    "a tensor of the device is added in place": lambda x: torch.ones(2, 3).add_(x),
    "even a number of the host is appended": lambda x: torch.cat([x.sum()[None], torch.ones(1)]),
    "the host is indexed by the device": lambda x: torch.ones(9)[x.long()],
    "an array is multiplied": lambda x: x * np.ones(3),
    "it multiplies an array": lambda x: np.ones(3, np.float32) * x,
    "it is taken as an array": np.asarray,
    "numpy() without cpu()": lambda x: x.numpy(),
    "a copy is read before it has ended": lambda x: x.to("cpu", non_blocking=True),
    "a mask of the host with values of the host": lambda x: x.where(x > 0, torch.ones(2, 3)),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_devices_refuse_is_refused(pretending, case):
    with pretending("cuda"):
        x = torch.ones(2, 3).to("cuda")
        # numpy turns the error of `__array__` into one of its own
        with pytest.raises((RuntimeError, TypeError), match=r"device|cpu\(\)|unsupported|does not"):
            REFUSED[case](x)


def test_only_mps_lacks_float64(pretending):
    with pretending("cuda"):
        assert torch.ones(2, device="cuda").double().dtype == torch.float64
    with pretending("mps"):
        x = torch.ones(2, device="mps")
        for made in (x.double, lambda: torch.from_numpy(np.ones(2)).to(x.device)):
            with pytest.raises(RuntimeError, match="mps has no torch.float64"):
                made()


def test_single_numbers_and_indices_of_the_host_may_be_used(pretending):
    with pretending("cuda"):
        x = torch.arange(6.0, device="cuda").view(2, 3)
        assert (x + torch.tensor(1.0))[torch.tensor([1])].tolist() == [[4, 5, 6]]
        assert x[:, [2, 0]].tolist() == [[2, 0], [5, 3]]
        assert float(x.sum()) == 15
        assert x.new_tensor([1.0]).device.type == "cuda"
        assert x.device == torch.device("cuda:0")


def test_networks_learn_there_as_on_the_host(pretending, close):
    def trained(device):
        torch.manual_seed(0)
        x = torch.randn(2, 3, 6, 6)
        # no bias before a norm: its gradient is rounding alone, which AdamW makes a step of
        conv = nn.Conv2d(3, 4, 3, bias=False)
        net = nn.Sequential(conv, nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(1))
        net.append(nn.Linear(64, 2)).to(device)
        optimizer = torch.optim.AdamW(net.parameters(), 0.1)
        for _ in range(2):
            net(x.to(device)).square().sum().backward()
            optimizer.step()
        return {name: value.cpu() for name, value in net.state_dict().items()}

    here = trained("cpu")
    with pretending("cuda") as device:
        there = trained(device)
    assert here.keys() == there.keys()
    assert close(there.values(), here.values(), 1e-3)


def test_samples_reach_devices_without_float64(pretending):
    """Weights of keypoints that were converted have it, for one."""
    sample = PoseDataSample()
    sample.gt_instance_labels = InstanceData(
        keypoint_weights=torch.ones(1, 5, dtype=torch.float64), with_z=torch.ones(1, dtype=bool)
    )
    batch = {"inputs": torch.zeros(1, 3, 4, 4, dtype=torch.float64), "data_samples": [sample]}
    for kind, expected in (("mps", torch.float32), ("cuda", torch.float64)):
        with pretending(kind) as device:
            data = BaseDataPreprocessor().to(device)(batch)
            labels = data["data_samples"][0].gt_instance_labels
            assert labels.keypoint_weights.dtype == data["inputs"].dtype == expected
            assert labels.keypoint_weights.device == labels.with_z.device == device
            assert labels.with_z.dtype == torch.bool
    assert sample.gt_instance_labels.keypoint_weights.dtype == torch.float64


#: codec, and shapes of what it decodes: of two samples; of one where it decodes no batches
DECODED = {
    "AssociativeEmbedding": (
        AssociativeEmbedding((64, 64), (16, 16), decode_keypoint_order=list(range(K))),
        [(2, K, 16, 16)] * 2,
    ),
    "DecoupledHeatmap": (DecoupledHeatmap((64, 64), (16, 16)), [(3, K, 16, 16), (3, 1)]),
    "Hand3DHeatmap": (
        Hand3DHeatmap(image_size=(64, 64), root_heatmap_size=8, heatmap_size=(16, 16, 8)),
        [(42, 8, 16, 16), (1,), (2,)],
    ),
    "IntegralRegressionLabel": (IntegralRegressionLabel((64, 64), (16, 16), 2.0), [(2, K, 2)]),
    "MSRAHeatmap": (MSRAHeatmap((64, 64), (16, 16), sigma=2), [(2, K, 16, 16)]),
    "MSRAHeatmap, unbiased": (
        MSRAHeatmap((64, 64), (16, 16), sigma=2, unbiased=True), [(2, K, 16, 16)]
    ),
    "MegviiHeatmap": (MegviiHeatmap((64, 64), (16, 16), kernel_size=3), [(2, K, 16, 16)]),
    "MoveNetLabel": (
        MoveNetLabel((64, 64)),
        [(2, K, 16, 16), (2, 1, 16, 16), (2, 2 * K, 16, 16), (2, 2 * K, 16, 16)],
    ),
    "RegressionLabel": (RegressionLabel((64, 64)), [(2, K, 2)]),
    "SPR": (
        SPR((64, 64), (16, 16), generate_keypoint_heatmaps=True),
        [(K + 1, 16, 16), (2 * K, 16, 16)],
    ),
    "SimCC3DLabel": (SimCC3DLabel((64, 64, 32)), [(2, K, 128), (2, K, 128), (2, K, 64)]),
    "SimCCLabel": (SimCCLabel((64, 64)), [(2, K, 128), (2, K, 128)]),
    "SimCCLabel, DARK": (SimCCLabel((64, 64), use_dark=True), [(2, K, 128), (2, K, 128)]),
    "UDPHeatmap": (UDPHeatmap((64, 64), (16, 16)), [(2, K, 16, 16)]),
    "UDPHeatmap, combined": (
        UDPHeatmap((64, 64), (16, 16), heatmap_type="combined"), [(2, 3 * K, 16, 16)]
    ),
}  # fmt: skip

#: these take no tensors of a network as they are, or have nothing to decode
TAKE_ARRAYS = {
    "EDPoseLabel",
    "ImagePoseLifting",
    "MotionBERTLabel",
    "VideoPoseLifting",
    "YOLOXPoseAnnotationProcessor",
}


def test_every_codec_is_decoded():
    registered = {n for rows in TABLE.values() for names in rows.values() for n in names.split()}
    assert {name.partition(",")[0] for name in DECODED} | TAKE_ARRAYS == registered


def arrays(decoded):
    if decoded is None:
        return []
    if isinstance(decoded, (list, tuple)):
        return [array for part in decoded for array in arrays(part)]
    return [as_numpy(decoded)]


@pytest.mark.parametrize("kind", ["cuda", "mps"])
@pytest.mark.parametrize("name", DECODED)
def test_outputs_on_a_device_are_decoded_as_on_the_host(name, kind, pretending):
    codec, shapes = DECODED[name]
    g = torch.Generator().manual_seed(0)
    outputs = [torch.rand(shape, generator=g) for shape in shapes]
    decode = codec.batch_decode if codec.support_batch_decoding else codec.decode
    expected = arrays(decode(*(output.clone() for output in outputs)))
    with pretending(kind) as device:
        # what stays on the device must come to the host without complaint
        found = arrays(decode(*(output.to(device) for output in outputs)))
    assert expected
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", DECODED)
def test_outputs_of_16_bits_on_a_device_are_decoded(name, pretending):
    """As autocast gives them on GPUs."""
    codec, shapes = DECODED[name]
    g = torch.Generator().manual_seed(0)
    outputs = [torch.rand(shape, generator=g).half() for shape in shapes]
    decode = codec.batch_decode if codec.support_batch_decoding else codec.decode
    expected = arrays(decode(*(output.float() for output in outputs)))
    with pretending("cuda") as device:
        found = arrays(decode(*(output.to(device) for output in outputs)))
    for a, b in zip(found, expected, strict=True):
        assert np.isfinite(a).all()
        # of equal maxima another may be the first
        assert np.mean(np.abs(np.float64(a) - b) < 0.3) > 0.8


@pytest.mark.parametrize("kind", ["cuda", "mps"])
@pytest.mark.parametrize(
    "name", [n for n, (codec, _) in DECODED.items() if codec.support_covariances]
)
def test_covariances_of_outputs_on_a_device_are_those_of_the_host(name, kind, pretending):
    codec, shapes = DECODED[name]
    if name in ("RegressionLabel", "IntegralRegressionLabel"):
        shapes = [(2, K, 4)]
    g = torch.Generator().manual_seed(0)
    outputs = [torch.rand(shape, generator=g) for shape in shapes]
    expected = codec.batch_decode_covariance(*(output.clone() for output in outputs))
    with pretending(kind) as device:
        found = codec.batch_decode_covariance(*(output.to(device) for output in outputs))
    assert found.shape == (2, 1, K, 2, 2)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
