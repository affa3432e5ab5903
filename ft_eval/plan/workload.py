"""What a plan will cost, before it runs: documents, requests and tokens per job. Builds prompts; asks no model."""

from dataclasses import dataclass

from ft_eval.harness.marginal import generation_draws
from ft_eval.harness.requests import count_requests
from ft_eval.model.tokenizer import Tokenizer
from ft_eval.plan.build import PlannedRun
from ft_eval.plan.facts import read_shape, tokenizer_folder
from ft_eval.records import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What one job asks of its model."""

    job: Job
    num_docs: int
    num_requests: int
    """A request counts for each of its repeats and draws of Z; of draws by need (auto) for those that all items get."""
    num_prompt_tokens: int
    """Tokens the model reads, after truncation, no prefix shared."""
    max_generated_tokens: int
    """Tokens the model writes if every answer runs to its limit."""
    num_truncated: int
    """Requests whose prompt is cut on the left to fit the context."""


def estimate_workload(planned: PlannedRun) -> tuple[Workload, ...]:
    """The workload of every job of a plan, by building its prompts and counting their tokens."""
    workloads = []
    for job in planned.plan.jobs:
        config = read_shape(job.checkpoint.path, job.checkpoint.adapter)
        tokenizer = Tokenizer.load(tokenizer_folder(job.checkpoint.path), config)
        task = planned.tasks.tasks[job.task.name]
        count = count_requests(task, job.task, tokenizer, config.max_position_embeddings)
        count = count.times(generation_draws(job.latents))
        workloads.append(
            Workload(
                job=job,
                num_docs=job.task.num_docs,
                num_requests=count.num_requests,
                num_prompt_tokens=count.num_prompt_tokens,
                max_generated_tokens=count.max_generated_tokens,
                num_truncated=count.num_truncated,
            )
        )
    return tuple(workloads)
