"""Sections beside the tables, as data: noise, sources of variance, curves of a training, plans, published figures.

Frozen records that the page, the exports and the terminal read. Computes nothing.
"""

from dataclasses import dataclass

from ft_eval.records import Arm
from ft_eval.report.units import Unit
from ft_eval.report.verdicts import Comparison
from ft_eval.stats import Estimate, NoiseFloor, VarianceSplit


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseRow:
    """A baseline against itself on one task or group: another seed, another order of its batches."""

    label: str
    """The baseline's."""
    task: str
    metric: str
    unit: Unit
    seeds: tuple[int, int]
    """Of the run that stands in the tables, and of the one beside it."""
    floor: NoiseFloor


@dataclass(frozen=True, slots=True, kw_only=True)
class VarianceRow:
    """Where the variance of one score, or of one difference, comes from."""

    label: str
    """The contender's, or the recipe's where trainings are among the sources."""
    task: str
    metric: str
    unit: Unit
    num_items: int
    split: VarianceSplit
    note: str
    """What a draw is here, in a few words: what changed from one to the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """One checkpoint of a training."""

    label: str
    """The contender's."""
    position: float
    """Training tokens, or steps where not all checkpoints of the chart say their tokens."""
    score: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """The checkpoints of one training in order."""

    label: str
    """The training's name, with its seed and the source of Z where these are needed to tell curves apart."""
    arm: Arm
    points: tuple[CurvePoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveChart:
    """One task's or group's primary metric along the trainings."""

    task: str
    metric: str
    unit: Unit
    axis: str
    """`training tokens` or `steps`."""
    curves: tuple[Curve, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LastThird:
    """Two trainings on one task or group, each averaged item by item over the checkpoints of its last third."""

    task: str
    metric: str
    unit: Unit
    baseline: str
    """The curves' labels."""
    latent: str
    num_baseline_checkpoints: int
    num_latent_checkpoints: int
    comparison: Comparison
    """By its own p: not corrected, and in no family."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """One thing that is not as the plan said."""

    what: str
    """Such as `base on gsm8k: limit`."""
    planned: str
    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanCard:
    """A plan that was written beforehand, and what became of it."""

    digest: str
    """sha256, hexadecimal, as `ft-eval plan` printed it."""
    created_at: str
    command: str
    primary: tuple[str, ...]
    margin_points: float | None
    num_jobs: int
    deviations: tuple[Deviation, ...]
    """Empty where all was done as planned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFigure:
    """A published score of a pair, to stand beside one's own; only figures that a stored source confirms."""

    model: str
    """The paper's name for it: size, training tokens, κ."""
    task: str
    """The name of the task or group here."""
    metric: str
    kappa_bits: float | None
    """None where the paper took the best of several."""
    baseline: float | None
    """As a fraction; None where the gain alone is known."""
    latent: float | None
    gain_percent: float
    """Relative to the baseline."""
    source: str
