"""Keys of a whole config that runs look at."""

import pytest

from poise.check.keys import check_overrides
from poise.errors import ConfigError


def test_overrides_of_keys_that_a_run_reads_need_not_be_in_the_config():
    check_overrides({"model": {}}, {"experiment_name": "mine", "randomness.seed": 1})
    with pytest.raises(ConfigError, match="the config has no 'experiment_nam'; did you mean"):
        check_overrides({"model": {}}, {"experiment_nam": "mine"})
