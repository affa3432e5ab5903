"""Numbers in, numbers out: estimates and paired tests on numpy arrays. Knows no task, no model and no file.

Every result names the method that made it, and a number that can't be had is nan with the reason in words. What each
method is, why it was chosen and how it does in simulation: docs/statistics.md.
"""

from ft_eval.stats.bootstrap import bootstrap_gain
from ft_eval.stats.clusters import cluster_estimate
from ft_eval.stats.draws import compare_draws
from ft_eval.stats.estimate import CONFIDENCE, Estimate, Interval, item_means, mean_estimate, proportion_estimate
from ft_eval.stats.family import BestCandidate, benjamini_hochberg, best_candidate, holm
from ft_eval.stats.gain import RelativeGain, gain_interval, relative_gain
from ft_eval.stats.macro import PooledEffect, compare_macro, macro_estimate, pooled_effect
from ft_eval.stats.mcnemar import mcnemar_exact_p, mcnemar_mid_p, paired_score_interval, score_equivalence_p
from ft_eval.stats.noise_floor import NoiseFloor, macro_noise_floor, noise_floor
from ft_eval.stats.paired import PairedComparison, compare_paired
from ft_eval.stats.pass_at_k import pass_at_k
from ft_eval.stats.power import (
    DetectableEffect,
    Resolution,
    Target,
    detectable_after,
    detectable_binary,
    detectable_mean,
    draws_needed,
    items_needed,
    power_mcnemar,
    power_t,
)
from ft_eval.stats.sign_flip import SignFlipTest, sign_flip_test
from ft_eval.stats.trajectory import last_third, last_third_scores
from ft_eval.stats.unpaired import Independent, compare_independent, compare_unpaired
from ft_eval.stats.variance import (
    CHECKPOINT,
    DRAW,
    ITEM,
    RUN,
    SEED,
    PairedVariance,
    VarianceComponent,
    VarianceSplit,
    planned_variance,
    split_crossed,
    split_nested,
    split_paired,
)
from ft_eval.stats.verdict import Criteria, Decision, Verdict, decide, decide_comparison, equivalence_p

__all__ = [
    "CHECKPOINT",
    "CONFIDENCE",
    "DRAW",
    "ITEM",
    "RUN",
    "SEED",
    "BestCandidate",
    "Criteria",
    "Decision",
    "DetectableEffect",
    "Estimate",
    "Independent",
    "Interval",
    "NoiseFloor",
    "PairedComparison",
    "PairedVariance",
    "PooledEffect",
    "RelativeGain",
    "Resolution",
    "SignFlipTest",
    "Target",
    "VarianceComponent",
    "VarianceSplit",
    "Verdict",
    "benjamini_hochberg",
    "best_candidate",
    "bootstrap_gain",
    "cluster_estimate",
    "compare_draws",
    "compare_independent",
    "compare_macro",
    "compare_paired",
    "compare_unpaired",
    "decide",
    "decide_comparison",
    "detectable_after",
    "detectable_binary",
    "detectable_mean",
    "draws_needed",
    "equivalence_p",
    "gain_interval",
    "holm",
    "item_means",
    "items_needed",
    "last_third",
    "last_third_scores",
    "macro_estimate",
    "macro_noise_floor",
    "mcnemar_exact_p",
    "mcnemar_mid_p",
    "mean_estimate",
    "noise_floor",
    "paired_score_interval",
    "pass_at_k",
    "planned_variance",
    "pooled_effect",
    "power_mcnemar",
    "power_t",
    "proportion_estimate",
    "relative_gain",
    "score_equivalence_p",
    "sign_flip_test",
    "split_crossed",
    "split_nested",
    "split_paired",
]
