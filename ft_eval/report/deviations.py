"""A plan that was written beforehand beside what the runs did: every difference that can change a number or a verdict.

Speed is no deviation: batch sizes, devices and versions are told elsewhere. Reads plans and results, never samples.
"""

from collections.abc import Iterator, Mapping, Sequence

from ft_eval.records import Job, Registration
from ft_eval.report.catalog import policy_text
from ft_eval.report.columns import RunReader
from ft_eval.report.formats import count
from ft_eval.report.sections import Deviation, PlanCard
from ft_eval.report.verdicts import Terms

_WORDS: Mapping[str, str] = {
    "weights": "weights (sha256)",
    "dtype": "dtype",
    "task_version": "task version",
    "num_fewshot": "few-shot examples",
    "limit": "limit",
    "dataset_digest": "data (sha256)",
    "latents": "latents",
    "seed": "seed",
}
"""The parts of a job's identity, in the order in which a reader would look for them."""
_NUM_NAMED = 3


def make_plan_card(
    stores: Sequence[RunReader], terms: Terms, registration: Registration | None = None
) -> PlanCard | None:
    """What was declared and what became of it; None where nothing was.

    Args:
        stores: the runs.
        terms: those that the report holds itself to.
        registration: the plan; None takes the one that a run was started with.
    """
    own = [store.plan.registered for store in stores if store.plan.registered]
    plan = registration or next(iter(own), None)
    if plan is None:
        return None
    others = {other.digest for other in own} - {plan.digest}
    more = [Deviation(what="plan", planned=plan.digest[:12], found=digest[:12]) for digest in sorted(others)]
    return PlanCard(
        digest=plan.digest,
        created_at=plan.created_at,
        command=plan.command,
        primary=plan.primary,
        margin_points=plan.margin_points,
        num_jobs=len(plan.jobs),
        deviations=(*more, *_of_time(plan, stores), *_of_terms(plan, terms), *_of_jobs(plan.jobs, stores)),
    )


def _of_time(plan: Registration, stores: Sequence[RunReader]) -> Iterator[Deviation]:
    begun = min(store.plan.created_at for store in stores)
    if begun < plan.created_at:
        yield Deviation(what="time", planned=f"plan of {plan.created_at}", found=f"a run began before it, at {begun}")


def _of_terms(plan: Registration, terms: Terms) -> Iterator[Deviation]:
    if plan.primary and set(plan.primary) != set(terms.primary):
        yield Deviation(
            what="primary tasks", planned=", ".join(plan.primary), found=", ".join(terms.primary) or "all tasks"
        )
    if plan.margin_points != terms.margin_points:
        yield Deviation(what="margin", planned=_margin(plan.margin_points), found=_margin(terms.margin_points))


def _margin(points: float | None) -> str:
    return "none" if points is None else f"±{points:g} points"


def _of_jobs(planned: Sequence[Job], stores: Sequence[RunReader]) -> Iterator[Deviation]:
    """Jobs that are not as planned, alike ones in one line."""
    done = {job.id: job for store in stores for job in store.plan.jobs if store.result(job.id) is not None}
    begun = {job.id: job for store in stores for job in store.plan.jobs}
    ids = {job.id for job in planned}
    rest = [job for job in begun.values() if job.id not in ids]
    found: dict[tuple[str, str, str], list[str]] = {}
    for job in planned:
        if job.id in done:
            continue
        other = None if job.id in begun else next((one for one in rest if _slot(one) == _slot(job)), None)
        if other is not None:
            rest.remove(other)
        for key in [("job", "to be run", _state(job, begun))] if other is None else _differences(job, other):
            found.setdefault(key, []).append(_name(job))
    for job in rest:
        found.setdefault(("job", "not planned", "run"), []).append(_name(job))
    for (part, before, after), names in found.items():
        yield Deviation(
            what=f"{_named(names)}: {part}" if part != "job" else _named(names), planned=before, found=after
        )


def _slot(job: Job) -> tuple[str, str, bool, bool]:
    """What a changed job has in common with the planned one."""
    return job.checkpoint.name, job.task.name, job.latents is None, job.is_rerun


def _state(job: Job, begun: Mapping[str, Job]) -> str:
    return "not finished" if job.id in begun else "not run"


def _differences(job: Job, other: Job) -> list[tuple[str, str, str]]:
    """Another limit makes other data, which is not said again."""
    before, after = job.identity, other.identity
    parts = [part for part in _WORDS if before[part] != after[part]]
    if "limit" in parts:
        parts = [part for part in parts if part != "dataset_digest"]
    return [(_WORDS[part], _text(job, part), _text(other, part)) for part in parts]


def _text(job: Job, part: str) -> str:
    value = policy_text(job.latents) if part == "latents" else job.identity[part]
    return "none" if value is None or value == "" else str(value)[:40]


def _name(job: Job) -> str:
    policy = f" ({policy_text(job.latents)})" if job.latents else ""
    return f"{job.checkpoint.name}{policy} on {job.task.name}{', again' if job.is_rerun else ''}"


def _named(names: Sequence[str]) -> str:
    if len(names) <= _NUM_NAMED:
        return "; ".join(names)
    return f"{count(len(names), 'job')} ({'; '.join(names[:_NUM_NAMED])}; …)"
