"""From evidence to a table's rows: one metric of one task or group, for every contender of a panel.

A task is a group of one. Micro: all items in one heap. Macro: one vote per task.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ft_eval.report.catalog import Matchup
from ft_eval.report.evidence import Aggregate, Evidence, Key, Pairs
from ft_eval.report.gains import macro_gain, pooled_gain
from ft_eval.report.heaps import compare_items, compare_strata, item_variance, merge_pairs
from ft_eval.report.tables import Cell, MetricRow, Unit
from ft_eval.report.unpaired import compare_samples
from ft_eval.report.verdicts import Comparison
from ft_eval.stats import (
    Estimate,
    Independent,
    NoiseFloor,
    cluster_estimate,
    macro_estimate,
    macro_noise_floor,
    mean_estimate,
    noise_floor,
)

_LOWER_IS_BETTER = frozenset(
    {"perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte", "loss", "nll", "brier_score", "wer", "ter"}
)
NO_MEAN = "the metric is no mean over documents, so there is no paired test"
NO_PAIR = "no item pairs with one of the baseline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a row asks: which metric, how it is read, and how tasks add up to a group."""

    metric: str
    is_primary: bool
    higher_is_better: bool
    weight_by_size: bool = True


def is_higher_better(metric: str) -> bool:
    """Whether more of a secondary metric is better, by its name; a task says it of its primary metric itself."""
    return metric.split("/", maxsplit=1)[0] not in _LOWER_IS_BETTER


def make_metric_row(question: Question, evidences: Sequence[Evidence], matchup: Matchup) -> MetricRow:
    """One metric over one task, or over the tasks of a group."""
    unit = _unit(question, evidences)
    base = None if matchup.baseline is None else matchup.baseline.label
    return MetricRow(
        metric=question.metric,
        is_primary=question.is_primary,
        unit=unit,
        higher_is_better=question.higher_is_better,
        baseline=None if base is None else _score(question, evidences, base),
        cells=tuple(_cell(question, evidences, latent.label, base) for latent in matchup.latents),
        noise_floor=_noise_floor(question, evidences),
    )


def _noise_floor(question: Question, evidences: Sequence[Evidence]) -> NoiseFloor | None:
    """Of the baseline and its rerun; None where not all tasks of a group were run again."""
    strata = [pairs for e in evidences if (pairs := e.rerun_pairs.get(question.metric)) and pairs.baseline.size]
    if len(strata) < len(evidences) or _is_aggregate(question, evidences):
        return None
    if question.weight_by_size or len(strata) == 1:
        heap = merge_pairs(strata)
        return noise_floor(heap.baseline, heap.latent)
    return macro_noise_floor([noise_floor(pairs.baseline, pairs.latent) for pairs in strata])


def _unit(question: Question, evidences: Sequence[Evidence]) -> Unit:
    """POINTS where every score of every contender lies in [0, 1] and the name does not speak of a likelihood."""
    if not is_higher_better(question.metric):
        return Unit.RAW
    found = [scores for e in evidences for (_, metric), scores in e.scores.items() if metric == question.metric]
    found += [np.array([a.score]) for e in evidences for (_, m), a in e.aggregates.items() if m == question.metric]
    return Unit.POINTS if all(_is_fraction(scores) for scores in found) else Unit.RAW


def _is_fraction(scores: NDArray[np.float64]) -> bool:
    return bool(((scores >= 0.0) & (scores <= 1.0)).all())


def _score(question: Question, evidences: Sequence[Evidence], label: str) -> Estimate | None:
    key = (label, question.metric)
    aggregates = [e.aggregates[key] for e in evidences if key in e.aggregates]
    strata = [e.scores[key] for e in evidences if key in e.scores]
    if aggregates:
        return _aggregate_estimate(aggregates[0]) if len(evidences) == 1 else None
    return _pool(strata, weight_by_size=question.weight_by_size) if strata else None


def _aggregate_estimate(aggregate: Aggregate) -> Estimate:
    return Estimate(
        mean=aggregate.score,
        stderr=aggregate.stderr,
        low=math.nan,
        high=math.nan,
        n=aggregate.n,
        method="as the task reports it",
        reason="the metric is no mean over documents",
    )


def _pool(strata: Sequence[NDArray[np.float64]], *, weight_by_size: bool) -> Estimate:
    if weight_by_size or len(strata) == 1:
        return mean_estimate(np.concatenate(strata))
    return macro_estimate([mean_estimate(scores) for scores in strata])


def _cell(question: Question, evidences: Sequence[Evidence], label: str, base: str | None) -> Cell:
    score = _score(question, evidences, label)
    key, paired = (label, question.metric), [] if _is_aggregate(question, evidences) else evidences
    chance = _chance(question, evidences)
    samples = _samples(paired, key)
    comparison = (
        compare_samples(samples, weight_by_size=question.weight_by_size, chance=chance)
        if samples
        else compare_pairs(question, [evidence.pairs.get(key) for evidence in paired], chance)
    )
    why = "" if comparison is not None else _why_no_comparison(question, evidences, label, base)
    to_zero = compare_pairs(question, [evidence.zero_pairs.get(key) for evidence in paired], chance)
    return Cell(label=label, score=score, comparison=comparison, why_empty=why, to_zero=to_zero)


def _samples(evidences: Sequence[Evidence], key: Key) -> list[tuple[Independent, Independent]]:
    """Both sides' items of each task, where at least one task was to be compared unpaired; else empty."""
    if not any(key in evidence.samples for evidence in evidences):
        return []
    found = [evidence.samples.get(key) or _of_pairs(evidence.pairs.get(key)) for evidence in evidences]
    return [sides for sides in found if sides is not None]


def _of_pairs(pairs: Pairs | None) -> tuple[Independent, Independent] | None:
    if pairs is None:
        return None
    baseline, latent = (
        Independent(scores=scores, clusters=pairs.clusters) for scores in (pairs.baseline, pairs.latent)
    )
    return baseline, latent


def _is_aggregate(question: Question, evidences: Sequence[Evidence]) -> bool:
    return any(metric == question.metric for e in evidences for _, metric in e.aggregates)


def _why_no_comparison(question: Question, evidences: Sequence[Evidence], label: str, base: str | None) -> str:
    if (state := _state(evidences, label)) != "done":
        return state
    if _score(question, evidences, label) is None:
        return "no document has this metric"
    if base is None:
        return "no baseline here"
    if (state := _state(evidences, base)) != "done":
        return f"baseline {state}"
    return NO_MEAN if _is_aggregate(question, evidences) else NO_PAIR


def _state(evidences: Sequence[Evidence], label: str) -> str:
    """`done` where any of the tasks is."""
    states = {evidence.states[label] for evidence in evidences}
    return next(state for state in ("done", "not finished", "not run") if state in states)


def compare_pairs(question: Question, found: Sequence[Pairs | None], chance: float) -> Comparison | None:
    """What the pairs of one or more tasks say, before any correction; None where no item pairs."""
    strata = [pairs for pairs in found if pairs is not None and pairs.baseline.size]
    if not strata:
        return None
    if question.weight_by_size or len(strata) == 1:
        return _compare_heap(question, strata[0] if len(strata) == 1 else merge_pairs(strata), chance)
    baseline = macro_estimate([_estimate(pairs.baseline, pairs) for pairs in strata])
    paired = compare_strata(strata, higher_is_better=question.higher_is_better)
    return Comparison(
        baseline=baseline,
        latent=macro_estimate([_estimate(pairs.latent, pairs) for pairs in strata]),
        paired=paired,
        gain=macro_gain(strata, baseline, paired, chance=chance),
    )


def _compare_heap(question: Question, pairs: Pairs, chance: float) -> Comparison:
    better = question.higher_is_better
    return Comparison(
        baseline=_estimate(pairs.baseline, pairs),
        latent=_estimate(pairs.latent, pairs),
        paired=compare_items(pairs, higher_is_better=better, with_sign_flips=question.is_primary),
        gain=pooled_gain(pairs, chance=chance),
        variance=item_variance(pairs),
    )


def _estimate(scores: NDArray[np.float64], pairs: Pairs) -> Estimate:
    return mean_estimate(scores) if pairs.clusters is None else cluster_estimate(scores, pairs.clusters)


def _chance(question: Question, evidences: Sequence[Evidence]) -> float:
    """The score of guessing, for a metric that is the share of right choices."""
    return mean_chance(question.metric, [evidence.chance for evidence in evidences])


def mean_chance(metric: str, chances: Sequence[float]) -> float:
    """The score of guessing over several tasks: 0 for a metric that is not the share of right choices."""
    return float(np.mean(chances)) if metric.split("/", maxsplit=1)[0].startswith("acc") else 0.0
