"""The report in one verdict sentence with its numbers, and a few lines below it. Knows no HTML.

Only candidates on primary tasks are spoken of; control arms and the tasks of a group are left to the tables.
"""

import math
from collections.abc import Sequence

from ft_eval.report.compare import NO_MEAN, NO_PAIR
from ft_eval.report.formats import count, interval, p_value, percent, unsigned
from ft_eval.report.pooled import primary_comparisons
from ft_eval.report.section_words import last_third_line
from ft_eval.report.sections import LastThird
from ft_eval.report.tables import Panel, Summary, TaskRow, Unit
from ft_eval.report.verdicts import Comparison, Pooled, Terms
from ft_eval.report.words import amount_text, gain_text
from ft_eval.stats import Verdict

Found = tuple[TaskRow, Comparison]
_MOST_SPOKEN = 3
"""Panels that each have their sentence on top, where they are moments of a training."""

_RELATION = {
    Verdict.BETTER: "is better than",
    Verdict.WORSE: "is worse than",
    Verdict.EQUIVALENT: "is equivalent to",
    Verdict.UNRESOLVED: "cannot be told apart from",
}


def summarize(
    panels: Sequence[Panel], terms: Terms, num_missing: int, num_jobs: int, last_thirds: Sequence[LastThird] = ()
) -> Summary:
    """All panels in a headline and a few lines; where trainings are compared, their last thirds come before these."""
    compared = [panel for panel in panels if _candidates(panel)]
    so_far = f"So far, with {num_missing} of {count(num_jobs, 'job')} unfinished: " if num_missing else ""
    if not compared:
        nothing = _nothing_compared(panels)
        return Summary(headline=so_far + nothing if so_far else nothing[0].upper() + nothing[1:], lines=())
    trained, spoken = [last_third_line(row) for row in last_thirds], compared
    if trained and len(compared) > _MOST_SPOKEN:
        spoken = compared[-1:]
        trained.append(f"Each of the {len(compared)} moments of the training has its own verdicts below; of the last:")
    lines = [line for panel in spoken for line in _panel_lines(panel, terms)]
    lines += _largest_unresolved(spoken) if len(lines) > 1 else _details(spoken[0])
    notes = [*_floor_lines(spoken), *_spread_lines(spoken), *map(_family_line, spoken)]
    headline = lines.pop(0) if len(compared) == 1 else _grand_tally(compared)
    return Summary(headline=so_far + headline, lines=(*trained, *lines, *dict.fromkeys(notes)))


def _candidates(panel: Panel) -> dict[str, tuple[Found, ...]]:
    """By label, the candidates that have a comparison, the best first."""
    found = {label: primary_comparisons(panel.rows, panel.family, label) for label in panel.family.candidates}
    pooled = {one.label: one.effect.effect.mean for one in panel.pooled}
    labels = [label for label, own in found.items() if own]
    return {label: found[label] for label in sorted(labels, key=lambda label: -pooled.get(label, -math.inf))}


def _nothing_compared(panels: Sequence[Panel]) -> str:
    if any(cell.comparison for panel in panels for row in panel.rows for cell in row.primary.cells):
        return "only control arms and other tasks than the primary ones are compared, so there is no verdict."
    reasons = {cell.why_empty for panel in panels for row in panel.rows for cell in row.primary.cells}
    if found := reasons & {NO_MEAN, NO_PAIR}:
        return f"the scores of both stand below, but {' and '.join(sorted(found))}."
    if any(panel.baseline and panel.latents for panel in panels):
        return "no task has been finished by both a latent checkpoint and its baseline yet, so there is no comparison."
    return "no latent checkpoint stands beside its baseline in these runs, so there is no comparison."


def _panel_lines(panel: Panel, terms: Terms) -> list[str]:
    """A sentence per candidate, the best first and called that where there are several."""
    found = _candidates(panel)
    lines = [_candidate_sentence(panel, label, own, terms) for label, own in found.items()]
    if len(panel.family.candidates) > 1 and len(found) > 1:
        lines[0] = f"Best of {len(panel.family.candidates)} candidates: {lines[0]}"
    return lines


def _candidate_sentence(panel: Panel, label: str, found: Sequence[Found], terms: Terms) -> str:
    base = panel.baseline.label if panel.baseline else ""
    pooled = next((one for one in panel.pooled if one.label == label), None)
    if len(found) == 1 and len(panel.family.tasks) == 1:
        return _single(label, base, found[0], terms)
    tally, num_primary = _tally([held for _, held in found], terms), len(panel.family.tasks) + len(panel.family.missing)
    if num_unpaired := sum(held.paired.is_unpaired for _, held in found):
        tally += f"; {count(num_unpaired, 'task')} unpaired"
    if pooled is None or pooled.decision is None:
        return f"{label} against {base} on {_share(len(found), num_primary)}: {tally}."
    relation, within = _RELATION[pooled.decision.verdict], _margin_text(pooled.decision.verdict, terms)
    where = f"on the mean of {_share(pooled.num_tasks, num_primary)}"
    return f"{label} {relation} {base}{within} {where}: {_pooled_numbers(pooled)}. Task by task: {tally}."


def _share(num: int, num_primary: int) -> str:
    """`5 primary tasks`, or `4 of 5 primary tasks`."""
    tasks = count(num_primary, "primary task")
    return tasks if num == num_primary else f"{num} of {tasks}"


def _single(label: str, base: str, found: Found, terms: Terms) -> str:
    row, held = found
    difference, unit = held.paired.difference, row.primary.unit
    amount = amount_text(difference.mean, unit)
    if not math.isnan(difference.low):
        amount += f" {interval(difference.low, difference.high, unit)}"
    gain = "" if held.gain.reason else f", {gain_text(held.gain)} of the baseline"
    within = _margin_text(held.verdict, terms)
    p = "" if math.isnan(held.p_corrected) else f", p = {p_value(held.p_corrected)}"
    p += ", unpaired" if held.paired.is_unpaired else ""
    return f"{label} {_RELATION[held.verdict]} {base}{within} on {row.name}: {amount}{gain}{p}."


def _margin_text(verdict: Verdict, terms: Terms) -> str:
    return f" within ±{terms.margin_points:g} points" if verdict is Verdict.EQUIVALENT else ""


def _pooled_numbers(pooled: Pooled) -> str:
    assert pooled.decision is not None, "only a mean with a test has numbers"
    effect = pooled.effect.effect
    bounds = interval(effect.low, effect.high, Unit.POINTS)
    left = f"; {count(pooled.num_left_out, 'task')} in another unit left out" if pooled.num_left_out else ""
    return f"{amount_text(effect.mean, Unit.POINTS)} {bounds}, p = {p_value(pooled.decision.p_value)}{left}"


def _tally(comparisons: Sequence[Comparison], terms: Terms) -> str:
    number = {verdict: sum(held.verdict is verdict for held in comparisons) for verdict in Verdict}
    shown = [verdict for verdict in Verdict if verdict is not Verdict.EQUIVALENT or terms.margin is not None]
    return ", ".join(f"{number[verdict]} {verdict}" for verdict in shown)


def _grand_tally(panels: Sequence[Panel]) -> str:
    held = [one for panel in panels for found in _candidates(panel).values() for _, one in found]
    number = {verdict: sum(one.verdict is verdict for one in held) for verdict in Verdict}
    equivalent = f"equivalent in {number[Verdict.EQUIVALENT]}, " if number[Verdict.EQUIVALENT] else ""
    return (
        f"In {count(len(held), 'comparison')} with {count(len(panels), 'baseline')}, a latent checkpoint is better in "
        f"{number[Verdict.BETTER]}, worse in {number[Verdict.WORSE]}, {equivalent}and not told apart in "
        f"{number[Verdict.UNRESOLVED]}."
    )


def _details(panel: Panel) -> list[str]:
    """Of a single candidate: its comparison in full where that is all there is."""
    (found,) = _candidates(panel).values()
    if len(found) > 1:
        return _largest_unresolved([panel])
    return [text for text in (found[0][1].sentence, found[0][1].advice) if text]


def _largest_unresolved(panels: Sequence[Panel]) -> list[str]:
    """The largest relative change that can be chance: the one a reader is most likely to be misled by."""
    found = [
        (label, row, held)
        for panel in panels
        for label, own in _candidates(panel).items()
        for row, held in own
        if held.verdict is Verdict.UNRESOLVED and held.gain.percent and not math.isnan(held.gain.percent)
    ]
    if not found:
        return []
    label, row, held = max(found, key=lambda item: abs(item[2].gain.percent))
    change = f"{percent(held.gain.percent)} ({label} on {row.name})"
    return [
        " ".join([f"The largest relative change that can be chance is {change}: {held.sentence}", held.advice]).strip()
    ]


def _floor_lines(panels: Sequence[Panel]) -> list[str]:
    """What rerunning a baseline does to the mean, where that was tried."""
    return [
        f"Reruns of {panel.baseline.label} alone move its mean over these tasks by less than "
        f"{unsigned(floor.percentile_95, Unit.POINTS)} points 95 times in 100."
        if floor.num_changed
        else f"A rerun of {panel.baseline.label} alone leaves its mean over these tasks as it is."
        for panel in panels
        if panel.baseline is not None and panel.pooled and (floor := panel.pooled[0].noise_floor) is not None
    ]


def _spread_lines(panels: Sequence[Panel]) -> list[str]:
    """Where one mean does not do the tasks justice; one line, whatever their number."""
    found = [
        f"{one.label} {100 * one.effect.spread:.1f} points (p = {p_value(one.effect.p_heterogeneity)})"
        for panel in panels
        for one in panel.pooled
        if one.decision is not None and one.effect.p_heterogeneity < 0.05
    ]
    if not found:
        return []
    means = "the mean speaks" if len(found) == 1 else "their means speak"
    whose = ", ".join(found)
    return [f"The tasks' true differences lie apart, so {means} for none of them; standard deviation, about: {whose}."]


def _family_line(panel: Panel) -> str:
    """What p values are corrected for."""
    family = panel.family
    num_controls = len(panel.latents) - len(family.candidates)
    controls = (
        f" {count(num_controls, 'control arm')} with Z zeroed, fixed or shuffled not among them."
        if num_controls
        else ""
    )
    missing = f" Declared but in no run, and counted: {', '.join(family.missing)}." if family.missing else ""
    if family.num_tests == 1:
        return f"p is two-sided, of one test.{controls}"
    tasks = count(len(family.tasks) + len(family.missing), "primary task")
    why = "as declared" if family.is_declared else "all tasks here, since none were declared"
    many = f" × {count(len(family.candidates), 'candidate')}" if len(family.candidates) > 1 else ""
    best = (
        " The difference of the best is too large on average, because it was picked: only a new run tells its size."
        if len(family.candidates) > 1
        else ""
    )
    return (
        f"p values are two-sided and corrected by Holm for {count(family.num_tests, 'test')}: {tasks} ({why}){many}."
        f"{controls}{missing}{best}"
    )
