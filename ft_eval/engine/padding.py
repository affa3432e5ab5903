"""Rows of unequal length as one tensor. Padding lies on the right, at positions no real token attends to.

A kernel's last bits depend on how wide a batch is and on how many rows it has, though not on what stands in them. So
widths are multiples of 16 that a row's own length decides, and rows of other widths go into other batches.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

WIDTH_MULTIPLE = 16
PASS_TOKENS = 512
"""Tokens of one sequence in one pass. Fewer would waste the matrix kernels, more would let others wait."""
ROW_MULTIPLE = 4
"""Decode batches are padded to a multiple of this: fp32 GEMMs then give a row the same bits in any batch."""


def round_up(value: int, multiple: int) -> int:
    """The smallest multiple that is at least the value."""
    return -(-value // multiple) * multiple


def padded_width(length: int, limit: int) -> int:
    """The width for a row of that length: the next multiple of WIDTH_MULTIPLE, but no padding beyond the limit."""
    return max(length, min(round_up(length, WIDTH_MULTIPLE), limit))


def pad_right(rows: Sequence[Sequence[int]], width: int) -> Tensor:
    """The rows as (num_rows, width) int64, filled with 0 on the right."""
    padded = torch.zeros((len(rows), width), dtype=torch.int64)
    for index, row in enumerate(rows):
        padded[index, : len(row)] = torch.tensor(row, dtype=torch.int64)
    return padded


def spans(num_tokens: int) -> Iterator[slice]:
    """Where so many tokens are cut into passes; none is narrower than what the matrix kernels take as a batch."""
    bounds = [0, *range(PASS_TOKENS, num_tokens - WIDTH_MULTIPLE + 1, PASS_TOKENS), num_tokens]
    return (slice(first, stop) for first, stop in pairwise(bounds))
