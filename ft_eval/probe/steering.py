"""Does Z steer? Samples of one prompt that share Z should be more alike than samples that don't. Numbers from tokens.

    effect of a prompt = mean similarity of pairs with one Z − mean similarity of pairs with two Z

Both kinds of pair differ in their sampling noise. The interval is a bootstrap over prompts. Knows no model.
"""

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ft_eval.probe.records import Interval, Steering
from ft_eval.probe.sampling import GroupPlan, Groups, Subject, sample_groups

Ids = Sequence[int]
NUM_RESAMPLES = 2000
_NGRAM = 3


def agreement(first: Ids, second: Ids) -> float:
    """The share of places that hold the same token, over the longer of the two; 1 for two empty ones."""
    longest = max(len(first), len(second))
    if longest == 0:
        return 1.0
    return sum(a == b for a, b in zip(first, second, strict=False)) / longest


def overlap(first: Ids, second: Ids) -> float:
    """Shared three-token pieces wherever they stand: the Jaccard index of the two sets; 1 for two empty ones."""
    one, two = _pieces(first), _pieces(second)
    return len(one & two) / len(one | two) if one | two else 1.0


def _pieces(ids: Ids) -> set[tuple[int, ...]]:
    return {tuple(ids[start : start + _NGRAM]) for start in range(max(1, len(ids) - _NGRAM + 1)) if ids}


MEASURES: tuple[tuple[str, Callable[[Ids, Ids], float]], ...] = (
    ("same token at the same place", agreement),
    ("shared three-token pieces", overlap),
)


def measure_steering(subject: Subject, prompts: Sequence[str], plan: GroupPlan) -> tuple[Steering, ...]:
    """Sample groups that share Z for every prompt, and compare pairs within groups with pairs across."""
    sampled = sample_groups(subject, prompts, plan)
    rng = np.random.default_rng(plan.seed)
    return tuple(steering_of(name, similarity, sampled, rng) for name, similarity in MEASURES)


def steering_of(
    name: str, similarity: Callable[[Ids, Ids], float], sampled: Sequence[Groups], rng: np.random.Generator
) -> Steering:
    """One measure's steering from the sampled groups of every prompt."""
    same = np.array([_mean_within(groups, similarity) for groups in sampled])
    other = np.array([_mean_across(groups, similarity) for groups in sampled])
    return Steering(
        measure=name,
        same_latent=float(same.mean()),
        other_latent=float(other.mean()),
        effect=bootstrap_interval(same - other, rng),
    )


def _mean_within(groups: Groups, similarity: Callable[[Ids, Ids], float]) -> float:
    pairs = [pair for group in groups for pair in combinations(group, 2)]
    return float(np.mean([similarity(a.token_ids, b.token_ids) for a, b in pairs]))


def _mean_across(groups: Groups, similarity: Callable[[Ids, Ids], float]) -> float:
    pairs = [(a, b) for one, two in combinations(groups, 2) for a in one for b in two]
    return float(np.mean([similarity(a.token_ids, b.token_ids) for a, b in pairs]))


def bootstrap_interval(values: NDArray[np.float64], rng: np.random.Generator) -> Interval:
    """The mean with its 95 % percentile bootstrap interval over the values; no width for a single value."""
    chosen = rng.integers(len(values), size=(NUM_RESAMPLES, len(values)))
    low, high = np.quantile(values[chosen].mean(-1), (0.025, 0.975))
    return Interval(
        mean=float(values.mean()), low=float(low), high=float(high), n=len(values), method="percentile bootstrap"
    )
