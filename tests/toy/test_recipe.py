"""A recipe says all, refuses what it can't do, and makes two arms of one shape."""

import json
from dataclasses import replace

import pytest

from ft_eval.errors import UsageError
from ft_eval.records import Arm
from ft_eval.toy.data import step_batches
from ft_eval.toy.recipe import Recipe


def test_the_arms_differ_in_the_latent_alone() -> None:
    recipe = Recipe(num_latent_bits=5, kappa_bits=0.5)
    baseline, latent = recipe.model_config(Arm.BASELINE), recipe.model_config(Arm.LATENT)
    assert baseline.latent is None
    assert latent.latent is not None
    assert (latent.latent.num_bits, latent.latent.kappa_bits) == (5, 0.5)
    assert replace(latent, latent=None) == baseline


def test_an_unknown_corpus_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="did you mean target"):
        Recipe(corpora=("targets",))


def test_a_recipe_without_a_corpus_is_refused() -> None:
    with pytest.raises(UsageError, match="at least one"):
        Recipe(corpora=())


def test_training_tokens_are_those_of_all_rows() -> None:
    recipe = Recipe(num_steps=7)
    assert recipe.num_training_tokens == 7 * sum(batch.token_ids.numel() for batch in step_batches(recipe, 0))


def test_recipes_are_equal_when_their_json_is() -> None:
    assert Recipe().to_json() == Recipe().to_json()
    assert Recipe().to_json() != Recipe(seed=2).to_json()
    assert json.loads(Recipe(kappa_bits=1 / 64).to_json())["kappa_bits"] == 1 / 64
