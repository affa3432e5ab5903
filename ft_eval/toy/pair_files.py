"""A trained pair on disk: two checkpoint folders, checkpoints.toml, recipe.json and loss.csv. Trains nothing."""

import csv
import io
import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

import torch

from ft_eval import __version__
from ft_eval.model.checkpoint import CONFIG_FILE, save_model
from ft_eval.model.tokenizer import byte_tokenizer_json
from ft_eval.records import Arm
from ft_eval.store.files import write_atomically
from ft_eval.toy.arm import ArmTraining, LossRow
from ft_eval.toy.recipe import Recipe

FORMAT_VERSION = 1
CHECKPOINTS_FILE = "checkpoints.toml"


def write_pair(folder: Path, trainings: Sequence[ArmTraining]) -> None:
    """Write trained arms of one recipe into `folder`; checkpoints.toml comes last, and says that all is there.

    Weights are rounded to bfloat16, which halves their size, and computed in float32, which small models are faster in.
    The models are not fit for more training afterwards.
    """
    recipe = trainings[0].recipe
    for training in trainings:
        save_model(training.model.bfloat16(), folder / training.arm, tokenizer_json=byte_tokenizer_json())
        _compute_in_float32(folder / training.arm)
    write_atomically(folder / "loss.csv", [_loss_csv(trainings).encode()])
    write_atomically(folder / "recipe.json", [_recipe_json(recipe, trainings).encode()])
    write_atomically(folder / CHECKPOINTS_FILE, [checkpoints_toml(recipe, [t.arm for t in trainings]).encode()])


def _compute_in_float32(checkpoint: Path) -> None:
    path = checkpoint / CONFIG_FILE
    config = json.loads(path.read_bytes())
    write_atomically(path, [json.dumps({**config, "dtype": "float32"}, indent=2).encode() + b"\n"])


def checkpoints_toml(recipe: Recipe, arms: Sequence[Arm]) -> str:
    """What names the pair to the rest of the tool; the paths are relative to the file."""
    tables = []
    for arm in arms:
        lines = [f"[checkpoints.toy-{arm}]", f'path = "{arm}"', f'arm = "{arm}"']
        if arm is Arm.LATENT:
            lines += ['baseline = "toy-baseline"'] if Arm.BASELINE in arms else []
            lines += [f"kappa_bits = {recipe.kappa_bits!r}"]
        lines += [f"training_tokens = {recipe.num_training_tokens}", f"step = {recipe.num_steps}"]
        tables.append("\n".join(lines) + "\n")
    return "\n".join(tables)


def _loss_csv(trainings: Sequence[ArmTraining]) -> str:
    """A line per arm and row: arm, step, seconds, and the loss's parts in bits per token to five digits."""
    names = [field.name for field in fields(LossRow)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["arm", *names])
    for training in trainings:
        for row in training.loss_rows:
            writer.writerow([training.arm, *(f"{value:.5g}" for value in _values(row))])
    return text.getvalue()


def _values(row: LossRow) -> tuple[float, ...]:
    return tuple(asdict(row).values())


def _recipe_json(recipe: Recipe, trainings: Sequence[ArmTraining]) -> str:
    record = {
        "format_version": FORMAT_VERSION,
        "recipe": json.loads(recipe.to_json()),
        "training_tokens": recipe.num_training_tokens,
        "minutes": {str(training.arm): round(training.seconds / 60, 1) for training in trainings},
        "num_parameters": {str(training.arm): _num_parameters(training) for training in trainings},
        "versions": {"ft-eval": __version__, "python": platform.python_version(), "torch": torch.__version__},
    }
    return json.dumps(record, indent=2, sort_keys=True) + "\n"


def _num_parameters(training: ArmTraining) -> int:
    return sum(parameter.numel() for parameter in training.model.parameters())
