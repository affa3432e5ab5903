"""A plan, job by job: load a checkpoint once, evaluate what is not done, put each finished job on disk.

Interrupted anywhere, it leaves a run that the same command continues. Knows no display and no report.
"""

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import groupby, islice
from typing import Any

from ft_eval.engine import Engine
from ft_eval.engine.loading import ModelArguments, load_engine
from ft_eval.harness.code_check import check_references
from ft_eval.harness.code_data import benchmarks_of
from ft_eval.harness.code_documents import outcomes
from ft_eval.harness.code_tasks import (
    CodeTaskSettings,
    current_session,
    joined_session,
    scoring_provenance,
)
from ft_eval.harness.evaluate import JobOutcome, evaluate_job
from ft_eval.harness.lm import FreeTransformerLM
from ft_eval.harness.verify import Verifier
from ft_eval.model.weights import check_unchanged
from ft_eval.plan import PlannedRun
from ft_eval.records import Checkpoint, Job, LatentPolicy, RunPlan
from ft_eval.run.progress import Progress
from ft_eval.run.prompts import PromptMeter
from ft_eval.store import ResponseLog, RunStore


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """What a call of `execute_plan` did."""

    num_jobs: int
    num_skipped: int
    """Jobs that were done before."""


def execute_plan(planned: PlannedRun, store: RunStore, progress: Progress) -> RunSummary:
    """Do every job of the plan that is not done.

    Generated code is scored in the code session that is open, if one is, else in one of its own; first the tasks' own
    solutions must pass there.

    Raises:
        FtEvalError: a checkpoint, a task or the store fails; what was answered until then is on disk.
        KeyboardInterrupt: as it comes; the same holds.
    """
    num_skipped = 0
    with ExitStack() as stack:
        checked = _prepare_code(planned, store, stack)
        for checkpoint, jobs in groupby(planned.plan.jobs, key=lambda job: job.checkpoint):
            pending = []
            for job in jobs:
                if store.is_done(job.id):
                    num_skipped += 1
                    progress.job_skipped(job)
                else:
                    pending.append(job)
            if pending:
                _evaluate_checkpoint(checkpoint, pending, _Setting(planned, store, progress, checked))
    return RunSummary(num_jobs=len(planned.plan.jobs), num_skipped=num_skipped)


@dataclass(frozen=True, slots=True)
class _Setting:
    """What all jobs of a run have in common."""

    planned: PlannedRun
    store: RunStore
    progress: Progress
    checked: Mapping[str, str]
    """Per code task, how its own solutions fared."""


def _prepare_code(planned: PlannedRun, store: RunStore, stack: ExitStack) -> Mapping[str, str]:
    """No sandbox, no tests, or solutions that fail: found before anything is generated."""
    tasks = {job.task.name: job.task for job in planned.plan.jobs if job.task.runs_code and not store.is_done(job.id)}
    if not tasks:
        return {}
    source = planned.source
    opened = stack.enter_context(joined_session(CodeTaskSettings(data_dir=source.data_dir, offline=source.offline)))
    _provenance(planned.plan.jobs)
    return {
        name: check_references(opened, name, _documents(planned, name, task.num_docs)) for name, task in tasks.items()
    }


def _documents(planned: PlannedRun, task: str, num_docs: int) -> list[Any]:
    return list(islice(planned.tasks.tasks[task].eval_docs, num_docs))


def _evaluate_checkpoint(checkpoint: Checkpoint, jobs: list[Job], setting: _Setting) -> None:
    _check_unchanged(checkpoint, setting)
    engine = _load(checkpoint, jobs, setting.planned.plan)
    meter = PromptMeter(engine)
    for job in jobs:
        with _log(setting.store, job) as log:
            setting.progress.resumed(job, len(log))
            outcome = _evaluate(job, engine.under(job.latents), setting, log)
            usage = meter.measure(job, outcome.samples)
            _check_unchanged(checkpoint, setting)
            setting.store.finish(replace(outcome.result, prompt_usage=usage), outcome.samples)
        setting.progress.job_finished(job)
    del engine, meter
    gc.collect()  # the next checkpoint should not need the memory of two


def _check_unchanged(checkpoint: Checkpoint, setting: _Setting) -> None:
    """Raise CheckpointError when the files are no longer those that the plan's digest is of."""
    before = setting.planned.signatures.get(checkpoint.name)
    if before is not None:
        check_unchanged(checkpoint.path, before)


def _evaluate(job: Job, engine: Engine, setting: _Setting, log: ResponseLog) -> JobOutcome:
    planned, progress = setting.planned, setting.progress
    lm = FreeTransformerLM(
        engine,
        seed=job.seed,
        log=log,
        on_start=lambda num_requests: progress.job_started(job, num_requests),
        on_answer=lambda answer: progress.answered(job, answer),
        verifier=Verifier(num_verified) if (num_verified := planned.plan.engine.num_verified) else None,
    )
    if job.is_rerun:
        lm.reorder_requests()
    scoring = dict(_provenance([job]))
    if job.task.name in setting.checked:
        scoring["own_solutions"] = setting.checked[job.task.name]
    if revision := planned.source.revision(job.task.dataset):
        scoring["dataset_revision"] = revision
    outcome = evaluate_job(job, planned.tasks.tasks[job.task.name], lm, scoring)
    return _with_outcomes(job, planned, outcome) if job.task.runs_code else outcome


def _with_outcomes(job: Job, planned: PlannedRun, outcome: JobOutcome) -> JobOutcome:
    """The samples with how their programs ended in the sandbox."""
    documents = _documents(planned, job.task.name, job.task.num_docs)
    samples = tuple(
        replace(
            sample,
            details={
                **sample.details,
                **outcomes(current_session(), job.task.name, documents[sample.doc_id], sample.responses[0]),
            },
        )
        for sample in outcome.samples
    )
    return replace(outcome, samples=samples)


def _provenance(jobs: Sequence[Job]) -> Mapping[str, str]:
    """How the code of these jobs is scored; empty when none runs code."""
    names = [job.task.name for job in jobs if job.task.runs_code]
    return scoring_provenance(*benchmarks_of(names)) if names else {}


def _load(checkpoint: Checkpoint, jobs: Sequence[Job], plan: RunPlan) -> Engine:
    return load_engine(
        ModelArguments(
            path=checkpoint.path,
            adapter=checkpoint.adapter,
            allow_nonfinite=checkpoint.num_nonfinite > 0,
            dtype=checkpoint.dtype,
            device=plan.engine.device,
            batch_size=plan.engine.batch_size,
            prefix_cache=plan.engine.prefix_cache,
            captures_steps=plan.engine.captures_steps,
            compile=plan.engine.compile,
            num_docs=sum(job.task.num_docs for job in plan.jobs if job.checkpoint.name == checkpoint.name),
            latents=jobs[0].latents or LatentPolicy(),
            seed=jobs[0].seed,
        )
    )


@contextmanager
def _log(store: RunStore, job: Job) -> Iterator[ResponseLog]:
    log = store.responses(job.id)
    try:
        yield log
    finally:
        log.close()
