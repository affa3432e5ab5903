"""Keys and values of prefixes, computed once and kept while there is room. Knows one model; knows no request.

    lower blocks    by tokens                 the same for all draws and policies
    upper blocks    by tokens and codes

A prefix is computed behind the shorter one that its path names, whose keys and values are copied, and is kept under the
path: its bits hang on nothing else.
The least recently used go first. What is in use is kept alive by whoever uses it.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ft_eval.engine.padding import spans
from ft_eval.engine.prefixes import Path
from ft_eval.model.cache import KVCache, Prefix
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
        self._kept: OrderedDict[tuple[Path, _Tokens | None], LowerPrefix | Prefix] = OrderedDict()
        self.num_computed_tokens = 0.0
        """Tokens of prefixes computed until now, a half of the blocks counted as half a token each."""

    def clear(self) -> None:
        """Keep none of them any longer."""
        self._kept.clear()
        self._num_bytes = 0

    def lower(self, path: Path) -> LowerPrefix:
        """The prefix in the lower blocks."""
        found = self._find((path, None))
        if found is None:
            found = self._compute_lower(path)
            self._keep((path, None), found)
        assert isinstance(found, LowerPrefix), "kept under a key without codes"
        return found

    def upper(self, path: Path, codes: Tensor | None) -> Prefix:
        """The prefix in the upper blocks.

        Args:
            path: of P tokens.
            codes: their Z, (P,) int64; None for a baseline.
        """
        key = (path, () if codes is None else tuple(codes.tolist()))
        found = self._find(key)
        if found is None:
            parent = path.parent
            above = self.upper(parent, None if codes is None else codes[: len(parent)]) if parent else None
            found = self._compute_upper(self.lower(path), None if codes is None else codes[None], above)
            self._keep(key, found)
        assert isinstance(found, Prefix), "kept under a key with codes"
        return found

    def upper_rows(self, lower: LowerPrefix, codes: Tensor | None) -> Prefix:
        """The prefix in the upper blocks, once per row of codes (B, P); not kept."""
        return self._compute_upper(lower, codes, None)

    def _compute_upper(self, lower: LowerPrefix, codes: Tensor | None, above: Prefix | None) -> Prefix:
        """The upper blocks of a prefix, computed behind what is above it."""
        model, length, blocks = self.model, lower.kept.num_tokens, self._blocks(1)
        num_rows = 1 if codes is None else codes.shape[0]
        cache = model.new_cache(num_rows, length, starts=(length, 0))
        for span, positions in self._passes(cache, above, blocks, length):
            residual = None if codes is None else model.post_sample(codes[:, span].to(model.device))
            x = lower.x[:, span].expand(num_rows, -1, -1)
            model.remember(x, cache, residual=residual, positions=positions)
            self.num_computed_tokens += num_rows * x.shape[1] / 2
        return cache.prefix(blocks, length)

    def _compute_lower(self, path: Path) -> LowerPrefix:
        model, length, parent, blocks = self.model, len(path), path.parent, self._blocks(0)
        above = self.lower(parent) if parent else None
        tokens = torch.tensor([path.tokens], device=model.device)
        cache = model.new_cache(1, length, starts=(0, length))
        pieces = [above.x] if above else []
        for span, positions in self._passes(cache, above.kept if above else None, blocks, length):
            pieces.append(model.lower(tokens[:, span], positions=positions, cache=cache))
            self.num_computed_tokens += pieces[-1].shape[1] / 2
        return LowerPrefix(cache.prefix(blocks, length), torch.cat(pieces, dim=1) if len(pieces) > 1 else pieces[0])

    def _blocks(self, half: int) -> range:
        middle, end = self.model.config.middle, self.model.config.num_layers
        return range(middle, end) if half else range(middle)

    def _passes(
        self, cache: KVCache, above: Prefix | None, blocks: range, length: int
    ) -> Iterator[tuple[slice, Tensor | None]]:
        """Put what is above into the cache; then where the passes behind it go, with their positions (1, T)."""
        start = above.num_tokens if above else 0
        if above is not None:
            for index in blocks:
                for mine, theirs in zip(cache.layer(index), above.layers[index], strict=True):
                    mine[:, :, :start] = theirs
        for span in spans(length - start):
            place = slice(start + span.start, start + span.stop)
            is_first = place.start == 0
            yield place, None if is_first else torch.arange(place.start, place.stop, device=self.model.device)[None]

    def _find(self, key: tuple[Path, _Tokens | None]) -> LowerPrefix | Prefix | None:
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def _keep(self, key: tuple[Path, _Tokens | None], prefix: LowerPrefix | Prefix) -> None:
        self._kept[key] = prefix
        self._num_bytes += prefix.num_bytes
        while self._num_bytes > self._max_bytes and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._num_bytes -= dropped.num_bytes
