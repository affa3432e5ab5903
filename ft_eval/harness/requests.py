"""A task's requests counted without a model: for a dry run. Encodes as the backend does; knows no run."""

from dataclasses import dataclass

from lm_eval.api.task import Task

from ft_eval.harness.encoding import Encoder
from ft_eval.harness.task_files import code_faults
from ft_eval.harness.tasks import reset_fewshot
from ft_eval.harness.templates import template_faults
from ft_eval.model.tokenizer import Tokenizer
from ft_eval.records import TaskSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestCount:
    """How much a task asks of a model with one tokenizer and context; a prompt that is repeated counts each time."""

    num_requests: int = 0
    num_prompt_tokens: int = 0
    max_generated_tokens: int = 0
    num_truncated: int = 0

    def __add__(self, other: "RequestCount") -> "RequestCount":
        return RequestCount(
            num_requests=self.num_requests + other.num_requests,
            num_prompt_tokens=self.num_prompt_tokens + other.num_prompt_tokens,
            max_generated_tokens=self.max_generated_tokens + other.max_generated_tokens,
            num_truncated=self.num_truncated + other.num_truncated,
        )

    def times(self, number: int) -> "RequestCount":
        """All of it so many times."""
        return RequestCount(
            num_requests=self.num_requests * number,
            num_prompt_tokens=self.num_prompt_tokens * number,
            max_generated_tokens=self.max_generated_tokens * number,
            num_truncated=self.num_truncated * number,
        )


def count_requests(task: Task, spec: TaskSpec, tokenizer: Tokenizer, max_length: int) -> RequestCount:
    """Build the task's requests and count their tokens, after truncation to `max_length`."""
    encoder = Encoder(tokenizer, max_length)
    reset_fewshot(task)
    with template_faults(spec.name), code_faults(spec.name):
        task.build_all_requests(limit=spec.limit, rank=0, world_size=1)
    counts = (_count(encoder, one.request_type, one.args).times(one.repeats or 1) for one in task.instances)
    return sum(counts, RequestCount())


def _count(encoder: Encoder, kind: str, arguments: tuple[object, ...]) -> RequestCount:
    if kind == "generate_until":
        context, gen_kwargs = arguments
        assert isinstance(context, str), "a prompt is text"
        assert isinstance(gen_kwargs, dict), "generation_kwargs are a mapping"
        params = encoder.sampling(gen_kwargs)
        prompt = encoder.prompt(context, params.max_tokens)
        return RequestCount(
            num_requests=1,
            num_prompt_tokens=len(prompt.token_ids),
            max_generated_tokens=params.max_tokens,
            num_truncated=int(prompt.num_truncated_tokens > 0),
        )
    if kind == "loglikelihood_rolling":
        return RequestCount(num_requests=1, num_prompt_tokens=len(encoder.encode(str(arguments[0]))))
    pair = encoder.fit_pair(*encoder.pair(str(arguments[0]), str(arguments[1])))
    return RequestCount(
        num_requests=1,
        num_prompt_tokens=len(pair.context) + len(pair.continuation),
        num_truncated=int(pair.num_truncated_tokens > 0),
    )
