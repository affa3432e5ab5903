"""`ft-eval toy`: the small pair that ships with the package, and how to train it again."""

import shlex
from dataclasses import replace
from pathlib import Path

import click

from ft_eval.cli.options import Number, Whole
from ft_eval.cli.paths import PATH


@click.group(short_help="The shipped toy pair, and its training.")
def toy() -> None:
    """A byte-level latent model and its baseline, small enough for a laptop."""


@toy.command()
def path() -> None:
    """Print the folder of the shipped pair, which `ft-eval run --ckpt` takes."""
    from ft_eval.resources import toy_dir

    click.echo(str(toy_dir()))


@toy.command()
@click.argument("folder", type=PATH)
@click.option(
    "--kappa", "kappa_bits", type=Number(low=0.0), metavar="BITS", help="Free bits κ per token; default: the recipe's."
)
@click.option("--corpora", metavar="A,B", help="What to train on: target, problems, choices, functions; default: all.")
@click.option("--steps", "num_steps", type=Whole(low=1), help="Training steps; default: the recipe's.")
@click.option("--seed", type=Whole(low=0), help="Seed of weights, rows and codes; default: the recipe's.")
def train(folder: Path, kappa_bits: float | None, corpora: str | None, num_steps: int | None, seed: int | None) -> None:
    """Train a pair into FOLDER, which must be new or empty. Interrupted, the same command goes on."""
    from ft_eval.cli.options import parse_names
    from ft_eval.toy.recipe import Recipe
    from ft_eval.toy.train import TrainingProgress, train_pair

    def show(progress: TrainingProgress) -> None:
        click.echo(
            f"{progress.arm:8} step {progress.step:5} of {progress.num_steps}  loss {progress.loss_bits:.4f} bits/token"
            f"  KL {progress.kl_bits:.4f} bits/token  {progress.seconds:.0f} s",
            err=True,
        )

    own = Recipe()
    recipe = replace(
        own,
        corpora=parse_names([corpora]) if corpora else own.corpora,
        kappa_bits=own.kappa_bits if kappa_bits is None else kappa_bits,
        num_steps=num_steps or own.num_steps,
        seed=own.seed if seed is None else seed,
    )
    train_pair(folder, recipe, show)
    tasks = "toy_gsm8k,toy_mmlu,toy_humaneval,toy_target"
    click.echo(f"{folder}\nnext: ft-eval run --ckpt {shlex.quote(str(folder))} --tasks {tasks}")
