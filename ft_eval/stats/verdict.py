"""One word for a comparison, and the reason for it. Numbers in, a word out: knows no task and no page.

    BETTER, WORSE   the corrected p is below 5 %, and the difference is larger than rerunning the baseline makes
    EQUIVALENT      not so, and the 90 % interval lies inside ±margin: two one-sided 5 % tests (Schuirmann 1987)
    UNRESOLVED      neither: the run can't tell

A difference can be real and smaller than the margin: the word is then BETTER or WORSE, and `is_within_margin` says so.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

from scipy import stats

from ft_eval.stats.estimate import Estimate, Interval
from ft_eval.stats.paired import PairedComparison

LEVEL = 0.05


class Verdict(StrEnum):
    """What a comparison says."""

    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    UNRESOLVED = "unresolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """What a comparison is held to; declared before the run."""

    margin: float | None = None
    """Differences inside ±margin, in the scores' unit, make no practical difference; None where nobody said."""
    noise_floor: float = 0.0
    """The |difference| that two runs of the baseline stay below 95 times in 100 (`noise_floor`)."""
    higher_is_better: bool = True
    alpha: float = LEVEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The word, and why."""

    verdict: Verdict
    reason: str
    p_value: float
    """The corrected p that decided."""
    is_within_margin: bool = False
    """Whether the 90 % interval lies inside the margin."""


def decide(difference: float, interval_90: Interval, p_corrected: float, criteria: Criteria) -> Decision:
    """The verdict on a difference.

    Args:
        difference: latent minus baseline, in the scores' unit.
        interval_90: its 90 % interval.
        p_corrected: two-sided, after the correction for the family that it belongs to; nan where there is no test.
        criteria: margin, noise floor, level.

    Raises:
        ValueError: a margin that is not positive, an interval of another level.
    """
    _check(interval_90, criteria)
    inside = criteria.margin is not None and interval_90.within(criteria.margin)
    verdict, reason = _word(difference, inside=inside, p_corrected=p_corrected, criteria=criteria)
    return Decision(verdict=verdict, reason=reason, p_value=p_corrected, is_within_margin=inside)


def decide_comparison(comparison: PairedComparison, p_corrected: float, criteria: Criteria) -> Decision:
    """The verdict on a comparison that carries its 90 % interval, as those of `compare_draws` and `compare_macro` do.

    Raises:
        ValueError: it carries none, or see `decide`.
    """
    if comparison.interval_90 is None:
        raise ValueError("the comparison has no 90 % interval")
    return decide(comparison.difference.mean, comparison.interval_90, p_corrected, criteria)


def equivalence_p(difference: Estimate, margin: float) -> float:
    """The larger p of the two one-sided t tests against ±margin; below 5 % where the 90 % t interval is inside.

    It is nan where the difference has no interval.

    Raises:
        ValueError: a margin that is not positive.
    """
    if not margin > 0.0:
        raise ValueError(f"expected a positive margin, got {margin}")
    if math.isnan(difference.low):
        return math.nan
    gap = margin - abs(difference.mean)
    if difference.stderr == 0.0:
        return 0.0 if gap > 0.0 else 1.0
    return float(stats.t.sf(gap / difference.stderr, difference.degrees_of_freedom))


def _word(difference: float, *, inside: bool, p_corrected: float, criteria: Criteria) -> tuple[Verdict, str]:
    is_found = p_corrected < criteria.alpha and difference != 0.0
    if is_found and abs(difference) > criteria.noise_floor:
        better = (difference > 0.0) is criteria.higher_is_better
        small = ", and smaller than the margin" if inside else ""
        return (Verdict.BETTER if better else Verdict.WORSE), f"p below {100 * criteria.alpha:g} %{small}"
    if inside:
        return Verdict.EQUIVALENT, "the 90 % interval lies inside the margin"
    if is_found:
        return Verdict.UNRESOLVED, "rerunning the baseline makes differences as large"
    why = "no test" if math.isnan(p_corrected) else "it can be chance"
    return Verdict.UNRESOLVED, why if criteria.margin is None else f"{why}, and it can be larger than the margin"


def _check(interval_90: Interval, criteria: Criteria) -> None:
    if criteria.margin is not None and not criteria.margin > 0.0:
        raise ValueError(f"expected a positive margin, got {criteria.margin}")
    if not math.isclose(interval_90.confidence, 1.0 - 2.0 * LEVEL):
        raise ValueError(f"expected a 90 % interval, got one of {100 * interval_90.confidence:g} %")
