"""The macro mean gives every task one vote and adds the tasks' errors as independent."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from ft_eval.stats import (
    cluster_estimate,
    compare_macro,
    compare_paired,
    macro_estimate,
    mean_estimate,
    pooled_effect,
)
from ft_eval.stats.estimate import t_estimate

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


def test_the_pooled_effect_is_the_macro_difference():
    differences = [compare_paired(*pair).difference for pair in PAIRS]
    pooled, expected = pooled_effect(differences), compare_macro(PAIRS)
    assert pooled.effect == expected.difference
    assert pooled.interval_90 == expected.interval_90
    assert (pooled.p_value, pooled.num_tasks) == (expected.p_value, 3)


def test_heterogeneity_of_two_tasks_is_the_z_test_of_their_difference():
    one, two = t_estimate(STRATA[0]), t_estimate(STRATA[1] + 0.3)
    z = (one.mean - two.mean) / math.hypot(one.stderr, two.stderr)
    pooled = pooled_effect([one, two])
    assert pooled.p_heterogeneity == pytest.approx(2 * stats.norm.sf(abs(z)), abs=1e-10)


def test_the_spread_of_true_effects_is_found_on_average():
    """300 runs of 40 tasks whose true effects have a standard deviation of 0.05: the mean of the squares is right."""
    rng, squares, one = np.random.default_rng(17), [], t_estimate(STRATA[1])
    for _ in range(300):
        found = rng.normal(0.0, 0.05, size=40) + rng.normal(0.0, 0.04, size=40)
        tasks = [replace(one, mean=mean, stderr=0.04) for mean in found]
        squares.append(pooled_effect(tasks).spread ** 2)
    assert np.mean(squares) == pytest.approx(0.05**2, rel=0.1)


def test_tasks_of_one_effect_show_no_spread_and_no_heterogeneity():
    pooled = pooled_effect([t_estimate(np.array([0.1, 0.2, 0.3])), t_estimate(np.array([0.0, 0.2, 0.4, 0.2]))])
    assert (pooled.heterogeneity_q, pooled.spread) == pytest.approx((0.0, 0.0), abs=1e-12)
    assert pooled.p_heterogeneity == pytest.approx(1.0)


def test_clusters_keep_their_degrees_of_freedom_in_the_pool():
    """Two tasks of ten clusters each are no more than twenty units, however many items they hold."""
    names, rng = np.repeat(np.arange(10), 30), np.random.default_rng(2)
    tasks = [cluster_estimate(rng.normal(size=300), names) for _ in range(2)]
    assert pooled_effect(tasks).effect.degrees_of_freedom <= 18.0 + 1e-9


def test_one_task_has_no_heterogeneity():
    pooled = pooled_effect([t_estimate(STRATA[0])])
    assert math.isnan(pooled.p_heterogeneity)
    assert pooled.effect.mean == pytest.approx(STRATA[0].mean())


def test_no_task_has_no_pooled_effect_and_says_so():
    assert pooled_effect([]).reason == "no scored item"
