"""The macro mean gives every task one vote and adds the tasks' errors as independent."""

import math

import numpy as np
import pytest
from scipy import stats

from ft_eval.stats import compare_macro, compare_paired, macro_estimate, mean_estimate

RNG = np.random.default_rng(57)
STRATA = [RNG.random(size) for size in (5, 40, 12)]
PAIRS = [(RNG.random(size), RNG.random(size)) for size in (5, 40, 12)]


def test_every_task_has_one_vote_whatever_its_size():
    estimate = macro_estimate([mean_estimate(scores) for scores in STRATA])
    assert estimate.mean == pytest.approx(np.mean([scores.mean() for scores in STRATA]))
    assert estimate.stderr == pytest.approx(math.sqrt(sum(stats.sem(scores) ** 2 for scores in STRATA)) / 3)
    assert estimate.n == 57


def test_two_strata_give_welchs_t_test():
    """The difference of two means is twice the macro mean of one and the other's negative: scipy's Welch test."""
    a, b = STRATA[0], STRATA[1]
    expected = stats.ttest_ind(a, b, equal_var=False)
    result = compare_macro([(np.zeros(5), a), (b, np.zeros(40))])
    assert result.p_value == pytest.approx(expected.pvalue, abs=1e-10)
    interval = expected.confidence_interval(0.95)
    assert result.difference.low == pytest.approx(interval.low / 2, abs=1e-10)
    assert result.difference.high == pytest.approx(interval.high / 2, abs=1e-10)


def test_one_stratum_is_the_paired_t_test():
    result, expected = compare_macro(PAIRS[:1]), compare_paired(*PAIRS[0])
    assert result.p_value == pytest.approx(expected.p_value, abs=1e-12)
    assert result.difference.low == pytest.approx(expected.difference.low, abs=1e-12)


def test_wins_add_up_over_tasks():
    result = compare_macro(PAIRS)
    parts = [compare_paired(*pair) for pair in PAIRS]
    assert result.num_wins == sum(part.num_wins for part in parts)
    assert result.num_wins + result.num_losses + result.num_ties == 57


def test_a_task_with_one_item_leaves_the_group_without_stderr_and_it_is_said():
    result = compare_macro([*PAIRS, ([0.0], [1.0])])
    assert math.isnan(result.p_value)
    assert result.reason == "1 of 4 tasks have fewer than two items"


def test_no_difference_anywhere_is_p_one():
    assert compare_macro([([0, 1], [0, 1]), ([1, 1], [1, 1])]).p_value == 1.0


def test_no_task_at_all_says_so():
    assert compare_macro([]).reason == "no scored item"
