"""How far a run's jobs are, and how long the rest may take at the pace of those before: an estimate, for people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ft_eval.records import Job, TaskResult

_ADAPTIVE_SHARE = 0.1
"""Of K, what adaptive draws come to where most choices are clear."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveJob:
    """A job that is being answered, as its process sees it."""

    job_id: str
    num_found: int = 0
    """Answers of earlier processes."""
    num_requests: int = 0
    """Requests that this process asks, as far as it knows yet."""
    num_answers: int = 0
    """Of these, answered."""
    num_tokens: int = 0
    seconds: float = 0.0
    """Since this process began with it."""

    @property
    def requests_per_second(self) -> float:
        """Answers over the time since the job was begun; 0 before the first."""
        return self.num_answers / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """One job: done where it has a result; else with the answers that are on disk."""

    job: Job
    result: TaskResult | None = None
    num_answers: int = 0
    live: LiveJob | None = None


def job_size(job: Job) -> float:
    """How much a job is beside others of its task: documents × draws × parameters.

    K draws of a completion are K completions. K draws of a log-likelihood share what is below Z: they come to half of
    K and a half.
    """
    draws = 1.0
    if job.latents is not None:
        draws = max(1.0, job.latents.num_draws * (_ADAPTIVE_SHARE if job.latents.adaptive else 1.0))
        draws = draws if job.task.output_type == "generate_until" else (1.0 + draws) / 2
    return max(job.task.num_docs, 1) * draws * max(job.checkpoint.num_parameters, 1)


def seconds_left(jobs: Sequence[JobStatus], paces: Mapping[str, float]) -> float | None:
    """An estimate; None where nothing is measured yet.

    Args:
        jobs: of the run; those under way share the machine, so that each of them alone would be as much faster.
        paces: per task, the seconds that jobs which are done took, over their `job_size`.
    """
    open_jobs = [status for status in jobs if status.result is None]
    live = [status for status in open_jobs if status.live is not None]
    known = {**{one.job.task.name: pace for one in live if (pace := _live_pace(one.job, one.live))}, **paces}
    if not known:
        return None
    overall = sum(known.values()) / len(known)
    lefts = [_left(one.job, one.live, known.get(one.job.task.name, overall)) for one in open_jobs]
    return sum(lefts) / max(len(live), 1)


def _num_requests(job: Job, live: LiveJob) -> int:
    """Those of the whole job: completions are asked draw after draw, and what is still to come is not told yet."""
    draws = 1 if job.latents is None else job.latents.num_draws
    planned = job.task.num_docs * draws if job.task.output_type == "generate_until" else 0
    return max(live.num_requests, planned - live.num_found)


def _live_pace(job: Job, live: LiveJob | None) -> float:
    """Seconds over size, as far as a job under way shows it; 0 before its first answer."""
    if live is None or not live.num_answers:
        return 0.0
    return live.seconds / live.num_answers * (_num_requests(job, live) + live.num_found) / job_size(job)


def _left(job: Job, live: LiveJob | None, pace: float) -> float:
    if live is None or not live.num_answers:
        return pace * job_size(job)
    return live.seconds / live.num_answers * (_num_requests(job, live) - live.num_answers)
