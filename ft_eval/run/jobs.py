"""One job: its requests answered by engines that are here or elsewhere, scored here, and put on disk.

Knows no order of jobs and no display. Programs are scored where the plan is carried out, never by those who answer:
there the tests and the sandbox are, and no worker needs either.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from ft_eval.engine.client import EngineClient, Facts
from ft_eval.engine.loading import ModelArguments
from ft_eval.executors import Executor
from ft_eval.harness.code_data import benchmarks_of
from ft_eval.harness.code_documents import outcomes
from ft_eval.harness.code_tasks import current_session, scoring_provenance
from ft_eval.harness.evaluate import JobOutcome, evaluate_job
from ft_eval.harness.lm import FreeTransformerLM
from ft_eval.harness.verify import Verifier
from ft_eval.model.tokenizer import Tokenizer
from ft_eval.model.weights import check_unchanged
from ft_eval.plan import PlannedRun
from ft_eval.plan.facts import read_shape, tokenizer_folder
from ft_eval.records import Checkpoint, Job, LatentPolicy, RunPlan
from ft_eval.run.progress import Progress
from ft_eval.run.prompts import PromptMeter
from ft_eval.store import ResponseLog, RunStore


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRunner:
    """What all jobs of a run have in common, and what is known of their checkpoints."""

    planned: PlannedRun
    store: RunStore
    progress: Progress
    checked: Mapping[str, str]
    """Per code task, how its own solutions fared."""
    executor: Executor
    _facts: dict[str, Facts] = field(default_factory=dict)
    """Per checkpoint's name."""
    _meters: dict[str, PromptMeter] = field(default_factory=dict)

    def run(self, job: Job) -> None:
        """Answer what is not answered, score, and finish the job.

        Raises:
            FtEvalError: the checkpoint, the task, the workers or the store fail; what was answered is on disk.
        """
        check_checkpoint(job.checkpoint, self.planned)
        client = self._client(job)
        meter = self._meters.setdefault(job.checkpoint.name, PromptMeter(client))
        with _log(self.store, job) as log:
            self.progress.resumed(job, len(log))
            outcome = self._evaluate(job, client, log)
            usage = meter.measure(job, outcome.samples)
            check_checkpoint(job.checkpoint, self.planned)
            result = replace(outcome.result, prompt_usage=usage, seconds=self._seconds(outcome))
            self.store.finish(result, outcome.samples)
        self.progress.job_finished(job)

    def _seconds(self, outcome: JobOutcome) -> float:
        """What a job took: its time here, or, of several in flight, what engines were busy with it, without waiting."""
        if self.executor.in_process:
            return outcome.result.seconds
        return sum(sample.seconds for sample in outcome.samples)

    def _client(self, job: Job) -> EngineClient:
        name, arguments = job.checkpoint.name, model_arguments(job, self.planned.plan)
        if name not in self._facts:
            self._facts[name] = _find_facts(job.checkpoint, self.executor, arguments)
        return EngineClient(self.executor, arguments, facts=self._facts[name], latents=job.latents)

    def _evaluate(self, job: Job, client: EngineClient, log: ResponseLog) -> JobOutcome:
        planned, progress = self.planned, self.progress
        lm = FreeTransformerLM(
            client,
            seed=job.seed,
            log=log,
            on_start=lambda num_requests: progress.job_started(job, num_requests),
            on_answer=lambda answer: progress.answered(job, answer),
            verifier=Verifier(num_verified) if (num_verified := planned.plan.engine.num_verified) else None,
        )
        if job.is_rerun:
            lm.reorder_requests()
        scoring = dict(provenance([job]))
        if job.task.name in self.checked:
            scoring["own_solutions"] = self.checked[job.task.name]
        if revision := planned.source.revision(job.task.dataset):
            scoring["dataset_revision"] = revision
        task = copy.copy(planned.tasks.tasks[job.task.name])  # it holds its requests: two jobs may be at one task
        outcome = evaluate_job(job, task, lm, scoring)
        return _with_outcomes(job, planned, outcome) if job.task.runs_code else outcome


def check_checkpoint(checkpoint: Checkpoint, planned: PlannedRun) -> None:
    """Raise CheckpointError when the files are no longer those that the plan's digest is of."""
    before = planned.signatures.get(checkpoint.name)
    if before is not None:
        check_unchanged(checkpoint.path, before)


def documents(planned: PlannedRun, task: str, num_docs: int) -> list[Any]:
    """A task's first documents."""
    return list(islice(planned.tasks.tasks[task].eval_docs, num_docs))


def provenance(jobs: Sequence[Job]) -> Mapping[str, str]:
    """How the code of these jobs is scored; empty when none runs code."""
    names = [job.task.name for job in jobs if job.task.runs_code]
    return scoring_provenance(*benchmarks_of(names)) if names else {}


def model_arguments(job: Job, plan: RunPlan) -> ModelArguments:
    """What it takes to load a job's checkpoint."""
    checkpoint = job.checkpoint
    return ModelArguments(
        path=checkpoint.path,
        adapter=checkpoint.adapter,
        allow_nonfinite=checkpoint.num_nonfinite > 0,
        dtype=checkpoint.dtype,
        device=plan.engine.device,
        batch_size=plan.engine.batch_size,
        prefix_cache=plan.engine.prefix_cache,
        captures_steps=plan.engine.captures_steps,
        compile=plan.engine.compile,
        num_docs=sum(other.task.num_docs for other in plan.jobs if other.checkpoint.name == checkpoint.name),
        latents=job.latents or LatentPolicy(),
        seed=job.seed,
    )


def _find_facts(checkpoint: Checkpoint, executor: Executor, arguments: ModelArguments) -> Facts:
    """From the engine where it is in this process anyhow, else from the folder: its workers may still be loading."""
    if executor.in_process:
        return Facts.of(executor, arguments)
    config = read_shape(checkpoint.path, checkpoint.adapter)
    tokenizer = Tokenizer.load(tokenizer_folder(checkpoint.path), config)
    return Facts(tokenizer=tokenizer, max_length=config.max_position_embeddings)


def _with_outcomes(job: Job, planned: PlannedRun, outcome: JobOutcome) -> JobOutcome:
    """The samples with how their programs ended in the sandbox."""
    found = documents(planned, job.task.name, job.task.num_docs)
    samples = tuple(
        replace(
            sample,
            details={
                **sample.details,
                **outcomes(current_session(), job.task.name, found[sample.doc_id], sample.responses[0]),
            },
        )
        for sample in outcome.samples
    )
    return replace(outcome, samples=samples)


@contextmanager
def _log(store: RunStore, job: Job) -> Iterator[ResponseLog]:
    log = store.responses(job.id)
    try:
        yield log
    finally:
        log.close()
