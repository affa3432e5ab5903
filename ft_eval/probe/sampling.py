"""Completions for the probe: which share Z, which share only the prompt. Asks the engine; knows no tensor.

Sampling noise is keyed by the request's item, and under the `fixed` policy Z by the draw alone: requests of one draw
share Z and differ in their noise. Under `prior` every request draws its own Z.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ft_eval.engine import Completion, Engine, GenerationRequest, SamplingParams
from ft_eval.engine.loading import resolve_device
from ft_eval.model.adapters.protocol import LatentModel
from ft_eval.model.config import ModelConfig
from ft_eval.model.noise import NoiseKey
from ft_eval.model.tokenizer import Tokenizer
from ft_eval.probe.texts import beginning_of_text
from ft_eval.records import EngineOptions, LatentPolicy, LatentSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A loaded model under a name."""

    name: str
    model: LatentModel
    tokenizer: Tokenizer

    @property
    def config(self) -> ModelConfig:
        """The model's shape."""
        return self.model.config

    def engine(self, source: LatentSource) -> Engine:
        """An engine over the model; a baseline has no use for the source."""
        policy = None if self.config.latent is None else LatentPolicy(source=source)
        options = EngineOptions(device=resolve_device(str(self.model.device)))
        return Engine(self.model, self.tokenizer, latents=policy, options=options)

    def prompt_ids(self, prompt: str) -> tuple[int, ...]:
        """The prompt after the beginning-of-text token."""
        return (beginning_of_text(self.config), *self.tokenizer.encode(prompt, add_special_tokens=False))


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPlan:
    """How many completions of each prompt."""

    num_groups: int
    num_samples: int
    """Completions in a group."""
    max_tokens: int
    temperature: float = 1.0
    seed: int
    shares_latent: bool
    """True: the completions of a group have one Z; false: each has its own."""


Groups = tuple[tuple[Completion, ...], ...]
"""Completions of one prompt, by group and sample."""


def sample_groups(subject: Subject, prompts: Sequence[str], plan: GroupPlan) -> tuple[Groups, ...]:
    """Groups of completions for each prompt; no two groups share Z, whatever the prompt."""
    engine = subject.engine(LatentSource.FIXED if plan.shares_latent else LatentSource.PRIOR)
    params = SamplingParams(max_tokens=plan.max_tokens, temperature=plan.temperature)
    requests = [
        GenerationRequest(
            prompt=subject.prompt_ids(prompt),
            params=params,
            noise=NoiseKey(
                seed=plan.seed,
                item=f"groups/{plan.shares_latent}/{number}/{group}/{sample}",
                draw=number * plan.num_groups + group,
            ),
        )
        for number, prompt in enumerate(prompts)
        for group in range(plan.num_groups)
        for sample in range(plan.num_samples)
    ]
    found = iter(complete(engine, requests))
    return tuple(
        tuple(tuple(next(found) for _ in range(plan.num_samples)) for _ in range(plan.num_groups)) for _ in prompts
    )


def complete(engine: Engine, requests: Sequence[GenerationRequest]) -> list[Completion]:
    """The completions in the requests' order."""
    found: dict[int, Completion] = {}
    engine.generate(requests, found.__setitem__)
    return [found[index] for index in range(len(requests))]
