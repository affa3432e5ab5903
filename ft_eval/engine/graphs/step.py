"""One decode step as one function of tensors: what is compiled and captured. Knows no bucket and no replay.

    tokens, positions, codes (B, 1) ─▶ lower ─▶ upper ─▶ hidden (B, 1, D)

All that an extension works out on the host, how many keys are read and where the memory begins, is fixed here when the
step is made; masks and angles come from the positions, on the device. So nothing in it waits for the device.

    B rows    D hidden size    P prefix keys    S keys of the cache that are read
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ft_eval.model.cache import KVCache, Prefix
from ft_eval.model.kernels import ops
from ft_eval.model.layers import AttentionPlan
from ft_eval.model.plans import Placement
from ft_eval.model.transformer import Transformer

assert ops.LIBRARY, "imported for the operators it defines"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepShape:
    """What a step is fixed to; another shape is another step."""

    num_rows: int
    num_keys: tuple[int, int]
    """Keys read in the lower and in the upper blocks, prefixes left out."""


class DecodeStep(nn.Module):
    """One token more in rows 0 .. B−1 of a cache.

    Args:
        model: of this project; its weights are read where they are.
        cache: at least `shape.num_rows` rows; written to.
        prefixes: what comes before, in the lower and in the upper blocks.
        shape: rows and keys.
    """

    def __init__(
        self,
        model: Transformer,
        cache: KVCache,
        prefixes: tuple[Prefix | None, Prefix | None],
        shape: StepShape,
    ) -> None:
        super().__init__()
        self.model = model
        self.shape = shape
        rows = cache.rows(0, shape.num_rows)
        self._places = tuple(Placement(cache=rows, prefix=prefix) for prefix in prefixes)
        self._starts = (cache.lower_start, cache.upper_start)
        first = torch.zeros(1, 1, dtype=torch.int64, device=model.device)
        self.model._plans.rope(first, model.dtype)  # noqa: SLF001 — puts the frequencies on the device before tracing

    def forward(self, token_ids: Tensor, positions: Tensor, codes: Tensor | None) -> Tensor:
        """Hidden states (B, 1, D) of one token per row.

        Args:
            token_ids: (B, 1) int64.
            positions: (B, 1) int64, each behind the prefixes.
            codes: Z, (B, 1) int64, -1 where R = 0; None for a baseline.
        """
        model = self.model
        plan = self._plan(positions, 0)
        x = model._lower(token_ids, plan, self._places[0])  # noqa: SLF001 — one more way into the same blocks
        if (self._starts[0], self.shape.num_keys[0]) != (self._starts[1], self.shape.num_keys[1]):
            plan = self._plan(positions, 1)
        residual = None if codes is None else model.post_sample(codes)
        return model._upper(x, residual, plan, self._places[1])  # noqa: SLF001 — as above

    def _plan(self, positions: Tensor, half: int) -> AttentionPlan:
        """The plan of the lower or the upper blocks; what `Planner` makes, without asking the device for a number."""
        start, num_keys, dtype = self._starts[half], self.shape.num_keys[half], self.model.dtype
        return AttentionPlan(
            rotation=self.model._plans.rope(positions, dtype),  # noqa: SLF001 — as above
            mask=torch.ops.ft.decode_mask(positions, start, num_keys, dtype),
            indices=positions - start,
            num_keys=num_keys,
        )
