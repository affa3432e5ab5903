"""Plans are right: powers are those of the tests written out, and what is asked for is what comes back."""

import math

import numpy as np
import pytest
from scipy import stats

from ft_eval.stats import (
    PairedVariance,
    Target,
    compare_draws,
    compare_paired,
    detectable_after,
    detectable_binary,
    detectable_mean,
    draws_needed,
    items_needed,
    mcnemar_mid_p,
    planned_variance,
    power_mcnemar,
    power_t,
)


def slow_power(n, discordance, difference, alpha):
    """Over every table of wins and losses: its chance, where the mid-p rejects."""
    win, lose, total = (discordance + difference) / 2, (discordance - difference) / 2, 0.0
    for wins in range(n + 1):
        for losses in range(n - wins + 1):
            if mcnemar_mid_p(wins, losses) < alpha:
                total += stats.multinomial.pmf([wins, losses, n - wins - losses], n, [win, lose, 1 - win - lose])
    return total


@pytest.mark.parametrize(("discordance", "difference"), [(0.3, 0.1), (0.2, -0.2), (0.5, 0.0)])
def test_power_of_mid_p_is_the_sum_over_all_tables(discordance, difference):
    for alpha in (0.05, 0.01):
        expected = slow_power(25, discordance, difference, alpha)
        assert power_mcnemar(25, discordance, difference, alpha) == pytest.approx(expected, abs=1e-9)


def test_power_of_t_is_the_textbooks():
    """A standardised difference of 0.5: 34 pairs have power 0.8078 (Faul et al. 2007, G*Power's manual)."""
    assert power_t(34, 1.0, 0.5) == pytest.approx(0.8077775, abs=1e-6)
    assert items_needed(0.5, 1.0).num_items == 34


@pytest.mark.parametrize(("n", "discordance"), [(164, 0.1), (378, 0.2), (14_042, 0.2), (164, 0.01)])
def test_the_detectable_difference_has_the_power_that_was_asked_for(n, discordance):
    for target in (Target(), Target(power=0.9, alpha=0.05 / 17)):
        found = detectable_binary(n, discordance, target=target).difference
        assert power_mcnemar(n, max(found, discordance), found, target.alpha) == pytest.approx(target.power, abs=1e-4)


def test_with_many_items_it_is_the_textbooks_formula():
    found, z = detectable_binary(14_042, 0.2).difference, stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    assert found == pytest.approx(z * math.sqrt(0.2 / 14_042), rel=0.01)
    assert detectable_mean(14_042, 0.2).difference == pytest.approx(z * math.sqrt(0.2 / 14_042), rel=1e-3)


@pytest.mark.parametrize(
    ("n", "discordance", "points"),
    [(164, 0.05, 4.5), (164, 0.1, 6.6), (164, 0.2, 9.6), (378, 0.1, 4.5), (1319, 0.15, 3.0), (14_042, 0.2, 1.06)],
)
def test_the_table_of_the_documentation_is_what_the_function_says(n, discordance, points):
    assert detectable_binary(n, discordance).points == pytest.approx(points, abs=0.05)


def test_the_documentations_plan_is_what_the_functions_say():
    variance = planned_variance(0.2, 0.1)
    assert [draws_needed(gain, 164, variance).num_draws for gain in (0.08, 0.05, 0.03)] == [2, 6, None]
    assert items_needed(0.03, variance.per_item(4, 4)).num_items == 569


def test_a_published_humaneval_gain_is_below_what_one_run_can_see():
    """.268 to .299 on 164 problems are 11 % of the baseline; one run at 20 % discordance sees 36 %."""
    found = detectable_binary(164, 0.2, baseline=0.268)
    assert found.points > 100 * (0.299 - 0.268)
    assert found.percent == pytest.approx(100 * found.difference / 0.268)
    assert 30 < found.percent < 40


def test_percent_of_no_baseline_is_undefined():
    assert math.isnan(detectable_binary(164, 0.2).percent)
    assert math.isnan(detectable_mean(164, 0.2, baseline=0.0).percent)


def test_five_items_can_show_nothing_and_it_is_said():
    found = detectable_binary(5, 0.2, target=Target(alpha=0.01))
    assert math.isnan(found.difference)
    assert found.reason == "5 items are too few for any difference"


def test_after_a_run_the_observed_discordance_is_the_assumption():
    baseline, latent = [0] * 20 + [1] * 144, [1] * 12 + [0] * 8 + [1] * 140 + [0] * 4
    assert detectable_after(compare_paired(baseline, latent)).difference == detectable_binary(164, 16 / 164).difference


def test_after_a_run_of_draws_the_observed_error_is_the_assumption():
    rng = np.random.default_rng(4)
    base, latent = rng.random((50, 4)), rng.random((50, 4))
    comparison = compare_draws(base, latent)
    variance = float((latent.mean(axis=1) - base.mean(axis=1)).var(ddof=1))
    assert detectable_after(comparison).difference == pytest.approx(detectable_mean(50, variance).difference)


def test_after_a_run_of_clusters_fewer_degrees_of_freedom_cost_some():
    rng = np.random.default_rng(5)
    comparison = compare_draws(rng.random(40), rng.random(40), clusters=np.repeat(np.arange(5), 8))
    many = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    assert detectable_after(comparison).difference > 1.2 * many * comparison.difference.stderr


def test_after_a_run_without_a_change_nothing_is_known():
    found = detectable_after(compare_paired([0, 1, 1], [0, 1, 1]))
    assert math.isnan(found.difference)
    assert found.reason == "no item changed, so its variance is unknown"


@pytest.mark.parametrize("baseline_draws", [None, 4])
def test_the_number_of_draws_is_the_fewest_that_are_enough(baseline_draws):
    variance, n = PairedVariance(item=0.01, baseline_draw=0.08, latent_draw=0.1), 164
    found = draws_needed(0.045, n, variance, baseline_draws=baseline_draws).num_draws
    assert found is not None
    assert found > 1
    enough, fewer = (power_t(n, variance.per_item(baseline_draws or k, k), 0.045) for k in (found, found - 1))
    assert fewer < 0.80 <= enough


def test_no_number_of_draws_makes_up_for_too_few_items():
    variance = planned_variance(0.2, 0.5)
    found = draws_needed(0.02, 164, variance)
    assert found.num_draws is None
    assert found.reason.startswith("no K resolves it")
    assert power_t(164, variance.per_item(10**9, 10**9), 0.02) < 0.80


def test_one_draw_is_enough_where_draws_make_no_noise():
    assert draws_needed(0.2, 164, PairedVariance(item=0.1, baseline_draw=0.0, latent_draw=0.0)).num_draws == 1


def test_the_number_of_items_is_the_fewest_that_are_enough():
    found = items_needed(0.03, 0.15).num_items
    assert found is not None
    assert power_t(found - 1, 0.15, 0.03) < 0.80 <= power_t(found, 0.15, 0.03)


def test_a_difference_of_nothing_needs_more_items_than_there_are():
    found = items_needed(1e-9, 0.1)
    assert found.num_items is None
    assert found.reason == "more than 10,000,000 items"


def test_numbers_that_make_no_plan_are_refused():
    with pytest.raises(ValueError, match="discordance"):
        power_mcnemar(10, 0.1, 0.2)
    with pytest.raises(ValueError, match="discordance"):
        detectable_binary(10, 1.5)
    with pytest.raises(ValueError, match="variance"):
        detectable_mean(10, -0.1)
    with pytest.raises(ValueError, match="n >= 2"):
        draws_needed(0.1, 1, planned_variance(0.2, 0.5))
