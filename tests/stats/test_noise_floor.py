"""Two runs of one model: what changed, and how far reruns come out apart."""

import math

import numpy as np
import pytest

from ft_eval.stats import noise_floor

RNG = np.random.default_rng(12)


def test_changed_items_are_counted_and_the_floor_is_their_random_signs():
    first = np.repeat([0.0, 1.0], [100, 64])
    second = first.copy()
    second[:6], second[-3:] = 1.0, 0.0
    floor = noise_floor(first, second)
    assert (floor.num_changed, floor.n) == (9, 164)
    assert floor.share_changed == pytest.approx(9 / 164)
    assert floor.stderr == pytest.approx(3 / 164)
    assert floor.percentile_95 == pytest.approx(1.96 * 3 / 164, rel=1e-3)
    assert floor.difference.mean == pytest.approx(3 / 164)


def test_the_floor_is_the_spread_of_reruns():
    chances = RNG.random(200)
    runs = (RNG.random((2000, 200)) < chances).mean(axis=1)
    floors = [noise_floor(RNG.random(200) < chances, RNG.random(200) < chances).stderr for _ in range(200)]
    assert np.mean(floors) == pytest.approx(np.std(runs) * math.sqrt(2), rel=0.05)


def test_draws_are_averaged_first():
    first, second = RNG.random((20, 4)), RNG.random((20, 4))
    assert noise_floor(first, second) == noise_floor(first.mean(axis=1), second.mean(axis=1))


def test_a_run_that_repeats_itself_has_no_floor():
    floor = noise_floor([0.0, 1.0, 1.0], [0.0, 1.0, 1.0])
    assert (floor.num_changed, floor.percentile_95, floor.difference.mean) == (0, 0.0, 0.0)


def test_no_item_has_a_reason():
    floor = noise_floor([], [])
    assert math.isnan(floor.share_changed)
    assert floor.difference.reason == "no pair of scored items"


def test_runs_on_other_items_are_refused():
    with pytest.raises(ValueError, match="shape mismatch"):
        noise_floor([0.0], [0.0, 1.0])
