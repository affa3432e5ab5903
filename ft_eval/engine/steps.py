"""What may stand in for a model's own forward pass when one token more is decoded per row.

    engine/graphs/runner.py     captured CUDA graphs of fused operators
    model/native/blocks.py      the CPU's own kernels

Knows no model and no request.
"""

from typing import Protocol

from torch import Tensor

from ft_eval.engine.readout import Readout
from ft_eval.model.cache import KVCache, Prefix
from ft_eval.model.transformer import Transformer


class Steps(Protocol):
    """Decodes the rows of one cache behind one pair of prefixes."""

    @property
    def row_multiple(self) -> int:
        """To a multiple of which batches are to be padded, so that a row has the same bits in any batch."""

    def step(self, token_ids: Tensor, positions: Tensor, codes: Tensor | None) -> Tensor:
        """Hidden states (B, 1, D) of one token more in rows 0 .. B−1; the next step may write over them.

        Args:
            token_ids: (B, 1) int64.
            positions: (B, 1) int64.
            codes: Z, (B, 1) int64, -1 where R = 0; None for a baseline.
        """


class StepCompiler(Protocol):
    """Makes steps for one model."""

    @property
    def readout(self) -> Readout:
        """What reads the model's logits."""

    def open(self, model: Transformer, cache: KVCache, prefixes: tuple[Prefix | None, Prefix | None]) -> Steps | None:
        """Steps over a cache behind the prefixes of the lower and of the upper blocks; None where it can't."""
