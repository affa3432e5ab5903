"""The pages: what stands where, in which words. `ft_eval.report.probe_page` lays them out; this measures nothing."""

from ft_eval.probe.records import LatentUsage, LikelihoodRow, ProbeReport
from ft_eval.probe.synthetic import SyntheticModel, SyntheticResult
from ft_eval.probe.tables import (
    bits_table,
    diversity_table,
    headline,
    likelihood_table,
    number,
    steering_table,
    truth_table,
    usage_table,
)
from ft_eval.report.formats import NONE, bits
from ft_eval.report.pages import Bar, BarChart, Cell, Page, Section, Strip, Table

_USAGE = (
    "KL is what the encoder says beyond the prior. Free bits let it rise to κ at no cost, so an encoder may say the "
    "same about every text and have a KL near κ: information is the part that differs from text to text. Whether the "
    "decoder listens, the sections below say."
)
_LIKELIHOOD = (
    "A latent model's likelihood is a sum over all Z and can only be bounded. The ELBO and the importance-weighted "
    "bound use the encoder, which has seen the text, and pay for it with KL; the bound rises with K. The mean over "
    "prior draws is a bound too: far off once Z holds many bits of a text, and close where Z holds nothing."
)
_STEERING = (
    "Samples that share Z differ in their sampling noise alone. An interval that holds 0 means that no effect was "
    "found with this many prompts."
)
_SYNTHETIC = (
    "Position shared: the share of the target position's variance that lies between groups and not within them. "
    "“!” alike: the mean correlation of two sequences' noise masks."
)


def probe_page(report: ProbeReport) -> Page:
    """The page of `ft-eval probe`."""
    sections = [
        _usage_section(report),
        _likelihood_section(report.likelihoods),
        Section(
            heading="Against the truth",
            anchor="truth",
            paragraphs=("The target source's likelihood is known exactly. No estimate may be above it on average.",),
            tables=(truth_table(report.truths),),
        ),
        Section(
            heading="Does Z steer?",
            anchor="steering",
            paragraphs=(_STEERING,),
            tables=(steering_table(report.steering),),
        ),
        Section(
            heading="Is Z worth draws?",
            anchor="diversity",
            paragraphs=("The latent model decodes greedily under k draws of Z; a baseline samples at a temperature.",),
            tables=(diversity_table(report.diversity),),
        ),
    ]
    return Page(
        title=f"What Z does in {report.checkpoint}",
        eyebrow=f"ft-eval probe · weights {report.digest[:12]} · seed {report.seed}",
        headline=headline(report),
        lede=(
            f"H = {report.num_latent_bits} bits per token, κ = {_kappa(report)} bits",
            f"Baseline: {report.baseline or 'none given'}",
        ),
        notices=tuple(f"{note}." for note in report.notes),
        sections=tuple(section for section in sections if any(table.rows for table in section.tables)),
    )


def _kappa(report: ProbeReport) -> str:
    return NONE if report.kappa_bits is None else bits(report.kappa_bits)


def _usage_section(report: ProbeReport) -> Section:
    whole = report.usage[0]
    return Section(
        heading="Is Z used?",
        anchor="usage",
        paragraphs=(_USAGE,),
        charts=(_bits_chart(whole), _positions_chart(whole, report.kappa_bits)),
        tables=(usage_table(report.usage, report.kappa_bits), bits_table(whole)),
    )


def _bits_chart(usage: LatentUsage) -> BarChart:
    return BarChart(
        title="KL of each bit, in bits per token",
        bars=tuple(
            Bar(label=str(index), value=bit.kl_bits, text=f"{bit.kl_bits:.4f}") for index, bit in enumerate(usage.bits)
        ),
    )


def _positions_chart(usage: LatentUsage, kappa_bits: float | None) -> BarChart:
    return BarChart(
        title="KL at each position of the text, in bits",
        bars=tuple(
            Bar(label=str(position), value=kl, text=f"{kl:.4f}")
            for position, kl in enumerate(usage.kl_bits_by_position)
        ),
        line=None
        if kappa_bits is None
        else Bar(label=f"κ = {bits(kappa_bits)}", value=kappa_bits, text=bits(kappa_bits)),
    )


def _likelihood_section(rows: tuple[LikelihoodRow, ...]) -> Section:
    return Section(
        heading="What do texts cost?",
        anchor="likelihood",
        paragraphs=(_LIKELIHOOD,),
        tables=(likelihood_table(rows),),
    )


def synthetic_page(result: SyntheticResult) -> Page:
    """The page of `ft-eval probe --synthetic`: the paper's figure, and the numbers that make it a test."""
    overview = Section(
        heading="Numbers",
        anchor="numbers",
        paragraphs=(
            f"{result.num_groups} groups of five sequences of each kind and model.",
            _SYNTHETIC,
        ),
        tables=(synthetic_table(result),),
    )
    steps = f"{result.num_steps} steps of {result.rows_per_step} rows"
    return Page(
        title="The synthetic experiment: what Z holds as κ grows",
        eyebrow=f"ft-eval probe --synthetic · {steps} · seed {result.seed}",
        headline=" → ".join(model.verdict for model in result.models),
        lede=(
            "64 characters “_”, eight of them a target in the prompt's letter, then “!” noise with a chance of 1/16",
            "Blue: each sequence has its own Z. Green: the five share one Z and differ in sampling noise",
        ),
        sections=(overview, *(_model_section(model) for model in result.models)),
    )


def synthetic_table(result: SyntheticResult) -> Table:
    """A row per κ."""
    return Table(
        caption="What the groups have in common, per κ",
        heads=(
            "κ, bits",
            "KL, bits per token",
            "Information, bits",
            "Well formed",
            "Agreement",
            "Position shared, blue",
            "Position shared, green",
            "“!” alike, blue",
            "“!” alike, green",
            "Minutes",
            "Z holds",
        ),
        rows=tuple(_synthetic_row(model) for model in result.models),
    )


def _synthetic_row(model: SyntheticModel) -> tuple[Cell, ...]:
    return (
        Cell(text=bits(model.kappa_bits), value=model.kappa_bits),
        number(model.kl_bits, 4),
        number(model.information_bits, 4),
        number(model.blue.well_formed, 3),
        number(model.blue.agreement, 3),
        number(model.blue.position_shared, 3),
        number(model.green.position_shared, 3),
        number(model.blue.mask_within, 3),
        number(model.green.mask_within, 3),
        number(model.minutes, 1),
        Cell(text=model.verdict),
    )


def _model_section(model: SyntheticModel) -> Section:
    name = bits(model.kappa_bits)
    groups = (model.blue_sequences, *model.green_sequences)
    return Section(
        heading=f"κ = {name} bit{'s' if model.kappa_bits > 1 else ''}",
        anchor=f"kappa-{name.replace('/', '-')}",
        paragraphs=(f"Prompt {model.prompt} — Z holds {model.verdict}.",),
        strips=tuple(
            Strip(
                label="blue: each its own Z" if index == 0 else f"green {index}: one shared Z",
                shares_latent=index > 0,
                sequences=tuple(sequence.replace("\n", "⏎") for sequence in group),
            )
            for index, group in enumerate(groups)
        ),
    )
