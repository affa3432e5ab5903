"""pass@k over a job's draws, repeats and draws of Z alike: the chance that one of k programs is right, without bias.

Source: Chen et al. 2021, arXiv 2107.03374, eq. 1, as `stats.pass_at_k` has it; the mean over documents, and its error
over documents, since the draws of one are not independent. Knows no sandbox.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite

from ft_eval.records import SampleResult
from ft_eval.stats.estimate import mean_estimate
from ft_eval.stats.pass_at_k import pass_at_k

_PREFIX = "pass@1"
_SIZES = (*range(2, 11), *(step * 10**power for power in (1, 2, 3) for step in (2, 5, 10)))
"""Every k to 10, then 20, 50, 100, … to 10,000, beside the number of draws itself: evalplus's 10 and 100 among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PassRates:
    """pass@k for k above 1, named as the metrics that they come from: pass@10, pass@10_base."""

    means: Mapping[str, float] = field(default_factory=dict)
    stderrs: Mapping[str, float] = field(default_factory=dict)


def pass_rates(samples: Sequence[SampleResult]) -> PassRates:
    """pass@k for every k to 10, for 20, 50, 100, … and the number of draws, as far as every document has that many.

    Args:
        samples: of one job, all draws. Empty rates for one draw, or for a task without pass@1.
    """
    passed: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for sample in samples:
        for name, value in sample.metrics.items():
            if name.startswith(_PREFIX) and sample.error is None and value in (0.0, 1.0):
                passed[name][sample.doc_id].append(value)
    means: dict[str, float] = {}
    stderrs: dict[str, float] = {}
    for name, documents in passed.items():
        num_draws = min(map(len, documents.values()))
        for k in sorted({k for k in (*_SIZES, num_draws) if 1 < k <= num_draws}):
            rates = [pass_at_k(len(draws), int(sum(draws)), k) for draws in documents.values()]
            estimate, named = mean_estimate(rates), f"pass@{k}{name.removeprefix(_PREFIX)}"
            means[named] = estimate.mean
            if isfinite(estimate.stderr):
                stderrs[named] = estimate.stderr
    return PassRates(means=means, stderrs=stderrs)
