"""Numbers in, numbers out: estimates and paired tests on numpy arrays. Knows no task, no model and no file.

Every result names the method that made it, and a number that can't be had is nan with the reason in words.
"""

from ft_eval.stats.estimate import CONFIDENCE, Estimate, mean_estimate, proportion_estimate
from ft_eval.stats.gain import RelativeGain, relative_gain
from ft_eval.stats.macro import compare_macro, macro_estimate
from ft_eval.stats.paired import PairedComparison, compare_paired, mcnemar_exact_p, mcnemar_mid_p, paired_score_interval
from ft_eval.stats.pass_at_k import pass_at_k

__all__ = [
    "CONFIDENCE",
    "Estimate",
    "PairedComparison",
    "RelativeGain",
    "compare_macro",
    "compare_paired",
    "macro_estimate",
    "mcnemar_exact_p",
    "mcnemar_mid_p",
    "mean_estimate",
    "paired_score_interval",
    "pass_at_k",
    "proportion_estimate",
    "relative_gain",
]
