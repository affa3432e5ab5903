"""A report held to a policy: one check per rule, task and latent, and one outcome of them all. Reads no samples.

    PASS           every check passes
    FAIL           a check fails: its interval lies on the wrong side of what was asked
    INCONCLUSIVE   none fails, and an interval holds what was asked: the run can't tell
    INCOMPLETE     none fails, and something that was asked for has not been run or has not finished

Of several outcomes the run's is the first of FAIL, INCOMPLETE, INCONCLUSIVE, PASS that occurs.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ft_eval.errors import ReportError, did_you_mean
from ft_eval.report.catalog import is_control
from ft_eval.report.formats import count, interval, signed
from ft_eval.report.formats import score as score_text
from ft_eval.report.policy import Policy, Rules
from ft_eval.report.tables import Cell, Contender, Panel, Report, TaskRow
from ft_eval.report.units import Unit
from ft_eval.report.verdicts import Comparison
from ft_eval.stats import Verdict


class Outcome(StrEnum):
    """What a check, or a whole gate, comes to."""

    PASS = "pass"  # noqa: S105 — no password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    INCOMPLETE = "incomplete"


EXIT_CODES = {Outcome.PASS: 0, Outcome.FAIL: 1, Outcome.INCONCLUSIVE: 3, Outcome.INCOMPLETE: 4}
_ORDER = (Outcome.FAIL, Outcome.INCOMPLETE, Outcome.INCONCLUSIVE, Outcome.PASS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One rule on one task for one latent."""

    latent: str
    task: str
    rule: str
    """As in `no worse than 1 point`."""
    outcome: Outcome
    found: str
    """The numbers that decided, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """All checks."""

    checks: tuple[Check, ...]

    @property
    def outcome(self) -> Outcome:
        """The gate's own."""
        found = {check.outcome for check in self.checks}
        return next(outcome for outcome in _ORDER if outcome in found)


def check_policy(report: Report, policy: Policy) -> GateResult:
    """Hold a report, built under the policy's terms, to its rules.

    Raises:
        ReportError: the policy names a latent that is not in these runs.
    """
    _refuse_unknown(report, policy)
    checks = [check for panel in report.panels for check in _panel_checks(panel, policy)]
    if not checks:
        nothing = "no latent checkpoint stands beside its baseline in these runs"
        checks = [Check(latent="", task="", rule="a comparison", outcome=Outcome.INCOMPLETE, found=nothing)]
    known = {row.name for panel in report.panels for row in panel.rows}
    checks += [_absent(name, known) for name in policy.tasks if name not in known]
    return GateResult(checks=tuple(checks))


def _refuse_unknown(report: Report, policy: Policy) -> None:
    known = {name for latent in _latents(report.panels) for name in (latent.label, latent.checkpoint.name)}
    for name in policy.latents:
        if name not in known:
            raise ReportError(
                f"{policy.path}: latents: no latent checkpoint {name} in these runs{did_you_mean(name, known)}; they "
                f"hold {', '.join(sorted(known)) or 'none'}"
            )


def _latents(panels: Sequence[Panel]) -> list[Contender]:
    return [latent for panel in panels for latent in panel.latents]


def _absent(task: str, known: set[str]) -> Check:
    found = f"no such task in these runs{did_you_mean(task, known)}"
    return Check(latent="", task=task, rule="to be run", outcome=Outcome.INCOMPLETE, found=found)


def _panel_checks(panel: Panel, policy: Policy) -> Iterator[Check]:
    if panel.baseline is None:
        return
    chosen = {
        latent.label
        for latent in panel.latents
        if ({latent.label, latent.checkpoint.name} & set(policy.latents) if policy.latents else not is_control(latent))
    }
    for row in panel.rows:
        rules = policy.tasks.get(row.name, Rules())
        if row.name in panel.family.tasks:
            rules |= policy.everywhere
        for cell in row.primary.cells:
            if cell.label in chosen:
                yield from _cell_checks(row, cell, rules, allow_limit=policy.allow_limit)
    for task in panel.family.missing:
        for label in sorted(chosen):
            missing = "declared as primary, and in none of these runs"
            yield Check(latent=label, task=task, rule="to be run", outcome=Outcome.INCOMPLETE, found=missing)


def _cell_checks(row: TaskRow, cell: Cell, rules: Rules, *, allow_limit: bool) -> Iterator[Check]:
    asked = rules != Rules()
    if asked and row.limit is not None and not allow_limit:
        few = f"the first {count(row.limit, 'document')} alone; allow_limit = true lets this pass"
        yield _check(row, cell, "all documents", Outcome.INCOMPLETE, few)
    if asked and (partial := [note for note in row.notes if note.startswith("partial:") and "first" not in note]):
        yield _check(row, cell, "all tasks of the group", Outcome.INCOMPLETE, "; ".join(partial))
    if rules.no_worse_than is not None:
        yield _no_worse(row, cell, rules.no_worse_than)
    if rules.better_than is not None:
        yield _better(row, cell, rules.better_than)
    if rules.min_score is not None:
        yield _at_least(row, cell, rules.min_score)
    if rules.max_unscored_share is not None:
        yield _scored(row, cell, rules.max_unscored_share)


def _check(row: TaskRow, cell: Cell, rule: str, outcome: Outcome, found: str) -> Check:
    return Check(latent=cell.label, task=row.name, rule=rule, outcome=outcome, found=found)


def _missing(row: TaskRow, cell: Cell, rule: str) -> Check:
    return _check(row, cell, rule, Outcome.INCOMPLETE, cell.why_empty or "no comparison")


def _points(value: float, unit: Unit) -> str:
    return f"{value:g}{' points' if unit is Unit.POINTS else ''}"


def _upward(row: TaskRow, low: float, high: float) -> tuple[float, float]:
    """The ends of an interval of differences with better above 0, in the policy's unit."""
    scale = 100.0 if row.primary.unit is Unit.POINTS else 1.0
    ends = (scale * low, scale * high)
    return ends if row.primary.higher_is_better else (-ends[1], -ends[0])


def _no_worse(row: TaskRow, cell: Cell, allowed: float) -> Check:
    """Non-inferiority: one-sided 5 % tests, which are the ends of the 90 % interval."""
    rule = f"no worse than {_points(allowed, row.primary.unit)}"
    if (held := cell.comparison) is None:
        return _missing(row, cell, rule)
    inner = held.paired.interval_90
    if inner is None or math.isnan(inner.low):
        return _check(row, cell, rule, Outcome.INCONCLUSIVE, f"no interval: {held.paired.difference.reason}")
    low, high = _upward(row, inner.low, inner.high)
    outcome = Outcome.PASS if low > -allowed else Outcome.FAIL if high < -allowed else Outcome.INCONCLUSIVE
    ends = interval(inner.low, inner.high, row.primary.unit)
    return _check(row, cell, rule, outcome, f"{_difference(held, row)}, 90 % interval {ends}")


def _better(row: TaskRow, cell: Cell, asked: float) -> Check:
    rule = f"better than {_points(asked, row.primary.unit)}" if asked else "better"
    if (held := cell.comparison) is None:
        return _missing(row, cell, rule)
    outer = held.paired.difference
    if math.isnan(outer.low):
        return _check(row, cell, rule, Outcome.INCONCLUSIVE, f"no interval: {outer.reason}")
    low, high = _upward(row, outer.low, outer.high)
    if held.verdict is Verdict.BETTER and low > asked:
        outcome = Outcome.PASS
    else:
        is_excluded = high < asked or (asked == 0.0 and held.verdict is Verdict.WORSE)
        outcome = Outcome.FAIL if is_excluded else Outcome.INCONCLUSIVE
    ends = interval(outer.low, outer.high, row.primary.unit)
    return _check(row, cell, rule, outcome, f"{_difference(held, row)}, 95 % interval {ends}, {held.verdict}")


def _difference(held: Comparison, row: TaskRow) -> str:
    return f"{_points_of(held.paired.difference.mean, row)} on {count(held.paired.difference.n, 'item')}"


def _points_of(difference: float, row: TaskRow) -> str:
    unit = row.primary.unit
    return signed(difference, unit) + (" points" if unit is Unit.POINTS else "")


def _at_least(row: TaskRow, cell: Cell, asked: float) -> Check:
    better = row.primary.higher_is_better
    rule = f"score at {'least' if better else 'most'} {asked:g}"
    if cell.score is None:
        return _missing(row, cell, rule)
    low, high = _upward(row, cell.score.low, cell.score.high)
    bound = asked if better else -asked
    if math.isnan(low):
        return _check(row, cell, rule, Outcome.INCONCLUSIVE, f"no interval: {cell.score.reason}")
    outcome = Outcome.PASS if low >= bound else Outcome.FAIL if high < bound else Outcome.INCONCLUSIVE
    unit = row.primary.unit
    ends = f"[{score_text(cell.score.low, unit)}, {score_text(cell.score.high, unit)}]"
    return _check(row, cell, rule, outcome, f"{score_text(cell.score.mean, unit)}, 95 % interval {ends}")


def _scored(row: TaskRow, cell: Cell, allowed: float) -> Check:
    rule = f"at most {100.0 * allowed:g} % unscored"
    sides = [estimate.n for estimate in (row.primary.baseline, cell.score) if estimate is not None]
    if cell.score is None or not row.num_docs:
        return _missing(row, cell, rule)
    share = (row.num_docs - min(sides)) / row.num_docs
    outcome = Outcome.PASS if share <= allowed else Outcome.FAIL
    return _check(row, cell, rule, outcome, f"{100.0 * share:.3g} % of {count(row.num_docs, 'document')}")
