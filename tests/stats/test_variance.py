"""Components are those of the analysis of variance, unbiased in simulation, and add up to the error of the mean."""

import math

import numpy as np
import pytest
from scipy import stats

from ft_eval.stats import planned_variance, split_crossed, split_nested, split_paired
from ft_eval.stats.variance import DRAW, ITEM, RUN, RUN_BY_ITEM, SEED

RNG = np.random.default_rng(64)


def slow_nested(scores):
    """Sums of squares of an n × K × S table, written out, solved for the three components."""
    n, num_draws, num_seeds = scores.shape
    of_items = of_draws = of_seeds = 0.0
    for i in range(n):
        of_items += num_draws * num_seeds * (scores[i].mean() - scores.mean()) ** 2
        for k in range(num_draws):
            of_draws += num_seeds * (scores[i, k].mean() - scores[i].mean()) ** 2
            of_seeds += sum((score - scores[i, k].mean()) ** 2 for score in scores[i, k])
    seeds = of_seeds / (n * num_draws * (num_seeds - 1))
    between = of_draws / (n * (num_draws - 1))
    draws = (between - seeds) / num_seeds
    return (of_items / (n - 1) - between) / (num_draws * num_seeds), draws, seeds


def test_nested_components_are_those_of_the_sums_of_squares():
    scores = RNG.normal(size=(7, 4, 3)) + RNG.normal(size=(7, 4, 1)) + RNG.normal(size=(7, 1, 1))
    split = split_nested(scores)
    assert [component.raw for component in split.components] == pytest.approx(slow_nested(scores), abs=1e-10)
    assert [component.name for component in split.components] == [ITEM, DRAW, SEED]


def test_the_error_of_the_mean_is_that_of_the_item_means():
    scores = RNG.random((30, 4, 2))
    assert split_nested(scores).stderr == pytest.approx(stats.sem(scores.mean(axis=(1, 2))), abs=1e-12)
    assert split_nested(scores[:, :, 0]).stderr == pytest.approx(stats.sem(scores[:, :, 0].mean(axis=1)), abs=1e-12)


def test_nested_components_are_unbiased():
    truth, found = (0.5, 0.8, 0.3), []
    for _ in range(600):
        item, draw, seed = (
            math.sqrt(variance) * RNG.standard_normal(shape)
            for variance, shape in zip(truth, [(20, 1, 1), (20, 3, 1), (20, 3, 2)], strict=True)
        )
        found.append([component.raw for component in split_nested(item + draw + seed).components])
    assert np.mean(found, axis=0) == pytest.approx(truth, abs=0.03)


def test_0_1_draws_split_into_items_and_draws():
    """Chances uniform on [0, 1]: the variance of a chance is 1/12, the mean of p (1 - p) is 1/6."""
    chances = RNG.random((40_000, 1))
    split = split_nested(chances > RNG.random((40_000, 4)))
    assert split[ITEM].variance == pytest.approx(1 / 12, abs=0.003)
    assert split[DRAW].variance == pytest.approx(1 / 6, abs=0.003)


def test_an_axis_of_one_unit_is_part_of_the_one_before_it():
    scores = RNG.random((12, 1, 5))
    split = split_nested(scores)
    assert math.isnan(split[DRAW].variance)
    assert split[ITEM].raw == pytest.approx(split_nested(scores[:, 0, :])[ITEM].raw)
    assert split.stderr == pytest.approx(stats.sem(scores.mean(axis=(1, 2))), abs=1e-12)


def test_a_negative_estimate_is_shown_as_zero_and_kept():
    scores = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    assert split_nested(scores)[ITEM].variance == 0.0
    assert split_nested(scores)[ITEM].raw == pytest.approx(-0.25)


def test_crossed_components_are_unbiased():
    truth, found = {RUN: 0.04, ITEM: 0.5, RUN_BY_ITEM: 0.2, DRAW: 0.3}, []
    for _ in range(800):
        run, item = RNG.standard_normal((6, 1, 1)), RNG.standard_normal((1, 15, 1))
        cell, draw = RNG.standard_normal((6, 15, 1)), RNG.standard_normal((6, 15, 2))
        parts = zip((run, item, cell, draw), truth.values(), strict=True)
        split = split_crossed(sum(math.sqrt(variance) * part for part, variance in parts))
        found.append([split[name].raw for name in truth])
    assert np.mean(found, axis=0) == pytest.approx(list(truth.values()), abs=0.02)


def test_without_draws_the_interaction_holds_their_noise():
    scores = RNG.random((4, 9))
    split = split_crossed(scores)
    rest = scores - scores.mean(axis=1, keepdims=True) - scores.mean(axis=0) + scores.mean()
    assert split[RUN_BY_ITEM].raw == pytest.approx((rest**2).sum() / 24, abs=1e-12)
    assert math.isnan(split[DRAW].variance)


def test_the_error_over_new_runs_and_items_is_larger_than_over_items_alone():
    scores = RNG.random((3, 50)) + np.array([[0.0], [0.3], [0.6]])
    assert split_crossed(scores).stderr > 3 * stats.sem(scores.mean(axis=0))


def test_the_paired_split_gives_the_observed_variance_back():
    base, latent = RNG.random((50, 4)), RNG.random((50, 8)) + RNG.normal(size=(50, 1))
    split = split_paired(base, latent)
    observed = float((latent.mean(axis=1) - base.mean(axis=1)).var(ddof=1))
    assert split.per_item(4, 8) == pytest.approx(observed, abs=1e-12)
    assert split.per_item(8, 16) < observed


def test_a_side_of_one_draw_keeps_its_noise_among_the_items():
    base, latent = RNG.random(50), RNG.random((50, 8))
    split = split_paired(base, latent)
    assert split.baseline_draw == 0.0
    assert split.per_item(1, 8) == pytest.approx(float((latent.mean(axis=1) - base).var(ddof=1)), abs=1e-12)


def test_the_paired_split_is_unbiased():
    found = []
    for _ in range(500):
        item = RNG.standard_normal((25, 1))
        split = split_paired(2.0 * RNG.standard_normal((25, 4)), 0.8 * item + RNG.standard_normal((25, 2)))
        found.append([split.baseline_draw, split.latent_draw, split.item])
    assert np.mean(found, axis=0) == pytest.approx([4.0, 1.0, 0.64], rel=0.2)


def test_an_assumed_discordance_is_split_between_items_and_draws():
    assert planned_variance(0.2, 0.25).per_item(1, 1) == pytest.approx(0.2)
    assert planned_variance(0.2, 0.25).per_item(10**9, 10**9) == pytest.approx(0.05)


def test_shapes_that_show_no_variance_are_refused():
    with pytest.raises(ValueError, match="two items"):
        split_nested([[0.0, 1.0]])
    with pytest.raises(ValueError, match="two runs"):
        split_crossed([[0.0, 1.0]])
    with pytest.raises(ValueError, match="same items"):
        split_paired([0.0, 1.0], [0.0, 1.0, 1.0])
    with pytest.raises(ValueError, match="not finite"):
        split_nested([0.0, math.nan])
    with pytest.raises(ValueError, match="between 0 and 1"):
        planned_variance(0.2, 1.5)
    with pytest.raises(KeyError):
        split_nested([0.0, 1.0])[RUN]
