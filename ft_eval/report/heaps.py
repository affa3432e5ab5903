"""Pairs in a heap or in strata: which comparison fits draws and clusters. Knows no metric and no page."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ft_eval.report.evidence import Pairs
from ft_eval.stats import (
    PairedComparison,
    PairedVariance,
    cluster_estimate,
    compare_draws,
    compare_macro,
    compare_paired,
    pooled_effect,
    split_paired,
)
from ft_eval.stats.no_spread import num_stratified_units, num_units


def compare_items(pairs: Pairs, *, higher_is_better: bool, with_sign_flips: bool) -> PairedComparison:
    """One comparison over items: the test that fits their draws and clusters.

    Sign flips take half a second for 14,000 real numbers, which is too long for a metric that nobody decides by.
    """
    baseline, latent = _sides(pairs)
    is_plain = pairs.clusters is None and baseline.ndim == latent.ndim == 1
    if is_plain and not with_sign_flips:
        return compare_paired(baseline, latent, higher_is_better=higher_is_better)
    return compare_draws(baseline, latent, clusters=pairs.clusters, higher_is_better=higher_is_better)


def _sides(pairs: Pairs) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both sides' scores, (n, K) where draws are known one by one."""
    sides = ((pairs.baseline, pairs.baseline_draws), (pairs.latent, pairs.latent_draws))
    baseline, latent = (means if draws is None else draws for means, draws in sides)
    return baseline, latent


def item_variance(pairs: Pairs) -> PairedVariance | None:
    """The variance of an item's difference by source; None where there is one draw."""
    has_draws = pairs.latent_draws is not None or pairs.baseline_draws is not None
    return split_paired(*_sides(pairs)) if has_draws and pairs.baseline.size > 1 else None


def merge_pairs(strata: Sequence[Pairs]) -> Pairs:
    """Several tasks' pairs in one heap; where only some have clusters, an item of the others is its own."""
    numbers = [_cluster_numbers(pairs) for pairs in strata]
    starts = np.cumsum([0, *(int(own.max()) + 1 for own in numbers)])
    return Pairs(
        baseline=np.concatenate([pairs.baseline for pairs in strata]),
        latent=np.concatenate([pairs.latent for pairs in strata]),
        baseline_ids=np.concatenate([pairs.baseline_ids for pairs in strata]),
        latent_ids=np.concatenate([pairs.latent_ids for pairs in strata]),
        baseline_draws=_merge_draws([pairs.baseline_draws for pairs in strata]),
        latent_draws=_merge_draws([pairs.latent_draws for pairs in strata]),
        clusters=np.concatenate([own + start for own, start in zip(numbers, starts[:-1], strict=True)])
        if any(pairs.clusters is not None for pairs in strata)
        else None,
    )


def _cluster_numbers(pairs: Pairs) -> NDArray[np.uint64]:
    """Clusters as 0 … G − 1."""
    names = np.arange(pairs.baseline.size) if pairs.clusters is None else pairs.clusters
    return np.unique(names, return_inverse=True)[1].astype(np.uint64)


def _merge_draws(draws: Sequence[NDArray[np.float64] | None]) -> NDArray[np.float64] | None:
    known = [matrix for matrix in draws if matrix is not None]
    is_even = len(known) == len(draws) and len({matrix.shape[1] for matrix in known}) == 1
    return np.concatenate(known) if is_even else None


def compare_strata(strata: Sequence[Pairs], *, higher_is_better: bool) -> PairedComparison:
    """One vote per task; a task whose items come in clusters has its error over these."""
    parts = [(pairs.baseline, pairs.latent) for pairs in strata]
    plain = compare_macro(parts, higher_is_better=higher_is_better)
    plain = replace(plain, num_baseline_draws=_num_draws(strata, "baseline_draws"))
    plain = replace(plain, num_latent_draws=_num_draws(strata, "latent_draws"))
    if all(pairs.clusters is None for pairs in strata):
        return plain
    pooled = pooled_effect(
        [cluster_estimate(pairs.latent - pairs.baseline, pairs.clusters) for pairs in strata],
        num_stratified_units([num_units(pairs.baseline, pairs.latent, clusters=pairs.clusters) for pairs in strata]),
        has_changes=plain.has_changes,
    )
    return replace(
        plain,
        difference=pooled.effect,
        p_value=pooled.p_value,
        reason=pooled.reason,
        interval_90=pooled.interval_90,
        test="paired t over clusters (CR2), stratified by task",
        num_clusters=sum(len(np.unique(_cluster_numbers(pairs))) for pairs in strata),
    )


def _num_draws(strata: Sequence[Pairs], side: Literal["baseline_draws", "latent_draws"]) -> int:
    """Draws per item, where all tasks have as many; 1 otherwise."""
    found = {1 if (draws := getattr(pairs, side)) is None else draws.shape[1] for pairs in strata}
    return found.pop() if len(found) == 1 else 1
