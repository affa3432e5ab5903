"""Likelihood bounds: each under the truth, tighter with K, and equal to what a slow loop gives."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ft_eval.model.latent import codes_from_bits
from ft_eval.model.noise import NoiseKey, Stream, prior_codes, uniforms
from ft_eval.model.transformer import Transformer
from ft_eval.probe.enumeration import enumerate_codes
from ft_eval.probe.likelihood import (
    baseline_rows,
    draw_window,
    elbo,
    exact_nats,
    latent_rows,
    log_mean_bound,
    nats_given_codes,
    powers_of_two,
)
from ft_eval.probe.posterior import (
    draw_posterior_codes,
    draw_prior_codes,
    encode_whole_text_leaking_target,
    log_posterior,
)
from ft_eval.probe.records import Estimator
from ft_eval.probe.texts import Window
from tests.fakes import tiny_model
from tests.probe.planted import deaf_model, loud_model, window, windows


def _slow_nats(model: Transformer, text: Window, codes: list[int] | None) -> float:
    """One token at a time, each by a whole forward pass over what came before it."""
    total = 0.0
    for place in range(text.num_given, len(text.token_ids)):
        seen = torch.tensor([text.token_ids[:place]])
        z = None if codes is None else torch.tensor([codes[:place]])
        logits = model.logits(model(seen, codes=z)[0, -1])
        total += float(F.log_softmax(logits.double(), -1)[text.token_ids[place]])
    return total


@torch.inference_mode()
def test_the_cost_of_a_text_given_z_is_the_sum_over_tokens_of_whole_passes() -> None:
    model, text = tiny_model(num_bits=3), window(b"abcde", num_given=2)
    codes = torch.randint(8, (4, 5))
    fast = nats_given_codes(model, model.lower(torch.tensor([text.token_ids])), codes, text)
    assert fast == pytest.approx([_slow_nats(model, text, row.tolist()) for row in codes], abs=1e-4)


@torch.inference_mode()
def test_a_baselines_value_is_exact() -> None:
    model, text = tiny_model(), window(b"hello there")
    assert exact_nats(model, text) == pytest.approx(_slow_nats(model, text, None), abs=1e-4)


@torch.inference_mode()
def test_many_draws_in_slices_cost_what_they_cost_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model, text = tiny_model(num_bits=3), window(b"abcde")
    whole = draw_window(model, text, num_draws=9, seed=0)
    monkeypatch.setattr("ft_eval.probe.likelihood._MAX_LOGITS", 2 * 5 * 260)
    sliced = draw_window(model, text, num_draws=9, seed=0)
    assert sliced.log_weights == pytest.approx(whole.log_weights, abs=1e-5)
    assert sliced.prior_nats == pytest.approx(whole.prior_nats, abs=1e-5)


@torch.inference_mode()
def test_a_window_draws_the_same_z_whatever_else_is_measured() -> None:
    model, texts = tiny_model(num_bits=3), windows(3, 6)
    alone = draw_window(model, texts[2], num_draws=4, seed=7)
    assert alone.posterior_nats == pytest.approx(draw_window(model, texts[2], num_draws=8, seed=7).posterior_nats[:4])
    assert not np.allclose(alone.posterior_nats, draw_window(model, texts[2], num_draws=4, seed=8).posterior_nats)


@torch.inference_mode()
def test_log_posterior_is_the_log_of_the_product_of_the_bits_probabilities() -> None:
    bit_logits = 2 * torch.randn(3, 2, dtype=torch.float64)
    codes = torch.cartesian_prod(*[torch.arange(4)] * 3)
    logs = log_posterior(bit_logits, codes)
    assert float(logs.exp().sum()) == pytest.approx(1.0)
    p = torch.sigmoid(bit_logits)
    expected = p[0, 0] * (1 - p[0, 1]) * (1 - p[1, 0]) * p[1, 1] * p[2, 0] * p[2, 1]
    assert float(log_posterior(bit_logits, torch.tensor([1, 2, 3])).exp()) == pytest.approx(float(expected))


def test_posterior_codes_come_as_often_as_their_probability_says() -> None:
    bit_logits = torch.tensor([[1.5, -0.5]], dtype=torch.float64)
    codes = draw_posterior_codes(bit_logits, NoiseKey(seed=0, item="x"), 4000)[:, 0]
    found = torch.bincount(codes, minlength=4) / 4000
    expected = log_posterior(bit_logits, torch.arange(4)[:, None]).exp()
    assert found.tolist() == pytest.approx(expected.tolist(), abs=0.04)


def test_many_draws_at_once_have_the_noise_of_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ft_eval.probe.posterior._MAX_NOISE", 50)  # several slices
    key, bit_logits = NoiseKey(seed=3, item="x"), torch.randn(7, 3, dtype=torch.float64)
    posterior = draw_posterior_codes(bit_logits, key, 5)
    prior = draw_prior_codes(key, 5, 7, 8)
    for draw in range(5):
        one = replace(key, draw=draw)
        assert torch.equal(prior[draw], prior_codes(one, 7, 8))
        noise = uniforms(one, 7, Stream.POSTERIOR, num_values=3)
        assert torch.equal(posterior[draw], codes_from_bits(noise < torch.sigmoid(bit_logits)))


@torch.inference_mode()
def test_the_posterior_sees_the_whole_text_and_its_last_z_is_left_out() -> None:
    model = tiny_model(num_bits=3)
    _, one = encode_whole_text_leaking_target(model, (256, 97, 98, 99))
    _, other = encode_whole_text_leaking_target(model, (256, 97, 98, 122))
    assert one.shape == (3, 3)
    assert not torch.allclose(one[0], other[0]), "the first Z knows the last token: that is the leak"


@torch.inference_mode()
def test_bounds_are_ordered_and_below_the_sum_over_every_z() -> None:
    model = loud_model(num_bits=2)
    texts = windows(6, 4)
    truth = sum(enumerate_codes(model, text).exact_nats for text in texts)
    draws = [draw_window(model, text, num_draws=256, seed=3) for text in texts]
    weights = np.stack([draw.log_weights for draw in draws])
    lower, curve = elbo(draws), [log_mean_bound(weights, k) for k in powers_of_two(256)]
    assert lower.total_nats - 3 * lower.stderr_nats < curve[0].total_nats + 3 * curve[0].stderr_nats
    for less, more in pairwise(curve):
        assert less.total_nats < more.total_nats + 3 * math.hypot(less.stderr_nats, more.stderr_nats)
    assert curve[-1].total_nats == pytest.approx(truth, abs=4 * curve[-1].stderr_nats + 0.02)
    assert curve[0].total_nats < truth


@torch.inference_mode()
def test_the_elbo_is_the_expectation_of_the_one_draw_bound() -> None:
    model, text = tiny_model(num_bits=2), window(b"abcd")
    table, drawn = enumerate_codes(model, text), draw_window(model, text, num_draws=512, seed=0)
    point = elbo([drawn])
    assert point.total_nats == pytest.approx(table.exact_elbo_nats, abs=4 * point.stderr_nats)
    one = log_mean_bound(drawn.log_weights[None], 1)
    assert one.total_nats == pytest.approx(table.exact_elbo_nats, abs=4 * one.stderr_nats)


@torch.inference_mode()
def test_a_model_that_ignores_z_costs_the_same_under_every_draw() -> None:
    model, text = deaf_model(), window(b"abcdefgh")
    drawn = draw_window(model, text, num_draws=16, seed=0)
    assert np.ptp(drawn.prior_nats) < 1e-5
    assert np.ptp(drawn.posterior_nats) < 1e-5
    assert elbo([drawn]).total_nats == pytest.approx(float(drawn.prior_nats[0]) - drawn.kl_nats, abs=1e-4)


@torch.inference_mode()
def test_rows_name_what_they_are_and_groups_sum_to_all() -> None:
    model = tiny_model(num_bits=2)
    texts = [window(b"abcd", group="one"), window(b"efghij", group="two"), window(b"kl", group="two", index=1)]
    rows = latent_rows(model, "tiny", texts, num_draws=5, seed=0)
    kinds = [(row.estimator, row.num_draws) for row in rows if row.group == "all"]
    assert kinds == [
        (Estimator.ELBO, 5),
        (Estimator.IWAE, 1),
        (Estimator.IWAE, 2),
        (Estimator.IWAE, 4),
        (Estimator.PRIOR, 4),
    ]
    assert all(row.is_bound for row in rows)
    by_group = {row.group: row for row in rows if (row.estimator, row.num_draws) == (Estimator.IWAE, 4)}
    assert by_group["all"].total_nats == pytest.approx(by_group["one"].total_nats + by_group["two"].total_nats)
    assert by_group["all"].num_tokens == 12
    row = by_group["two"]
    assert row.bits_per_byte == pytest.approx(-row.total_nats / math.log(2) / 8)
    assert row.perplexity == pytest.approx(math.exp(-row.total_nats / 8))


@torch.inference_mode()
def test_a_baselines_rows_are_exact_and_on_the_same_windows() -> None:
    texts = windows(3, 5)
    (row,) = baseline_rows(tiny_model(), "base", texts)
    assert row.estimator is Estimator.EXACT
    assert not row.is_bound
    assert row.num_tokens == 15
    assert row.total_nats == pytest.approx(sum(exact_nats(tiny_model(), text) for text in texts))
