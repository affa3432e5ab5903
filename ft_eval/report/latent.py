"""Is Z used: what the encoders said about the prompts, summed up per checkpoint and policy, and when to raise an alarm.

Also the question about a κ that looks like nats. Reads results, never samples; measures nothing.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ft_eval.records import Arm, PromptUsage
from ft_eval.report.catalog import Catalog, policy_text
from ft_eval.report.formats import bits_per_token, count
from ft_eval.report.tables import Alarm, Contender, UsageRow

COLLAPSED_BITS = 0.01
"""A latent whose encoder says less than this, in bits per token, is collapsed."""
_PAPER_KAPPAS = tuple(2.0**exponent for exponent in range(-6, 4))
"""1/64 to 8 bits: the values the paper and its followers use."""

_Group = tuple[str, str, tuple[tuple[str, PromptUsage], ...]]
"""A checkpoint's name and type, and what was measured, by task."""


def is_collapsed(usage: PromptUsage) -> bool:
    """Whether the KL or the information is below 0.01 bits per token, or no number."""
    return not (usage.kl_bits >= COLLAPSED_BITS and usage.information_bits >= COLLAPSED_BITS)


def make_usage_rows(catalog: Catalog) -> tuple[UsageRow, ...]:
    """Every latent contender in one row, measured or not; what is equal for several policies or seeds stands once."""
    latents = [c for c in catalog.contenders if c.checkpoint.arm is Arm.LATENT]
    found = {latent.label: _usages(catalog, latent) for latent in latents}
    groups: dict[_Group, list[Contender]] = {}
    for latent in latents:
        key = (latent.checkpoint.name, latent.checkpoint.dtype, tuple(found[latent.label].items()))
        groups.setdefault(key, []).append(latent)
    types = {(name, dtype) for name, dtype, _ in groups}
    return tuple(
        _row(name if sum(other == name for other, _ in types) == 1 else f"{name} {dtype}", arms, dict(usages))
        for (name, dtype, usages), arms in groups.items()
    )


def _usages(catalog: Catalog, contender: Contender) -> dict[str, PromptUsage]:
    """By task, where it was measured."""
    entries = {task: catalog.entry(contender, task) for task in catalog.tasks}
    results = {task: entry.result for task, entry in entries.items() if entry is not None and entry.result is not None}
    return {task: result.prompt_usage for task, result in results.items() if result.prompt_usage is not None}


def _row(name: str, contenders: Sequence[Contender], found: Mapping[str, PromptUsage]) -> UsageRow:
    usage = _pool(list(found.values()))
    row = UsageRow(
        name=name,
        contenders=tuple(contenders),
        policies=tuple(dict.fromkeys(policy_text(contender.latents) for contender in contenders)),
        usage=usage,
        tasks=tuple(found),
        collapsed_tasks=tuple(task for task, one in found.items() if is_collapsed(one)),
        alarm=Alarm.UNKNOWN,
        sentence="",
    )
    row = replace(row, alarm=_alarm(row))
    return replace(row, sentence=_sentence(row))


def _pool(usages: Sequence[PromptUsage]) -> PromptUsage | None:
    """All tasks together, each token with one vote."""
    num_tokens = sum(usage.num_tokens for usage in usages)
    if not num_tokens:
        return None
    return PromptUsage(
        kl_bits=sum(usage.num_tokens * usage.kl_bits for usage in usages) / num_tokens,
        information_bits=sum(usage.num_tokens * usage.information_bits for usage in usages) / num_tokens,
        num_tokens=num_tokens,
        num_prompts=sum(usage.num_prompts for usage in usages),
    )


def _alarm(row: UsageRow) -> Alarm:
    if row.usage is None:
        return Alarm.UNKNOWN
    if is_collapsed(row.usage):
        return Alarm.COLLAPSED
    return Alarm.IN_PART if row.collapsed_tasks else Alarm.NONE


def _sentence(row: UsageRow) -> str:
    """What the encoder says about the prompts, without a full stop."""
    if row.usage is None:
        return "whether Z is used was not measured on these prompts"
    usage = row.usage
    numbers = (
        f"KL {bits_per_token(usage.kl_bits)} bit, information {bits_per_token(usage.information_bits)} bit per token "
        f"over {count(usage.num_prompts, 'prompt')}"
    )
    if row.alarm is Alarm.COLLAPSED:
        same = "; the KL is of bits that are the same for every prompt" if usage.kl_bits >= COLLAPSED_BITS else ""
        why = "Z is not used on these prompts, since the encoder says next to nothing about them"
        return f"collapsed: {why}: {numbers}{same}"
    if row.alarm is Alarm.IN_PART:
        where = f"{len(row.collapsed_tasks)} of {count(len(row.tasks), 'task')} ({', '.join(row.collapsed_tasks)})"
        return f"collapsed on {where}: Z is not used there; over all of them {numbers}"
    return f"the encoder tells the prompts apart: {numbers}"


def latent_notes(rows: Sequence[UsageRow]) -> list[str]:
    """What to know before a latent checkpoint's numbers are used: once per checkpoint, whatever its policies."""
    by_checkpoint: dict[str, UsageRow] = {}
    for row in rows:
        by_checkpoint[row.name] = max(by_checkpoint.get(row.name, row), row, key=lambda one: len(one.tasks))
    notes = []
    for name, row in by_checkpoint.items():
        if row.alarm in (Alarm.COLLAPSED, Alarm.IN_PART):
            notes.append(f"{name}: {row.sentence}")
        if question := question_kappa(row.contenders[0].checkpoint.kappa_bits):
            notes.append(f"{name}: {question}")
    return notes


def question_kappa(kappa_bits: float | None) -> str | None:
    """A sentence where a κ in bits looks like one in nats: log 2 times a value that the paper uses. Guesses nothing.

    >>> question_kappa(0.6931)
    'kappa_bits is 0.6931, which is 1 bit in nats (1 × log 2); it is read as bits: if nats were meant, write 1'
    """
    if kappa_bits is None:
        return None
    for kappa in _PAPER_KAPPAS:
        if math.isclose(kappa_bits, kappa * math.log(2), rel_tol=2e-3):
            return (
                f"kappa_bits is {kappa_bits:g}, which is {kappa:g} bit{'s' if kappa > 1 else ''} in nats "
                f"({kappa:g} × log 2); it is read as bits: if nats were meant, write {kappa:g}"
            )
    return None
