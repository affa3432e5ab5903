"""The documents on which two models' scores differ, with their texts: chosen by numbers, then read from the store.

All texts are model output or data and stay hostile; they are clipped here and escaped by whoever shows them.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ft_eval.records import SampleResult
from ft_eval.report.catalog import Entry
from ft_eval.report.evidence import Pairs
from ft_eval.report.formats import clip
from ft_eval.report.tables import Answered, Flip, FlipList

_PROMPT_TAIL, _ANSWER_HEAD, _ANSWER_TAIL, _CHOICE_HEAD = 700, 700, 300, 200
_MAX_CHOICES = 10


def find_flips(
    baseline: Entry, latent: Entry, pairs: Pairs, label: str, *, higher_is_better: bool, max_flips: int
) -> FlipList:
    """The largest losses and gains on the primary metric, losses first, half of `max_flips` each where both abound.

    Raises:
        StoreError: samples can't be read.
    """
    gain = (pairs.latent - pairs.baseline) * (1.0 if higher_is_better else -1.0)
    losses, gains = _share(_largest(-gain), _largest(gain), max_flips)
    chosen = [*losses, *gains]
    base_texts = _read(baseline, pairs.baseline_ids[chosen].tolist())
    latent_texts = _read(latent, pairs.latent_ids[chosen].tolist())
    flips = [
        _flip(base_texts[int(pairs.baseline_ids[i])], latent_texts[int(pairs.latent_ids[i])], pairs, i, gain[i] > 0)
        for i in chosen
    ]
    return FlipList(
        label=label,
        num_gained=int(np.count_nonzero(gain > 0)),
        num_lost=int(np.count_nonzero(gain < 0)),
        flips=tuple(flips),
    )


def _largest(gain: NDArray[np.float64]) -> list[int]:
    """Places of the positive gains, the largest first, in the items' order where equal."""
    order = np.argsort(-gain, kind="stable")
    return [int(place) for place in order if gain[place] > 0]


def _share(losses: Sequence[int], gains: Sequence[int], total: int) -> tuple[Sequence[int], Sequence[int]]:
    """Half of the room each; what one side leaves goes to the other."""
    num_losses = min(len(losses), max(total // 2, total - len(gains)))
    return losses[:num_losses], gains[: total - num_losses]


def _read(entry: Entry, doc_ids: Iterable[int]) -> dict[int, SampleResult]:
    """The first draw of each of the documents; stops reading when all are found."""
    wanted, found = set(doc_ids), dict[int, SampleResult]()
    if not wanted:
        return found
    for sample in entry.store.samples(entry.job.id):
        if sample.doc_id in wanted and sample.doc_id not in found:
            found[sample.doc_id] = sample
            if len(found) == len(wanted):
                break
    return found


def _flip(baseline: SampleResult, latent: SampleResult, pairs: Pairs, place: int, is_gain: np.bool_) -> Flip:
    return Flip(
        doc_id=latent.doc_id,
        is_gain=bool(is_gain),
        prompt_tail=clip(latent.prompt, head=0, tail=_PROMPT_TAIL),
        target=clip(latent.target, head=_ANSWER_HEAD, tail=_ANSWER_TAIL),
        baseline=_answered(baseline, float(pairs.baseline[place])),
        latent=_answered(latent, float(pairs.latent[place])),
    )


def _answered(sample: SampleResult, score: float) -> Answered:
    if not sample.logprobs_nats:
        answer = sample.responses[0] if sample.responses else ""
        return Answered(score=score, answer=clip(answer, head=_ANSWER_HEAD, tail=_ANSWER_TAIL))
    texts = [clip(text, head=_CHOICE_HEAD, tail=0) for text in sample.responses]
    choices = tuple(zip(texts, sample.logprobs_nats, strict=False))
    answer, _ = max(choices, key=lambda choice: choice[1], default=("", 0.0))
    return Answered(score=score, answer=answer, choices=choices[:_MAX_CHOICES])
