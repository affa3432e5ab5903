"""What a loaded checkpoint's encoder says about the prompts of the jobs that it has just done: is Z used?

Prompts alone, as the posterior policy sees them; a target never comes in, and no answer depends on this.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from ft_eval.engine import Engine
from ft_eval.engine.client import Answerer
from ft_eval.harness.encoding import Encoder
from ft_eval.probe.usage import MAX_PROMPTS, measure_prompts
from ft_eval.records import Job, PromptUsage, SampleResult


class PromptMeter:
    """Measures one checkpoint's jobs; jobs with the same prompts, such as a task's under other policies, once."""

    def __init__(self, engine: Answerer) -> None:
        self._engine = engine
        self._encoder = Encoder(engine.tokenizer, engine.max_length)
        self._known: dict[tuple[tuple[int, ...], ...], PromptUsage | None] = {}

    def measure(self, job: Job, samples: Iterable[SampleResult]) -> PromptUsage | None:
        """What the encoder says about the first 32 different prompts of a finished job.

        Returns:
            None for a baseline, for a rolling log-likelihood, which has no prompt, and where `measure_prompts` gives
            none.
        """
        if job.latents is None or job.task.output_type == "loglikelihood_rolling":
            return None
        texts = list(dict.fromkeys(sample.prompt for sample in samples))[:MAX_PROMPTS]
        prompts = tuple(self._token_ids(job, text) for text in texts)
        if prompts not in self._known:
            self._known[prompts] = self._engine.call(_Measure(prompts=prompts))
        return self._known[prompts]

    def _token_ids(self, job: Job, text: str) -> tuple[int, ...]:
        """A prompt's tokens as its job had them: its end where it does not fit, and never none."""
        is_generation = job.task.output_type == "generate_until"
        ids = self._encoder.encode(text) if is_generation else self._encoder.pair(text, "")[0]
        return tuple(ids[-self._engine.max_length :]) or (self._encoder.prefix_token,)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measure:
    """Prompts for an engine, which may be elsewhere, to measure."""

    prompts: tuple[tuple[int, ...], ...]

    def __call__(self, engine: Engine) -> PromptUsage | None:
        """See `measure_prompts`."""
        return measure_prompts(engine.model, self.prompts)
