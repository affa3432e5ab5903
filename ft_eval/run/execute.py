"""A plan, carried out: what is done is skipped, the rest is evaluated, each finished job is put on disk.

Interrupted anywhere, it leaves a run that the same command continues. Knows no display and no report.
"""

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from ft_eval.engine.client import EngineSlot
from ft_eval.executors import Executor, LocalExecutor
from ft_eval.harness.code_check import check_references
from ft_eval.harness.code_data import benchmarks_of
from ft_eval.harness.code_tasks import CodeTaskSettings, joined_session
from ft_eval.plan import PlannedRun
from ft_eval.records import Job
from ft_eval.run.flight import fly
from ft_eval.run.jobs import JobRunner, documents, provenance
from ft_eval.run.progress import Progress
from ft_eval.store import RunStore


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """What a call of `execute_plan` did."""

    num_jobs: int
    num_skipped: int
    """Jobs that were done before."""


def execute_plan(
    planned: PlannedRun, store: RunStore, progress: Progress, executor: Executor | None = None
) -> RunSummary:
    """Do every job of the plan that is not done.

    Generated code is scored in the code session that is open, if one is, else in one of its own; first the tasks' own
    solutions must pass there.

    Args:
        planned: what is to be done.
        store: where answers and results go. This process alone writes it, wherever the engines are.
        progress: is told what happens, never from two threads at once.
        executor: has the engines; its workers' state is an `EngineSlot`. Default: one engine in this process.

    Raises:
        FtEvalError: a checkpoint, a task, the workers or the store fail; what was answered until then is on disk.
        KeyboardInterrupt: as it comes; the same holds.
    """
    with ExitStack() as stack, _settled_memory():
        checked = _check_code(planned, [job for job in planned.plan.jobs if not store.is_done(job.id)], stack)
        pending = _pending(planned, store, progress)
        if pending:
            engines = executor or stack.enter_context(LocalExecutor(EngineSlot))
            runner = JobRunner(planned=planned, store=store, progress=progress, checked=checked, executor=engines)
            fly(pending, runner)
    return RunSummary(num_jobs=len(planned.plan.jobs), num_skipped=len(planned.plan.jobs) - len(pending))


@contextmanager
def _settled_memory() -> Iterator[None]:
    """Spare the search for garbage what was there before: libraries and the plan, a tenth of a sample's time else."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _pending(planned: PlannedRun, store: RunStore, progress: Progress) -> list[Job]:
    pending = []
    for job in planned.plan.jobs:
        if store.is_done(job.id):
            progress.job_skipped(job)
        else:
            pending.append(job)
    return pending


def check_code(planned: PlannedRun) -> None:
    """Find out, before a run's folder is made, what would stop its code tasks; nothing where it has none.

    What passes here is not checked again by `execute_plan` in the same code session.

    Raises:
        SandboxError: nothing can be run.
        DataError: a problem's tests can't be had.
        TaskError: some of a task's own solutions fail.
    """
    with ExitStack() as stack:
        _check_code(planned, planned.plan.jobs, stack)


def _check_code(planned: PlannedRun, jobs: Sequence[Job], stack: ExitStack) -> Mapping[str, str]:
    """No sandbox, no tests, or solutions that fail: found before anything is generated."""
    tasks = {job.task.name: job.task for job in jobs if job.task.runs_code}
    if not tasks:
        return {}
    source = planned.source
    opened = stack.enter_context(joined_session(CodeTaskSettings(data_dir=source.data_dir, offline=source.offline)))
    provenance(planned.plan.jobs)
    opened.remark_on_tests(benchmarks_of(tasks))
    return {
        name: check_references(opened, name, documents(planned, name, task.num_docs)) for name, task in tasks.items()
    }
