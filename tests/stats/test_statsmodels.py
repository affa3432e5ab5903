"""Agreement with statsmodels to 1e-10, where it has the same quantity."""

import numpy as np
import pytest

from ft_eval.stats import Target, benjamini_hochberg, detectable_mean, equivalence_p, holm
from ft_eval.stats.estimate import t_estimate
from ft_eval.stats.mcnemar import mcnemar_exact_p

pytest.importorskip("statsmodels")

from statsmodels.stats import multitest, power, weightstats
from statsmodels.stats.contingency_tables import mcnemar

RNG = np.random.default_rng(0)
P_VALUES = RNG.random(17) ** 3


@pytest.mark.parametrize(("wins", "losses"), [(3, 9), (0, 5), (20, 20), (41, 17)])
def test_mcnemars_exact_p(wins: int, losses: int) -> None:
    theirs = mcnemar([[50, wins], [losses, 50]], exact=True).pvalue
    assert mcnemar_exact_p(wins, losses) == pytest.approx(theirs, abs=1e-10)


def test_holm_and_benjamini_hochberg() -> None:
    assert holm(P_VALUES) == pytest.approx(multitest.multipletests(P_VALUES, method="holm")[1], abs=1e-10)
    theirs = multitest.multipletests(P_VALUES, method="fdr_bh")[1]
    assert benjamini_hochberg(P_VALUES) == pytest.approx(theirs, abs=1e-10)


def test_two_one_sided_tests_of_equivalence() -> None:
    baseline, latent = RNG.normal(0.0, 1.0, 80), RNG.normal(0.05, 1.0, 80)
    theirs = weightstats.ttost_paired(latent, baseline, -0.4, 0.4)[0]
    assert equivalence_p(t_estimate(latent - baseline), 0.4) == pytest.approx(theirs, abs=1e-10)


@pytest.mark.parametrize("n", [20, 164, 1319])
def test_the_detectable_mean_has_the_power_that_they_compute(n: int) -> None:
    found = detectable_mean(n, 0.25, target=Target(alpha=0.05, power=0.8))
    theirs = power.TTestPower().power(found.difference / 0.5, n, 0.05, alternative="two-sided")
    assert theirs == pytest.approx(0.8, abs=1e-6)
