"""The training pass is the inference pass with a gradient; the loss is the paper's; it does learn."""

import math

import pytest
import torch

from ft_eval.model.training import new_model, training_loss, training_pass
from tests.model.tiny import BASELINE, LATENT, random_tokens, tiny_model


def test_training_pass_equals_inference_with_the_drawn_codes() -> None:
    model, tokens, uniforms = tiny_model(LATENT), random_tokens(2, 9), torch.rand(2, 9, 5)
    result = training_pass(model, tokens, uniforms)
    assert model.latent is not None
    codes = model.latent.mapper.sample(model.encode(model.lower(tokens)), uniforms)
    assert torch.equal(result.logits, model.logits(model(tokens, codes=codes)))


def test_loss_is_cross_entropy_plus_the_excess_over_kappa() -> None:
    model, tokens = tiny_model(LATENT), random_tokens(2, 9)
    result = training_pass(model, tokens, torch.rand(2, 9, 5))
    loss = training_loss(result, tokens, kappa_bits=0.25)
    logprobs = result.logits.log_softmax(-1)
    nll = [-float(logprobs[b, t, tokens[b, t + 1]]) for b in range(2) for t in range(8)]
    assert result.kl_nats is not None
    excess = [max(0.0, float(kl) - 0.25 * math.log(2)) for kl in result.kl_nats.flatten()]
    assert loss.cross_entropy.item() == pytest.approx(sum(nll) / len(nll), rel=1e-5)
    assert loss.penalty.item() == pytest.approx(sum(excess) / len(excess), rel=1e-5)
    assert loss.total.item() == pytest.approx(loss.cross_entropy.item() + loss.penalty.item())


def test_every_parameter_gets_a_gradient() -> None:
    for config, uniforms in ((BASELINE, None), (LATENT, torch.rand(2, 9, 5))):
        model, tokens = new_model(config, seed=0), random_tokens(2, 9)
        training_loss(training_pass(model, tokens, uniforms), tokens).total.backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_noise_belongs_to_latent_models_alone() -> None:
    with pytest.raises(ValueError, match="uniforms"):
        training_pass(tiny_model(LATENT), random_tokens(1, 4))
    with pytest.raises(ValueError, match="uniforms"):
        training_pass(tiny_model(BASELINE), random_tokens(1, 4), torch.rand(1, 4, 5))


def test_new_models_depend_on_the_seed_alone() -> None:
    first = new_model(LATENT, seed=3)
    torch.rand(7)
    second, other = new_model(LATENT, seed=3), new_model(LATENT, seed=4)
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name])
    assert not torch.equal(first.lm_head.weight, other.lm_head.weight)


def test_both_arms_of_one_seed_start_from_the_same_blocks() -> None:
    latent, baseline = new_model(LATENT, seed=3).state_dict(), new_model(BASELINE, seed=3).state_dict()
    assert all(torch.equal(tensor, latent[name]) for name, tensor in baseline.items())


def test_new_models_leave_torch_s_own_random_numbers_alone() -> None:
    state = torch.random.get_rng_state()
    new_model(LATENT, seed=3)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_latent_carries_what_the_tokens_before_cannot() -> None:
    """Two equally likely sequences: without Z the branch costs log 2; with free bits the encoder names it and it costs
    next to nothing.
    """
    tokens = torch.tensor([[1, 5, 6, 5, 6], [1, 7, 8, 7, 8]]).repeat(4, 1)
    losses = []
    for config in (BASELINE, LATENT):
        model = new_model(config, seed=0, std=0.1)
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        generator = torch.Generator().manual_seed(0)
        cross_entropies = []
        for _ in range(150):
            uniforms = torch.rand(8, 5, 5, generator=generator) if config.latent else None
            loss = training_loss(training_pass(model, tokens, uniforms), tokens, kappa_bits=2.0)
            optimizer.zero_grad()
            loss.total.backward()
            optimizer.step()
            cross_entropies.append(loss.cross_entropy.item())
        losses.append(sum(cross_entropies[-20:]) / 20)
    baseline, latent = losses
    assert baseline == pytest.approx(math.log(2) / 4, abs=0.02)
    assert latent < 0.5 * baseline
