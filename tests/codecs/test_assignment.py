"""Assignment of rows to columns."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from poise.codecs.utils.assignment import assign_rows


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("levels", [3, 1000])
def test_the_total_cost_is_the_least(seed, levels):
    rng = np.random.default_rng(seed)
    rows = rng.integers(1, 15)
    cost = rng.integers(0, levels, (rows, rows + rng.integers(0, 6))).astype(float)
    chosen = assign_rows(cost)
    assert len(set(chosen.tolist())) == rows
    expected = cost[linear_sum_assignment(cost)].sum()
    assert cost[np.arange(rows), chosen].sum() == expected


def test_ties_go_to_the_first_free_column():
    assert assign_rows(np.zeros((3, 4))).tolist() == [0, 1, 2]


def test_a_tie_that_needs_a_detour_settles_as_in_the_reference():
    cost = np.array(
        [[0, 2, 2, 1, 1], [0, 0, 0, 1, 1], [3, 3, 1, 0, 0], [3, 3, 1, 1, 0], [1, 2, 2, 0, 0]]
    )
    assert assign_rows(cost * 100.0).tolist() == [0, 1, 3, 2, 4]
