"""The synthetic experiment end to end on models too small to learn: what it trains, resumes and reports."""

from pathlib import Path

import pytest

from ft_eval.probe.page import synthetic_page
from ft_eval.probe.synthetic import SyntheticResult, measure_synthetic
from ft_eval.probe.synthetic_training import SyntheticRecipe, folder_name, is_trained, train_synthetic
from ft_eval.records import Arm
from ft_eval.report.probe_page import render_probe_page
from ft_eval.store.codec import dump, load
from ft_eval.toy.data import step_batches
from ft_eval.toy.recipe import Backbone

TINY = SyntheticRecipe(
    backbone=Backbone(hidden_size=16, num_layers=2, intermediate_size=16, max_position_embeddings=128),
    num_steps=2,
    num_warmup_steps=1,
    rows_per_step=3,
)


def test_the_recipe_is_the_target_source_alone_with_its_own_number_of_rows() -> None:
    (batch,) = step_batches(TINY, 0)
    assert batch.token_ids.shape == (3, 68)
    assert TINY.num_training_tokens == 2 * 3 * 68
    assert TINY.model_config(Arm.LATENT).latent is not None
    assert TINY.question_weight == 1.0, "the paper's loss"


@pytest.mark.parametrize(("kappa", "name"), [(1 / 64, "kappa-1_64"), (1.0, "kappa-1"), (8.0, "kappa-8")])
def test_folders_are_named_by_kappa(kappa: float, name: str) -> None:
    assert folder_name(kappa) == name


def test_trained_models_are_measured_written_and_not_trained_twice(tmp_path: Path) -> None:
    seen: list[float] = []
    kappas = (1 / 8, 8.0)
    train_synthetic(tmp_path, lambda kappa, _: seen.append(kappa), recipe=TINY, kappas_bits=kappas)
    assert sorted(set(seen)) == [1 / 8, 8.0]
    assert is_trained(tmp_path / "kappa-8")
    assert sorted(path.name for path in (tmp_path / "kappa-8").iterdir()) == [
        "checkpoints.toml",
        "latent",
        "loss.csv",
        "recipe.json",
    ]
    seen.clear()
    train_synthetic(tmp_path, lambda kappa, _: seen.append(kappa), recipe=TINY, kappas_bits=kappas)
    assert not seen
    result = measure_synthetic(tmp_path, recipe=TINY, kappas_bits=kappas, prompts=("K>",), groups_per_prompt=2)
    assert [model.kappa_bits for model in result.models] == [1 / 8, 8.0]
    for model in result.models:
        assert len(model.blue_sequences) == 5
        assert [len(group) for group in model.green_sequences] == [5, 5]
        assert model.blue.well_formed == 0.0
        assert "broken" in model.verdict
    assert load(SyntheticResult, dump(result)) == result
    assert render_probe_page(synthetic_page(result)).count('class="strip') >= 6
