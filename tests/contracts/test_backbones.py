"""What every registered backbone keeps: shapes, gradients, modes, sizes, precisions, graphs."""

import copy
import inspect

import pytest
import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.nn.modules.batchnorm import _BatchNorm

from poise.errors import PoiseError
from poise.registry import MODELS
from poise.registry.tables.models import TABLE
from poise.training.machine.sharding import shard, whole


def hr_extra(**more):
    stages = {
        f"stage{n}": {
            "num_modules": 1,
            "num_branches": n,
            "block": "BASIC",
            "num_blocks": [1] * n,
            "num_channels": [4 * 2**i for i in range(n)],
            **more,
        }
        for n in (2, 3, 4)
    }
    stages["stage4"]["multiscale_output"] = True
    first = {"num_modules": 1, "num_branches": 1, "block": "BOTTLENECK"}
    return {"stage1": {**first, "num_blocks": [1], "num_channels": [8]}, **stages}


def former_extra():
    extra = hr_extra(block="HRFORMERBLOCK")
    for n in (2, 3, 4):
        extra[f"stage{n}"] |= {
            "num_heads": [2] * n,
            "window_sizes": [7] * n,
            "mlp_ratios": [2] * n,
        }
    return {"drop_path_rate": 0.0, "with_rpe": True, "with_pad_mask": True, **extra}


LITE = {
    "stem": {"stem_channels": 16, "out_channels": 16, "expand_ratio": 1},
    "num_stages": 2,
    "stages_spec": {
        "num_modules": [1, 1],
        "num_branches": [2, 3],
        "num_blocks": [1, 1],
        "module_type": ["LITE", "LITE"],
        "with_fuse": [True, True],
        "reduce_ratios": [8, 8],
        "num_channels": [[16, 32], [16, 32, 64]],
    },
    "with_head": True,
}
VIT = {"embed_dims": 8, "num_layers": 2, "num_heads": 2, "feedforward_channels": 16}
SMALL = {"base_channels": 8, "stem_channels": 8, "out_indices": (0, 1, 2, 3)}
STRIDES = (4, 8, 16, 32)
PICTURE = (2, 3, 64, 96)

#: smaller pictures for networks with wide layers
SIZES = {"CPM": (2, 3, 16, 24), "VGG": (2, 3, 32, 32), "ViPNAS_ResNet": (2, 3, 32, 64)}


def pyramid(*channels):
    return list(zip(channels, STRIDES, strict=True))


#: class -> arguments, and (channels, stride) of each map
PICTURES = {
    "AlexNet": ({}, [(256, 0)]),
    "CPM": ({"in_channels": 3, "out_channels": 5, "feat_channels": 8, "num_stages": 2},
            [(5, 8)] * 2),
    "CSPDarknet": ({"deepen_factor": 0.33, "widen_factor": 0.125},
                   [(32, 8), (64, 16), (128, 32)]),
    "CSPNeXt": ({"deepen_factor": 0.167, "widen_factor": 0.125}, [(32, 8), (64, 16), (128, 32)]),
    "HRFormer": ({"extra": former_extra()}, pyramid(4, 8, 16, 32)),
    "HRNet": ({"extra": hr_extra()}, pyramid(4, 8, 16, 32)),
    "HourglassAENet": ({"downsample_times": 2, "num_stacks": 2, "stage_channels": [32, 16, 16],
                        "feat_channels": 32}, [(34, 4)] * 2),
    "HourglassNet": ({"downsample_times": 2, "num_stacks": 2, "stage_channels": [256, 16, 16],
                      "stage_blocks": [1, 1, 1]}, [(256, 4)] * 2),
    "LiteHRNet": ({"extra": LITE}, [(16, 4)]),
    "MSPN": ({"unit_channels": 16, "num_stages": 2, "num_units": 2, "num_blocks": [1, 1]},
             [(16, 8), (16, 4)] * 2),
    "MobileNetV2": ({"widen_factor": 0.25, "out_indices": (1, 7)}, [(8, 4), (1280, 32)]),
    "MobileNetV3": ({"arch": "small", "out_indices": (0, -1)}, [(16, 4), (96, 32)]),
    "poise.WindowedVisionTransformer": ({"arch": VIT, "img_size": 64, "patch_size": 16,
                                         "out_indices": (0, 1), "global_layers": (1,)},
                                        [(8, 16)] * 2),
    "poise.MoveNetBackbone": ({"width": 1.0}, pyramid(24, 32, 64, 1280)),
    "PyramidVisionTransformer": ({"embed_dims": 8, "num_layers": [1] * 4, "pretrain_img_size": 64},
                                 pyramid(8, 16, 40, 64)),
    "PyramidVisionTransformerV2": ({"embed_dims": 8, "num_layers": [1] * 4},
                                   pyramid(8, 16, 40, 64)),
    "RSN": ({"unit_channels": 16, "num_stages": 2, "num_units": 2, "num_blocks": [1, 1]},
            [(16, 8), (16, 4)] * 2),
    "RegNet": ({"arch": "regnetx_400mf", "out_indices": (0, 1, 2, 3)}, pyramid(32, 64, 160, 384)),
    "ResNeSt": ({"depth": 50, **SMALL}, pyramid(32, 64, 128, 256)),
    "ResNeXt": ({"depth": 50, "groups": 8, "width_per_group": 2, **SMALL},
                pyramid(32, 64, 128, 256)),
    "ResNet": ({"depth": 18, **SMALL}, pyramid(8, 16, 32, 64)),
    "ResNetV1d": ({"depth": 18, **SMALL}, pyramid(8, 16, 32, 64)),
    "Sapiens2": ({"arch": VIT, "img_size": PICTURE[2:]}, [(8, 16)]),
    "SCNet": ({"depth": 50, "num_stages": 3, "strides": (1, 2, 2), "dilations": (1, 1, 1),
               **SMALL, "out_indices": (0, 1, 2)}, [(32, 4), (64, 8), (128, 16)]),
    "SEResNeXt": ({"depth": 50, "width_per_group": 1, **SMALL}, pyramid(32, 64, 128, 256)),
    "SEResNet": ({"depth": 50, **SMALL}, pyramid(32, 64, 128, 256)),
    "ShuffleNetV1": ({"groups": 4, "out_indices": (0, 1, 2)},
                     [(272, 8), (544, 16), (1088, 32)]),
    "ShuffleNetV2": ({"widen_factor": 0.5, "out_indices": (0, 1, 2, 3)},
                     [(48, 8), (96, 16), (192, 32), (1024, 32)]),
    "SwinTransformer": ({"embed_dims": 12, "depths": [2, 2], "num_heads": [2, 2],
                         "strides": [4, 2], "out_indices": [0, 1]}, [(12, 4), (24, 8)]),
    "SwinTransformerV2": ({"img_size": PICTURE[2:], "embed_dim": 8, "depths": [2, 1, 1, 1],
                           "num_heads": [1, 2, 2, 2], "window_size": 4, "num_classes": 0,
                           "drop_path_rate": 0.0}, [(64, 16)]),
    "UniFormer": ({"depths": [1, 1, 2, 1], "embed_dims": [8, 16, 32, 64], "head_dim": 16},
                  pyramid(8, 16, 32, 64)),
    "VGG": ({"depth": 11, "norm_cfg": {"type": "BN"}, "out_indices": (1, 4)},
            [(128, 4), (512, 32)]),
    "ViPNAS_MobileNetV3": ({}, [(160, 32)]),
    "ViPNAS_ResNet": ({"depth": 50}, [(608, 32)]),
    "mmdet.ResNet": ({"depth": 18, "base_channels": 8}, pyramid(8, 16, 32, 64)),
    "mmpretrain.VisionTransformer": ({"arch": VIT, "img_size": PICTURE[2:], "patch_size": 16,
                                      "with_cls_token": False, "out_type": "featmap"}, [(8, 16)]),
}  # fmt: skip

#: the others: class -> arguments, shape of the input, shapes of the outputs
OTHERS = {
    "DSTFormer": ({"in_channels": 3, "feat_size": 16, "depth": 2, "num_heads": 2, "mlp_ratio": 2},
                  (2, 5, 17, 3), [(2, 5, 17, 16)]),
    "TCN": ({"in_channels": 34, "stem_channels": 16, "num_blocks": 1, "kernel_sizes": (3, 3)},
            (2, 34, 12), [(2, 16, 4)]),
    "V2VNet": ({"input_channels": 4, "output_channels": 5, "mid_channels": 4},
               (2, 4, 8, 8, 12), [(2, 5, 8, 8, 12)]),
}  # fmt: skip

#: made of the layers of another case, so that its graph shows nothing new
LIKE_ANOTHER = (
    "AlexNet", "CSPDarknet", "HRFormer", "HourglassAENet", "MobileNetV2", "RSN", "RegNet",
    "ResNeXt", "ResNetV1d", "SEResNeXt", "ShuffleNetV1", "ViPNAS_MobileNetV3", "ViPNAS_ResNet",
    "mmdet.ResNet", "poise.MoveNetBackbone",
)  # fmt: skip

#: parameters that the outputs do not depend on, as in MMPose
IDLE: dict[str, tuple[str, ...]] = {}

NAMES = [*PICTURES, *OTHERS]


def flat(out):
    if isinstance(out, torch.Tensor):
        return [out]
    return [t for part in out for t in flat(part)]


def build(name, **more):
    torch.manual_seed(0)
    args = (PICTURES.get(name) or OTHERS[name])[0]
    return MODELS.build({"type": name, **args, **more})


def batch(name, shape=None):
    shape = shape or (SIZES.get(name, PICTURE) if name in PICTURES else OTHERS[name][1])
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module", params=NAMES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def net(name):
    net = build(name)
    if hasattr(net, "init_weights"):
        net.init_weights()
    return net


def test_the_contract_covers_every_registered_backbone():
    covered = {n.rpartition(".")[2] for n in NAMES}
    # timm's networks have tests of their own; the other is MMYOLO's name of CSPDarknet
    covered |= {"TIMMBackbone", "YOLOXCSPDarknet"}
    registered = {
        entry.partition("=")[0]
        for rows in TABLE.values()
        for module, entries in rows.items()
        if module.startswith("poise.models.backbones.")
        for entry in entries.split()
    }
    assert covered == registered


def test_maps_have_the_declared_shapes(name, net):
    with torch.no_grad():
        outs = flat(net.eval()(batch(name)))
    if name in OTHERS:
        expected = OTHERS[name][2]
    else:
        height, width = SIZES.get(name, PICTURE)[2:]
        expected = [
            (2, c, height // s, width // s) if s else outs[0].shape for c, s in PICTURES[name][1]
        ]
    assert [tuple(o.shape) for o in outs] == [tuple(e) for e in expected]
    assert all(o.isfinite().all() for o in outs)


def test_eval_mode_gives_the_same_twice_and_train_mode_learns_statistics(name, net, close):
    x = batch(name)
    with torch.no_grad():
        first, second = (flat(net.eval()(x)) for _ in range(2))
    assert close(first, second)
    copied = copy.deepcopy(net).train()
    assert copied.training
    norms = [m for m in copied.modules() if isinstance(m, _BatchNorm) and m.training]
    before = [m.num_batches_tracked.clone() for m in norms]
    with torch.no_grad():
        copied(x)
    assert all(m.num_batches_tracked > b for m, b in zip(norms, before, strict=True))


def test_gradients_reach_every_trainable_parameter(name):
    # torch's own start values: zeros of a residual branch would hide what is before them
    net = build(name).train()
    sum(o.square().mean() for o in flat(net(batch(name)))).backward()
    missing = [n for n, p in net.named_parameters() if p.requires_grad and p.grad is None]
    assert [n for n in missing if not n.startswith(IDLE.get(name, ("-",)))] == []


def test_frozen_stages_get_no_gradients(name):
    cls = type(build(name))
    if "frozen_stages" not in inspect.signature(cls).parameters and name not in (
        "ResNeXt", "SEResNet", "SEResNeXt", "ResNeSt", "SCNet", "ResNetV1d"
    ):  # fmt: skip
        pytest.skip("has no stages to freeze")
    free = sum(p.requires_grad for p in build(name).train().parameters())
    frozen = build(name, frozen_stages=1).train()
    assert 0 < sum(p.requires_grad for p in frozen.parameters()) < free
    still = [m for m in frozen.modules() if not list(m.children()) and not m.training]
    assert still
    sum(o.square().mean() for o in flat(frozen(batch(name)))).backward()
    assert all(p.grad is None for p in frozen.parameters() if not p.requires_grad)


def test_a_device_gives_the_same(name, pretending, close):
    networks, (x, outputs) = [build(name).train(), build(name).train()], (batch(name), [])
    with pretending("mps") as device:
        networks[1].to(device)
        for network, picture in zip(networks, (x, x.to(device)), strict=True):
            torch.manual_seed(2)  # for dropped paths
            outputs.append(flat(network(picture)))
            sum(o.square().mean() for o in outputs[-1]).backward()
        # processors have some convolutions of their own, which round otherwise
        assert close(outputs[1], outputs[0])
        slopes = [[p.grad for p in network.parameters()] for network in networks]
        for here, there in zip(*slopes, strict=True):
            assert (here is None) == (there is None)
            if here is not None:
                # what cancels out but for rounding has no size of its own
                off = (here - there.cpu()).abs().max()
                assert off <= 1e-2 * here.abs().max() + 1e-5


@pytest.mark.parametrize("size", [(75, 53), (70, 98)])
def test_odd_sizes_work_or_are_refused_by_name(name, net, size):
    if name in OTHERS:
        pytest.skip("takes no pictures")
    try:
        with torch.no_grad():
            outs = flat(net.eval()(batch(name, (1, 3, *size))))
    except PoiseError as error:
        assert "pixels" in str(error) or "sides" in str(error)  # noqa: PT017
    else:
        assert all(o.isfinite().all() and o.numel() for o in outs)


def test_half_precision_is_finite(name, net):
    half = copy.deepcopy(net).eval().bfloat16()
    with torch.no_grad():
        outs = flat(half(batch(name).bfloat16()))
    assert all(o.dtype == torch.bfloat16 and o.isfinite().all() for o in outs)


@pytest.mark.slow
def test_one_graph_holds_the_whole_network(name, net, close):
    if name in LIKE_ANOTHER:
        pytest.skip("its layers are those of another family")
    torch.compiler.reset()
    x = batch(name)
    net.eval()
    with torch.no_grad():
        compiled = torch.compile(net, backend="eager", fullgraph=True)
        assert close(flat(compiled(x)), flat(net(x)))


@pytest.mark.slow
def test_an_exported_program_gives_the_same(name, net):
    if name in LIKE_ANOTHER:
        pytest.skip("its layers are those of another family")
    x = batch(name)
    net.eval()
    with torch.no_grad():
        program = torch.export.export(net, (x,)).module()
        pairs = zip(flat(program(x)), flat(net(x)), strict=True)
        assert all(torch.allclose(a, b, atol=1e-4) for a, b in pairs)


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    """A group of this process alone, over which weights can be split."""
    if not hasattr(torch.cpu.Stream, "record_event"):
        pytest.skip("torch splits weights on CPUs from 2.7 on")
    store = torch.distributed.FileStore(str(tmp_path_factory.mktemp("group") / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    torch.distributed.destroy_process_group()


# outputs that are views must not be changed in place, which the gradients below would show
@pytest.mark.filterwarnings("ignore:FSDP2-wrapped module .* returned a view")
def test_split_weights_give_the_same(name, mesh, close):
    plain, split = build(name).train(), build(name).train()
    shard(split, mesh, torch.device("cpu"))
    outputs, gradients = [], []
    for network in (plain, split):
        torch.manual_seed(2)  # for dropped paths
        outputs.append(flat(network(batch(name))))
        sum(out.square().mean() for out in outputs[-1]).backward()
        having = {n: p.grad for n, p in network.named_parameters() if p.grad is not None}
        gradients.append({n: whole(gradient) for n, gradient in having.items()})
    assert close(*outputs)
    assert gradients[0].keys() == gradients[1].keys()
    for key, gradient in gradients[0].items():
        off = (gradient - gradients[1][key]).abs().max()
        assert off <= 1e-2 * gradient.abs().max() + 1e-5, key
