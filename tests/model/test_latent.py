"""The latent's mathematics against its definitions, spelled out bit by bit and code by code."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ft_eval.model.latent import (
    NO_CODE,
    BinaryMapper,
    bit_probabilities,
    bits_from_codes,
    codes_from_bits,
    free_bits_penalty,
    kl_per_bit_nats,
    kl_per_token_nats,
)
from tests.model.tiny import tiny_model


def logits_of(probabilities: list[float]) -> Tensor:
    return torch.tensor([[[math.log(p / (1 - p)) for p in probabilities]]], dtype=torch.float64)


def entropy(p: float) -> float:
    return -p * math.log(p) - (1 - p) * math.log(1 - p)


@settings(deadline=None)
@given(st.lists(st.floats(0.001, 0.999), min_size=1, max_size=16))
def test_kl_is_log_2_minus_the_binary_entropy(probabilities: list[float]) -> None:
    expected = [math.log(2) - entropy(p) for p in probabilities]
    bit_logits = logits_of(probabilities)
    assert kl_per_bit_nats(bit_logits)[0, 0].tolist() == pytest.approx(expected, abs=1e-12)
    assert kl_per_token_nats(bit_logits).item() == pytest.approx(sum(expected), abs=1e-12)


def test_kl_is_the_sum_over_all_codes() -> None:
    """KL(q || uniform) = Σ_d q(d) log(q(d) 2^H): the closed form over bits equals the sum over 2^H codes."""
    bit_logits = torch.randn(2, 3, 6, dtype=torch.float64)
    q = BinaryMapper(6).code_probabilities(bit_logits)
    assert torch.allclose(kl_per_token_nats(bit_logits), (q * (q * 64).log()).sum(-1))


def test_kl_stays_finite_where_a_bit_is_certain() -> None:
    certain = torch.tensor([[[0.0, 200.0, -200.0]]])
    assert kl_per_bit_nats(certain)[0, 0].tolist() == pytest.approx([0.0, math.log(2), math.log(2)], abs=1e-6)


def test_free_bits_cost_nothing_below_kappa_and_the_excess_above() -> None:
    kl_nats = torch.tensor([[0.1, 0.5, 2.0]]) * math.log(2)
    assert free_bits_penalty(kl_nats, 0.5).item() == pytest.approx(1.5 * math.log(2) / 3)
    assert free_bits_penalty(kl_nats, 2.0).item() == 0.0


@settings(deadline=None)
@given(st.integers(0, 2**16 - 1))
def test_codes_and_bits_are_one_another_with_the_first_bit_lowest(code: int) -> None:
    bits = bits_from_codes(torch.tensor(code), 16)
    assert bits.tolist() == [digit == "1" for digit in reversed(f"{code:016b}")]
    assert codes_from_bits(bits).item() == code


def test_code_probabilities_are_products_of_bit_probabilities() -> None:
    bit_logits = torch.randn(1, 2, 3, dtype=torch.float64)
    p = bit_probabilities(bit_logits)
    for t in range(2):
        for code in range(8):
            expected = 1.0
            for h in range(3):
                one = float(p[0, t, h])
                expected *= one if code >> h & 1 else 1 - one
            assert BinaryMapper(3).code_probabilities(bit_logits)[0, t, code].item() == pytest.approx(expected)


def test_sampling_frequencies_are_the_code_probabilities() -> None:
    """A chi-square over 8 codes and 40,000 draws; 24.3 is its 99.9 % point at 7 degrees of freedom."""
    bit_logits, mapper, n = torch.tensor([0.7, -1.2, 0.1]), BinaryMapper(3), 40_000
    uniforms = torch.rand(1, n, 3, generator=torch.Generator().manual_seed(5))
    counts = mapper.sample(bit_logits.expand(1, n, 3), uniforms).flatten().bincount(minlength=8)
    expected = n * mapper.code_probabilities(bit_logits)
    assert ((counts - expected) ** 2 / expected).sum() < 24.3


def test_mapper_gives_a_one_hot_with_the_gradient_of_g() -> None:
    mapper, uniforms, weights = BinaryMapper(4), torch.rand(2, 3, 4), torch.randn(2, 3, 16)
    through = torch.randn(2, 3, 4, requires_grad=True)
    formula = through.detach().clone().requires_grad_()
    Y = mapper(through, uniforms)
    assert torch.equal(Y, torch.nn.functional.one_hot(mapper.sample(through, uniforms), 16).float())
    (through_grad,) = torch.autograd.grad((Y * weights).sum(), through)
    (formula_grad,) = torch.autograd.grad((_product(formula) * weights).sum(), formula)
    assert torch.allclose(through_grad, formula_grad, atol=1e-6)


def _product(bit_logits: Tensor) -> Tensor:
    """G by its definition, factor by factor."""
    p = torch.sigmoid(bit_logits)
    columns = []
    for code in range(1 << p.shape[-1]):
        factors = [p[..., h] if code >> h & 1 else 1 - p[..., h] for h in range(p.shape[-1])]
        columns.append(torch.stack(factors).prod(0))
    return torch.stack(columns, -1)


def test_draw_equals_the_full_product_in_value_and_gradients() -> None:
    """Gathering Y's rows must give what the (B, T, 2^H) × (2^H, D) product gives."""
    model = tiny_model()
    latent = model.latent
    assert latent is not None
    table = latent.post_sampler.weight.requires_grad_()
    uniforms, weights = torch.rand(2, 3, 5), torch.randn(2, 3, 32)
    grads = []
    for full in (False, True):
        bit_logits = torch.linspace(-2, 2, 30).view(2, 3, 5).requires_grad_()
        R = latent.mapper(bit_logits, uniforms) @ table if full else latent.draw(bit_logits, uniforms)
        grads.append((R, *torch.autograd.grad((R * weights).sum(), [bit_logits, table])))
    for fast, slow in zip(*grads, strict=True):
        assert torch.allclose(fast, slow, atol=1e-6)


def test_post_sampler_is_a_row_per_code_and_zero_where_there_is_none() -> None:
    model = tiny_model()
    assert model.latent is not None
    R = model.post_sample(torch.tensor([[3, NO_CODE, 0]]))[0]
    table = model.latent.post_sampler.weight
    assert torch.equal(R, torch.stack([table[3], torch.zeros_like(table[3]), table[0]]))
