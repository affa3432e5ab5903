"""Which documents are worth reading: those on which two models differ, and some on which they don't. Numbers only.

Collected while a task's evidence is at hand; the texts are read later, once per job (`texts.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ft_eval.report.catalog import Matchup
from ft_eval.report.evidence import Evidence, Pairs

_MAX_CHANGED, _MAX_EQUAL = 1_500, 200
"""Per task and latent."""
_SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PickedPair:
    """One document that both answered."""

    baseline_id: int
    latent_id: int
    gain: float
    """The latent's score minus the baseline's, better above 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPicks:
    """One latent against its baseline on one task's primary metric."""

    latent: str
    num_pairs: int
    num_gained: int
    num_lost: int
    changed: tuple[PickedPair, ...]
    """A loss, a gain, a loss …, the largest first, in the items' order where equal."""
    equal: tuple[PickedPair, ...]
    """Drawn evenly from the scores that are equal: of every score that occurs, in turn."""
    baseline_ids: NDArray[np.int64]
    """Of all pairs, ascending."""
    latent_ids: NDArray[np.int64]

    def partner(self, baseline_id: int) -> int | None:
        """The latent's number of the baseline's document; None where it does not pair."""
        place = int(np.searchsorted(self.baseline_ids, baseline_id))
        is_there = place < self.baseline_ids.size and self.baseline_ids[place] == baseline_id
        return int(self.latent_ids[place]) if is_there else None


@dataclass(slots=True)
class Picks:
    """What was picked so far, by (panel's number, task's label)."""

    by_task: dict[tuple[int, str], tuple[TaskPicks, ...]] = field(default_factory=dict)

    def collect(self, panel: int, matchup: Matchup, evidence: Evidence) -> None:
        """Pick from one task; nothing where there is no baseline or nothing pairs."""
        metric, better = evidence.task.metric, evidence.task.higher_is_better
        found = {latent.label: evidence.pairs.get((latent.label, metric)) for latent in matchup.latents}
        made = [pick(label, pairs, higher_is_better=better) for label, pairs in found.items() if pairs is not None]
        self.by_task[panel, evidence.label] = tuple(picks for picks in made if picks.num_pairs)

    @property
    def num_lists(self) -> int:
        """How many comparisons there are to show documents of, at least 1."""
        return max(1, sum(map(len, self.by_task.values())))


def pick(label: str, pairs: Pairs, *, higher_is_better: bool) -> TaskPicks:
    """The documents of one comparison, the most telling first."""
    gain = (pairs.latent - pairs.baseline) * (1.0 if higher_is_better else -1.0)
    losses, gains = _largest(-gain), _largest(gain)
    equal = _evenly(np.flatnonzero(gain == 0.0), pairs.baseline)
    return TaskPicks(
        latent=label,
        num_pairs=int(gain.size),
        num_gained=len(gains),
        num_lost=len(losses),
        changed=_pairs(pairs, gain, _alternate(losses, gains)[:_MAX_CHANGED]),
        equal=_pairs(pairs, gain, equal[:_MAX_EQUAL]),
        baseline_ids=pairs.baseline_ids,
        latent_ids=pairs.latent_ids,
    )


def _pairs(pairs: Pairs, gain: NDArray[np.float64], places: Sequence[int]) -> tuple[PickedPair, ...]:
    return tuple(
        PickedPair(baseline_id=int(pairs.baseline_ids[i]), latent_id=int(pairs.latent_ids[i]), gain=float(gain[i]))
        for i in places
    )


def _largest(gain: NDArray[np.float64]) -> list[int]:
    """Places of the positive gains, the largest first, in the items' order where equal."""
    order = np.argsort(-gain, kind="stable")
    return [int(place) for place in order if gain[place] > 0]


def _alternate(first: Sequence[int], second: Sequence[int]) -> list[int]:
    """One of each in turn, then what is left of the longer."""
    both = min(len(first), len(second))
    paired = [place for pair in zip(first, second, strict=False) for place in pair]
    return [*paired, *first[both:], *second[both:]]


def _evenly(places: NDArray[np.int64], scores: NDArray[np.float64]) -> list[int]:
    """The places in an order whose every beginning has each score about as often, drawn without replacement."""
    shuffled = np.random.default_rng(_SEED).permutation(places)
    strata: Mapping[float, list[int]] = {score: [] for score in np.unique(scores[places]).tolist()}
    for place in shuffled.tolist():
        strata[float(scores[place])].append(place)
    turns = sorted((turn, score, place) for score, own in strata.items() for turn, place in enumerate(own[:_MAX_EQUAL]))
    return [place for _, _, place in turns]
