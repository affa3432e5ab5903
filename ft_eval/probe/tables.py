"""A ProbeReport as headline, notes and tables in a reader's words: for the console and for the page alike.

Chooses words and digits; measures nothing.
"""

import math
from collections.abc import Sequence

from ft_eval.probe.enumeration import EnumerationTable, EstimatorCheck
from ft_eval.probe.records import (
    DiversityRow,
    Estimator,
    Interval,
    LatentUsage,
    LikelihoodRow,
    ProbeReport,
    Steering,
    TruthRow,
)
from ft_eval.report.formats import MINUS, NONE, bits, count
from ft_eval.report.pages import Cell, Table

BOUND = "≥"
"""Before a log-likelihood that is a lower bound, in expectation."""


def number(value: float, digits: int, *, unit: str = "", sign: bool = False) -> Cell:
    """A cell with a number."""
    if math.isnan(value):
        return Cell(text=NONE, value=None)
    text = f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"
    return Cell(text=text.replace("-", MINUS) + unit, value=value)


def interval_text(interval: Interval, digits: int) -> str:
    """`[low, high]` with signs."""
    if math.isnan(interval.low):
        return NONE
    return f"[{interval.low:+.{digits}f}, {interval.high:+.{digits}f}]".replace("-", MINUS)


def headline(report: ProbeReport) -> str:
    """Is Z used? One sentence."""
    whole = report.usage[0]
    against = "" if report.kappa_bits is None else f" (κ = {bits(report.kappa_bits)})"
    kl = f"KL is {whole.kl_bits:.3f} bits per token{against}"
    if whole.is_collapsed:
        return f"Z is not used: {kl}, of which {whole.information_bits:.4f} say anything about the text."
    active = f"{whole.num_active_bits} of {count(report.num_latent_bits, 'bit')} active"
    held = f"Z holds {whole.information_bits:.3f} bits per token about the text"
    return f"{held}, {active}; {kl}; {_steering_words(report.steering)}."


def _steering_words(steering: Sequence[Steering]) -> str:
    if not steering:
        return "its effect on samples was not measured"
    effect = steering[0].effect
    size = f"{number(effect.mean, 3, sign=True).text} {interval_text(effect, 3)}"
    shown = "are" if effect.low > 0 else "are not shown to be"
    return f"samples that share it {shown} more alike ({size})"


def usage_table(usages: Sequence[LatentUsage], kappa_bits: float | None) -> Table:
    """KL per token against κ, by group of texts."""
    kappa = Cell(text=NONE) if kappa_bits is None else Cell(text=bits(kappa_bits), value=kappa_bits)
    return Table(
        caption="KL of the posterior from the uniform prior, the encoder having seen whole texts. Information: the "
        "part that differs from text to text; collapsed: it is below 0.01 bits per token",
        heads=("Texts", "Number", "Tokens", "KL, bits per token", "κ, bits", "Information", "Active bits", "Alarm"),
        rows=tuple(
            (
                Cell(text=usage.group),
                Cell(text=count(usage.num_texts), value=usage.num_texts),
                Cell(text=count(usage.num_tokens), value=usage.num_tokens),
                number(usage.kl_bits, 4),
                kappa,
                number(usage.information_bits, 4),
                Cell(text=str(usage.num_active_bits), value=usage.num_active_bits),
                Cell(text="collapsed" if usage.is_collapsed else "no"),
            )
            for usage in usages
        ),
    )


def bits_table(usage: LatentUsage) -> Table:
    """Bit by bit."""
    return Table(
        caption="Bit by bit, over all texts. Information: the part of the KL that differs from text to text. "
        "Persistence: how often a bit is what it was one token before; by chance, if positions were independent",
        heads=("Bit", "KL, bits", "Information, bits", "P(bₜ = bₜ₊₁)", "by chance", "Active"),
        rows=tuple(
            (
                Cell(text=f"{index}"),
                number(bit.kl_bits, 4),
                number(bit.information_bits, 4),
                number(bit.persistence, 3),
                number(bit.persistence_by_chance, 3),
                Cell(text="yes" if bit.is_active else "no"),
            )
            for index, bit in enumerate(usage.bits)
        ),
    )


def likelihood_table(rows: Sequence[LikelihoodRow]) -> Table:
    """Every likelihood, each under the name of the bound that it is."""
    return Table(
        caption="log p(text) in nats, summed over the texts. ≥: a lower bound in expectation; bits per byte and "
        "perplexity of a bound are upper bounds; the largest bound is the closest. ±: Monte Carlo error, over draws",
        heads=("Texts", "Model", "What it is", "K", "Nats", "± nats", "Bits per byte", "Perplexity per token", "ESS"),
        rows=tuple(
            (
                Cell(text=row.group),
                Cell(text=row.model),
                Cell(text=row.estimator),
                Cell(text=str(row.num_draws or NONE), value=row.num_draws or None),
                _bounded(row.total_nats, 1, BOUND if row.is_bound else ""),
                number(row.stderr_nats, 1),
                _bounded(row.bits_per_byte, 4, "≤" if row.is_bound else ""),
                _bounded(row.perplexity, 4, "≤" if row.is_bound else ""),
                number(row.ess, 1),
            )
            for row in rows
        ),
    )


def _bounded(value: float, digits: int, mark: str) -> Cell:
    cell = number(value, digits)
    return Cell(text=f"{mark} {cell.text}".strip(), value=cell.value)


def truth_table(rows: Sequence[TruthRow]) -> Table:
    """Estimates against the closed form."""
    return Table(
        caption="log p(64 characters | K>) per held-out text of the target source, in nats, against its closed form. "
        "Truth − estimate is KL(source ‖ model) plus what a bound lacks, with a 95 % interval over texts",
        heads=("Model", "What it is", "K", "Nats per text", "± nats", "Truth − estimate"),
        rows=tuple(
            (
                Cell(text=row.model),
                Cell(text=row.estimator),
                Cell(text=str(row.num_draws or NONE), value=row.num_draws or None),
                _bounded(row.nats_per_text, 3, "" if row.estimator is Estimator.EXACT else BOUND),
                number(row.stderr_nats, 3),
                Cell(
                    text=number(row.gap_nats.mean, 3, sign=True).text,
                    value=row.gap_nats.mean,
                    note=interval_text(row.gap_nats, 3),
                ),
            )
            for row in rows
        ),
    )


def steering_table(rows: Sequence[Steering]) -> Table:
    """Samples that share Z against samples that don't."""
    return Table(
        caption="Similarity of two samples of one prompt, 0 to 1, sampled at temperature 1. "
        "Effect: the difference, with a 95 % bootstrap interval over prompts",
        heads=("Measure", "One Z", "Two Z", "Effect", "Prompts"),
        rows=tuple(
            (
                Cell(text=row.measure),
                number(row.same_latent, 4),
                number(row.other_latent, 4),
                Cell(
                    text=number(row.effect.mean, 4, sign=True).text,
                    value=row.effect.mean,
                    note=interval_text(row.effect, 4),
                ),
                Cell(text=str(row.effect.n), value=row.effect.n),
            )
            for row in rows
        ),
    )


def diversity_table(rows: Sequence[DiversityRow]) -> Table:
    """pass@k and maj@k at equal tokens."""
    return Table(
        caption="Held-out toy word problems: any of k answers right (pass@k), the most frequent right (maj@k), in "
        "percent with 95 % bootstrap intervals over problems; the baseline's k is what the same tokens pay for",
        heads=("Model", "Decoding", "k", "pass@k", "maj@k", "Tokens per problem", "Distinct completions"),
        rows=tuple(
            (
                Cell(text=row.model),
                Cell(text=row.decoding),
                Cell(text=str(row.k), value=row.k),
                _percent(row.pass_at_k),
                _percent(row.maj_at_k),
                number(row.tokens_per_problem, 0),
                number(row.num_distinct, 1),
            )
            for row in rows
        ),
    )


def _percent(interval: Interval) -> Cell:
    note = f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}]"
    return Cell(text=f"{100 * interval.mean:.1f}", value=interval.mean, note=note)


def report_tables(report: ProbeReport) -> tuple[Table, ...]:
    """All tables that have rows, in the page's order; the console shows the same."""
    tables = (
        usage_table(report.usage, report.kappa_bits),
        bits_table(report.usage[0]),
        likelihood_table(report.likelihoods),
        truth_table(report.truths),
        steering_table(report.steering),
        diversity_table(report.diversity),
    )
    return tuple(table for table in tables if table.rows)


def enumeration_table(table: EnumerationTable, checks: Sequence[EstimatorCheck]) -> Table:
    """The sum over every Z of one short text, and each estimator against it."""
    return Table(
        caption=f"log p(text) = {table.exact_nats:.6f} nats by the sum over all {count(len(table.codes))} Z; "
        f"exact ELBO {table.exact_elbo_nats:.6f}. Coverage: how often ±1.96 printed standard errors hold the sum, "
        "95 % if right",
        heads=("Proposal", "K", "Trials", "Bias, nats", "± nats", "Printed error", "True spread", "Coverage"),
        rows=tuple(
            (
                Cell(text=check.proposal),
                Cell(text=str(check.num_draws), value=check.num_draws),
                Cell(text=str(check.num_trials), value=check.num_trials),
                number(check.bias_nats, 6, sign=True),
                number(check.bias_stderr_nats, 6),
                number(check.stderr_nats, 5),
                number(check.spread_nats, 5),
                _coverage(check.coverage),
            )
            for check in checks
        ),
    )


def _coverage(share: float) -> Cell:
    return Cell(text=f"{100 * share:.1f} %", value=share)
