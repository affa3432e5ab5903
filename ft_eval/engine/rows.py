"""How scoring requests lie in rows: an item's context once, its continuations as branches behind it.

    context c c c c c | branch a a | branch b b b       positions  0 1 2 3 4 | 5 6 | 5 6 7
                          a sees c and a     b sees c and b

The last token of a continuation is predicted and never read, so one-token continuations have no branch at all. What
stands in a row hangs on the item's requests alone: not on the batch, their order, or which of them are answered.
Knows token ids; knows no model and no Z.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from ft_eval.engine.latents import LatentContext
from ft_eval.engine.requests import ScoringRequest

_MAX_BRANCH_TOKENS = 2048
"""Branches of one row at most, in tokens; an item with more has several rows."""
_Tokens = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One continuation in a row."""

    continuation: _Tokens
    inputs: tuple[int, ...]
    """Per token of the continuation, where in the row it is predicted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """One Z for a row."""

    latent_context: LatentContext
    requests: tuple[tuple[int, int], ...]
    """(number of the target, number of the request) of what is to be answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A context behind its prefix, and its branches."""

    token_ids: _Tokens
    positions: tuple[int, ...]
    """Of each token in its own sequence."""
    starts: tuple[int, ...]
    """Where each branch begins in the row; a branch goes on to the next one, or to the row's end."""
    targets: tuple[Target, ...]
    draws: tuple[Draw, ...]

    @property
    def num_tokens(self) -> int:
        """The row's length."""
        return len(self.token_ids)

    @property
    def num_positions(self) -> int:
        """The length of its longest sequence, prefix included."""
        return max(self.positions) + 1

    @property
    def is_chain(self) -> bool:
        """Whether it is a plain sequence: each token sees all before it."""
        return len(self.starts) < 2

    def visible(self, width: int) -> Tensor:
        """Which tokens each token sees, (width, width) bool; padding sees all before it and is seen by itself alone."""
        seen = torch.ones(width, width, dtype=torch.bool).tril()
        for start, stop in pairwise((*self.starts, self.num_tokens)):
            seen[start:stop, self.starts[0] : start] = False
        return seen


def make_rows(
    requests: Sequence[ScoringRequest], members: Iterable[int], pending: frozenset[int], *, start: int, packs: bool
) -> list[Row]:
    """The rows of those members with a pending request, in order.

    Args:
        requests: all of them.
        members: numbers of those behind one prefix.
        pending: numbers of those to be answered.
        start: the prefix's length.
        packs: whether a row may hold several branches; else each distinct input has a row of its own.
    """
    items: dict[tuple[object, ...], dict[_Tokens, list[int]]] = {}
    for index in members:
        request = requests[index]
        key = (request.context, request.noise.seed, request.noise.item, request.donor)
        items.setdefault(key, {}).setdefault(request.continuation, []).append(index)
    rows = []
    for by_continuation in items.values():
        for continuations in _portions(sorted(by_continuation), packs=packs):
            wanted = {c: [i for i in by_continuation[c] if i in pending] for c in continuations}
            if any(wanted.values()):
                rows.append(_row(requests, wanted, start))
    return rows


def _portions(continuations: list[_Tokens], *, packs: bool) -> list[list[_Tokens]]:
    """The continuations that share a row: those whose inputs are the same, and others while there is room."""
    by_inputs: dict[_Tokens, list[_Tokens]] = {}
    for continuation in continuations:
        by_inputs.setdefault(continuation[:-1], []).append(continuation)
    portions: list[list[_Tokens]] = []
    room = 0
    for inputs, alike in by_inputs.items():
        if not portions or not packs or len(inputs) > room:
            portions.append([])
            room = max(_MAX_BRANCH_TOKENS, len(inputs))
        portions[-1] += alike
        room -= len(inputs)
    return portions


def _row(requests: Sequence[ScoringRequest], wanted: dict[_Tokens, list[int]], start: int) -> Row:
    first = requests[next(index for indices in wanted.values() for index in indices)]
    tokens = list(first.context[start:])
    positions = list(range(start, len(first.context)))
    last, starts = len(tokens) - 1, dict[_Tokens, int]()
    for inputs in dict.fromkeys(continuation[:-1] for continuation in wanted):
        if inputs:
            starts[inputs] = len(tokens)
            tokens += inputs
            positions += range(len(first.context), len(first.context) + len(inputs))
    targets = [
        Target(continuation=c, inputs=(last, *range(starts.get(c[:-1], 0), starts.get(c[:-1], 0) + len(c) - 1)))
        for c in wanted
    ]
    return Row(
        token_ids=tuple(tokens),
        positions=tuple(positions),
        starts=tuple(starts.values()),
        targets=tuple(targets),
        draws=_draws(requests, wanted),
    )


def _draws(requests: Sequence[ScoringRequest], wanted: dict[_Tokens, list[int]]) -> tuple[Draw, ...]:
    by_context: dict[LatentContext, list[tuple[int, int]]] = {}
    for number, indices in enumerate(wanted.values()):
        for index in indices:
            by_context.setdefault(requests[index].latent_context, []).append((number, index))
    return tuple(Draw(latent_context=context, requests=tuple(found)) for context, found in by_context.items())
