"""Corrections are those of their definitions, and a family never shrinks."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ft_eval.stats import benjamini_hochberg, best_candidate, holm

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=20)


def slow_holm(p_values, place):
    """The smallest alpha at which stepping down from the smallest p gets past this one."""
    ordered = sorted(p_values)
    reached = [min(1.0, (len(ordered) - rank) * p) for rank, p in enumerate(ordered)]
    return max(reached[: ordered.index(p_values[place]) + 1])


@given(P_VALUES)
def test_holm_is_its_definition(p_values):
    expected = [slow_holm(p_values, place) for place in range(len(p_values))]
    assert holm(p_values) == pytest.approx(expected, abs=1e-10)


@given(P_VALUES)
def test_benjamini_hochberg_is_scipys(p_values):
    assert benjamini_hochberg(p_values) == pytest.approx(stats.false_discovery_control(p_values), abs=1e-10)


def test_the_published_gains_leave_one_of_five_standing():
    adjusted = holm([0.54, 0.70, 0.62, 0.023, 1e-7])
    assert (adjusted < 0.05).tolist() == [False, False, False, False, True]
    assert adjusted[3] == pytest.approx(0.092)


def test_tasks_times_candidates_are_one_family():
    table = np.array([[0.01, 0.2], [0.04, 0.03]])
    assert holm(table).ravel() == pytest.approx(holm(table.ravel()))
    assert holm(table).shape == (2, 2)


@pytest.mark.parametrize("correct", [holm, benjamini_hochberg])
def test_a_test_that_could_not_be_made_stays_undefined_and_still_counts(correct):
    with_gap = correct([0.01, math.nan])
    assert math.isnan(with_gap[1])
    assert with_gap[0] == pytest.approx(0.02)


@pytest.mark.parametrize("correct", [holm, benjamini_hochberg])
def test_what_is_no_p_value_is_refused(correct):
    with pytest.raises(ValueError, match="between 0 and 1"):
        correct([0.2, 1.2])


def test_no_test_has_no_adjusted_p():
    assert holm([]).size == 0


def test_the_best_of_several_pays_for_all_of_them():
    best = best_candidate([0.01, 0.05, -0.02, 0.03], [0.6, 0.02, 0.3, 0.2])
    assert (best.index, best.difference, best.p_value) == (1, 0.05, 0.02)
    assert best.p_adjusted == pytest.approx(0.08)
    assert best.num_candidates == 4


def test_where_lower_is_better_the_best_is_the_lowest():
    assert best_candidate([0.3, -0.2], [0.5, 0.5], higher_is_better=False).index == 1


@pytest.mark.parametrize("given_values", [([], []), ([0.1], [0.1, 0.2]), ([math.nan], [0.1])])
def test_candidates_that_are_none_are_refused(given_values):
    with pytest.raises(ValueError, match="one finite difference"):
        best_candidate(*given_values)
