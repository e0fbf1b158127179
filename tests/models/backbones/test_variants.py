"""Published variants: built by name, by short forms, and as listed."""

import importlib.util
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

from poise.errors import UnknownNameError
from poise.models import backbones
from poise.models.cost import cost
from poise.zoo.backbone_costs import known_costs, variant_names
from poise.zoo.variants import VARIANTS

#: their makers take sizes that no paper has published
WITHOUT = {
    "BaseBackbone", "MoveNetBackbone", "TIMMBackbone", "V2VNet", "WindowedVisionTransformer",
}  # fmt: skip
#: class -> (short form, variant)
SHORT = {
    "CSPDarknet": "tiny s m l x",
    "CSPNeXt": "tiny s m l x",
    "HRFormer": "small base",
    "HRNet": "w18 w32 w48",
    "LiteHRNet": "layers18 layers30",
    "MobileNetV3": "small large",
    "PyramidVisionTransformer": "tiny small medium large",
    "PyramidVisionTransformerV2": "b0 b1 b2 b3 b4 b5",
    "SwinTransformer": "tiny small base large",
    "UniFormer": "small base",
    "VisionTransformer": "small base large huge",
}


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def test_every_backbone_has_its_published_variants():
    assert {*VARIANTS, *WITHOUT} == set(backbones.__all__)
    assert all(
        getattr(backbones, family).published() == tuple(VARIANTS[family]) for family in VARIANTS
    )


def test_the_table_of_costs_has_every_variant():
    assert list(known_costs()) == variant_names()


@pytest.mark.parametrize(
    ("family", "name"), [(f, n) for f, names in SHORT.items() for n in names.split()]
)
def test_short_forms_build_the_variant(family, name):
    cls = getattr(backbones, family)
    with torch.device("meta"):
        network = getattr(cls, name)()
    assert type(network) is cls
    assert parameters(network) == known_costs()[family, name][0]


@pytest.mark.parametrize(
    ("family", "variant", "millions", "gflops"),
    [
        # as their papers say; without classifiers and heads, hence a little less
        ("HRNet", "w32", 28.5, 7.6),
        ("ResNet", "50", 23.5, 4.0),
        ("SwinTransformer", "tiny", 27.5, 5.1),
        ("VisionTransformer", "base", 85.8, 17.1),
        ("LiteHRNet", "layers18", 1.1, 0.2),
    ],
)
def test_costs_are_those_of_the_papers(family, variant, millions, gflops):
    counted, work = known_costs()[family, variant]
    assert counted / 1e6 == pytest.approx(millions, abs=0.05)
    assert work / 1e9 == pytest.approx(gflops, abs=0.06)


def table_line():
    path = Path(__file__).parents[2] / "zoo" / "update_backbone_costs.py"
    spec = importlib.util.spec_from_file_location("update_backbone_costs", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.line


@pytest.mark.slow
@pytest.mark.parametrize("family", VARIANTS)
def test_the_table_is_what_is_counted_today(family):
    first, *others = VARIANTS[family]
    known, work = known_costs()[family, first]
    row = f"{family} {first} {known} {'-' if work is None else work}"
    assert table_line()(family, first) == row
    # the work of all would take minutes; their parameters take a moment
    for variant in others:
        found = cost(partial(getattr(backbones, family).variant, variant))
        assert found.parameters == known_costs()[family, variant][0]


def test_arguments_win_over_those_of_the_variant():
    network = backbones.HRFormer.variant("small", in_channels=1)
    assert network.conv1.in_channels == 1
    assert backbones.ResNet.variant(18, out_indices=(0, 3)).out_indices == (0, 3)


def test_a_class_of_the_user_has_the_variants_of_its_base():
    class Mine(backbones.ResNet):
        pass

    assert Mine.published() == backbones.ResNet.published()
    assert type(Mine.variant("18")) is Mine


def test_short_forms_build_the_class_they_are_asked_of():
    class Mine(backbones.MobileNetV3):
        pass

    network = Mine.small(out_indices=(1,))
    assert type(network) is Mine
    assert network.out_indices == (1,)
    with pytest.raises(UnknownNameError, match="HRFormer has no published variant 'w64'"):
        backbones.HRFormer.variant("w64")


def test_unknown_variants_are_refused_with_the_known_ones():
    with pytest.raises(UnknownNameError, match=r"no published variant 'w64'.*w18, w32, w48"):
        backbones.HRNet.variant("w64")
    with pytest.raises(UnknownNameError, match="there are: none"):
        backbones.V2VNet.variant("small")


def test_a_size_that_a_network_refuses_has_no_work():
    found = cost(lambda: backbones.HourglassNet(num_stacks=1), (1, 3, 256, 192))
    assert found.multiply_adds is None
    assert found.parameters > 9e7
    assert cost(lambda: backbones.HourglassNet(num_stacks=1), (1, 3, 256, 256)).multiply_adds > 1e9
