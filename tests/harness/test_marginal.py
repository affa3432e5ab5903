"""Draws become one log-likelihood with its error, and an item gets more of them only where it needs them."""

import math

import numpy as np
import pytest

from ft_eval.harness.marginal import draw_schedule, generation_draws, marginal, may_flip, undecided
from ft_eval.records import Answer, LatentPolicy


def answers(*logprobs: float, greedy: int = 0) -> list[Answer]:
    return [
        Answer(key=str(number), logprob_nats=logprob, is_greedy=number < greedy)
        for number, logprob in enumerate(logprobs)
    ]


def test_an_average_is_over_probabilities_not_their_logs():
    result = marginal(answers(math.log(0.1), math.log(0.3)))
    assert result.logprob_nats == pytest.approx(math.log(0.2))
    assert (result.num_draws, result.is_greedy) == (2, False)


def test_one_draw_is_itself_and_shows_no_error():
    result = marginal(answers(-3.5, greedy=1))
    assert (result.logprob_nats, result.is_greedy) == (-3.5, True)
    assert math.isnan(result.stderr_nats)


def test_greedy_is_what_most_draws_say():
    assert marginal(answers(-1, -1, -1, greedy=2)).is_greedy
    assert not marginal(answers(-1, -1, greedy=1)).is_greedy


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (None, [1]),
        (LatentPolicy(), [1]),
        (LatentPolicy(num_draws=5), [5]),
        (LatentPolicy(num_draws=128, adaptive=True), [8, 16, 32, 64, 128]),
        (LatentPolicy(num_draws=8, adaptive=True), [8]),
    ],
    ids=["baseline", "one", "five", "auto", "auto of few"],
)
def test_the_schedule_ends_at_k(policy, expected):
    assert list(draw_schedule(policy)) == expected


def test_completions_are_drawn_k_times_and_eight_times_under_auto():
    assert [
        generation_draws(p) for p in (None, LatentPolicy(num_draws=3), LatentPolicy(num_draws=128, adaptive=True))
    ] == [
        1,
        3,
        8,
    ]


def test_an_item_is_open_while_its_best_two_are_near():
    noise = np.random.default_rng(0).normal(0, 0.3, 8)
    near = [answers(*(-1 + noise)), answers(*(-1.01 - noise))]
    far = [answers(*(-1 + noise)), answers(*(-4 + noise))]
    assert (undecided(near), undecided(far)) == (True, False)
    assert (may_flip(near), may_flip(far)) == (True, False)


def test_noise_that_all_choices_share_opens_nothing():
    """The draws are common: their difference is exact although each score is not."""
    noise = np.random.default_rng(0).normal(0, 2.0, 8)
    assert not undecided([answers(*(-1 + noise)), answers(*(-1.2 + noise))])


def test_there_is_nothing_to_decide_without_choices_or_draws():
    assert not undecided([answers(-1, -2)])
    assert may_flip([answers(-1, -2)]) is None
    assert may_flip([answers(-1), answers(-2)]) is None
