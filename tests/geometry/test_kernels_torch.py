"""torchvision's kernels without what the rest of torchvision costs."""

from __future__ import annotations

import pytest
import torch
from torchvision.ops import roi_align as reference

from poise.geometry.kernels_torch import roi_align


@pytest.mark.parametrize(("samples", "aligned"), [(0, True), (2, True), (0, False)])
def test_features_of_boxes_are_torchvisions(samples, aligned) -> None:
    torch.manual_seed(0)
    maps = torch.randn(2, 3, 16, 20)
    corners = torch.rand(30, 2) * 60
    boxes = torch.cat([torch.arange(30)[:, None] % 2, corners, corners + 40 * torch.rand(30, 2)], 1)
    found = roi_align(maps, boxes, (7, 5), scale=0.25, samples=samples, aligned=aligned)
    assert found.shape == (30, 3, 7, 5)
    assert torch.equal(found, reference(maps, boxes, (7, 5), 0.25, samples, aligned))
