"""What makes another plan another run, in words: the first difference between two plans. Touches no disk."""

from collections.abc import Mapping, Sequence

from ft_eval.records import Job, RunPlan

_WORDS: Mapping[str, str] = {
    "weights": "weights with sha256",
    "dtype": "dtype",
    "task_version": "task version",
    "num_fewshot": "few-shot count",
    "limit": "limit",
    "dataset_digest": "data with sha256",
    "latents": "latent policy",
    "seed": "seed",
}
"""The parts of a job's identity, in the order in which a user would look for them."""


def first_difference(there: RunPlan, here: RunPlan) -> str:
    """One phrase on how the plan `here` differs from the stored one `there`: `gsm8k on base: seed 1 there and 2 here`.

    Only what changes answers counts. An empty string when the two are the same run.
    """
    if there.run_id == here.run_id:
        return ""
    return (
        _name_difference("checkpoint", [c.name for c in there.checkpoints], [c.name for c in here.checkpoints])
        or _name_difference("task", [t.name for t in there.tasks], [t.name for t in here.tasks])
        or next(filter(None, map(_job_difference, there.jobs, here.jobs)), "")
        or f"it has {len(there.jobs)} jobs there and {len(here.jobs)} here"
    )


def _name_difference(noun: str, there: Sequence[str], here: Sequence[str]) -> str:
    for name in there:
        if name not in here:
            return f"{noun} {name} is only there"
    for name in here:
        if name not in there:
            return f"{noun} {name} is only here"
    return ""


def _job_difference(there: Job, here: Job) -> str:
    where = f"{here.task.name} on {here.checkpoint.name}"
    if (there.task.name, there.checkpoint.name) != (here.task.name, here.checkpoint.name):
        return f"the order differs: {there.task.name} on {there.checkpoint.name} there where {where} is here"
    old_baseline, baseline = there.checkpoint.baseline, here.checkpoint.baseline
    if old_baseline != baseline:
        return f"{here.checkpoint.name}: baseline {old_baseline or 'none'} there and {baseline or 'none'} here"
    old, new = there.identity, here.identity
    for part, words in _WORDS.items():
        if old[part] != new[part]:
            return f"{where}: {words} {_short(old[part])} there and {_short(new[part])} here"
    return ""


def _short(value: object) -> str:
    if isinstance(value, Mapping):
        return f"{value['source']} x {value['num_draws']}"
    return str(value)[:12] or "none"
