"""The pair: what it leaves on disk, how it goes on, and what it refuses."""

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ft_eval.config import load_checkpoints
from ft_eval.errors import UsageError
from ft_eval.model.checkpoint import load_model, read_config
from ft_eval.model.tokenizer import Tokenizer
from ft_eval.records import Arm
from ft_eval.toy.arm import ArmTraining
from ft_eval.toy.recipe import Backbone, Recipe
from ft_eval.toy.train import TrainingProgress, train_arm, train_pair

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
    kappa_bits=0.5,
    num_steps=3,
    num_warmup_steps=1,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[TrainingProgress]]:
    """A pair trained for three steps, and what it reported; the baseline was stopped after its first step."""
    folder = tmp_path_factory.mktemp("toy")
    stopped = ArmTraining(TINY, Arm.BASELINE)
    stopped.step()
    stopped.write_loss_row()
    (folder / "training").mkdir()
    (folder / "training" / "recipe.json").write_text(TINY.to_json())
    stopped.save(folder / "training" / "baseline.safetensors")
    reports: list[TrainingProgress] = []
    train_pair(folder, TINY, reports.append)
    return folder, reports


def test_a_trained_pair_is_two_checkpoints_that_load(trained: tuple[Path, list[TrainingProgress]]) -> None:
    folder, _ = trained
    for arm in Arm:
        config = read_config(folder / arm)
        assert config == TINY.model_config(arm)
        model = load_model(folder / arm)
        tokenizer = Tokenizer.load(folder / arm, config)
        ids = torch.tensor([tokenizer.encode("K>", add_special_tokens=True)])
        hidden = model(ids, codes=None if config.latent is None else torch.zeros_like(ids))
        assert model.logits(hidden).isfinite().all()


def test_checkpoints_toml_names_the_pair(trained: tuple[Path, list[TrainingProgress]]) -> None:
    folder, _ = trained
    entries = load_checkpoints(folder / "checkpoints.toml").checkpoints
    assert list(entries) == ["toy-baseline", "toy-latent"]
    latent = entries["toy-latent"]
    assert (latent.arm, latent.baseline, latent.kappa_bits) == (Arm.LATENT, "toy-baseline", 0.5)
    assert latent.path == folder / "latent"
    assert latent.training_tokens == TINY.num_training_tokens


def test_recipe_and_loss_curve_lie_beside_and_nothing_else(trained: tuple[Path, list[TrainingProgress]]) -> None:
    folder, _ = trained
    names = {"baseline", "latent", "checkpoints.toml", "recipe.json", "loss.csv"}
    assert {path.name for path in folder.iterdir()} == names
    record = json.loads((folder / "recipe.json").read_text())
    assert record["recipe"] == json.loads(TINY.to_json())
    with (folder / "loss.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["arm"], row["step"]) for row in rows] == [("baseline", "1"), ("baseline", "3"), ("latent", "3")]
    assert float(rows[0]["kl_bits"]) == 0 < float(rows[2]["kl_bits"])


def test_the_last_report_of_each_arm_is_of_its_last_step(trained: tuple[Path, list[TrainingProgress]]) -> None:
    _, reports = trained
    assert {report.arm for report in reports} == set(Arm)
    assert all((report.step, report.num_steps) == (3, 3) for report in reports)
    assert all(report.loss_bits > 0 and report.seconds > 0 for report in reports)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As in an arm's own process: sums come in one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_it_has_the_weights_of_trainings_that_nothing_stopped(
    trained: tuple[Path, list[TrainingProgress]], tmp_path: Path
) -> None:
    folder, _ = trained
    for arm in Arm:
        model = train_arm(tmp_path, TINY, arm, lambda _: None).model.bfloat16()
        shipped = load_model(folder / arm, dtype=torch.bfloat16)
        for (name, wanted), got in zip(model.named_parameters(), shipped.parameters(), strict=True):
            assert torch.equal(wanted, got), name


def test_a_folder_with_anything_else_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="name a new folder"):
        train_pair(tmp_path, TINY)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_finished_pair_is_refused(trained: tuple[Path, list[TrainingProgress]]) -> None:
    with pytest.raises(UsageError, match="name a new folder"):
        train_pair(trained[0], TINY)


def test_an_unfinished_training_under_another_recipe_is_refused(tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "recipe.json").write_text(replace(TINY, seed=2).to_json())
    with pytest.raises(UsageError, match="another recipe"):
        train_pair(tmp_path, TINY)
