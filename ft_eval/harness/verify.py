"""Asks a few of a job's requests again, alone and with nothing shared, and says how far the answers are apart.

A batch, its order and what its rows share should change no answer; this measures it on the run itself. Which requests
are asked again hangs on their keys alone. Knows no task and no file.
"""

import hashlib
from dataclasses import dataclass, replace
from heapq import heappush, heappushpop

from ft_eval.engine import Completion, Engine, GenerationRequest, Loglikelihood, ScoringRequest
from ft_eval.engine.client import Answerer
from ft_eval.harness.answers import AnswerLog
from ft_eval.records import Verification

_Request = ScoringRequest | GenerationRequest


class Verifier:
    """Keeps some of the requests that it is shown, and asks them again.

    Args:
        num_requests: how many, at least 1.
    """

    def __init__(self, num_requests: int) -> None:
        self._num_requests = num_requests
        self._kept: list[tuple[int, str, _Request]] = []
        """A heap by the negative hash of the key: the largest hash on top. Two requests never have one key."""
        self._keys: set[str] = set()

    def offer(self, key: str, request: _Request) -> None:
        """Keep a request if the hash of its key is among the smallest."""
        if key in self._keys:
            return
        entry = (-int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big"), key, request)
        self._keys.add(key)
        if len(self._kept) < self._num_requests:
            heappush(self._kept, entry)
        else:
            self._keys.discard(heappushpop(self._kept, entry)[1])

    def verify(self, engine: Answerer, log: AnswerLog) -> Verification:
        """Ask what was kept again, each alone, and compare with the logged answers."""
        asked = [(key, request) for _, key, request in self._kept]
        answers = engine.call(_Alone(requests=tuple(request for _, request in asked)))
        gaps, num_changed = [0.0], 0
        for (key, _), again in zip(asked, answers, strict=True):
            logged = log.get(key)
            assert logged is not None, f"request {key} was left unanswered"
            if isinstance(again, Loglikelihood):
                gaps.append(abs(again.total_nats - (logged.logprob_nats or 0.0)))
                num_changed += again.is_greedy != logged.is_greedy
            else:
                num_changed += again.text != logged.text
        return Verification(num_requests=len(self._kept), num_changed=num_changed, largest_gap_nats=max(gaps))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Alone:
    """Requests for an engine, which may be elsewhere, to answer one at a time."""

    requests: tuple[_Request, ...]

    def __call__(self, engine: Engine) -> tuple[Loglikelihood | Completion, ...]:
        """Their answers, in order, with nothing shared."""
        options = replace(engine.options, batch_size=1, prefix_cache=False)
        alone = Engine(engine.model, engine.tokenizer, latents=engine.latents, options=options)
        return tuple(
            alone.loglikelihood(request) if isinstance(request, ScoringRequest) else alone.complete(request)
            for request in self.requests
        )
