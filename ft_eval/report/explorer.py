"""Chooses the documents that the sample explorer shows, and puts their answers together.

Documents on which the models differ come first, then an even sample of the others. Lays nothing out; `explorer_data.py`
packs it. All texts stay hostile.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

from ft_eval.records import SampleResult
from ft_eval.report.catalog import Catalog, Matchup, is_control, policy_text
from ft_eval.report.explored import Answers, Explorer, ExplorerPanel, ExplorerTask, Item
from ft_eval.report.flips import mean_score
from ft_eval.report.formats import clip, one_line
from ft_eval.report.picks import Picks
from ft_eval.report.texts import NOTE_HEAD, PROMPT_TAIL, Texts

MAX_SAMPLES = 40_000
"""Samples whose texts are held at once, over all documents, contenders and draws."""
_SHARE_EQUAL = 0.2
"""Of the documents: those on which the models agree."""
Key = tuple[int, str, int]
"""(panel's number, task's label, the baseline's number of the document)."""


def choose(picks: Picks, num_samples_of: Mapping[tuple[int, str], int]) -> tuple[Key, ...]:
    """Every comparison in turn gives its next document, those that changed before those that didn't.

    Args:
        picks: of all panels and tasks.
        num_samples_of: samples per document over all contenders, by (panel's number, task's label).
    """
    changed, equal = (_in_turn(picks, is_changed=is_changed) for is_changed in (True, False))
    first = _within(changed, num_samples_of, int(MAX_SAMPLES * (1.0 - _SHARE_EQUAL)))
    num_used = sum(num_samples_of[key[:2]] for key in first)
    known = set(changed)
    others = [key for key in equal if key not in known]
    return (*first, *_within(others, num_samples_of, MAX_SAMPLES - num_used))


def _in_turn(picks: Picks, *, is_changed: bool) -> list[Key]:
    """Each document once, the first of every list before the second of any."""
    lists = [
        [(*where, pair.baseline_id) for pair in (found.changed if is_changed else found.equal)]
        for where, own in picks.by_task.items()
        for found in own
    ]
    return list(dict.fromkeys(key for key in chain.from_iterable(zip_longest(*lists)) if key is not None))


def _within(keys: Iterable[Key], num_samples_of: Mapping[tuple[int, str], int], room: int) -> list[Key]:
    """As many of the first keys as there is room for their samples."""
    kept: list[Key] = []
    for key in keys:
        room -= num_samples_of[key[:2]]
        if room < 0:
            break
        kept.append(key)
    return kept


def wanted_texts(keys: Sequence[Key], picks: Picks, matchups: Sequence[Matchup]) -> dict[tuple[str, str], set[int]]:
    """The documents to be read, by (contender's label, task's label)."""
    wanted: dict[tuple[str, str], set[int]] = defaultdict(set)
    for panel, task, doc_id in keys:
        baseline = matchups[panel - 1].baseline
        assert baseline is not None, "only panels with a baseline have pairs"
        wanted[baseline.label, task].add(doc_id)
        for found in picks.by_task[panel, task]:
            if (partner := found.partner(doc_id)) is not None:
                wanted[found.latent, task].add(partner)
    return wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What the documents are put together from."""

    picks: Picks
    texts: Texts
    catalog: Catalog
    matchups: Sequence[Matchup]

    def baseline(self, key: Key) -> Sequence[SampleResult]:
        """The baseline's samples of the document."""
        panel, task, doc_id = key
        baseline = self.matchups[panel - 1].baseline
        return self.texts.samples(baseline.label, task, doc_id) if baseline else ()


def make_explorer(keys: Sequence[Key], sources: Sources) -> Explorer | None:
    """The documents with their texts; None where nothing is compared."""
    by_task: dict[tuple[int, str], list[Key]] = defaultdict(list)
    for key in keys:
        by_task[key[:2]].append(key)
    shared = {where: _shared_prompt([sources.baseline(key) for key in own]) for where, own in by_task.items()}
    places = {where: place for place, where in enumerate(sources.picks.by_task)}
    items = tuple(_item(key, places[key[:2]], len(shared[key[:2]]), sources) for key in keys)
    lists = [found for own in sources.picks.by_task.values() for found in own]
    if not items:
        return None
    return Explorer(
        panels=tuple(_panel(matchup) for matchup in sources.matchups),
        tasks=tuple(_task(where, sources.catalog, shared.get(where, "")) for where in places),
        items=items,
        num_pairs=sum(found.num_pairs for found in lists),
        num_changed=sum(found.num_gained + found.num_lost for found in lists),
    )


def _panel(matchup: Matchup) -> ExplorerPanel:
    return ExplorerPanel(
        baseline=matchup.baseline.label if matchup.baseline else "",
        latents=tuple(latent.label for latent in matchup.latents),
        remarks=tuple(
            policy_text(latent.latents) + (", control" if is_control(latent) else "") for latent in matchup.latents
        ),
    )


def _task(where: tuple[int, str], catalog: Catalog, shared_prompt: str) -> ExplorerTask:
    panel, label = where
    task = catalog.tasks[label]
    return ExplorerTask(
        label=label,
        panel=panel - 1,
        metric=task.metric,
        higher_is_better=task.higher_is_better,
        shared_prompt=shared_prompt,
    )


def _shared_prompt(read: Sequence[Sequence[SampleResult]]) -> str:
    """How all these documents' prompts begin, up to the end of a line; empty where there is but one."""
    prompts = [samples[0].prompt for samples in read if samples]
    if len(prompts) < 2:
        return ""
    first, last = min(prompts), max(prompts)  # whatever these two begin with, all between them in order do too
    length = next((i for i, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), len(first))
    return first[: first.rfind("\n", 0, length) + 1]


def _item(key: Key, task: int, num_shared: int, sources: Sources) -> Item:
    panel, label, doc_id = key
    base, metric = sources.baseline(key), sources.catalog.tasks[label].metric
    partners = {found.latent: found.partner(doc_id) for found in sources.picks.by_task[key[:2]]}
    latents = []
    for latent in sources.matchups[panel - 1].latents:
        partner = partners.get(latent.label)
        samples = () if partner is None else sources.texts.samples(latent.label, label, partner)
        latents.append(_answers(samples, metric) if samples else None)
    return Item(
        task=task,
        doc_id=doc_id,
        prompt=clip(base[0].prompt[num_shared:], head=0, tail=PROMPT_TAIL),
        target=base[0].target,
        choices=base[0].responses if base[0].logprobs_nats else (),
        baseline=_answers(base, metric),
        latents=tuple(latents),
    )


def _answers(samples: Sequence[SampleResult], metric: str) -> Answers:
    is_choice = bool(samples[0].logprobs_nats)
    said = ["\n".join(sample.responses) for sample in samples] if not is_choice else []
    texts = list(dict.fromkeys(said))
    draws = [
        (sample.draw, texts.index(text), mean_score([sample], metric))
        for sample, text in zip(samples, said, strict=False)
    ]
    return Answers(
        score=mean_score(samples, metric),
        texts=tuple(texts),
        draws=tuple(draws),
        logprobs_nats=samples[0].logprobs_nats if is_choice else (),
        note=_note(samples),
    )


def _note(samples: Sequence[SampleResult]) -> str:
    """Each thing that was said about a draw once, with the draws where not all have it."""
    said: dict[str, list[int]] = defaultdict(list)
    for sample in samples:
        details = "; ".join(f"{name}: {value}" for name, value in sorted(sample.details.items()))
        text = f"not scored: {sample.error}" if sample.error is not None else details
        if text:
            said[one_line(clip(text, head=NOTE_HEAD, tail=0))].append(sample.draw)
    notes = [
        text if len(draws) == len(samples) else f"draw {', '.join(map(str, draws))}: {text}"
        for text, draws in said.items()
    ]
    return clip(" · ".join(notes), head=3 * NOTE_HEAD, tail=0)
