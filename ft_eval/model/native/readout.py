"""Rows of logits read by the kernels: the likeliest token, and log p of given ones.

    R rows    V vocabulary    n (row, token) pairs

PyTorch's max and log-softmax take ten times as long (32,000 scores, one thread). Knows no request.
"""

import ctypes
from dataclasses import dataclass

import torch
from torch import Tensor

from ft_eval.model.native.build import Library


@dataclass(frozen=True, slots=True)
class NativeReadout:
    """Reads rows of logits, as `engine/readout.py` says."""

    library: Library

    def likeliest(self, logits: Tensor) -> Tensor:
        """Each row's likeliest token, the first of equals: (R, V) to (R,) int64."""
        return self._read(logits.contiguous(), None)

    def log_softmax_at(self, logits: Tensor, rows: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Log p (n,) float32 of the tokens (n,) in the rows (n,), and whether a token is its row's likeliest."""
        below = torch.empty(2, len(logits))
        likeliest = self._read(logits.contiguous(), below)
        largest, log_sums = below[:, rows]
        return logits[rows, tokens].float() - largest - log_sums, likeliest[rows] == tokens

    def _read(self, logits: Tensor, below: Tensor | None) -> Tensor:
        """The likeliest tokens; `below` (2, R) takes the largest logits and the logs of the sums beneath them."""
        if not self.library.supports(logits.dtype):
            raise ValueError(f"no kernels for {logits.dtype} on this machine")
        likeliest = torch.empty(len(logits), dtype=torch.int64)
        largest, log_sums = (None, None) if below is None else (part.data_ptr() for part in below)
        self.library.handle.ft_readout(
            ctypes.c_int64(logits.dtype == torch.bfloat16),
            ctypes.c_void_p(logits.data_ptr()),
            ctypes.c_int64(len(logits)),
            ctypes.c_int64(logits.shape[1]),
            ctypes.c_void_p(likeliest.data_ptr()),
            ctypes.c_void_p(largest),
            ctypes.c_void_p(log_sums),
            ctypes.c_int64(torch.get_num_threads()),
        )
        return likeliest
