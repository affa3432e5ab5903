"""The texts of the documents that the page shows: each job is read once, and only what was wanted is kept, clipped.

All texts are model output or data and stay hostile; they are clipped here and escaped by whoever shows them.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from ft_eval.records import SampleResult
from ft_eval.report.catalog import Catalog, Entry
from ft_eval.report.formats import clip

PROMPT_TAIL, PROMPT_HEAD = 1_600, 12_000
"""Characters of a prompt that are kept where it is its own, and where it is shared with others."""
ANSWER_HEAD, ANSWER_TAIL, TARGET_HEAD, CHOICE_HEAD, NOTE_HEAD = 700, 300, 900, 240, 240
MAX_CHOICES = 12
Read = Mapping[int, Sequence[SampleResult]]
"""By document number, its samples in the order of their draws."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """What was read, by (contender's label, task's label)."""

    jobs: Mapping[tuple[str, str], Read]

    def samples(self, contender: str, task: str, doc_id: int) -> Sequence[SampleResult]:
        """The document's samples; empty where they were not read."""
        return self.jobs.get((contender, task), {}).get(doc_id, ())


def read_texts(catalog: Catalog, wanted: Mapping[tuple[str, str], AbstractSet[int]]) -> Texts:
    """Read the documents wanted of each (contender's label, task's label).

    Raises:
        StoreError: samples can't be read.
    """
    jobs = {key: _read(catalog.entries[key], doc_ids) for key, doc_ids in wanted.items() if doc_ids}
    return Texts(jobs=jobs)


def _read(entry: Entry, doc_ids: AbstractSet[int]) -> dict[int, list[SampleResult]]:
    found: dict[int, list[SampleResult]] = {}
    for sample in entry.store.samples(entry.job.id, doc_ids):
        found.setdefault(sample.doc_id, []).append(_clipped(sample))
    for samples in found.values():
        samples.sort(key=lambda sample: sample.draw)
    return found


def _clipped(sample: SampleResult) -> SampleResult:
    """The sample with texts of a bounded size; a prompt keeps both ends, since its beginning may be shared."""
    is_choice = bool(sample.logprobs_nats)
    head, tail = (CHOICE_HEAD, 0) if is_choice else (ANSWER_HEAD, ANSWER_TAIL)
    return replace(
        sample,
        prompt=clip(sample.prompt, head=PROMPT_HEAD, tail=PROMPT_TAIL),
        target=clip(sample.target, head=TARGET_HEAD, tail=0),
        responses=tuple(clip(text, head=head, tail=tail) for text in sample.responses[:MAX_CHOICES]),
    )
