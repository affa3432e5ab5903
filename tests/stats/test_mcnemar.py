"""What McNemar's counts alone decide: critical counts, intervals of other levels, equivalence."""

import numpy as np
import pytest
from scipy import stats

from ft_eval.stats import compare_paired, mcnemar_mid_p, paired_score_interval, score_equivalence_p
from ft_eval.stats.mcnemar import largest_rejected, mid_p_values


def test_arrays_of_counts_give_the_plain_mid_p():
    wins, losses = np.array([[3, 0], [12, 7]]), np.array([[1, 0], [2, 7]])
    expected = [[mcnemar_mid_p(3, 1), 1.0], [mcnemar_mid_p(12, 2), 1.0]]
    assert mid_p_values(wins, losses) == pytest.approx(np.array(expected), abs=1e-14)


@pytest.mark.parametrize("alpha", [0.05, 0.05 / 17, 0.3])
def test_the_largest_rejected_count_is_the_last_one_below_alpha(alpha):
    for num_changed in range(200):
        rarer = np.arange(num_changed // 2 + 1)
        rejected = rarer[mid_p_values(rarer, num_changed - rarer) < alpha]
        assert int(largest_rejected(num_changed, alpha)) == rejected.max(initial=-1)


def test_the_90_percent_interval_lies_inside_the_95_percent_one():
    wide, narrow = paired_score_interval(12, 5, 164), paired_score_interval(12, 5, 164, confidence=0.9)
    assert wide[0] < narrow[0] < 7 / 164 < narrow[1] < wide[1]


@pytest.mark.parametrize(("wins", "losses", "n"), [(12, 5, 164), (0, 0, 40), (70, 81, 1319), (3, 0, 30)])
def test_equivalence_is_found_where_the_90_percent_interval_lies_inside_the_margin(wins, losses, n):
    low, high = paired_score_interval(wins, losses, n, confidence=0.9)
    edge = max(-low, high)
    assert score_equivalence_p(wins, losses, n, edge) == pytest.approx(0.05, abs=1e-9)
    assert score_equivalence_p(wins, losses, n, edge * 1.01) < 0.05 < score_equivalence_p(wins, losses, n, edge * 0.99)


def test_equivalence_without_a_margin_is_refused():
    with pytest.raises(ValueError, match="margin"):
        score_equivalence_p(3, 1, 20, 0.0)


def test_comparisons_carry_a_90_percent_interval_made_like_the_95_percent_one():
    result = compare_paired([0] * 12 + [1] * 33, [1] * 9 + [0] * 3 + [1] * 31 + [0] * 2)
    assert result.interval_90 is not None
    assert (result.interval_90.low, result.interval_90.high) == paired_score_interval(9, 2, 45, confidence=0.9)


def test_a_continuous_comparison_carries_scipys_90_percent_interval():
    rng = np.random.default_rng(3)
    base, latent = rng.random(20), rng.random(20)
    expected, found = stats.ttest_rel(latent, base).confidence_interval(0.9), compare_paired(base, latent).interval_90
    assert found is not None
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-10)
