"""Training of the synthetic experiment's models: the toy's training, with a post-sampler that can be heard.

A step, its rows, its noise and its optimizer are `ft_eval.toy`'s. One thing differs: R starts about as large as X. With
the toy's small start, X outgrows R fifty times in the first hundred steps, the decoder never hears Z, and the encoder's
bits drift to the same values for every text: KL without information, at any κ. Knows no figure and no page.
"""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ft_eval.records import Arm
from ft_eval.store.files import make_folder
from ft_eval.toy.arm import ArmTraining
from ft_eval.toy.pair_files import CHECKPOINTS_FILE, write_pair
from ft_eval.toy.recipe import Backbone, Recipe

KAPPAS_BITS = (1 / 64, 1 / 8, 1.0, 8.0)
"""The paper's four."""
_BACKBONE = Backbone(hidden_size=64, intermediate_size=192, max_position_embeddings=128)
_STEPS_PER_ROW = 100
_STATE_FILE = "training.safetensors"

Progress = Callable[[float, int], None]
"""Called with κ and how many models are done when that one is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticRecipe(Recipe):
    """A small latent model on the target source alone."""

    corpora: tuple[str, ...] = ("target",)
    backbone: Backbone = _BACKBONE
    question_weight: float = 1.0
    """All tokens alike: the paper's loss."""
    num_steps: int = 3000
    rows_per_step: int = 16
    post_sampler_scale: float = 16.0
    """What the post-sampler's initial weights are multiplied by."""

    def num_rows(self, corpus: str) -> int:
        """Rows of a step."""
        return self.rows_per_step


DEFAULT_RECIPE = SyntheticRecipe()


def train_synthetic(
    folder: Path,
    progress: Progress = lambda _kappa, _num_done: None,
    *,
    recipe: SyntheticRecipe = DEFAULT_RECIPE,
    kappas_bits: Sequence[float] = KAPPAS_BITS,
    num_workers: int = 2,
) -> None:
    """Train one latent model per κ into `folder`/<κ>, a process and a thread each, num_workers at a time.

    What is finished there is left alone; what was interrupted goes on from its last hundred steps.
    """
    wanted = [kappa for kappa in kappas_bits if not is_trained(folder / folder_name(kappa))]
    num_done = len(kappas_bits) - len(wanted)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=num_workers, mp_context=context) as pool:
        running = {
            pool.submit(train_model, folder / folder_name(kappa), replace(recipe, kappa_bits=kappa)): kappa
            for kappa in wanted
        }
        for number, done in enumerate(as_completed(running), start=num_done + 1):
            done.result()
            progress(running[done], number)


def is_trained(folder: Path) -> bool:
    """Whether a finished model lies there."""
    return (folder / CHECKPOINTS_FILE).exists()


def train_model(folder: Path, recipe: SyntheticRecipe) -> None:
    """Train one model in this process, from its saved state where there is one, and write its checkpoint."""
    torch.set_num_threads(1)
    make_folder(folder)
    state = folder / _STATE_FILE
    training = start(recipe)
    if state.exists():
        training.restore(state)
    while training.num_steps_done < recipe.num_steps:
        training.step()
        if training.num_steps_done % _STEPS_PER_ROW == 0 or training.num_steps_done == recipe.num_steps:
            training.write_loss_row()
            training.save(state)
    write_pair(folder, [training])
    state.unlink()


def start(recipe: SyntheticRecipe) -> ArmTraining:
    """A training at step 0."""
    training = ArmTraining(recipe, Arm.LATENT)
    assert training.model.latent is not None, "the latent arm has a latent"
    with torch.no_grad():
        training.model.latent.post_sampler.weight.mul_(recipe.post_sampler_scale)
    return training


def folder_name(kappa_bits: float) -> str:
    """`kappa-1_64`, `kappa-1`: no character that a file system minds."""
    above, below = float(kappa_bits).as_integer_ratio()
    return f"kappa-{above}" if below == 1 else f"kappa-{above}_{below}"
