"""Paired tests agree with scipy and with the slow definitions, and keep their level in simulation."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import optimize, stats

from ft_eval.stats import compare_paired, mcnemar_exact_p, mcnemar_mid_p, paired_score_interval

COUNTS = st.integers(0, 60)


def slow_mid_p(num_wins: int, num_losses: int) -> float:
    """Two-sided mid-p by its definition: outcomes less likely than the observed, and half of those as likely."""
    n = num_wins + num_losses
    chances = [math.comb(n, k) / 2**n for k in range(n + 1)]
    observed = chances[num_wins]
    less: float = sum(c for c in chances if c < observed * (1 - 1e-12))
    equal: float = sum(c for c in chances if abs(c - observed) <= observed * 1e-12)
    return less + 0.5 * equal


def slow_score_z(num_wins: int, num_losses: int, n: int, delta: float) -> float:
    """Tango's z with the nuisance probability found by searching the likelihood."""

    def minus_log_likelihood(q: float) -> float:
        tiny = 1e-300
        rest = max(1.0 - 2.0 * q - delta, tiny)
        terms = ((num_wins, q + delta), (num_losses, q), (n - num_wins - num_losses, rest))
        return float(-sum(count * math.log(max(p, tiny)) for count, p in terms))

    bounds = (max(0.0, -delta), (1.0 - delta) / 2.0)
    q = optimize.minimize_scalar(minus_log_likelihood, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
    return (num_wins - num_losses - n * delta) / math.sqrt(n * (2.0 * q + delta - delta * delta))


@given(COUNTS, COUNTS)
def test_exact_p_is_the_binomial_test(num_wins, num_losses):
    expected = stats.binomtest(num_wins, num_wins + num_losses).pvalue if num_wins + num_losses else 1.0
    assert mcnemar_exact_p(num_wins, num_losses) == pytest.approx(expected, abs=1e-10)


@given(COUNTS, COUNTS)
def test_mid_p_is_its_definition(num_wins, num_losses):
    assume(num_wins != num_losses)
    assert mcnemar_mid_p(num_wins, num_losses) == pytest.approx(slow_mid_p(num_wins, num_losses), abs=1e-10)


@given(COUNTS, COUNTS)
def test_mid_p_is_symmetric_and_below_the_exact_p(num_wins, num_losses):
    assert mcnemar_mid_p(num_wins, num_losses) == mcnemar_mid_p(num_losses, num_wins)
    assert mcnemar_mid_p(num_wins, num_losses) <= mcnemar_exact_p(num_wins, num_losses)


@given(COUNTS)
def test_as_many_wins_as_losses_are_no_evidence(count):
    assert mcnemar_mid_p(count, count) == pytest.approx(1.0, abs=1e-12)


def test_three_gained_and_one_lost_is_no_evidence():
    assert mcnemar_exact_p(3, 1) == pytest.approx(0.625, abs=1e-14)
    assert mcnemar_mid_p(3, 1) == pytest.approx(0.375, abs=1e-14)


@pytest.mark.parametrize(
    ("wins", "losses", "n"), [(12, 2, 50), (2, 12, 50), (0, 9, 30), (5, 0, 164), (40, 31, 1319), (1, 1, 4)]
)
def test_score_interval_ends_where_the_searched_score_test_rejects(wins, losses, n):
    low, high = paired_score_interval(wins, losses, n)
    z = stats.norm.ppf(0.975)
    assert slow_score_z(wins, losses, n, low) == pytest.approx(z, abs=1e-4)
    assert slow_score_z(wins, losses, n, high) == pytest.approx(-z, abs=1e-4)


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.integers(0, n), st.just(n))))
def test_score_interval_holds_the_difference_and_mirrors(counts):
    num_wins, other, n = counts
    num_losses = min(other, n - num_wins)
    low, high = paired_score_interval(num_wins, num_losses, n)
    assert -1.0 <= low <= (num_wins - num_losses) / n <= high <= 1.0
    mirrored = paired_score_interval(num_losses, num_wins, n)
    assert mirrored == pytest.approx((-high, -low), abs=1e-12)


def test_score_interval_keeps_its_width_without_discordant_items():
    low, high = paired_score_interval(0, 0, 20)
    assert low == -high
    assert 0.1 < high < 0.2


@pytest.mark.parametrize("counts", [(3, 3, 5), (0, 0, 0), (-1, 0, 5)])
def test_impossible_counts_are_refused(counts):
    with pytest.raises(ValueError, match="expected counts"):
        paired_score_interval(*counts)


def test_score_interval_covers_in_simulation():
    """20,000 simulated tasks per setting: the true difference lies in the interval about 95 % of the time."""
    rng = np.random.default_rng(20251020)
    for n, gain, loss in ((40, 0.10, 0.05), (40, 0.20, 0.20), (164, 0.06, 0.02), (164, 0.15, 0.05)):
        draws = rng.multinomial(n, (gain, loss, 1 - gain - loss), size=20_000)
        counts, times = np.unique(draws, axis=0, return_counts=True)
        intervals = [paired_score_interval(int(wins), int(losses), n) for wins, losses, _ in counts]
        covered = sum(t for (low, high), t in zip(intervals, times, strict=True) if low <= gain - loss <= high)
        assert 0.935 <= covered / 20_000 <= 0.975, (n, gain, loss, covered / 20_000)


def test_mid_p_keeps_its_level_in_simulation():
    """Under the null the 5 % test rejects about 5 % of 20,000 runs on a HumanEval-sized task."""
    rng = np.random.default_rng(164)
    draws = rng.multinomial(164, (0.05, 0.05, 0.90), size=20_000)
    counts, times = np.unique(draws, axis=0, return_counts=True)
    rejected = sum(t for (wins, losses, _), t in zip(counts, times, strict=True) if mcnemar_mid_p(wins, losses) < 0.05)
    assert 0.04 <= rejected / 20_000 <= 0.055


def test_binary_scores_are_compared_by_mcnemar():
    baseline, latent = [0] * 12 + [1] * 8, [1, 1, 1] + [0] * 9 + [0] + [1] * 7
    result = compare_paired(baseline, latent)
    assert (result.num_wins, result.num_losses, result.num_ties) == (3, 1, 16)
    assert result.test == "mid-p McNemar"
    assert (result.p_value, result.p_exact) == pytest.approx((0.375, 0.625), abs=1e-14)
    assert result.difference.mean == pytest.approx(0.1)
    assert result.difference.stderr == pytest.approx(stats.sem(np.subtract(latent, baseline)), abs=1e-14)
    assert (result.difference.low, result.difference.high) == paired_score_interval(3, 1, 20)


@given(COUNTS, COUNTS, COUNTS)
def test_the_interval_holds_zero_exactly_where_the_test_does_not_reject(num_wins, num_losses, num_ties):
    assume(num_wins + num_losses + num_ties)
    baseline = [0] * num_wins + [1] * num_losses + [1] * num_ties
    latent = [1] * num_wins + [0] * num_losses + [1] * num_ties
    result = compare_paired(baseline, latent)
    assert (result.difference.low <= 0.0 <= result.difference.high) is (result.p_value >= 0.05)


def test_four_wins_and_no_loss_are_widened_to_zero():
    """The score test alone has p = 0.046 here, mid-p McNemar 0.0625."""
    assert paired_score_interval(4, 0, 164)[0] > 0.0
    assert compare_paired([0] * 164, [1] * 4 + [0] * 160).difference.low == 0.0


def test_continuous_scores_are_compared_by_scipys_paired_t():
    rng = np.random.default_rng(7)
    baseline = rng.random(31)
    latent = baseline + rng.normal(0.05, 0.2, size=31)
    result, expected = compare_paired(baseline, latent), stats.ttest_rel(latent, baseline)
    interval = expected.confidence_interval(0.95)
    assert (result.test, result.p_exact) == ("paired t", None)
    assert result.p_value == pytest.approx(expected.pvalue, abs=1e-10)
    assert (result.difference.low, result.difference.high) == pytest.approx((interval.low, interval.high), abs=1e-10)


def test_lower_is_better_swaps_wins_but_not_the_difference():
    result = compare_paired([1.0, 2.0, 3.0], [0.5, 1.5, 3.5], higher_is_better=False)
    assert (result.num_wins, result.num_losses) == (2, 1)
    assert result.difference.mean == pytest.approx(-1 / 6)


def test_equal_scores_have_p_one():
    assert compare_paired([1, 0, 1], [1, 0, 1]).p_value == 1.0
    assert compare_paired([0.2, 0.5], [0.2, 0.5]).p_value == 1.0


def test_differences_that_do_not_vary_have_no_p_and_say_so():
    result = compare_paired([0.1, 0.2, 0.3], [0.3, 0.4, 0.5])
    assert math.isnan(result.p_value)
    assert result.reason == "every item differs by the same amount"


def test_no_pair_has_no_p_and_says_so():
    result = compare_paired([], [])
    assert math.isnan(result.p_value)
    assert (result.num_ties, result.reason) == (0, "no pair of scored items")


def test_one_binary_pair_has_an_interval_but_no_stderr():
    result = compare_paired([0], [1])
    assert result.difference.reason == "one item has no spread"
    assert (result.difference.high, result.p_value) == pytest.approx((1.0, 0.5))


def test_scores_of_different_items_are_refused():
    with pytest.raises(ValueError, match=r"shape mismatch: baseline \(2,\), latent \(3,\)"):
        compare_paired([1, 0], [1, 0, 1])
