"""How a run names its jobs and spans of time, in logs and in the terminal."""

from ft_eval.records import Job


def label(job: Job) -> str:
    """A job in a line: checkpoint, policy, task."""
    policy = f" ({job.latents.source})" if job.latents else ""
    return f"{job.checkpoint.name}{policy} · {job.task.name}"


def duration(seconds: float) -> str:
    """A span of time as a person says it.

    >>> duration(42.2), duration(600), duration(9000)
    ('42 s', '10 min', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
