"""Published scores of the Free Transformer, to stand beside one's own: those alone that a stored source confirms.

They were measured on other weights, prompts and harnesses: a hint of what to expect, never a comparison.
"""

from collections.abc import Sequence

from ft_eval.errors import ReportError
from ft_eval.report.sections import PublishedFigure

PAPER = "paper"
_SOURCE = "Fleuret (2025), arXiv 2510.17558v1"
_LARGE = (
    ("humaneval_plus", "pass@1", 0.268, 0.299),
    ("mbpp", "pass@1", 0.428, 0.440),
    ("gsm8k", "exact_match", 0.321, 0.331),
    ("mmlu", "acc_char, mean over subjects", 0.592, 0.623),
    ("commonsense_qa", "acc_char", 0.707, 0.748),
    ("hellaswag", "acc_char", 0.799, 0.799),
    ("piqa", "acc_char", 0.805, 0.812),
)
"""8B parameters, 1T tokens, κ = 1/2 bit, the last checkpoint."""
_SMALL = (("humaneval_plus", "pass@1", 44.0), ("mbpp", "pass@1", 35.0), ("gsm8k", "exact_match", 30.0))
"""1.5B parameters, 47B tokens: relative gains of the best κ, in percent."""
_ALIASES = {"commonsense_qa": ("commonsense_qa", "csqa", "commonsenseqa")}


def published_figures(reference: str, rows: Sequence[str]) -> tuple[PublishedFigure, ...]:
    """The figures of a source on these rows, by lm-eval's names or those of this project's own tasks.

    Raises:
        ReportError: no such source.
    """
    if reference != PAPER:
        raise ReportError(f"reference {reference}: expected {PAPER}, the one source whose figures are kept here")
    figures = (*map(_large, _LARGE), *map(_small, _SMALL))
    return tuple(figure for figure in figures if any(_is_row(figure.task, row) for row in rows))


def _is_row(task: str, row: str) -> bool:
    name = row.removeprefix("ft_").removesuffix("_letter").removesuffix("_text")
    return name in _ALIASES.get(task, (task,))


def _large(figure: tuple[str, str, float, float]) -> PublishedFigure:
    task, metric, baseline, latent = figure
    return PublishedFigure(
        model="8B, 1T tokens, κ = 1/2 bit",
        task=task,
        metric=metric,
        kappa_bits=0.5,
        baseline=baseline,
        latent=latent,
        gain_percent=100.0 * (latent - baseline) / baseline,
        source=_SOURCE,
    )


def _small(figure: tuple[str, str, float]) -> PublishedFigure:
    task, metric, gain = figure
    return PublishedFigure(
        model="1.5B, 47B tokens, best of the κ",
        task=task,
        metric=metric,
        kappa_bits=None,
        baseline=None,
        latent=None,
        gain_percent=gain,
        source=_SOURCE,
    )
