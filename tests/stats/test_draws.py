"""Several draws of an item count as one item, clusters as one unit, and one draw is the plain comparison."""

import math

import numpy as np
import pytest
from scipy import stats

from ft_eval.stats import compare_draws, compare_paired, sign_flip_test
from ft_eval.stats.clusters import cluster_sums

RNG = np.random.default_rng(16)
BASE = (RNG.random((40, 4)) < 0.4).astype(float)
LATENT = (RNG.random((40, 8)) < 0.5).astype(float)
NAMES = np.repeat(np.arange(10), 4)


def test_draws_are_averaged_before_scipys_paired_t():
    expected = stats.ttest_rel(LATENT.mean(axis=1), BASE.mean(axis=1))
    result = compare_draws(BASE, LATENT)
    assert result.p_value == pytest.approx(expected.pvalue, abs=1e-10)
    assert result.difference.n == 40
    assert (result.num_baseline_draws, result.num_latent_draws) == (4, 8)
    assert result.test == "paired t over items, draws averaged"


def test_repeating_every_draw_changes_nothing_but_their_number():
    """Sixteen copies of a score are no more evidence than one."""
    once, often = compare_draws(BASE, LATENT), compare_draws(np.tile(BASE, 16), LATENT)
    assert often.p_value == pytest.approx(once.p_value, abs=1e-12)
    assert often.difference.stderr == pytest.approx(once.difference.stderr, abs=1e-14)


def test_the_sign_flip_test_stands_beside_and_is_exact_for_0_1_draws():
    result = compare_draws(BASE, LATENT)
    expected = sign_flip_test(LATENT.mean(axis=1) - BASE.mean(axis=1), step=1 / 8)
    assert result.p_permutation == pytest.approx(expected.p_value, abs=1e-12)
    assert result.permutation == "sign flips, exact distribution"


def test_continuous_scores_get_random_sign_flips_from_the_seed():
    base, latent = RNG.random((30, 3)), RNG.random((30, 3))
    first, again = (compare_draws(base, latent, num_flips=499, seed=2) for _ in range(2))
    assert first.p_permutation == again.p_permutation
    assert first.permutation == "sign flips, 499 random patterns, seed 2"


def test_one_0_1_draw_is_mcnemars_test():
    base, latent = BASE[:, :1], LATENT[:, :1]
    assert compare_draws(base, latent) == compare_paired(base[:, 0], latent[:, 0])


def test_clusters_of_one_size_are_scipys_t_over_cluster_means():
    difference = LATENT.mean(axis=1) - BASE.mean(axis=1)
    result = compare_draws(BASE, LATENT, clusters=NAMES)
    expected = stats.ttest_1samp(difference.reshape(10, 4).mean(axis=1), 0.0)
    assert result.p_value == pytest.approx(expected.pvalue, abs=1e-10)
    assert (result.num_clusters, result.difference.n) == (10, 40)


def test_sign_flips_turn_whole_clusters():
    result = compare_draws(BASE, LATENT, clusters=NAMES)
    sums = cluster_sums(LATENT.mean(axis=1) - BASE.mean(axis=1), NAMES)
    assert result.p_permutation == pytest.approx(sign_flip_test(sums).p_value, abs=1e-10)


def test_0_1_scores_in_clusters_are_not_left_to_mcnemar():
    result = compare_draws(BASE[:, 0], LATENT[:, 0], clusters=NAMES)
    assert result.test == "paired t over clusters (CR2)"
    assert result.p_exact is None


def test_lower_is_better_swaps_wins_but_not_the_difference():
    up, down = compare_draws(BASE, LATENT), compare_draws(BASE, LATENT, higher_is_better=False)
    assert (down.num_wins, down.num_losses) == (up.num_losses, up.num_wins)
    assert down.difference == up.difference


def test_one_cluster_has_no_p_and_says_so():
    result = compare_draws(BASE, LATENT, clusters=np.zeros(40))
    assert math.isnan(result.p_value)
    assert result.reason == "one cluster has no spread"


def test_no_item_has_no_p_and_says_so():
    result = compare_draws(np.zeros((0, 4)), np.zeros((0, 4)))
    assert math.isnan(result.p_value)
    assert result.reason == "no pair of scored items"


@pytest.mark.parametrize(
    "latent", [np.zeros((39, 4)), np.zeros((40, 0)), np.full((40, 4), math.nan), np.zeros((4, 5, 2))]
)
def test_scores_that_do_not_fit_are_refused(latent):
    with pytest.raises(ValueError, match=r"shape|not finite"):
        compare_draws(BASE, latent)
