"""Asks the engine what is not in the log, and logs each answer the moment it exists. Knows no metric.

Token ids are made here, draws come with the asks. An ask whose answer is logged is not asked again; the engine hears of
it still, since what the open ones share with it decides how they are computed, and a rest must give the same bits.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ft_eval.engine import Completion, GenerationRequest, Loglikelihood, ScoringRequest
from ft_eval.engine.client import Answerer
from ft_eval.harness.answers import AnswerLog, Ask, by_item
from ft_eval.harness.encoding import EncodedPair, EncodedPrompt, Encoder
from ft_eval.harness.verify import Verifier
from ft_eval.records import Answer, LatentSource

OnStart = Callable[[int], None]
"""Called with the number of requests before the first of them is answered."""
OnAnswer = Callable[[Answer], None]
"""Called with each answer the moment it exists."""

Donors = Mapping[str, tuple[int, ...]]
"""Per item, another item's prompt: what the shuffled policy shows the encoder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """An engine, a log and two listeners."""

    engine: Answerer
    encoder: Encoder
    seed: int
    log: AnswerLog
    on_start: OnStart
    on_answer: OnAnswer
    verifier: Verifier | None = None
    """Is shown every request."""
    reorders: bool = False
    """Whether requests are asked in two halves, drawn by the seed, so that each stands in another batch."""

    def answer(self, ask: Ask) -> Answer:
        """The logged answer to an ask that was asked before."""
        found = self.log.get(ask.key)
        assert found is not None, f"the engine left request {ask.key} unanswered"
        return found

    def score(self, asks: Sequence[Ask], donors: Donors) -> None:
        """Log-likelihoods of (context, continuation) requests."""
        asks = _once(asks)
        if not any(map(self._is_open, asks)) and self.verifier is None:
            return
        pairs = {ask.request: self.encoder.fit_pair(*self.encoder.pair(*ask.arguments)) for ask in _distinct(asks)}
        self.score_pairs([(ask, pairs[ask.request]) for ask in asks], donors)

    def score_pairs(self, pairs: Sequence[tuple[Ask, EncodedPair]], donors: Donors) -> None:
        """Log-likelihoods of pairs that are token ids already."""
        pending = [index for index, (ask, _) in enumerate(pairs) if self._is_open(ask)]
        requests = [
            ScoringRequest(
                context=pair.context,
                continuation=pair.continuation,
                noise=ask.noise(self.seed),
                donor=donors.get(ask.item, ()),
            )
            for ask, pair in pairs
        ]

        def keep(index: int, score: Loglikelihood) -> None:
            ask, pair = pairs[index]
            self._keep(
                Answer(
                    key=ask.key,
                    logprob_nats=score.total_nats,
                    is_greedy=score.is_greedy,
                    num_prompt_tokens=len(requests[index].inputs) + 1,
                    num_truncated_tokens=pair.num_truncated_tokens,
                    seconds=score.seconds,
                )
            )

        self._show((ask for ask, _ in pairs), requests)
        if pending:
            self.on_start(len(pending))
            for part in self._parts(pending):
                self.engine.score(requests, keep, pending=part)

    def generate(self, asks: Sequence[Ask], donors: Donors) -> None:
        """Completions of (context, generation_kwargs) requests."""
        asks = _once(asks)
        pending = [index for index, ask in enumerate(asks) if self._is_open(ask)]
        if not pending and self.verifier is None:
            return
        params = [self.encoder.sampling(ask.arguments[1]) for ask in asks]
        encoded: dict[str, EncodedPrompt] = {}
        for ask, param in zip(asks, params, strict=True):
            if ask.request not in encoded:  # a request's draws have the same tokens
                encoded[ask.request] = self.encoder.prompt(ask.arguments[0], param.max_tokens)
        prompts = [encoded[ask.request] for ask in asks]
        requests = [
            GenerationRequest(
                prompt=prompt.token_ids, params=param, noise=ask.noise(self.seed), donor=donors.get(ask.item, ())
            )
            for ask, param, prompt in zip(asks, params, prompts, strict=True)
        ]

        def keep(index: int, completion: Completion) -> None:
            self._keep(
                Answer(
                    key=asks[index].key,
                    text=completion.text,
                    num_prompt_tokens=len(requests[index].prompt),
                    num_generated_tokens=len(completion.token_ids),
                    num_truncated_tokens=prompts[index].num_truncated_tokens,
                    seconds=completion.seconds,
                )
            )

        self._show(asks, requests)
        if pending:
            self.on_start(len(pending))
            for part in self._parts(pending):
                self.engine.generate(requests, keep, pending=part)

    def donors(self, asks: Sequence[Ask]) -> Donors:
        """For the shuffled policy, each item's donor: the prompt of the item after it, the first one's for the last."""
        policy = self.engine.latents
        if policy is None or policy.source is not LatentSource.SHUFFLED:
            return {}
        items = by_item(asks)
        if len(items) < 2:
            return {}
        names = list(items)
        prompts = {name: tuple(self._prompt(items[name][0])) for name in names}
        return {name: prompts[names[(number + 1) % len(names)]] for number, name in enumerate(names)}

    def _prompt(self, ask: Ask) -> Sequence[int]:
        return self.encoder.encode(str(ask.arguments[0]))[-self.engine.max_length :] or [self.encoder.prefix_token]

    def _show(self, asks: Iterable[Ask], requests: Sequence[ScoringRequest | GenerationRequest]) -> None:
        if self.verifier is not None:
            for ask, request in zip(asks, requests, strict=True):
                self.verifier.offer(ask.key, request)

    def _parts(self, pending: list[int]) -> list[list[int]]:
        if not self.reorders or len(pending) < 2:
            return [pending]
        drawn = set(random.Random(self.seed).sample(pending, len(pending) // 2))  # noqa: S311 — an order, no secret
        return [[i for i in pending if i in drawn], [i for i in pending if i not in drawn]]

    def _is_open(self, ask: Ask) -> bool:
        return self.log.get(ask.key) is None

    def _keep(self, answer: Answer) -> None:
        self.log.append(answer)
        self.on_answer(answer)


def _once(asks: Sequence[Ask]) -> list[Ask]:
    """Each ask once."""
    return list({ask.key: ask for ask in asks}.values())


def _distinct(asks: Sequence[Ask]) -> list[Ask]:
    """One ask per request: its draws have the same tokens."""
    return list({ask.request: ask for ask in asks}.values())
