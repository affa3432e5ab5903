"""What makes another plan another run, in words: the first difference between two plans. Touches no disk."""

from collections.abc import Mapping, Sequence

from ft_eval.records import Checkpoint, Job, RunPlan

_WORDS: Mapping[str, str] = {
    "weights": "weights, config or tokenizer with sha256",
    "dtype": "dtype",
    "task_version": "task version",
    "task_settings": "task file with sha256",
    "num_fewshot": "few-shot count",
    "limit": "limit",
    "dataset_digest": "data with sha256",
    "latents": "latent policy",
    "seed": "seed",
}
"""The parts of a job's identity, in the order in which a user would look for them."""


def first_difference(there: RunPlan, here: RunPlan) -> str:
    """One phrase on how the plan `here` differs from the stored one `there`: `gsm8k on base: seed 1 there and 2 here`.

    What changes answers counts, and what the verdict is about: it was declared before the run, and stays. An empty
    string when the two are the same run.
    """
    if there.run_id == here.run_id:
        return _terms_difference(there, here)
    return (
        _name_difference("checkpoint", [c.name for c in there.checkpoints], [c.name for c in here.checkpoints])
        or _name_difference("task", [t.name for t in there.tasks], [t.name for t in here.tasks])
        or next(filter(None, map(_job_difference, there.jobs, here.jobs)), "")
        or f"it has {len(there.jobs)} jobs there and {len(here.jobs)} here"
    )


def _terms_difference(there: RunPlan, here: RunPlan) -> str:
    """What was declared beforehand: the tasks of the verdict, the margin, the plan that is followed."""
    declared = (
        ("--primary", ",".join(there.primary), ",".join(here.primary)),
        ("--margin", _points(there), _points(here)),
        ("--plan", _plan_digest(there), _plan_digest(here)),
    )
    return next(
        (f"{what} {old or 'none'} there and {new or 'none'} here" for what, old, new in declared if old != new), ""
    )


def _points(plan: RunPlan) -> str:
    return "" if plan.margin_points is None else f"{plan.margin_points:g}"


def _plan_digest(plan: RunPlan) -> str:
    return "" if plan.registered is None else f"with sha256 {plan.registered.digest[:12]}"


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
    if files := _files_difference(there.checkpoint, here.checkpoint):
        return f"{here.checkpoint.name}: {files}"
    for part, words in _WORDS.items():
        old, new = there.identity.get(part, ""), here.identity.get(part, "")
        if old != new:
            return f"{where}: {words} {_short(old)} there and {_short(new)} here"
    return ""


def _files_difference(there: Checkpoint, here: Checkpoint) -> str:
    """Which of a checkpoint's files differ; empty where none does, or where the stored plan doesn't say."""
    if there.digest == here.digest or not there.weights_digest:
        return ""
    if there.weights_digest != here.weights_digest:
        what, old, new = "weights", there.weights_digest, here.weights_digest
    elif there.tokenizer_digest != here.tokenizer_digest:
        what, old, new = "tokenizer", there.tokenizer_digest, here.tokenizer_digest
    else:
        what, old, new = "config", there.digest, here.digest
    return f"{what} with sha256 {_short(old)} there and {_short(new)} here"


def _short(value: object) -> str:
    if isinstance(value, Mapping):
        return f"{value['source']} x {value['num_draws']}"
    return str(value)[:12] or "none"
