"""Noise is a function of its key and position, and its generator is the published one."""

import pytest
import torch
from scipy import stats

from ft_eval.model.noise import NoiseKey, Stream, philox, prior_codes, uniforms

KNOWN_ANSWERS = [
    # Random123's own test vectors for philox4x32-10: counter, key, result
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_the_generator_gives_the_published_answers(counter, key, expected):
    assert tuple(philox(torch.tensor(counter, dtype=torch.int64), key).tolist()) == expected


def test_a_longer_sequence_begins_with_the_shorter_one():
    """A code belongs to its position, so drawing ahead changes nothing."""
    key = NoiseKey(seed=1, item="gsm8k/3")
    assert torch.equal(prior_codes(key, 100, 2**16)[:17], prior_codes(key, 17, 2**16))


@pytest.mark.parametrize(
    "other",
    [NoiseKey(seed=2, item="a/1"), NoiseKey(seed=1, item="a/2"), NoiseKey(seed=1, item="a/1", draw=1)],
    ids=["seed", "item", "draw"],
)
def test_another_seed_item_or_draw_gives_other_codes(other):
    codes = prior_codes(NoiseKey(seed=1, item="a/1"), 64, 2**16)
    assert (codes == prior_codes(other, 64, 2**16)).float().mean() < 0.1


def test_codes_are_uniform():
    codes = prior_codes(NoiseKey(seed=0, item="x"), 64_000, 16)
    assert stats.chisquare(torch.bincount(codes, minlength=16).numpy()).pvalue > 1e-3


def test_uniforms_are_uniform_and_streams_are_independent():
    key = NoiseKey(seed=0, item="x")
    token, posterior = uniforms(key, 20_000, Stream.TOKEN)[:, 0], uniforms(key, 20_000, Stream.POSTERIOR)[:, 0]
    assert 0 <= float(token.min()) < float(token.max()) < 1
    assert stats.kstest(token.numpy(), "uniform").pvalue > 1e-3
    assert abs(stats.pearsonr(token.numpy(), posterior.numpy()).statistic) < 0.03


def test_values_at_one_position_are_independent():
    values = uniforms(NoiseKey(seed=0, item="x"), 20_000, Stream.POSTERIOR, num_values=2).numpy()
    assert abs(stats.pearsonr(values[:, 0], values[:, 1]).statistic) < 0.03
