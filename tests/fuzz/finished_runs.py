"""A target above single files: a finished run whose files are all in order, whatever its records say."""

import io
import shutil
from contextlib import redirect_stdout
from dataclasses import dataclass, replace

from ft_eval.cli.status import _show as show_status
from ft_eval.cli.verdicts import print_verdicts
from ft_eval.records import RunPlan, SampleResult, TaskResult
from ft_eval.report import build_report, write_report
from ft_eval.store import RunStore
from ft_eval.store.codec import dump, load
from ft_eval.store.status import read_status
from tests.fuzz import mutate
from tests.fuzz.target import Target, folder
from tests.store import made


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRun:
    """What a stranger's run says: a plan, a result per job, and samples whose job's number stands for its id."""

    plan: RunPlan
    results: tuple[TaskResult, ...]
    samples: tuple[SampleResult, ...]


def _finished(data: bytes) -> None:
    """The run is stored by the store itself, so that seals and ids are right; then it is looked at and reported."""
    found = load(FinishedRun, data)
    place = folder() / "finished"
    shutil.rmtree(place, ignore_errors=True)
    with RunStore.create(place, found.plan) as store:
        for number, (job, result) in enumerate(zip(found.plan.jobs, found.results, strict=False)):
            if not store.is_done(job.id):
                own = [replace(one, job_id=job.id) for one in found.samples if one.job_id == str(number)]
                store.finish(replace(result, job_id=job.id), own)
    with redirect_stdout(io.StringIO()):
        show_status("finished", read_status(place))
        report = build_report([RunStore.open(place)])
        print_verdicts(report)
    write_report(report, place)


def _finished_seeds() -> list[bytes]:
    plan = made.plan(num_docs=3)
    samples = [
        replace(made.sample(str(number), doc_id), metrics={"exact_match/strict-match": float((doc_id + number) % 2)})
        for number in range(2)
        for doc_id in range(3)
    ]
    results = tuple(replace(made.result(job.id), num_samples=3) for job in plan.jobs)
    run = FinishedRun(plan=plan, results=results, samples=tuple(samples))
    choices = tuple(
        replace(one, responses=("a", "b"), logprobs_nats=(-1.0, -2.0), num_draws=2, may_flip=False, details={"q": "x"})
        for one in samples
    )
    chosen = replace(run, plan=made.plan(num_docs=3, output_type="multiple_choice", cluster_field="q"), samples=choices)
    return [dump(one).encode() for one in (run, chosen)]


TARGETS = (Target(name="finished", read=_finished, seeds=_finished_seeds, mutate=mutate.in_json),)
