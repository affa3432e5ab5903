"""An engine that may be elsewhere: the same questions, cut into shards that an executor's workers answer.

    score / generate ─▶ shards of the pending requests ─▶ Executor.map ─▶ workers, each with an engine loaded
                     ◀─ answers, the moment they exist ◀─

Every worker is told all requests of a call: what they share decides how they are computed, so a shard's answers are
those of the whole (`engine/prefixes.py`). Knows no task and no store.
"""

import gc
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from ft_eval.engine.device import told_when_lost
from ft_eval.engine.engine import Engine
from ft_eval.engine.loading import ModelArguments, load_engine
from ft_eval.engine.requests import Completion, GenerationRequest, Loglikelihood, ScoringRequest
from ft_eval.executors import Executor
from ft_eval.executors.base import Emit
from ft_eval.model.tokenizer import Tokenizer
from ft_eval.records import LatentPolicy

T = TypeVar("T")
_MIN_SHARD = 16
"""Requests: fewer leave a batch's kernels idle."""
_SHARDS_AHEAD = 2
"""A shard is this part of each worker's share of what is left: large at first, small where all are to end together."""


class Answerer(Protocol):
    """What answers requests: an `Engine`, or a client of engines elsewhere."""

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's."""

    @property
    def latents(self) -> LatentPolicy | None:
        """The policy that answers are given under."""

    @property
    def max_length(self) -> int:
        """The model's context, in tokens."""

    @property
    def dtype(self) -> str:
        """The type that is computed in, as torch spells it."""

    def score(
        self,
        requests: Sequence[ScoringRequest],
        on_score: Callable[[int, Loglikelihood], None],
        *,
        pending: Iterable[int] | None = None,
    ) -> None:
        """See `Engine.score`."""

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        on_completion: Callable[[int, Completion], None],
        *,
        pending: Iterable[int] | None = None,
    ) -> None:
        """See `Engine.generate`."""

    def call(self, function: Callable[[Engine], T]) -> T:
        """What a function makes of the loaded engine; for a client it must be one that can be sent elsewhere."""


class EngineSlot:
    """A worker's state: one engine, kept loaded until another checkpoint is asked for."""

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._arguments: ModelArguments | None = None

    def engine(self, arguments: ModelArguments) -> Engine:
        """The engine of a checkpoint under a policy. Raises as `load_engine`."""
        bare = _bare(arguments)
        if self._engine is None or self._arguments != bare:
            self._engine = None
            gc.collect()  # the next checkpoint should not need the memory of two
            self._engine, self._arguments = load_engine(bare), bare
        is_latent = self._engine.model.config.latent is not None
        return self._engine.under(arguments.latents if is_latent else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _EngineWork:
    """Work that needs an engine."""

    arguments: ModelArguments

    @property
    def affinity(self) -> Hashable:
        """The checkpoint, and how it is loaded."""
        return _bare(self.arguments)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringWork(_EngineWork):
    """Log-likelihoods. An item holds numbers of requests; an outcome is a number and its answer."""

    requests: Sequence[ScoringRequest]

    def run(self, state: EngineSlot, item: tuple[int, ...], emit: Emit) -> None:
        """Answer the item's requests."""
        with told_when_lost(self.arguments.device):
            engine = state.engine(self.arguments)
            engine.score(self.requests, lambda index, score: emit((index, score)), pending=item)


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationWork(_EngineWork):
    """Completions. An item holds numbers of requests; an outcome is a number and its answer."""

    requests: Sequence[GenerationRequest]

    def run(self, state: EngineSlot, item: tuple[int, ...], emit: Emit) -> None:
        """Answer the item's requests."""
        with told_when_lost(self.arguments.device):
            engine = state.engine(self.arguments)
            engine.generate(self.requests, lambda index, completion: emit((index, completion)), pending=item)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallWork(_EngineWork):
    """One call of a function; its result is the only outcome. The item says nothing."""

    function: Callable[[Engine], Any]

    def run(self, state: EngineSlot, item: object, emit: Emit) -> None:
        """Call the function."""
        with told_when_lost(self.arguments.device):
            emit(self.function(state.engine(self.arguments)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What whoever asks has to know of a checkpoint."""

    tokenizer: Tokenizer
    max_length: int
    """The model's context, in tokens."""

    @classmethod
    def of(cls, executor: Executor, arguments: ModelArguments) -> "Facts":
        """Those of a worker's engine, which is loaded for them."""
        found: list[Facts] = []
        executor.map(CallWork(arguments=arguments, function=_facts), [()], found.append)
        return found[0]


class EngineClient:
    """Engines of one checkpoint, wherever an executor keeps them, under one latent policy.

    Args:
        executor: its workers' state is an `EngineSlot`.
        arguments: what is loaded.
        facts: the checkpoint's.
        latents: the policy; None for a baseline.
    """

    def __init__(
        self, executor: Executor, arguments: ModelArguments, *, facts: Facts, latents: LatentPolicy | None
    ) -> None:
        self.tokenizer = facts.tokenizer
        self.latents = latents
        self.max_length = facts.max_length
        self._executor = executor
        self._arguments = arguments if latents is None else replace(arguments, latents=latents)

    @property
    def dtype(self) -> str:
        """The type that is computed in, as torch spells it."""
        return str(self.call(_dtype))

    def score(
        self,
        requests: Sequence[ScoringRequest],
        on_score: Callable[[int, Loglikelihood], None],
        *,
        pending: Iterable[int] | None = None,
    ) -> None:
        """Score each pending request; `on_score(index, loglikelihood)` is called as answers come, once for each."""
        self._ask(ScoringWork(arguments=self._arguments, requests=requests), on_score, pending)

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        on_completion: Callable[[int, Completion], None],
        *,
        pending: Iterable[int] | None = None,
    ) -> None:
        """Complete each pending request; `on_completion(index, completion)` is called as answers come, once each."""
        self._ask(GenerationWork(arguments=self._arguments, requests=requests), on_completion, pending)

    def call(self, function: Callable[[Engine], T]) -> T:
        """What a function makes of a worker's engine. It must be one that can be sent elsewhere."""
        found: list[T] = []
        self._executor.map(CallWork(arguments=self._arguments, function=function), [()], found.append)
        return found[0]

    def _ask(
        self, work: ScoringWork | GenerationWork, on_answer: Callable[[int, Any], None], pending: Iterable[int] | None
    ) -> None:
        wanted = list(range(len(work.requests)) if pending is None else pending)
        items = shards(wanted, [request.noise.item for request in work.requests], self._executor.num_workers)
        self._executor.map(work, items, _each_once(on_answer))


def shards(wanted: Sequence[int], items: Sequence[str], num_workers: int) -> Iterator[tuple[int, ...]]:
    """Numbers of requests in shards, in order, cut where the next one's item begins: choices and draws stay together.

    For one worker a single shard; else each takes a half of a worker's share of what is left, and 16 at least.
    """
    start = 0
    while start < len(wanted):
        size = len(wanted) - start
        if num_workers > 1:
            size = max(_MIN_SHARD, size // (_SHARDS_AHEAD * num_workers))
        stop = min(start + size, len(wanted))
        while stop < len(wanted) and items[wanted[stop]] == items[wanted[stop - 1]]:
            stop += 1
        yield tuple(wanted[start:stop])
        start = stop


def _each_once(on_answer: Callable[[int, Any], None]) -> Emit:
    """A lost worker's shard is answered again: what was told before is not told twice."""
    told: set[int] = set()

    def tell(outcome: tuple[int, Any]) -> None:
        index, answer = outcome
        if index not in told:
            told.add(index)
            on_answer(index, answer)

    return tell


def _bare(arguments: ModelArguments) -> ModelArguments:
    """What decides how a checkpoint is loaded: all but the policy and the seed."""
    default = ModelArguments(path=arguments.path)
    return replace(arguments, latents=default.latents, seed=default.seed)


def _facts(engine: Engine) -> Facts:
    return Facts(tokenizer=engine.tokenizer, max_length=engine.max_length)


def _dtype(engine: Engine) -> str:
    return engine.dtype
