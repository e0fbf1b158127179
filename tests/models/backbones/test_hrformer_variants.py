"""HRFormer's variants by name."""

import pytest

from poise.errors import ConfigError
from poise.models.backbones import HRFormer


@pytest.mark.parametrize("name", ["w18", "w32", "w48"])
def test_variants_of_hrnet_are_refused_with_those_of_hrformer(name):
    with pytest.raises(ConfigError, match=r"no variant of width \d+: take HRFormer.small"):
        getattr(HRFormer, name)()
