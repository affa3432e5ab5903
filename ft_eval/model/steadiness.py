"""Whether a row's bits hang on how many rows are in its batch, tried on a layer. Knows no model."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ft_eval.model.packed import PackedLinear

_ROW_COUNTS = (4, 12, 16, 32)
_MOST_ROWS = 48
_MAX_PROBED_OUTPUTS = 2048
"""Bits are tried on so many of a layer's outputs: they are summed alike, and a readout has 100,000."""


def unsteady_row_counts(linear: nn.Linear) -> tuple[frozenset[int], frozenset[int]]:
    """In which batch sizes, of 4 to 32 rows, rows have other bits than in one of 48: F.linear's and the packed layer's.

    Tried with one thread, so that the answer is the same whatever the number of threads, on a fixed input and the
    layer's first 2,048 outputs.
    """
    head = nn.Linear(linear.in_features, min(linear.out_features, _MAX_PROBED_OUTPUTS), bias=False, device="meta")
    head.weight = nn.Parameter(linear.weight.detach()[: head.out_features], requires_grad=False)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(_MOST_ROWS, linear.in_features, generator=generator).to(linear.weight.dtype)
    with one_thread():
        return _unsteady(lambda rows: F.linear(rows, head.weight), x), _unsteady(PackedLinear(head).product, x)


def _unsteady(multiply: Callable[[Tensor], Tensor], x: Tensor) -> frozenset[int]:
    whole = multiply(x)
    return frozenset(count for count in _ROW_COUNTS if not torch.equal(multiply(x[:count].clone()), whole[:count]))


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch's operators use one thread meanwhile."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
