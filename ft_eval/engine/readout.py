"""What is asked of rows of logits: the likeliest token, and log p of given ones. Knows no request.

    R rows    V vocabulary    n (row, token) pairs

A row's answers hang on that row alone.
"""

from typing import Protocol

import torch
from torch import Tensor

from ft_eval.engine.sampling import likeliest


class Readout(Protocol):
    """Reads rows of logits."""

    def likeliest(self, logits: Tensor) -> Tensor:
        """Each row's likeliest token, the first of equals: (R, V) to (R,) int64."""

    def log_softmax_at(self, logits: Tensor, rows: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Per pair log p in nats, and whether the token is its row's likeliest.

        Args:
            logits: (R, V) of any float type; what is summed is float32.
            rows: (n,) int64.
            tokens: (n,) int64.

        Returns:
            (n,) float32 and (n,) bool.
        """


class TorchReadout:
    """By PyTorch's operators."""

    def likeliest(self, logits: Tensor) -> Tensor:
        """See `Readout`."""
        return likeliest(logits)

    def log_softmax_at(self, logits: Tensor, rows: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """See `Readout`."""
        logprobs = torch.log_softmax(logits.float(), dim=-1)[rows, tokens]
        return logprobs, self.likeliest(logits)[rows] == tokens
