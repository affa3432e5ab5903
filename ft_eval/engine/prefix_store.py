"""Keys and values of prefixes, computed once and kept while there is room. Knows one model; knows no request.

    lower blocks    by tokens                 the same for all draws and policies
    upper blocks    by tokens and codes

The least recently used go first. What is in use is kept alive by whoever uses it.
"""

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor

from ft_eval.model.cache import Prefix
from ft_eval.model.transformer import Transformer

_Tokens = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LowerPrefix:
    """A prefix before Z enters."""

    kept: Prefix
    x: Tensor
    """(1, P, D), what the upper blocks begin from."""

    @property
    def num_bytes(self) -> int:
        """Bytes of keys, values and states."""
        return self.kept.num_bytes + self.x.numel() * self.x.element_size()


class PrefixStore:
    """The prefixes of one model, within a number of bytes."""

    def __init__(self, model: Transformer, max_bytes: int) -> None:
        self.model = model
        self._max_bytes = max_bytes
        self._num_bytes = 0
        self._kept: OrderedDict[tuple[_Tokens, _Tokens | None], LowerPrefix | Prefix] = OrderedDict()
        self.num_computed_tokens = 0.0
        """Tokens of prefixes computed until now, a half of the blocks counted as half a token each."""

    def clear(self) -> None:
        """Keep none of them any longer."""
        self._kept.clear()
        self._num_bytes = 0

    def lower(self, tokens: _Tokens) -> LowerPrefix:
        """The prefix in the lower blocks."""
        found = self._find((tokens, None))
        if found is None:
            found = self._compute_lower(tokens)
            self._keep((tokens, None), found)
        assert isinstance(found, LowerPrefix), "kept under a key without codes"
        return found

    def upper(self, tokens: _Tokens, codes: Tensor | None) -> Prefix:
        """The prefix in the upper blocks.

        Args:
            tokens: P of them.
            codes: their Z, (P,) int64; None for a baseline.
        """
        key = (tokens, () if codes is None else tuple(codes.tolist()))
        found = self._find(key)
        if found is None:
            found = self.upper_rows(self.lower(tokens), None if codes is None else codes[None])
            self._keep(key, found)
        assert isinstance(found, Prefix), "kept under a key with codes"
        return found

    def upper_rows(self, lower: LowerPrefix, codes: Tensor | None) -> Prefix:
        """The prefix in the upper blocks, once per row of codes (B, P); not kept."""
        model, length = self.model, lower.kept.num_tokens
        num_rows = 1 if codes is None else codes.shape[0]
        x = lower.x.expand(num_rows, -1, -1)
        cache = model.new_cache(num_rows, length, starts=(length, 0))
        residual = None if codes is None else model.post_sample(codes.to(model.device))
        model.remember(x, cache, residual=residual)
        self.num_computed_tokens += num_rows * length / 2
        return cache.prefix(range(model.config.middle, model.config.num_layers), length)

    def _compute_lower(self, tokens: _Tokens) -> LowerPrefix:
        model, length = self.model, len(tokens)
        cache = model.new_cache(1, length, starts=(0, length))
        x = model.lower(torch.tensor([tokens], device=model.device), cache=cache)
        self.num_computed_tokens += length / 2
        return LowerPrefix(cache.prefix(range(model.config.middle), length), x)

    def _find(self, key: tuple[_Tokens, _Tokens | None]) -> LowerPrefix | Prefix | None:
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def _keep(self, key: tuple[_Tokens, _Tokens | None], prefix: LowerPrefix | Prefix) -> None:
        self._kept[key] = prefix
        self._num_bytes += prefix.num_bytes
        while self._num_bytes > self._max_bytes and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._num_bytes -= dropped.num_bytes
