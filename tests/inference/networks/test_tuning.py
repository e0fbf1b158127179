"""A network rearranged for speed gives the same answers, and an odd one stays as it is."""

import pytest
import torch
from torch import nn

import poise
from poise.inference.networks.tuning import agree, fold_batch_norms, tuned
from poise.layers import Conv2d


class Net(nn.Module):
    """Two pairs that can be folded, one norm that hears two convolutions, one shared output."""

    def __init__(self):
        super().__init__()
        self.a, self.norm_a = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.up, self.norm_up = nn.ConvTranspose2d(4, 4, 2, 2), nn.BatchNorm2d(4)
        self.b, self.c, self.both = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.d, self.first, self.second = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.BatchNorm2d(4)

    def forward(self, x, data_samples=None, mode="tensor"):
        x = self.norm_up(self.up(self.norm_a(self.a(x))))
        x = self.both(self.b(x)) + self.both(self.c(x))
        shared = self.d(x)
        return self.first(shared) + self.second(shared)


@pytest.fixture
def net():
    torch.manual_seed(0)
    net = Net().eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight)
    return net


def test_only_pairs_that_always_meet_are_folded(net):
    x = torch.randn(1, 3, 8, 8)
    expected = net(x)
    assert fold_batch_norms(net, x) == 2
    assert isinstance(net.norm_a, nn.Identity)
    assert isinstance(net.norm_up, nn.Identity)
    assert isinstance(net.both, nn.BatchNorm2d)
    assert isinstance(net.first, nn.BatchNorm2d)
    torch.testing.assert_close(net(x), expected, rtol=1e-4, atol=1e-5)


def test_tuned_is_a_copy_that_agrees(net):
    quick = tuned(net, (8, 8))
    assert quick is not net
    assert isinstance(net.norm_a, nn.BatchNorm2d)
    x = torch.randn(2, 3, 8, 8)
    assert agree(quick(x), net(x))


def test_network_that_fails_when_rearranged_stays(net):
    class Viewing(Net):
        def forward(self, x, data_samples=None, mode="tensor"):
            # view needs one order in memory
            return super().forward(x).view(len(x), -1)

    odd = Viewing().eval()
    odd.load_state_dict(net.state_dict())
    assert tuned(odd, (8, 8)) is odd


def test_released_architecture_loses_all_its_norms():
    model = poise.build_model("rtmpose-t_8xb256-420e_coco-256x192").eval()
    quick = tuned(model, (192, 256))
    assert not any(isinstance(m, nn.BatchNorm2d) for m in quick.modules())


def test_transposed_convolutions_in_groups_keep_their_norms():
    net = Net().eval()
    net.up = nn.ConvTranspose2d(4, 4, 2, 2, groups=2).eval()
    quick = tuned(net, (8, 8))
    assert quick is not net
    assert isinstance(quick.norm_up, nn.BatchNorm2d)
    assert isinstance(quick.norm_a, nn.Identity)


def test_tuned_estimators_take_their_quickest_way():
    model = poise.build_model("td-hm_vipnas-mbv3_8xb64-210e_coco-256x192").eval()
    quick = tuned(model, (48, 64))
    assert quick is not model
    convolutions = [m for m in quick.modules() if isinstance(m, Conv2d)]
    assert convolutions
    assert all(m.prefer_onednn for m in convolutions)
    assert not any(m.prefer_onednn for m in model.modules() if isinstance(m, Conv2d))
