"""Which shapes there is a graph for: the smallest that holds what is asked for is replayed. Knows two numbers."""

from bisect import bisect_left
from collections.abc import Sequence

from ft_eval.model.cache import padded_length

_FIRST_KEYS = 256


def row_buckets(num_rows: int, *, fixed: bool = False) -> tuple[int, ...]:
    """Numbers of rows, up to all of them: the powers of two, then all. Fixed: all rows, always."""
    powers = [1 << exponent for exponent in range(num_rows.bit_length()) if 1 << exponent < num_rows]
    return (num_rows,) if fixed else (*powers, num_rows)


def key_buckets(capacity: int, *, fixed: bool = False) -> tuple[int, ...]:
    """Numbers of keys to read, up to the capacity: 256 and its doubles, then all. Fixed: all, always."""
    sizes, size = [], _FIRST_KEYS
    while padded_length(size) < capacity and not fixed:
        sizes.append(padded_length(size))
        size *= 2
    return (*sizes, capacity)


def smallest(buckets: Sequence[int], need: int) -> int:
    """The smallest bucket of at least that size.

    Raises:
        ValueError: there is none.
    """
    place = bisect_left(buckets, need)
    if place == len(buckets):
        raise ValueError(f"{need} is more than the largest graph's {buckets[-1]}")
    return buckets[place]
