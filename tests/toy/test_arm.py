"""One arm under training: it learns, it is deterministic, and it goes on from disk as if it had not stopped."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ft_eval.model.training import training_loss, training_pass
from ft_eval.records import Arm
from ft_eval.toy.arm import ArmTraining, batch_loss, learning_rate
from ft_eval.toy.data import step_batches
from ft_eval.toy.recipe import Backbone, Recipe

TINY = Recipe(
    corpora=("target",),
    backbone=Backbone(
        hidden_size=16,
        num_layers=2,
        num_heads=2,
        num_kv_heads=1,
        intermediate_size=24,
        max_position_embeddings=128,
    ),
    num_latent_bits=3,
    num_steps=24,
    num_warmup_steps=4,
    learning_rate=1e-2,
)


def _steps(training: ArmTraining, number: int) -> None:
    for _ in range(number):
        training.step()


def _weights(training: ArmTraining) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in training.model.named_parameters()}


def _assert_equal(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    for name, tensor in left.items():
        assert torch.equal(tensor, right[name]), name


@pytest.mark.parametrize("arm", Arm)
def test_the_loss_falls(arm: Arm) -> None:
    training = ArmTraining(TINY, arm)
    _steps(training, 1)
    first = training.write_loss_row()
    _steps(training, 22)
    training.write_loss_row()
    _steps(training, 1)
    last = training.write_loss_row()
    assert first.cross_entropy_bits > 6.5  # of log2(259) = 8: it knows next to nothing yet
    assert last.loss_bits < first.loss_bits - 2


def test_a_step_changes_every_weight_of_both_arms() -> None:
    for arm in Arm:
        training = ArmTraining(TINY, arm)
        before = _weights(training)
        _steps(training, 1)
        after = _weights(training)
        assert [name for name in before if torch.equal(before[name], after[name])] == []


def test_both_arms_start_from_the_same_backbone() -> None:
    baseline, latent = _weights(ArmTraining(TINY, Arm.BASELINE)), _weights(ArmTraining(TINY, Arm.LATENT))
    _assert_equal(baseline, {name: tensor for name, tensor in latent.items() if name in baseline})
    assert all(name.startswith("latent.") for name in latent.keys() - baseline.keys())


def test_the_post_sampler_starts_as_sums_of_a_direction_per_bit() -> None:
    """Turning a bit over moves R by the same vector whatever the other bits are, and by as much as the recipe says."""
    plain = _weights(ArmTraining(TINY, Arm.LATENT))
    weights = _weights(ArmTraining(replace(TINY, bit_scale=16.0), Arm.LATENT))
    weight = weights.pop("latent.post_sampler.weight")
    _assert_equal(weights, {name: plain[name] for name in weights})
    for bit in range(TINY.num_latent_bits):
        ones = torch.tensor([code for code in range(8) if code >> bit & 1])
        steps = weight[ones] - weight[ones - (1 << bit)]
        assert torch.allclose(steps, steps[:1].expand_as(steps), atol=1e-5)
    quiet = _weights(ArmTraining(replace(TINY, bit_scale=1.0), Arm.LATENT))["latent.post_sampler.weight"]
    assert torch.allclose(weight, quiet * 16.0, rtol=1e-4)
    assert 8.0 < float(weight.std() / plain["latent.post_sampler.weight"].std()) < 32.0


@pytest.mark.parametrize("arm", Arm)
def test_a_restored_training_ends_as_an_uninterrupted_one(arm: Arm, tmp_path: Path) -> None:
    whole = ArmTraining(TINY, arm)
    _steps(whole, 3)
    whole.write_loss_row()
    whole.save(tmp_path / "state.safetensors")
    _steps(whole, 3)
    resumed = ArmTraining(TINY, arm)
    resumed.restore(tmp_path / "state.safetensors")
    _steps(resumed, 3)
    _assert_equal(_weights(whole), _weights(resumed))
    assert resumed.loss_rows == whole.loss_rows
    assert resumed.write_loss_row().kl_bits == whole.write_loss_row().kl_bits


def test_a_saved_state_leaves_no_other_file(tmp_path: Path) -> None:
    training = ArmTraining(TINY, Arm.BASELINE)
    _steps(training, 1)
    training.write_loss_row()
    training.save(tmp_path / "state.safetensors")
    training.save(tmp_path / "state.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["state.safetensors"]


def test_kappa_frees_that_many_bits_of_kl() -> None:
    tight, free = (ArmTraining(replace(TINY, kappa_bits=kappa), Arm.LATENT) for kappa in (1e-9, 3.0))
    for training in (tight, free):
        _steps(training, 1)
    assert tight.write_loss_row().penalty_bits == pytest.approx(tight.loss_rows[-1].kl_bits, rel=1e-3)
    assert free.write_loss_row().penalty_bits == 0


def test_where_questions_weigh_as_answers_the_loss_is_the_papers() -> None:
    recipe = replace(TINY, question_weight=1.0, kappa_bits=1e-3)
    [batch] = step_batches(recipe, 0)
    uniforms = torch.rand(*batch.token_ids.shape, recipe.num_latent_bits)
    result = training_pass(ArmTraining(recipe, Arm.LATENT).model, batch.token_ids, uniforms)
    papers = training_loss(result, batch.token_ids, kappa_bits=1e-3)
    assert batch_loss(recipe, result, batch).total.item() == pytest.approx(papers.total.item())


def test_a_question_weighs_as_little_as_the_recipe_says() -> None:
    none, half = replace(TINY, question_weight=0.0), replace(TINY, question_weight=0.5)
    [batch] = step_batches(TINY, 0)
    result = training_pass(ArmTraining(TINY, Arm.BASELINE).model, batch.token_ids)
    losses = torch.nn.functional.cross_entropy(
        result.logits[:, :-1].transpose(1, 2), batch.token_ids[:, 1:], reduction="none"
    )
    answers = losses[:, 2:]  # what is predicted first is the letter, then ">": the question
    assert batch_loss(none, result, batch).total.item() == pytest.approx(answers.sum().item() / losses.numel())
    expected = (answers.sum() + losses[:, :2].sum() / 2).item() / losses.numel()
    assert batch_loss(half, result, batch).total.item() == pytest.approx(expected)


def test_the_learning_rate_rises_to_its_peak_and_falls_to_a_tenth() -> None:
    rates = [learning_rate(TINY, step) for step in range(TINY.num_steps + 1)]
    peak = TINY.num_warmup_steps
    assert rates[0] == pytest.approx(TINY.learning_rate / peak)
    assert rates[peak] == pytest.approx(TINY.learning_rate)
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] == pytest.approx(TINY.learning_rate / 10)
