"""The report as data: frozen records that the page, the exports and the terminal all read. Computes nothing.

Report
 + Summary                           the verdict in sentences
 + Panel, one per baseline           a baseline and the latent checkpoints that are held to it
    + Family, Pooled                 the tests that are corrected together, and all primary tasks in one (`verdicts.py`)
    + TaskRow                        a task, a group such as mmlu, or a task of a group
       + MetricRow, primary first    one metric: the baseline's score and a Cell per latent checkpoint
          + Cell, Comparison         the latent's score, and what the pairs say
       + FlipList                    answers that changed
    + Forest                         the primary differences, drawn
    + ArmTable                       one latent checkpoint under several sources of Z
 + UsageRow                          whether Z is used
 + CostRow, RunCard, TaskCard        what it cost and where it comes from (`cards.py`)
 + NoiseRow, VarianceRow, CurveChart, LastThird, PlanCard, PublishedFigure      `sections.py`
"""

from dataclasses import dataclass
from enum import StrEnum

from ft_eval.records import Checkpoint, LatentPolicy, PromptUsage
from ft_eval.report.cards import AskedAgain, CostRow, RunCard, TaskCard
from ft_eval.report.explored import Explorer
from ft_eval.report.pages import Page
from ft_eval.report.sections import CurveChart, LastThird, NoiseRow, PlanCard, PublishedFigure, VarianceRow
from ft_eval.report.units import Unit as Unit  # noqa: PLC0414 — tables are where others look for it
from ft_eval.report.verdicts import Comparison, Family, Pooled, Terms
from ft_eval.stats import Estimate, NoiseFloor, Verdict


class RowKind(StrEnum):
    """What a row of a table stands for."""

    TASK = "task"
    GROUP = "group"
    SUBTASK = "subtask"


class Alarm(StrEnum):
    """Whether a latent has collapsed, by what its encoder says about the prompts."""

    COLLAPSED = "collapsed"
    IN_PART = "collapsed in part"
    """On some of its tasks."""
    NONE = "no"
    UNKNOWN = "not measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A checkpoint as it was evaluated: with one source of Z and one seed."""

    label: str
    """The checkpoint's name, with the policy or the seed where the name alone is not unique. Unique in a report."""
    checkpoint: Checkpoint
    latents: LatentPolicy | None
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What one latent checkpoint has on one metric."""

    label: str
    """The contender's."""
    score: Estimate | None
    """Over all documents that it was scored on; None when there is none."""
    comparison: Comparison | None
    why_empty: str = ""
    """Why there is no score or no comparison."""
    to_zero: Comparison | None = None
    """Against the same checkpoint with Z zeroed; None where that was not run, and for that arm itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRow:
    """One metric of one task or group."""

    metric: str
    is_primary: bool
    unit: Unit
    higher_is_better: bool
    baseline: Estimate | None
    """Over all documents that the baseline was scored on."""
    cells: tuple[Cell, ...]
    """One per latent checkpoint of the panel, in its order."""
    noise_floor: NoiseFloor | None = None
    """What rerunning the baseline does to this score; None where it was not run again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What one model said to one document."""

    score: float
    answer: str
    choices: tuple[tuple[str, float], ...] = ()
    """For multiple choice: each choice's text and log p in nats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """A document on which the two models' scores differ. All texts are clipped and hostile."""

    doc_id: int
    is_gain: bool
    """Whether the latent is the better one."""
    prompt_tail: str
    target: str
    baseline: Answered
    latent: Answered


@dataclass(frozen=True, slots=True, kw_only=True)
class FlipList:
    """The flips of one comparison, losses first; only some of them when there are many."""

    label: str
    num_gained: int
    num_lost: int
    flips: tuple[Flip, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRow:
    """A task, a group, or a task of a group, in one panel."""

    name: str
    kind: RowKind
    group: str
    """The group that a SUBTASK stands under; empty otherwise."""
    num_subtasks: int
    num_docs: int
    num_fewshot: int | None
    """None for a group whose tasks differ in it."""
    limit: int | None
    metrics: tuple[MetricRow, ...]
    """The primary metric first; never empty."""
    notes: tuple[str, ...]
    """What a reader must know before using the numbers: partial, unscored, truncated, unpaired."""
    flips: tuple[FlipList, ...] = ()

    @property
    def primary(self) -> MetricRow:
        """The metric that a table shows."""
        return self.metrics[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestBar:
    """One difference of a forest plot; positions in percent of the plot's width."""

    name: str
    text: str
    verdict: Verdict
    low: float
    mean: float
    high: float
    unseen: tuple[float, float] | None
    """The band around zero of differences that the run would mostly have missed; None where that is not known."""
    noise: tuple[float, float] | None = None
    """The band that the baseline's own reruns stay in 95 times in 100; None where it was not run again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestTick:
    """A tick of the axis, in percent of the width, with its number."""

    position: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Forest:
    """Differences in points with their 95 % intervals, of one latent checkpoint."""

    label: str
    zero: float
    bars: tuple[ForestBar, ...]
    ticks: tuple[ForestTick, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmRow:
    """A task or a group under each source of Z."""

    row: TaskRow
    cells: tuple[Cell, ...]
    """The primary metric's, one per arm."""
    sentences: tuple[str, ...]
    """What remains of each gain with Z zeroed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmTable:
    """One latent checkpoint under several sources of Z, beside its baseline. Tasks of a group are left to the group."""

    name: str
    arms: tuple[Contender, ...]
    rows: tuple[ArmRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRow:
    """Whether a latent checkpoint's Z is used. Its arms share a row where their prompts are the same."""

    name: str
    contenders: tuple[Contender, ...]
    policies: tuple[str, ...]
    """Where their Z comes from, in a word or two each."""
    usage: PromptUsage | None
    """Over the prompts of all tasks, each token with one vote; None where it was not measured."""
    tasks: tuple[str, ...]
    """Those that it was measured on."""
    collapsed_tasks: tuple[str, ...]
    """Not empty where there is an alarm."""
    alarm: Alarm
    sentence: str
    """The same in words, without a full stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A baseline and the latent checkpoints that are held to it, or a checkpoint that stands alone."""

    number: int
    baseline: Contender | None
    latents: tuple[Contender, ...]
    sentence: str
    """Who is compared with whom, or why nobody is."""
    rows: tuple[TaskRow, ...]
    """Each group is followed by its tasks."""
    forests: tuple[Forest, ...]
    family: Family
    pooled: tuple[Pooled, ...]
    """One per candidate that has a comparison in points."""
    arms: tuple[ArmTable, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The report in a few sentences."""

    headline: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that the page shows."""

    title: str
    created_at: str
    """When the newest run was planned, UTC; never the time of the report."""
    stamps: tuple[str, ...]
    """What makes the report partial, in a few words each; empty for whole runs."""
    terms: Terms
    summary: Summary
    notes: tuple[str, ...]
    missing: tuple[str, ...]
    """Jobs that have not finished, as `checkpoint: task`."""
    panels: tuple[Panel, ...]
    usages: tuple[UsageRow, ...]
    costs: tuple[CostRow, ...]
    job_costs: tuple[CostRow, ...]
    asked_again: tuple[AskedAgain, ...]
    """Contenders of which requests were asked again, alone; empty where none was wanted."""
    contenders: tuple[Contender, ...]
    runs: tuple[RunCard, ...]
    tasks: tuple[TaskCard, ...]
    explorer: Explorer | None = None
    """Documents with their answers; None where nothing is compared."""
    noise: tuple[NoiseRow, ...] = ()
    """Baselines that were run again, on the rows that a table shows; empty without `--aa`."""
    variances: tuple[VarianceRow, ...] = ()
    """Where each score's variance comes from; empty where nothing was drawn, run or trained more than once."""
    curves: tuple[CurveChart, ...] = ()
    """Scores along a training; empty where no training has two checkpoints here."""
    last_thirds: tuple[LastThird, ...] = ()
    plan: PlanCard | None = None
    """What was declared beforehand and what became of it; None where no plan was written."""
    published: tuple[PublishedFigure, ...] = ()
    """Empty unless asked for."""
    probes: tuple[Page, ...] = ()
    """What `ft-eval probe` found about latent checkpoints of these runs; empty unless given."""
