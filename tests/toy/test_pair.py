"""The pair that ships: small, whole, made by the recipe of this code, and trained."""

import csv
import json
import math

import pytest
import torch

from ft_eval.config import load_checkpoints
from ft_eval.model.checkpoint import count_parameters, load_model, read_config
from ft_eval.model.tokenizer import byte_tokenizer_json
from ft_eval.model.training import training_pass
from ft_eval.records import Arm
from ft_eval.resources import toy_dir
from ft_eval.toy.arm import batch_loss
from ft_eval.toy.data import step_batches
from ft_eval.toy.recipe import Recipe

_NEVER_SEEN = Recipe(seed=99)
"""Another seed's rows: none of them was in training."""


@pytest.mark.parametrize("arm", Arm)
def test_a_checkpoint_is_four_megabytes_at_most(arm: Arm) -> None:
    files = {path.name: path.stat().st_size for path in (toy_dir() / arm).iterdir()}
    assert set(files) == {"config.json", "model.safetensors", "tokenizer.json"}
    assert sum(files.values()) <= 4e6


@pytest.mark.parametrize("arm", Arm)
def test_the_shapes_and_the_tokenizer_are_the_recipes(arm: Arm) -> None:
    assert read_config(toy_dir() / arm) == Recipe().model_config(arm)
    assert (toy_dir() / arm / "tokenizer.json").read_bytes() == byte_tokenizer_json()


def test_checkpoints_toml_names_two_checkpoints_that_are_there() -> None:
    entries = load_checkpoints(toy_dir() / "checkpoints.toml").checkpoints
    assert {name: entry.arm for name, entry in entries.items()} == {
        "toy-baseline": Arm.BASELINE,
        "toy-latent": Arm.LATENT,
    }
    assert all(count_parameters(entry.path) > 500_000 for entry in entries.values())
    assert entries["toy-latent"].baseline == "toy-baseline"
    assert entries["toy-latent"].kappa_bits == Recipe().kappa_bits


def test_the_recipe_is_that_of_this_code_and_was_carried_out() -> None:
    record = json.loads((toy_dir() / "recipe.json").read_text())
    assert record["recipe"] == json.loads(Recipe().to_json())
    with (toy_dir() / "loss.csv").open() as file:
        last = {row["arm"]: row for row in csv.DictReader(file)}
    for arm in Arm:
        assert int(last[arm]["step"]) == Recipe().num_steps


def test_the_latent_arm_uses_its_latent() -> None:
    with (toy_dir() / "loss.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["arm"] == Arm.LATENT]
    assert all(float(row["kl_bits"]) > 0.01 for row in rows)


@pytest.mark.parametrize("arm", Arm)
def test_it_predicts_rows_it_never_saw_as_well_as_at_the_end_of_training(arm: Arm) -> None:
    with (toy_dir() / "loss.csv").open() as file:
        trained = [float(row["loss_bits"]) for row in csv.DictReader(file) if row["arm"] == arm][-1]
    model = load_model(toy_dir() / arm, dtype=torch.float32)
    losses = []
    for step in range(4):
        batches = step_batches(_NEVER_SEEN, step)
        num_tokens = sum(batch.token_ids.numel() for batch in batches)
        for batch in batches:
            noise = torch.Generator().manual_seed(step)
            uniforms = torch.rand(*batch.token_ids.shape, 8, generator=noise) if arm is Arm.LATENT else None
            loss = batch_loss(_NEVER_SEEN, training_pass(model, batch.token_ids, uniforms), batch)
            losses.append(loss.total.item() * batch.token_ids.numel() / num_tokens / math.log(2))
    assert sum(losses) / 4 == pytest.approx(trained, rel=0.25)
