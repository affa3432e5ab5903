"""What comparisons are held to, and what came of them, as data: terms, one comparison, all primary tasks together.

Computes nothing. `compare.py` makes comparisons, `judge.py` corrects their p values and says the word.
"""

import math
from dataclasses import dataclass

from ft_eval.stats import (
    Decision,
    DetectableEffect,
    Estimate,
    NoiseFloor,
    PairedComparison,
    PairedVariance,
    PooledEffect,
    RelativeGain,
    Verdict,
)

LEVEL = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the reader declared before looking at a score."""

    primary: tuple[str, ...] = ()
    """Names of the tasks and groups that the verdict is about; empty: all rows but the tasks of a group."""
    margin_points: float | None = None
    """Differences inside ± this many points make no practical difference; None where nobody said."""

    unpaired: bool = False
    """Whether documents and tasks that both sides have in other forms are left out, or compared as two samples, and
    named; else an error."""

    @property
    def margin(self) -> float | None:
        """The margin as a fraction."""
        return None if self.margin_points is None else self.margin_points / 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """The tests of one panel that share Holm's correction: its primary rows times its candidates."""

    tasks: tuple[str, ...]
    """Names of the primary rows, in the table's order."""
    missing: tuple[str, ...]
    """Declared, but in none of these runs: they still count."""
    candidates: tuple[str, ...]
    """Labels of the latents that could be chosen; arms with zeroed, fixed or shuffled Z are controls."""
    is_declared: bool

    @property
    def num_tests(self) -> int:
        """All that were or could have been made."""
        return (len(self.tasks) + len(self.missing)) * len(self.candidates)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A latent checkpoint against its baseline, or against itself with Z zeroed, on one metric."""

    baseline: Estimate
    """The score of what it is held to, over the pairs."""
    latent: Estimate
    paired: PairedComparison
    gain: RelativeGain
    variance: PairedVariance | None = None
    """Of an item's difference, by source; None where there is one draw, or the tasks of a group have one vote each."""
    verdict: Verdict = Verdict.UNRESOLVED
    """This and what follows is filled in by `judge.py`."""
    reason: str = ""
    """Of the verdict, in a few words."""
    is_within_margin: bool = False
    p_corrected: float = math.nan
    """The p that decides; equal to the test's where there is no correction."""
    correction: str = ""
    """The correction in words; empty where there is none."""
    detectable: DetectableEffect | None = None
    """What would have been found with 80 % power at the level that the correction leaves to one test; None for a metric
    that nobody decides by."""
    sentence: str = ""
    """The result in a plain sentence, with the number of items that it rests on."""
    advice: str = ""
    """What it would take to tell, in a sentence; empty where that is no question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled:
    """One candidate over all primary tasks in points, one vote per task."""

    label: str
    effect: PooledEffect
    """Better is up, also for metrics of which less is better."""
    decision: Decision | None
    """With p corrected for the number of candidates; None where there is no test."""
    num_tasks: int
    """Behind the mean."""
    num_left_out: int
    """Primary tasks that are compared in a unit of their own, and so have no part in the mean."""
    noise_floor: NoiseFloor | None = None
    """What rerunning the baseline does to this mean; None where not all of its tasks were run again."""
