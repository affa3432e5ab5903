"""Steering: no effect where Z is not heard, an effect where it shouts; the interval says which."""

from pathlib import Path

import numpy as np
import pytest

from ft_eval.engine.requests import Completion, FinishReason
from ft_eval.probe.sampling import GroupPlan, sample_groups
from ft_eval.probe.steering import agreement, bootstrap_interval, measure_steering, overlap, steering_of
from tests.fakes import tiny_model
from tests.probe.planted import deaf_model, loud_model, subject

PROMPTS = [f"{letter}>" for letter in "abcdefghijklmnop"]


def _plan(**changes: object) -> GroupPlan:
    values = {"num_groups": 3, "num_samples": 3, "max_tokens": 12, "seed": 5, "shares_latent": True} | changes
    return GroupPlan(**values)  # type: ignore[arg-type]


def test_a_decoder_that_does_not_hear_z_has_an_interval_that_covers_zero(tmp_path: Path) -> None:
    for found in measure_steering(subject(tmp_path, deaf_model()), PROMPTS, _plan()):
        assert found.effect.low <= 0 <= found.effect.high
        assert found.effect.n == len(PROMPTS)


def test_a_decoder_that_z_decides_is_found_to_be_steered(tmp_path: Path) -> None:
    place, pieces = measure_steering(subject(tmp_path, loud_model()), PROMPTS, _plan())
    assert place.effect.low > 0
    assert place.same_latent > place.other_latent
    assert pieces.effect.mean > 0


def test_samples_of_a_group_share_z_and_not_their_noise(tmp_path: Path) -> None:
    who = subject(tmp_path, loud_model())
    greedy = sample_groups(who, PROMPTS[:2], _plan(temperature=0.0))
    for groups in greedy:
        assert all(len({sample.token_ids for sample in group}) == 1 for group in groups), "one Z, no noise: one text"
        assert len({group[0].token_ids for group in groups}) > 1, "another Z: another text"
    noisy = sample_groups(who, PROMPTS[:2], _plan())
    assert any(len({sample.token_ids for sample in group}) > 1 for groups in noisy for group in groups)


def test_without_sharing_every_sample_has_its_own_z(tmp_path: Path) -> None:
    groups = sample_groups(subject(tmp_path, loud_model()), PROMPTS[:1], _plan(shares_latent=False, temperature=0.0))[0]
    assert len({sample.token_ids for group in groups for sample in group}) > 3


def test_a_baseline_can_be_sampled_too(tmp_path: Path) -> None:
    groups = sample_groups(subject(tmp_path, tiny_model()), PROMPTS[:1], _plan(temperature=0.0))[0]
    assert len({sample.token_ids for group in groups for sample in group}) == 1


def _completion(*ids: int) -> Completion:
    return Completion(token_ids=ids, text="", finish_reason=FinishReason.LENGTH, seconds=0.0)


def test_the_effect_is_within_minus_across_by_prompt() -> None:
    groups = ((_completion(1, 2), _completion(1, 3)), (_completion(4, 5), _completion(4, 5)))
    found = steering_of("x", agreement, [groups, groups], np.random.default_rng(0))
    assert found.same_latent == pytest.approx((0.5 + 1.0) / 2)
    assert found.other_latent == 0.0
    assert found.effect.mean == pytest.approx(0.75)


def test_agreement_counts_places_and_overlap_counts_pieces() -> None:
    assert agreement([1, 2, 3], [1, 9, 3, 4]) == 2 / 4
    assert agreement([], []) == 1.0
    assert overlap([1, 2, 3, 4], [0, 1, 2, 3]) == 1 / 3
    assert overlap([1, 2], [1, 2]) == 1.0
    assert overlap([], [1]) == 0.0
    assert overlap([], []) == 1.0


def test_the_bootstrap_interval_covers_the_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    found = [bootstrap_interval(rng.standard_normal(40), rng) for _ in range(300)]
    assert 0.90 < np.mean([interval.low <= 0 <= interval.high for interval in found]) < 0.98
