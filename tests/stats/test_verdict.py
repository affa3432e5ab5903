"""The four words: each where it should be said, with its reason, and never two at once."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ft_eval.stats import Criteria, Interval, Verdict, compare_paired, decide, decide_comparison, equivalence_p
from ft_eval.stats.estimate import t_estimate, t_interval

MARGIN = Criteria(margin=0.02)


def inner(low, high):
    return Interval(low=low, high=high, confidence=0.90)


@pytest.mark.parametrize(
    ("difference", "ends", "p_value", "word", "reason"),
    [
        (0.05, (0.03, 0.07), 0.001, Verdict.BETTER, "p below 5 %"),
        (-0.05, (-0.07, -0.03), 0.001, Verdict.WORSE, "p below 5 %"),
        (0.00, (-0.01, 0.01), 0.9, Verdict.EQUIVALENT, "the 90 % interval lies inside the margin"),
        (0.01, (-0.01, 0.03), 0.4, Verdict.UNRESOLVED, "it can be chance, and it can be larger than the margin"),
        (0.05, (0.03, 0.07), 0.08, Verdict.UNRESOLVED, "it can be chance, and it can be larger than the margin"),
        (0.05, (math.nan, math.nan), math.nan, Verdict.UNRESOLVED, "no test, and it can be larger than the margin"),
        (0.01, (0.005, 0.015), 0.01, Verdict.BETTER, "p below 5 %, and smaller than the margin"),
    ],
)
def test_each_word_is_said_where_it_should_be(difference, ends, p_value, word, reason):
    decision = decide(difference, inner(*ends), p_value, MARGIN)
    assert (decision.verdict, decision.reason) == (word, reason)


def test_where_lower_is_better_a_drop_is_better():
    decision = decide(-0.05, inner(-0.07, -0.03), 0.001, Criteria(higher_is_better=False))
    assert decision.verdict is Verdict.BETTER


def test_nothing_is_equivalent_without_a_margin():
    decision = decide(0.0, inner(-1e-6, 1e-6), 0.9, Criteria())
    assert (decision.verdict, decision.reason) == (Verdict.UNRESOLVED, "it can be chance")


def test_a_difference_that_rerunning_makes_is_not_spoken_of():
    decision = decide(0.03, inner(0.01, 0.05), 0.01, Criteria(noise_floor=0.04))
    assert (decision.verdict, decision.reason) == (
        Verdict.UNRESOLVED,
        "rerunning the baseline makes differences as large",
    )


def test_a_real_difference_smaller_than_the_margin_says_that_too():
    assert decide(0.01, inner(0.005, 0.015), 0.01, MARGIN).is_within_margin


@given(st.floats(-0.2, 0.2), st.floats(0.001, 0.2), st.floats(0.001, 0.1))
def test_the_words_follow_the_intervals(mean, stderr, margin):
    """With an uncorrected p: BETTER or WORSE where the 95 % interval misses 0, EQUIVALENT only inside the margin."""
    p_value = float(2 * stats.t.sf(abs(mean) / stderr, 40))
    wide, narrow = t_interval(mean, stderr, 40), t_interval(mean, stderr, 40, 0.90)
    word = decide(mean, narrow, p_value, Criteria(margin=margin)).verdict
    assert (word in {Verdict.BETTER, Verdict.WORSE}) == (p_value < 0.05)
    if abs(p_value - 0.05) > 1e-9:
        assert (p_value < 0.05) == (wide.low > 0 or wide.high < 0)
    assert (word is Verdict.EQUIVALENT) == (narrow.within(margin) and p_value >= 0.05)


def test_a_comparison_carries_what_the_verdict_needs():
    comparison = compare_paired([0] * 20, [1] * 15 + [0] * 5)
    assert decide_comparison(comparison, comparison.p_value, MARGIN).verdict is Verdict.BETTER
    assert decide_comparison(comparison, 0.2, MARGIN).verdict is Verdict.UNRESOLVED


def test_the_two_one_sided_tests_are_scipys():
    scores = np.random.default_rng(9).normal(0.01, 0.1, size=40)
    expected = max(
        stats.ttest_1samp(scores, -0.03, alternative="greater").pvalue,
        stats.ttest_1samp(scores, 0.03, alternative="less").pvalue,
    )
    assert equivalence_p(t_estimate(scores), 0.03) == pytest.approx(expected, abs=1e-10)


def test_scores_without_spread_are_equivalent_inside_the_margin_only():
    assert equivalence_p(t_estimate(np.full(5, 0.01)), 0.02) == 0.0
    assert equivalence_p(t_estimate(np.full(5, 0.03)), 0.02) == 1.0


def test_margins_and_intervals_that_make_no_test_are_refused():
    with pytest.raises(ValueError, match="positive margin"):
        decide(0.0, inner(-0.1, 0.1), 0.5, Criteria(margin=0.0))
    with pytest.raises(ValueError, match="90 % interval"):
        decide(0.0, Interval(low=-0.1, high=0.1, confidence=0.95), 0.5, MARGIN)
    with pytest.raises(ValueError, match="positive margin"):
        equivalence_p(t_estimate(np.array([0.0, 1.0])), -1.0)
