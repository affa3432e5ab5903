"""The paper's synthetic experiment (Section 4.1, Figures 3 and 4) as a test: four κ, groups of five, and numbers.

    blue group    five sequences of one prompt, each with its own Z
    green groups  five sequences of one prompt, one shared Z, each its own sampling noise

What Z holds is what a green group has in common beyond a blue one: nothing, the target's position, position and "!".
The models are `synthetic_training`'s; knows no page.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ft_eval.engine.loading import ModelArguments, load_engine
from ft_eval.probe.groups import GroupNumbers, group_numbers, texts_of, verdict
from ft_eval.probe.records import LatentUsage
from ft_eval.probe.sampling import GroupPlan, Subject, sample_groups
from ft_eval.probe.synthetic_training import DEFAULT_RECIPE, KAPPAS_BITS, SyntheticRecipe, folder_name
from ft_eval.probe.texts import ProbeText, make_windows
from ft_eval.probe.truth import held_out_sequences
from ft_eval.probe.usage import measure_usage
from ft_eval.records import Arm
from ft_eval.toy.corpora.target import LENGTH

GROUP_SIZE = 5
PROMPTS = tuple(f"{letter}>" for letter in "KAQZBTMF")
_GROUPS_PER_PROMPT = 8
_NUM_TEXTS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticModel:
    """One κ: what was trained, what it does, and the sequences of the figure."""

    kappa_bits: float
    kl_bits: float
    """KL per token of held-out texts, in bits."""
    information_bits: float
    """The part of it that differs from text to text."""
    cross_entropy_bits: float
    """Of the last training steps under posterior codes, in bits per token: the codes have seen the text."""
    minutes: float
    """Spent in training steps."""
    blue: GroupNumbers
    green: GroupNumbers
    prompt: str
    blue_sequences: tuple[str, ...]
    green_sequences: tuple[tuple[str, ...], ...]
    """Two groups."""
    verdict: str
    """What Z holds, by the numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticResult:
    """The experiment: a model per κ, from the least to the most."""

    models: tuple[SyntheticModel, ...]
    num_steps: int
    rows_per_step: int
    seed: int
    num_groups: int
    """Groups per kind behind the numbers."""


def measure_synthetic(
    folder: Path,
    *,
    recipe: SyntheticRecipe = DEFAULT_RECIPE,
    kappas_bits: Sequence[float] = KAPPAS_BITS,
    prompts: Sequence[str] = PROMPTS,
    groups_per_prompt: int = _GROUPS_PER_PROMPT,
) -> SyntheticResult:
    """Sample groups of each prompt from each trained model under `folder`, and count.

    Raises:
        CheckpointError: a model is absent.
    """
    plan = GroupPlan(
        num_groups=groups_per_prompt,
        num_samples=GROUP_SIZE,
        max_tokens=LENGTH + 4,
        seed=recipe.seed,
        shares_latent=False,
    )
    with torch.inference_mode():
        models = tuple(_measure(folder / folder_name(kappa), kappa, prompts, plan) for kappa in kappas_bits)
    return SyntheticResult(
        models=models,
        num_steps=recipe.num_steps,
        rows_per_step=recipe.rows_per_step,
        seed=recipe.seed,
        num_groups=len(prompts) * groups_per_prompt,
    )


def load_subject(folder: Path) -> Subject:
    """The latent checkpoint in a folder, under the folder's name."""
    engine = load_engine(ModelArguments(path=folder, dtype="float32", device="cpu"))
    return Subject(name=folder.parent.name, model=engine.model, tokenizer=engine.tokenizer)


def _measure(folder: Path, kappa_bits: float, prompts: Sequence[str], plan: GroupPlan) -> SyntheticModel:
    subject = load_subject(folder / str(Arm.LATENT))
    blue = sample_groups(subject, prompts, plan)
    green = sample_groups(subject, prompts, replace(plan, shares_latent=True))
    blue_numbers, green_numbers = group_numbers(prompts, blue), group_numbers(prompts, green)
    usage = _usage(subject)
    step = _last_loss(folder / "loss.csv")
    return SyntheticModel(
        kappa_bits=kappa_bits,
        kl_bits=usage.kl_bits,
        information_bits=usage.information_bits,
        cross_entropy_bits=step["cross_entropy_bits"],
        minutes=step["seconds"] / 60,
        blue=blue_numbers,
        green=green_numbers,
        prompt=prompts[0],
        blue_sequences=texts_of(blue[0])[0],
        green_sequences=texts_of(green[0])[:2],
        verdict=verdict(blue_numbers, green_numbers),
    )


def _last_loss(path: Path) -> dict[str, float]:
    """The numbers of the last line of a loss.csv, by column."""
    head, *lines = path.read_text(encoding="utf-8").splitlines()
    named = zip(head.split(","), lines[-1].split(","), strict=True)
    return {name: float(value) for name, value in named if name != "arm"}


def _usage(subject: Subject) -> LatentUsage:
    texts = [ProbeText(group="target", text=sequence.text) for sequence in held_out_sequences(_NUM_TEXTS)]
    return measure_usage(subject.model, make_windows(texts, subject.tokenizer, subject.config))[0]
