"""The report's sentences about one comparison, and who is compared with whom. Knows no HTML.

The rule: a gain and a loss are spoken of in the same words, and a difference is never named without the number of items
that it rests on.
"""

import math

from ft_eval.report.formats import count, interval, p_value, percent, signed, unsigned
from ft_eval.report.tables import Contender, Unit
from ft_eval.report.verdicts import Comparison
from ft_eval.stats import (
    DetectableEffect,
    PairedComparison,
    RelativeGain,
    Verdict,
    detectable_mean,
    draws_needed,
)

_FEW_CHANGES = 10


def comparison_sentence(comparison: Comparison, unit: Unit) -> str:
    """One comparison in a sentence, such as `+10.0 points rest on 2 items of 20: 3 gained, 1 lost; p = 0.38 …`."""
    paired = comparison.paired
    if not paired.difference.n:
        return f"No test: {paired.difference.reason or paired.reason}."
    changed = paired.num_wins + paired.num_losses
    if not paired.has_changes:
        text = _no_change(paired, unit)
        return f"{text} {_weight(comparison, changed, unit)}" if comparison.verdict is Verdict.EQUIVALENT else text
    p = p_text(paired, comparison.p_corrected, comparison.correction)
    return f"{_what_it_rests_on(paired, unit)}; {p}{_why_no_interval(paired)}. {_weight(comparison, changed, unit)}"


def _no_change(paired: PairedComparison, unit: Unit) -> str:
    bounds = paired.difference
    text = f"No score changes on {_items(paired)}"
    if math.isnan(bounds.low):
        return f"{text}."
    return f"{text}; the 95 % interval is still {interval(bounds.low, bounds.high, unit)} points."


def _why_no_interval(paired: PairedComparison) -> str:
    """Why a difference with a p value has no interval; one without has said so."""
    if math.isnan(paired.p_value) or not math.isnan(paired.difference.low):
        return ""
    return f"; no interval: {paired.difference.reason}"


def _items(paired: PairedComparison) -> str:
    """`20 items`, `20 items × 8 draws`, `20 items in 5 clusters`."""
    draws = max(paired.num_latent_draws, paired.num_baseline_draws)
    text = count(paired.difference.n, "item") + (f" × {count(draws, 'draw')}" if draws > 1 else "")
    return text if paired.num_clusters is None else f"{text} in {count(paired.num_clusters, 'cluster')}"


def _what_it_rests_on(paired: PairedComparison, unit: Unit) -> str:
    n, net = paired.difference.n, abs(paired.num_wins - paired.num_losses)
    amount = amount_text(paired.difference.mean, unit)
    if paired.is_unpaired:
        return f"{amount} between two samples, unpaired, of {count(n, 'item')} together"
    if not paired.is_binary:
        split = f"{paired.num_wins:,} better, {paired.num_losses:,} worse, {paired.num_ties:,} equal"
        return f"{amount} over {_items(paired)}: {split}"
    split = f"{paired.num_wins:,} gained, {paired.num_losses:,} lost"
    if not net:
        return f"No net change on {count(n, 'item')}: {split}"
    verb = "rests" if abs(100 * paired.difference.mean) == 1 else "rest"
    return f"{amount} {verb} on {count(net, 'item')} of {n:,}: {split}"


def amount_text(value: float, unit: Unit) -> str:
    """A difference with its unit: `+3.2 points`."""
    return signed(value, unit) + (" points" if unit is Unit.POINTS else "")


def p_text(paired: PairedComparison, p_corrected: float = math.nan, correction: str = "") -> str:
    """`p = 0.38 (mid-p McNemar; exact 0.63)`, corrected where it was, or why there is none."""
    if math.isnan(paired.p_value):
        return f"p undefined ({paired.reason})"
    exact = "" if paired.p_exact is None else f"; exact {p_value(paired.p_exact)}"
    flips = "" if paired.p_permutation is None else f"; sign flips {p_value(paired.p_permutation)}"
    text = f"p = {p_value(paired.p_value)} ({paired.test}{exact}{flips})"
    return f"{text}, corrected {p_value(p_corrected)} ({correction})" if correction else text


def _weight(comparison: Comparison, num_changed: int, unit: Unit) -> str:
    if comparison.verdict is Verdict.EQUIVALENT:
        return "Equivalent: the 90 % interval lies inside the margin."
    if comparison.verdict is Verdict.UNRESOLVED:
        return f"This can be chance{_what_was_visible(comparison.detectable, unit)}."
    is_small = num_changed < _FEW_CHANGES and not comparison.paired.is_unpaired
    few = f", but only {count(num_changed, 'item')} changed" if is_small else ""
    small = ", and smaller than the margin" if comparison.is_within_margin else ""
    return f"This is unlikely to be chance{few}{small}."


def _what_was_visible(found: DetectableEffect | None, unit: Unit) -> str:
    if found is None or math.isnan(found.difference):
        return ""
    return f"; a difference of {detectable_text(found, unit)} would be found 4 times in 5"


def detectable_text(found: DetectableEffect, unit: Unit) -> str:
    """The smallest detectable difference, `3.0 points (7.5 %)`."""
    noun = f" points{relative_text(found.percent)}" if unit is Unit.POINTS else relative_text(found.percent)
    return f"{unsigned(found.difference, unit)}{noun}"


def relative_text(value: float) -> str:
    """` (7.5 %)`, or nothing where there is no number, or none that says anything."""
    return "" if math.isnan(value) or value > 1_000 else f" ({percent(value).removeprefix('+')} of the baseline)"


def gain_text(gain: RelativeGain) -> str:
    """`+12.5 % [+1.0 %, +25.2 %]`, or why it is left out."""
    if gain.reason:
        return f"left out ({gain.reason})"
    if math.isnan(gain.low) or math.isnan(gain.high):
        return percent(gain.percent)
    return f"{percent(gain.percent)} {gain_interval_text(gain)}"


def gain_interval_text(gain: RelativeGain) -> str:
    """The ends of the gain's interval, `[+1.0 %, +25.2 %]`."""
    return f"[{percent(gain.low)}, {percent(gain.high)}]"


def resolving_sentence(comparison: Comparison, unit: Unit) -> str:
    """What would tell a true difference of the size seen from chance; empty where nothing sensible can be said."""
    paired, found = comparison.paired, comparison.detectable
    size = abs(paired.difference.mean)
    if comparison.verdict is not Verdict.UNRESOLVED or found is None or math.isnan(found.difference) or size == 0.0:
        return ""
    if paired.is_unpaired or size >= found.difference or paired.num_clusters is not None or "stratified" in paired.test:
        return ""
    n, variance = paired.difference.n, paired.difference.stderr**2 * paired.difference.n
    items = _about(n * (detectable_mean(n, variance, target=found.target).difference / size) ** 2)
    amount = amount_text(paired.difference.mean, unit)
    begin = f"Were {amount} the true difference, it would be found 4 times in 5 with"
    if comparison.variance is None:
        return f"{begin} {items}."
    draws = draws_needed(
        size,
        n,
        comparison.variance,
        baseline_draws=paired.num_baseline_draws,
        target=found.target,
    )
    if draws.num_draws is None:
        return f"{begin} {items}; no K resolves it on these."
    return f"{begin} K = {draws.num_draws:,} draws per item, or with {items}."


def _about(num_items: float) -> str:
    """`about 1,200 items`, two digits of it: what can be detected shrinks like 1 / √n."""
    step = 10 ** max(0, math.floor(math.log10(num_items)) - 1)
    return f"about {math.ceil(num_items / step) * step:,} items"


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
