"""A run does each job once, keeps every answer, and goes on where it was stopped."""

from pathlib import Path

import pytest

from ft_eval.errors import StoreError, UsageError
from ft_eval.harness.mirror import DataSource
from ft_eval.harness.tasks import TaskOptions
from ft_eval.plan import RunOptions, estimate_workload, plan_run
from ft_eval.records import Answer, EngineOptions, Job, LatentPolicy, LatentSource, PromptUsage
from ft_eval.run import SilentProgress
from ft_eval.run.execute import execute_plan
from ft_eval.run.prompts import PromptMeter
from ft_eval.store import RunStore
from tests.fakes import write_checkpoint


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_checkpoint(folder / "base", max_length=256)
    write_checkpoint(folder / "latent", num_bits=3, max_length=256)
    return folder


def options(models: Path, data_dir: Path, **given) -> RunOptions:
    return RunOptions(
        **{
            "checkpoints": (str(models),),
            "tasks": ("openbookqa", "nq_open"),
            "task_options": TaskOptions(limit=3),
            "seed": 5,
            "source": DataSource(data_dir=data_dir, offline=True),
            "command": "ft-eval run",
            **given,
        }
    )


class Counting(SilentProgress):
    def __init__(self, stop_after: int | None = None) -> None:
        self.skipped, self.finished, self.answers, self._stop_after = 0, 0, 0, stop_after

    def job_skipped(self, job: Job) -> None:
        self.skipped += 1

    def job_finished(self, job: Job) -> None:
        self.finished += 1

    def answered(self, job: Job, answer: Answer) -> None:
        self.answers += 1
        if self.answers == self._stop_after:
            raise KeyboardInterrupt


def content(store: RunStore) -> list[object]:
    """All that counts in a run: samples and scores, clocks apart."""
    found: list[object] = []
    for job in store.plan.jobs:
        result = store.result(job.id)
        assert result is not None
        found.append((job.id, result.metrics, result.stderrs, result.num_samples))
        for sample in store.samples(job.id):
            logprobs = tuple(round(value, 3) for value in sample.logprobs_nats)  # another batch, other last bits
            found.append((sample.doc_id, sample.draw, sample.responses, logprobs, dict(sample.metrics)))
    return found


def run(models, data_dir, path, progress=None, **given) -> RunStore:
    planned = plan_run(options(models, data_dir, **given))
    with RunStore.open_or_create(path, planned.plan) as store:
        execute_plan(planned, store, progress or Counting())
    return RunStore.open(path)


def test_a_run_that_is_stopped_and_continued_equals_one_that_is_not(models, data_dir, tmp_path):
    whole = run(models, data_dir, tmp_path / "whole")
    stopped = Counting(stop_after=17)
    with pytest.raises(KeyboardInterrupt):
        run(models, data_dir, tmp_path / "parts", stopped)
    rest = Counting()
    parts = run(models, data_dir, tmp_path / "parts", rest)
    assert content(parts) == content(whole)
    everything = Counting()
    run(models, data_dir, tmp_path / "again", everything)
    assert stopped.answers + rest.answers == everything.answers


def test_a_finished_run_asks_nothing(models, data_dir, tmp_path):
    run(models, data_dir, tmp_path / "r")
    again = Counting()
    run(models, data_dir, tmp_path / "r", again)
    assert (again.skipped, again.finished, again.answers) == (4, 0, 0)


def test_another_seed_is_another_run(models, data_dir, tmp_path):
    run(models, data_dir, tmp_path / "r")
    with pytest.raises(StoreError, match=r"belongs to another run: .*seed"):
        run(models, data_dir, tmp_path / "r", seed=6)


def test_both_arms_see_the_same_prompts(models, data_dir, tmp_path):
    store = run(models, data_dir, tmp_path / "r", tasks=("gsm8k",))
    prompts = {job.checkpoint.name: [s.prompt_hash for s in store.samples(job.id)] for job in store.plan.jobs}
    assert prompts["base"] == prompts["latent"]


def test_batch_size_changes_no_answer(models, data_dir, tmp_path):
    stores = []
    for size in (1, 7):
        path = tmp_path / str(size)
        stores.append(run(models, data_dir, path, engine=EngineOptions(batch_size=size)))
    assert content(stores[0]) == content(stores[1])


def test_draws_of_completions_are_samples_and_draws_of_choices_an_average(models, data_dir, tmp_path):
    policy = LatentPolicy(source=LatentSource.PRIOR, num_draws=4)
    store = run(models, data_dir, tmp_path / "r", latents=(policy,))
    jobs = {(job.checkpoint.name, job.task.name): job.id for job in store.plan.jobs}
    completions = list(store.samples(jobs["latent", "nq_open"]))
    assert [(s.doc_id, s.draw) for s in completions] == [(doc, draw) for draw in range(4) for doc in range(3)]
    assert len({s.responses for s in completions if s.doc_id == 0}) > 1
    choices = list(store.samples(jobs["latent", "openbookqa"]))
    assert [(s.doc_id, s.num_draws, len(s.logprob_stderrs_nats)) for s in choices] == [(doc, 4, 4) for doc in range(3)]
    assert all(s.may_flip is not None for s in choices)
    assert all(len(list(store.samples(jobs["base", task]))) == 3 for task in ("nq_open", "openbookqa"))


def test_several_policies_are_arms_of_one_run(models, data_dir, tmp_path):
    arms = tuple(LatentPolicy(source=source) for source in LatentSource)
    store = run(models, data_dir, tmp_path / "r", latents=arms, tasks=("openbookqa",))
    scores = {}
    for job in store.plan.jobs:
        if job.latents is not None:
            scores[job.latents.source] = tuple(s.logprobs_nats for s in store.samples(job.id))
    assert len(scores) == len(LatentSource)
    assert len(set(scores.values())) == len(LatentSource)


def test_a_finished_job_says_what_the_encoder_says_about_its_prompts_whatever_the_policy(models, data_dir, tmp_path):
    arms = tuple(LatentPolicy(source=source) for source in (LatentSource.PRIOR, LatentSource.ZERO))
    store = run(models, data_dir, tmp_path / "r", latents=arms)
    usages: dict[str, list[PromptUsage | None]] = {}
    for job in store.plan.jobs:
        result = store.result(job.id)
        assert result is not None
        usages.setdefault(f"{job.checkpoint.name} {job.task.name}", []).append(result.prompt_usage)
    assert [usage for key, found in usages.items() if key.startswith("base") for usage in found] == [None, None]
    for task in ("openbookqa", "nq_open"):
        prior, zero = usages[f"latent {task}"]
        assert prior is not None
        assert prior == zero
        assert prior.num_prompts == 3
        assert prior.kl_bits >= prior.information_bits > 0.0


def test_measuring_the_prompts_changes_no_answer(models, data_dir, tmp_path, monkeypatch):
    given = {"latents": (LatentPolicy(source=LatentSource.POSTERIOR),), "tasks": ("openbookqa",)}
    measured = run(models, data_dir, tmp_path / "measured", **given)
    monkeypatch.setattr(PromptMeter, "measure", lambda *_: None)
    bare = run(models, data_dir, tmp_path / "bare", **given)
    assert content(measured) == content(bare)


def test_a_policy_for_baselines_alone_is_refused(models, data_dir):
    with pytest.raises(UsageError, match="base has no latent"):
        plan_run(options(models, data_dir, checkpoints=(str(models / "base"),), latents=(LatentPolicy(),)))


def test_a_prompt_longer_than_the_context_is_cut_and_counted(models, data_dir, tmp_path):
    store = run(models, data_dir, tmp_path / "r", tasks=("gsm8k",))
    for job in store.plan.jobs:
        result = store.result(job.id)
        assert result is not None
        assert result.num_truncated == 3
        assert all(sample.num_truncated_tokens > 0 for sample in store.samples(job.id))


def test_a_dry_run_counts_what_a_run_would_ask(models, data_dir, tmp_path):
    given = {"latents": (LatentPolicy(num_draws=2),)}
    planned = plan_run(options(models, data_dir, **given))
    loads = {(load.job.checkpoint.name, load.job.task.name): load for load in estimate_workload(planned)}
    choices = loads["base", "openbookqa"]
    assert (choices.num_docs, choices.num_requests, choices.max_generated_tokens) == (3, 12, 0)
    assert loads["base", "nq_open"].max_generated_tokens == 3 * 256
    assert loads["latent", "nq_open"].max_generated_tokens == 2 * 3 * 256
    counting = Counting()
    run(models, data_dir, tmp_path / "r", counting, **given)
    assert counting.answers == sum(load.num_requests for load in loads.values())
