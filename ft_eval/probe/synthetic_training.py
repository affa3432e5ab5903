"""Training of the synthetic experiment's models: the toy's training of the latent arm alone, one model per κ.

A step, its rows, its noise, its optimizer and what an interruption leaves are `ft_eval.toy`'s. Knows no figure and no
page.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

from ft_eval.records import Arm
from ft_eval.toy.pair_files import CHECKPOINTS_FILE
from ft_eval.toy.recipe import Backbone, Recipe
from ft_eval.toy.train import train_pair

KAPPAS_BITS = (1 / 64, 1 / 8, 1.0, 8.0)
"""The paper's four."""
_BACKBONE = Backbone(hidden_size=64, intermediate_size=192, max_position_embeddings=128)

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
    bit_scale: float | None = 16.0

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
    with ThreadPoolExecutor(max_workers=num_workers) as pool:  # a thread waits for the process that trains
        running = {pool.submit(_train_model, folder, replace(recipe, kappa_bits=kappa)): kappa for kappa in wanted}
        for number, done in enumerate(as_completed(running), start=num_done + 1):
            done.result()
            progress(running[done], number)


def is_trained(folder: Path) -> bool:
    """Whether a finished model lies there."""
    return (folder / CHECKPOINTS_FILE).exists()


def _train_model(folder: Path, recipe: SyntheticRecipe) -> None:
    """Train one model, from its saved state where there is one, and write its checkpoint."""
    train_pair(folder / folder_name(recipe.kappa_bits), recipe, arms=(Arm.LATENT,))


def folder_name(kappa_bits: float) -> str:
    """`kappa-1_64`, `kappa-1`: no character that a file system minds."""
    above, below = float(kappa_bits).as_integer_ratio()
    return f"kappa-{above}" if below == 1 else f"kappa-{above}_{below}"
