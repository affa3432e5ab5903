"""One latent checkpoint under several sources of Z, and what of a gain remains with Z zeroed, in words.

The rule: no share of a gain is named. A gain, what remains of it and what zeroing takes away are three differences over
items, each with its own interval and verdict, and what can be chance is said to be that.
"""

from collections.abc import Sequence

from ft_eval.records import LatentSource
from ft_eval.report.catalog import Matchup, arm_key, is_zero, policy_text
from ft_eval.report.formats import count, interval, signed
from ft_eval.report.tables import (
    ArmRow,
    ArmTable,
    Cell,
    Contender,
    MetricRow,
    RowKind,
    TaskRow,
    Unit,
)
from ft_eval.report.verdicts import Comparison
from ft_eval.report.words import p_text
from ft_eval.stats import Verdict

_SPOKEN_OF = (LatentSource.PRIOR, LatentSource.POSTERIOR)
"""The arms that a model would be used with; the others are there to be compared with, and stand in the table."""


def make_arm_tables(rows: Sequence[TaskRow], matchup: Matchup) -> tuple[ArmTable, ...]:
    """A table per latent checkpoint that was run with more than one source of Z beside its baseline."""
    if matchup.baseline is None:
        return ()
    groups: dict[tuple[str, str, int], list[Contender]] = {}
    for latent in matchup.latents:
        groups.setdefault(arm_key(latent), []).append(latent)
    shown = [row for row in rows if row.kind is not RowKind.SUBTASK]
    return tuple(
        ArmTable(
            name=_name(key, list(groups)),
            arms=tuple(arms),
            rows=tuple(_arm_row(row, arms, matchup.baseline.label) for row in shown),
        )
        for key, arms in groups.items()
        if len(arms) > 1
    )


def _name(key: tuple[str, str, int], keys: Sequence[tuple[str, str, int]]) -> str:
    """The checkpoint's name, with its type and seed where the name alone is not unique."""
    name, dtype, seed = key
    is_unique = sum(other[0] == name for other in keys) == 1
    return name if is_unique else f"{name} {dtype} seed {seed}"


def _arm_row(row: TaskRow, arms: Sequence[Contender], baseline: str) -> ArmRow:
    by_label = {cell.label: cell for cell in row.primary.cells}
    zero = next((by_label[arm.label] for arm in arms if is_zero(arm)), None)
    spoken_of = [arm for arm in arms if arm.latents is not None and arm.latents.source in _SPOKEN_OF]
    sentences = [
        attribution_sentence(row.primary, by_label[arm.label], zero, policy=policy_text(arm.latents), baseline=baseline)
        for arm in spoken_of
        if zero is not None
    ]
    return ArmRow(row=row, cells=tuple(by_label[arm.label] for arm in arms), sentences=tuple(sentences))


def attribution_sentence(metric: MetricRow, arm: Cell, zero: Cell, *, policy: str, baseline: str) -> str:
    """What of the difference to the baseline under a policy remains with Z zeroed, in one or two sentences."""
    if arm.comparison is None:
        return f"Under {policy} there is no difference to {baseline} to speak of: {arm.why_empty}."
    if zero.comparison is None:
        return f"What remains with Z zeroed of the difference under {policy} is not known: {zero.why_empty}."
    gain = _lead(arm.comparison, zero.comparison, metric, policy=policy, baseline=baseline)
    return f"{gain} {_needs_z(arm, metric.unit, policy=policy)}".strip()


def _lead(gain: Comparison, rest: Comparison, metric: MetricRow, *, policy: str, baseline: str) -> str:
    amount, left = _amount(gain, metric.unit, has_unit=True), _amount(rest, metric.unit)
    items, others = count(gain.paired.difference.n, "item"), rest.paired.difference.n
    if others != gain.paired.difference.n:
        left = f"{left} on {count(others, 'item')}"
    if gain.verdict is Verdict.WORSE:
        return f"{amount} against {baseline} under {policy} on {items}, a loss. With Z zeroed {left}, {_status(rest)}."
    if gain.verdict in _NO_GAIN:
        return (
            f"{amount} against {baseline} under {policy} on {items}, {_status(gain)}. "
            f"With Z zeroed {left}, {_status(rest)}."
        )
    begin = f"Of {amount} {'over' if metric.higher_is_better else 'against'} {baseline} under {policy} on {items},"
    if _sign(rest, metric) <= 0:
        return f"{begin} nothing remains with Z zeroed: {left}, {_status(rest)}."
    return f"{begin} {left} remain with Z zeroed{'' if rest.verdict is Verdict.BETTER else f', {_status(rest)}'}."


def _sign(comparison: Comparison, metric: MetricRow) -> float:
    """Above 0 for a gain."""
    mean = comparison.paired.difference.mean
    return mean if metric.higher_is_better else -mean


_STATUS = {
    Verdict.BETTER: "a gain",
    Verdict.WORSE: "a loss",
    Verdict.EQUIVALENT: "which is within the margin",
    Verdict.UNRESOLVED: "which can be chance",
}
_NO_GAIN = (Verdict.UNRESOLVED, Verdict.EQUIVALENT)


def _status(comparison: Comparison) -> str:
    return _STATUS[comparison.verdict]


def _needs_z(arm: Cell, unit: Unit, *, policy: str) -> str:
    """The same items under the policy and with Z zeroed."""
    if arm.to_zero is None:
        return ""
    held, paired = arm.to_zero, arm.to_zero.paired
    items = count(paired.difference.n, "item")
    p = p_text(paired, held.p_corrected, held.correction)
    text = f"{policy.capitalize()} minus zero: {_amount(held, unit)} on {items}, {p}"
    if held.verdict not in _NO_GAIN:
        return f"{text}: {held.verdict} with Z than without."
    is_gain = arm.comparison is not None and arm.comparison.verdict is Verdict.BETTER
    return f"{text}, {_status(held)}{', so these items do not tell whether the gain needs Z' if is_gain else ''}."


def _amount(comparison: Comparison, unit: Unit, *, has_unit: bool = False) -> str:
    """`+3.2 points [+1.0, +5.4]`."""
    difference = comparison.paired.difference
    noun = " points" if has_unit and unit is Unit.POINTS else ""
    return f"{signed(difference.mean, unit)}{noun} {interval(difference.low, difference.high, unit)}"
