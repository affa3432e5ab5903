"""A linear layer over the kernels' own layout of its weight. Knows no model.

    M rows    K in_features    N out_features

The weight lies in panels of 32 outputs, input by input, as it is read; N is filled up with zeros, and so is an odd K in
bfloat16, whose numbers lie in pairs.
"""

import ctypes
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ft_eval.model.native.build import Library, LinearStruct
from ft_eval.model.native.memory import Arena
from ft_eval.model.packed import InferenceLinear

_PANEL = 32


class NativeLinear(InferenceLinear):
    """An nn.Linear with its weight in panels; the original may be dropped. A row has the same bits in any batch."""

    min_rows: ClassVar[int] = 1

    def __init__(self, linear: nn.Linear, library: Library, arena: Arena | None = None) -> None:
        """Copy the layer's weight, into the arena where there is one.

        Raises:
            ValueError: there are no kernels for the weight's type.
        """
        super().__init__(linear.in_features, linear.out_features, linear.bias)
        if not library.supports(linear.weight.dtype):
            raise ValueError(f"no kernels for {linear.weight.dtype} on this machine")
        self._library = library
        self._panels = _panels(linear.weight.detach(), arena or Arena())
        self.struct = LinearStruct(
            self._panels.data_ptr(),
            None if self._bias is None else self._bias.data_ptr(),
            self.out_features,
            self.in_features,
        )
        """What the kernels are told of the layer; as long-lived as the layer."""

    @property
    def dtype(self) -> torch.dtype:
        """The type of weight and rows."""
        return self._panels.dtype

    @property
    def num_bytes(self) -> int:
        """Bytes of the weight, the panels' filling included."""
        return self._panels.nbytes

    def _multiply(self, x: Tensor) -> Tensor:
        if x.dtype != self.dtype or x.shape[-1] != self.in_features:
            raise RuntimeError(f"x of {tuple(x.shape)} {x.dtype} for {self.in_features} inputs of {self.dtype}")
        rows = x.detach().contiguous()
        y = torch.empty(*x.shape[:-1], self.out_features, dtype=x.dtype)
        self._library.handle.ft_linear(
            ctypes.c_int64(x.dtype == torch.bfloat16),
            ctypes.byref(self.struct),
            ctypes.c_void_p(rows.data_ptr()),
            ctypes.c_void_p(y.data_ptr()),
            ctypes.c_int64(rows.shape[:-1].numel()),
            ctypes.c_int64(torch.get_num_threads()),
        )
        return y

    def forward(self, x: Tensor) -> Tensor:
        """X W^T + b: (..., K) to (..., N)."""
        return self.product(x)


def _panels(weight: Tensor, arena: Arena) -> Tensor:
    """The weight (N, K) as (N/32, K, 32) in fp32, (N/32, K/2, 32, 2) in bfloat16."""
    width = 4 // weight.dtype.itemsize
    num_outputs, num_inputs = weight.shape
    filled = F.pad(weight, (0, -num_inputs % width, 0, -num_outputs % _PANEL))
    panels = filled.view(-1, _PANEL, filled.shape[1] // width, width).transpose(1, 2)
    return arena.take(tuple(panels.shape), weight.dtype).copy_(panels)
