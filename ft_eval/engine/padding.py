"""Rows of unequal length as one tensor. Padding lies on the right, at positions no real token attends to."""

from collections.abc import Sequence

import torch
from torch import Tensor

WIDTH_MULTIPLE = 8
"""Prefill widths are padded to a multiple of this: few shapes occur, and a row's bits hang less on its batch."""


def round_up(value: int, multiple: int) -> int:
    """The smallest multiple that is at least the value."""
    return -(-value // multiple) * multiple


def pad_right(rows: Sequence[Sequence[int]], *, width_limit: int, value: int = 0) -> Tensor:
    """The rows as (num_rows, width) int64, filled with `value` on the right.

    The width is the longest row's length rounded up to WIDTH_MULTIPLE, but at most `width_limit`.
    """
    longest = max(len(row) for row in rows)
    width = max(longest, min(round_up(longest, WIDTH_MULTIPLE), width_limit))
    padded = torch.full((len(rows), width), value, dtype=torch.int64)
    for index, row in enumerate(rows):
        padded[index, : len(row)] = torch.tensor(row, dtype=torch.int64)
    return padded
