"""Log-mean-exp over draws: right, stable, and honest about its error."""

import math
from dataclasses import fields

import numpy as np
import pytest
from numpy.typing import NDArray

from ft_eval.stats.monte_carlo import (
    _averaged,
    best_choice,
    jackknife_log_mean_exp,
    log_mean_exp,
    log_mean_exp_difference,
)


def _draws(*shape: int, seed: int = 0, spread: float = 1.0) -> NDArray[np.float64]:
    return spread * np.random.default_rng(seed).standard_normal(shape) - 3.0


def test_the_value_is_the_log_of_the_mean_probability_along_the_last_axis() -> None:
    values = _draws(3, 4, 7)
    expected = np.log(np.exp(values).mean(-1))
    assert log_mean_exp(values).value_nats == pytest.approx(expected, abs=1e-12)


def test_values_far_outside_what_exp_can_hold_are_shifted_and_nothing_else() -> None:
    values = _draws(50)
    for shift in (-1e4, -800.0, 900.0):
        near, far = log_mean_exp(values), log_mean_exp(values + shift)
        assert far.value_nats == pytest.approx(near.value_nats + shift, abs=1e-9)
        assert far.stderr_nats == pytest.approx(near.stderr_nats, rel=1e-9)
        assert far.ess == pytest.approx(near.ess, rel=1e-9)
        jackknife = jackknife_log_mean_exp(values + shift)
        assert jackknife.stderr_nats == pytest.approx(jackknife_log_mean_exp(values).stderr_nats, rel=1e-9)


def test_equal_draws_have_no_error_and_count_in_full() -> None:
    for estimate in (log_mean_exp(np.full(8, -2.0)), jackknife_log_mean_exp(np.full(8, -2.0))):
        assert float(estimate.value_nats) == pytest.approx(-2.0)
        assert float(estimate.stderr_nats) == pytest.approx(0.0, abs=1e-12)
        assert float(estimate.ess) == pytest.approx(8.0)


def test_the_short_way_of_one_draw_gives_the_bits_of_the_long_one() -> None:
    for values in (np.array([[-2.5], [-0.0], [0.0], [-np.inf], [-1e-320], [700.0]]), _draws(1), _draws(2, 3, 1)):
        short, long = log_mean_exp(values), _averaged(values)
        for field in fields(short):
            one, other = getattr(short, field.name), getattr(long, field.name)
            assert np.array_equal(one, other, equal_nan=field.name == "stderr_nats"), field.name
            assert field.name in {"num_draws", "method"} or np.array_equal(np.signbit(one), np.signbit(other))


def test_one_draw_shows_no_error() -> None:
    for estimate in (log_mean_exp([-2.0]), jackknife_log_mean_exp([-2.0])):
        assert float(estimate.value_nats) == -2.0
        assert math.isnan(estimate.stderr_nats)
        assert float(estimate.ess) == 1.0


def test_a_draw_that_dominates_leaves_an_effective_sample_of_one() -> None:
    estimate = log_mean_exp([0.0] + [-60.0] * 99)
    assert float(estimate.ess) == pytest.approx(1.0)
    assert float(estimate.stderr_nats) == pytest.approx(1.0, rel=1e-3)


def test_probability_zero_is_minus_infinity_and_not_an_error() -> None:
    nothing = log_mean_exp(np.full((2, 3), -np.inf))
    assert np.isneginf(nothing.value_nats).all()
    assert np.isnan(nothing.stderr_nats).all()
    assert (nothing.ess == 0).all()
    some = log_mean_exp([-np.inf, -1.0])
    assert float(some.value_nats) == pytest.approx(-1.0 - math.log(2))
    assert float(some.ess) == pytest.approx(1.0)
    assert math.isinf(jackknife_log_mean_exp([-np.inf, -1.0]).stderr_nats)


@pytest.mark.parametrize("bad", [[], [np.nan, 0.0], [np.inf], 1.0])
def test_what_is_no_log_probability_is_refused(bad: object) -> None:
    with pytest.raises(ValueError, match="log probabilit"):
        log_mean_exp(bad)  # type: ignore[arg-type]


def test_the_jackknife_is_the_one_written_out() -> None:
    values = _draws(9, spread=2.0)
    without = [math.log(np.exp(np.delete(values, k)).mean()) for k in range(9)]
    whole = math.log(np.exp(values).mean())
    estimate = jackknife_log_mean_exp(values)
    assert float(estimate.value_nats) == pytest.approx(9 * whole - 8 * np.mean(without))
    assert float(estimate.stderr_nats) == pytest.approx(
        math.sqrt(8 / 9 * sum((t - np.mean(without)) ** 2 for t in without))
    )


@pytest.mark.parametrize("function", [log_mean_exp, jackknife_log_mean_exp])
def test_the_standard_error_covers_the_truth_as_often_as_it_says(function: object) -> None:
    """E exp(N(0, s²)) = exp(s²/2): 4,000 trials of 400 draws, 1.96 standard errors."""
    spread = 0.5
    values = spread * np.random.default_rng(1).standard_normal((4000, 400))
    estimate = function(values)  # type: ignore[operator]
    covered = np.abs(estimate.value_nats - spread**2 / 2) < 1.96 * estimate.stderr_nats
    assert 0.935 < covered.mean() < 0.96
    assert np.std(estimate.value_nats) == pytest.approx(estimate.stderr_nats.mean(), rel=0.05)


def test_the_jackknife_takes_most_of_the_bias_out() -> None:
    """With 10 draws of log-normal weights the plain estimate is low by about var / 2K."""
    values = _draws(40_000, 10, seed=3) + 3.0
    plain = log_mean_exp(values).value_nats.mean() - 0.5
    corrected = jackknife_log_mean_exp(values).value_nats.mean() - 0.5
    assert plain < -0.04
    assert abs(corrected) < abs(plain) / 3


def test_what_two_sides_share_cancels_in_the_error_of_their_difference() -> None:
    shared, own = _draws(500, spread=2.0), _draws(500, seed=1, spread=0.1)
    paired = log_mean_exp_difference(shared + own, shared)
    apart = log_mean_exp(shared).stderr_nats
    assert float(paired.stderr_nats) < float(apart) / 3
    expected = log_mean_exp(shared + own).value_nats - log_mean_exp(shared).value_nats
    assert float(paired.value_nats) == pytest.approx(float(expected))


def test_the_error_of_a_difference_is_its_spread_over_trials() -> None:
    rng = np.random.default_rng(5)
    shared, own = rng.standard_normal((3000, 200)), 0.5 * rng.standard_normal((3000, 200))
    paired = log_mean_exp_difference(0.6 * shared, 0.4 * shared + own, scales=(0.5, 0.25))
    assert np.std(paired.value_nats) == pytest.approx(paired.stderr_nats.mean(), rel=0.05)


def test_a_difference_of_unequal_numbers_of_draws_is_refused() -> None:
    with pytest.raises(ValueError, match="the same draws"):
        log_mean_exp_difference(_draws(4), _draws(5))


def test_a_side_subtracted_from_itself_is_zero_without_error_and_not_resolved() -> None:
    same = log_mean_exp_difference(_draws(3, 20), _draws(3, 20))
    assert (same.value_nats == 0).all()
    assert (same.stderr_nats == 0).all()
    assert not same.is_resolved.any()


def test_a_best_choice_far_ahead_is_resolved_and_one_within_the_error_is_not() -> None:
    base = _draws(64)
    far = best_choice(np.stack([base - 5.0, base, base - 9.0]))
    assert (far.index, far.is_resolved) == (1, True)
    near = best_choice(np.stack([_draws(64, seed=1), base - 9.0, _draws(64, seed=2)]))
    assert {near.index, near.runner_up} == {0, 2}
    assert not near.is_resolved


def test_the_runner_up_is_the_least_sure_margin_and_not_the_smallest() -> None:
    best = _draws(64, spread=0.1)
    close_but_sure = best - 0.3  # the same draws, shifted: no error at all
    far_but_noisy = _draws(64, seed=4, spread=3.0) - 4.0
    assert best_choice(np.stack([best, close_but_sure, far_but_noisy])).runner_up == 2


def test_one_draw_never_resolves_a_choice() -> None:
    assert not best_choice([[-1.0], [-50.0]]).is_resolved


def test_a_choice_that_every_draw_rules_out_is_resolved() -> None:
    assert best_choice([[-1.0, -2.0], [-np.inf, -np.inf]]).is_resolved


def test_scales_decide_between_choices_of_unequal_length() -> None:
    values = np.stack([_draws(32) - 7.0, _draws(32)])
    assert best_choice(values).index == 1
    assert best_choice(values, scales=[1 / 20, 1 / 4]).index == 0
