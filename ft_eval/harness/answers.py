"""The identity of lm-eval's requests and the log of their answers. Knows no model and no metric."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from lm_eval.api.instance import Instance

from ft_eval.model.noise import NoiseKey
from ft_eval.records import Answer, content_hash


class AnswerLog(Protocol):
    """Where answers go, and where those of an interrupted run come from."""

    def get(self, key: str) -> Answer | None:
        """The logged answer to a request, or None."""

    def append(self, answer: Answer) -> None:
        """Keep an answer."""


class MemoryLog:
    """An answer log without a file: for `lm-eval run`, whose own files hold the answers."""

    def __init__(self) -> None:
        self._answers: dict[str, Answer] = {}

    def get(self, key: str) -> Answer | None:
        """The logged answer to a request, or None."""
        return self._answers.get(key)

    def append(self, answer: Answer) -> None:
        """Keep an answer."""
        self._answers[answer.key] = answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One of lm-eval's requests under one draw of Z and of sampling noise."""

    request: str
    """24 hexadecimal characters over kind, item, choice and arguments."""
    item: str
    """`task/doc_id`: what its noise is keyed by, so that all choices of a document see the same Z."""
    arguments: tuple[Any, ...]
    repeat: int = 0
    """Which of lm-eval's repeats of the request."""
    num_repeats: int = 1
    z_draw: int = 0
    """Which of the K draws of Z."""
    window: int | None = None
    """For a rolling log-likelihood, which window of the text."""

    @property
    def draw(self) -> int:
        """The number of the noise: repeats and draws of Z are independent of each other."""
        return self.z_draw * self.num_repeats + self.repeat

    @property
    def key(self) -> str:
        """Identity of the answer within a job."""
        key = f"{self.request}/{self.draw}"
        return key if self.window is None else f"{key}/{self.window}"

    def noise(self, seed: int) -> NoiseKey:
        """The key of this request's Z and sampling noise."""
        item = self.item if self.window is None else f"{self.item}/{self.window}"
        return NoiseKey(seed=seed, item=item, draw=self.draw)

    def under(self, z_draw: int) -> "Ask":
        """The same request under another draw of Z."""
        return self if z_draw == self.z_draw else replace(self, z_draw=z_draw)


def identify(kind: str, requests: Sequence[Instance]) -> list[Ask]:
    """Each request with its item. A repeated request is the same instance again: another repeat."""
    totals = Counter(id(request) for request in requests)
    seen: Counter[int] = Counter()
    asks = []
    for request in requests:
        item = f"{request.task_name}/{request.doc_id}"
        identity = content_hash([kind, item, request.idx, list(request.args)])[:24]
        asks.append(
            Ask(
                request=identity,
                item=item,
                arguments=request.args,
                repeat=seen[id(request)],
                num_repeats=totals[id(request)],
            )
        )
        seen[id(request)] += 1
    return asks


def by_item(asks: Sequence[Ask]) -> dict[str, list[Ask]]:
    """An item's requests together, items and requests in order."""
    items: dict[str, list[Ask]] = {}
    for ask in asks:
        items.setdefault(ask.item, []).append(ask)
    return items
