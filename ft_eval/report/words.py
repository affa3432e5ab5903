"""The report's sentences: what a comparison says, and what all of them say together. Knows no HTML.

The rule: a gain and a loss are spoken of in the same words, and a difference is never named without the number of items
that it rests on.
"""

import math

from ft_eval.report.formats import count, interval, p_value, percent, signed
from ft_eval.report.tables import (
    Cell,
    Comparison,
    Contender,
    Panel,
    RowKind,
    Summary,
    TaskRow,
    Unit,
    Verdict,
)
from ft_eval.stats import PairedComparison

LEVEL = 0.05
_FEW_CHANGES = 10


def verdict(paired: PairedComparison, *, higher_is_better: bool) -> Verdict:
    """BETTER or WORSE where p < 0.05, two-sided and uncorrected; UNRESOLVED otherwise and where p is undefined."""
    mean = paired.difference.mean
    if math.isnan(paired.p_value) or paired.p_value >= LEVEL or mean == 0:
        return Verdict.UNRESOLVED
    return Verdict.BETTER if (mean > 0) is higher_is_better else Verdict.WORSE


def comparison_sentence(paired: PairedComparison, unit: Unit, decided: Verdict) -> str:
    """One comparison in a sentence, such as `+10.0 points rest on 2 items of 20: 3 gained, 1 lost; p = 0.38 …`."""
    if not paired.difference.n:
        return f"No test: {paired.difference.reason or paired.reason}."
    changed = paired.num_wins + paired.num_losses
    if not changed:
        return _no_change(paired, unit)
    return f"{_what_it_rests_on(paired, unit)}; {p_text(paired)}. {_weight(decided, changed)}"


def _no_change(paired: PairedComparison, unit: Unit) -> str:
    bounds = paired.difference
    text = f"No score changes on {count(bounds.n, 'item')}"
    if not paired.is_binary:
        return f"{text}."
    return f"{text}; the 95 % interval is still {interval(bounds.low, bounds.high, unit)} points."


def _what_it_rests_on(paired: PairedComparison, unit: Unit) -> str:
    n, net = paired.difference.n, abs(paired.num_wins - paired.num_losses)
    amount = signed(paired.difference.mean, unit) + (" points" if unit is Unit.POINTS else "")
    if not paired.is_binary:
        split = f"{paired.num_wins:,} better, {paired.num_losses:,} worse, {paired.num_ties:,} equal"
        return f"{amount} over {count(n, 'item')}: {split}"
    split = f"{paired.num_wins:,} gained, {paired.num_losses:,} lost"
    if not net:
        return f"No net change on {count(n, 'item')}: {split}"
    verb = "rests" if abs(100 * paired.difference.mean) == 1 else "rest"
    return f"{amount} {verb} on {count(net, 'item')} of {n:,}: {split}"


def p_text(paired: PairedComparison) -> str:
    """`p = 0.38 (mid-p McNemar; exact 0.63)`, or why there is none."""
    if math.isnan(paired.p_value):
        return f"p undefined ({paired.reason})"
    exact = "" if paired.p_exact is None else f"; exact {p_value(paired.p_exact)}"
    return f"p = {p_value(paired.p_value)} ({paired.test}{exact})"


def _weight(decided: Verdict, num_changed: int) -> str:
    if decided is Verdict.UNRESOLVED:
        return "This can be chance."
    few = f", but only {count(num_changed, 'item')} changed" if num_changed < _FEW_CHANGES else ""
    return f"This is unlikely to be chance{few}."


def panel_sentence(baseline: Contender | None, latents: tuple[Contender, ...]) -> str:
    """Who is compared with whom, or why nobody is."""
    if baseline is None:
        named = latents[0].checkpoint.baseline
        why = f"its baseline {named} is not in these runs" if named else "it names no baseline"
        return f"{latents[0].label} is shown alone: {why}, so nothing here is a gain or a loss."
    if not latents:
        return f"{baseline.label} is shown alone: no latent checkpoint in these runs names it as its baseline."
    who = ", ".join(latent.label for latent in latents)
    return f"{who} against {baseline.label}, on the same items."


def summarize(panels: tuple[Panel, ...], num_missing: int, num_jobs: int) -> Summary:
    """All panels in a headline and a few lines. Tasks of a group are spoken of through their group."""
    found = [
        (panel, row, cell, cell.comparison)
        for panel in panels
        for row in panel.rows
        if row.kind is not RowKind.SUBTASK
        for cell in row.primary.cells
        if cell.comparison is not None
    ]
    so_far = f"So far, with {num_missing} of {count(num_jobs, 'job')} unfinished: " if num_missing else ""
    if not found:
        nothing = _nothing_compared(panels)
        return Summary(headline=so_far + nothing if so_far else nothing[0].upper() + nothing[1:], lines=())
    if len(found) == 1:
        panel, row, cell, comparison = found[0]
        return Summary(headline=so_far + _single_headline(panel, row, cell, comparison), lines=(comparison.sentence,))
    lines = [_tally_line(panel, latent) for panel in panels for latent in panel.latents if panel.baseline]
    headline = lines[0] if len(lines) == 1 else _grand_tally([comparison for *_, comparison in found])
    rest = [] if len(lines) == 1 else lines
    rest += _largest_unresolved([(row, cell, comparison) for _, row, cell, comparison in found])
    return Summary(headline=so_far + headline, lines=(*rest, _multiplicity(len(found))))


def _nothing_compared(panels: tuple[Panel, ...]) -> str:
    if any(panel.baseline and panel.latents for panel in panels):
        return "no task has been finished by both a latent checkpoint and its baseline yet, so there is no comparison."
    return "no latent checkpoint stands beside its baseline in these runs, so there is no comparison."


_RELATION = {
    Verdict.BETTER: "is better than",
    Verdict.WORSE: "is worse than",
    Verdict.UNRESOLVED: "cannot be told apart from",
}


def _single_headline(panel: Panel, row: TaskRow, cell: Cell, comparison: Comparison) -> str:
    difference, unit = comparison.paired.difference, row.primary.unit
    base = panel.baseline.label if panel.baseline else ""
    amount = signed(difference.mean, unit) + (" points" if unit is Unit.POINTS else "")
    bounds = interval(difference.low, difference.high, unit)
    return f"{cell.label} {_RELATION[comparison.verdict]} {base} on {row.name}: {amount} {bounds}."


def _tally_line(panel: Panel, latent: Contender) -> str:
    comparisons = [
        cell.comparison
        for row in panel.rows
        if row.kind is not RowKind.SUBTASK
        for cell in row.primary.cells
        if cell.label == latent.label and cell.comparison
    ]
    base, number = panel.baseline.label if panel.baseline else "", _tally(comparisons)
    return (
        f"{latent.label} is better than {base} on {number[Verdict.BETTER]} of {count(len(comparisons), 'task')}, "
        f"worse on {number[Verdict.WORSE]}, and not told apart on {number[Verdict.UNRESOLVED]}."
    )


def _grand_tally(comparisons: list[Comparison]) -> str:
    number = _tally(comparisons)
    return (
        f"In {count(len(comparisons), 'comparison')} with a baseline, a latent checkpoint is better in "
        f"{number[Verdict.BETTER]}, worse in {number[Verdict.WORSE]}, and not told apart in "
        f"{number[Verdict.UNRESOLVED]}."
    )


def _tally(comparisons: list[Comparison]) -> dict[Verdict, int]:
    return {verdict: sum(c.verdict is verdict for c in comparisons) for verdict in Verdict}


def _largest_unresolved(found: list[tuple[TaskRow, Cell, Comparison]]) -> list[str]:
    """The largest relative change that can be chance: the one a reader is most likely to be misled by."""
    candidates = [
        item for item in found if item[2].verdict is Verdict.UNRESOLVED and not math.isnan(item[2].gain.percent)
    ]
    if not candidates:
        return []
    row, cell, comparison = max(candidates, key=lambda item: abs(item[2].gain.percent))
    if not comparison.gain.percent:
        return []
    change = f"{percent(comparison.gain.percent)} ({cell.label} on {row.name})"
    return [f"The largest relative change that can be chance is {change}: {comparison.sentence}"]


def _multiplicity(num_comparisons: int) -> str:
    at_least_one = 1.0 - (1.0 - LEVEL) ** num_comparisons
    return (
        f"p values are two-sided and not corrected for the {num_comparisons} comparisons: were they independent and no "
        f"difference true, at least one would still fall below 0.05 with a chance of {100 * at_least_one:.0f} %."
    )
