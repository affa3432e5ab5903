"""The answers that changed, as the page shows them without a script: a few per comparison, losses first.

All texts are model output or data and stay hostile; whoever shows them escapes them.
"""

from collections.abc import Sequence

from ft_eval.records import SampleResult
from ft_eval.report.formats import clip
from ft_eval.report.picks import PickedPair, TaskPicks
from ft_eval.report.tables import Answered, Flip, FlipList
from ft_eval.report.texts import Texts

_PROMPT_TAIL = 700
_MAX_CHOICES = 10


def shown_flips(picks: TaskPicks, max_flips: int) -> tuple[PickedPair, ...]:
    """The largest losses and then gains, half of `max_flips` each where both abound."""
    first = picks.changed[:max_flips]
    return tuple(sorted(first, key=lambda pair: pair.gain > 0))


def make_flips(picks: TaskPicks, task: str, metric: str, baseline: str, texts: Texts, max_flips: int) -> FlipList:
    """The flips of one comparison with their texts; a document whose texts were not read is left out."""
    flips = []
    for pair in shown_flips(picks, max_flips):
        base = texts.samples(baseline, task, pair.baseline_id)
        other = texts.samples(picks.latent, task, pair.latent_id)
        if base and other:
            flips.append(_flip(pair, base, other, metric))
    return FlipList(label=picks.latent, num_gained=picks.num_gained, num_lost=picks.num_lost, flips=tuple(flips))


def _flip(pair: PickedPair, baseline: Sequence[SampleResult], latent: Sequence[SampleResult], metric: str) -> Flip:
    return Flip(
        doc_id=latent[0].doc_id,
        is_gain=pair.gain > 0,
        prompt_tail=clip(latent[0].prompt, head=0, tail=_PROMPT_TAIL),
        target=latent[0].target,
        baseline=_answered(baseline, metric),
        latent=_answered(latent, metric),
    )


def mean_score(samples: Sequence[SampleResult], metric: str) -> float:
    """The mean over the draws that have a score; nan where none has."""
    scores = [sample.metrics[metric] for sample in samples if sample.error is None and metric in sample.metrics]
    return sum(scores) / len(scores) if scores else float("nan")


def _answered(samples: Sequence[SampleResult], metric: str) -> Answered:
    """The first draw's answer, and the score over all draws."""
    score, sample = mean_score(samples, metric), samples[0]
    if not sample.logprobs_nats:
        return Answered(score=score, answer=sample.responses[0] if sample.responses else "")
    choices = tuple(zip(sample.responses, sample.logprobs_nats, strict=False))
    answer, _ = max(choices, key=lambda choice: choice[1], default=("", 0.0))
    return Answered(score=score, answer=answer, choices=choices[:_MAX_CHOICES])
