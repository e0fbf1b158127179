"""Layers written another way say the same."""

import pytest
import torch
from torch import nn

from poise.export.forms.rewriting import with_gathered_kernels


@pytest.mark.parametrize("kernel", [(7, 7), (5, 7)])
@pytest.mark.parametrize("bias", [False, True])
def test_wide_convolution_becomes_a_transposed_one_with_equal_outputs(kernel, bias):
    torch.manual_seed(0)
    padding = (kernel[0] // 2, kernel[1] // 2)
    network = nn.Sequential(nn.Conv2d(96, 17, kernel, padding=padding, bias=bias)).eval()
    other = with_gathered_kernels(network)
    assert type(network[0]) is nn.Conv2d
    assert type(other[0]) is nn.ConvTranspose2d
    picture = torch.randn(2, 96, 8, 6)
    torch.testing.assert_close(other(picture), network(picture), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(96, 17, 3, padding=1),
        nn.Conv2d(96, 17, 7),
        nn.Conv2d(96, 17, 7, padding=3, stride=2),
        nn.Conv2d(96, 96, 7, padding=3, groups=96),
        nn.Conv2d(96, 256, 7, padding=3),
    ],
    ids=["small", "no padding", "stride", "depthwise", "many outputs"],
)
def test_other_convolutions_stay(layer):
    assert type(with_gathered_kernels(nn.Sequential(layer))[0]) is nn.Conv2d
