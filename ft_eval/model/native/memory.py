"""Memory that is read from end to end at every step, of weights, keys and values: huge pages, where they are to be had.

On a virtual machine with pages of 4 KiB, looking up addresses took a quarter of the time of reading weights. Knows
neither.
"""

import ctypes
from functools import cache
from math import prod
from typing import Any

import torch
from torch import Tensor

_CHUNK_BYTES = 2**25
_HUGE_PAGE_BYTES = 2**21
_LINE_BYTES = 64
_MADV_HUGEPAGE = 14
"""Linux's number for it."""


class Arena:
    """Gives out pieces of chunks of 32 MiB; a chunk is freed when no piece of it is left."""

    def __init__(self) -> None:
        self._chunk = torch.empty(0, dtype=torch.uint8)
        self._used = 0

    def take(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """An uninitialised tensor, aligned to a cache line."""
        num_bytes = prod(shape) * dtype.itemsize
        if self._used + num_bytes > len(self._chunk):
            self._chunk, self._used = _huge(max(num_bytes, _CHUNK_BYTES)), 0
        piece = self._chunk[self._used : self._used + num_bytes].view(dtype).view(shape)
        self._used += -(-num_bytes // _LINE_BYTES) * _LINE_BYTES
        return piece


def _huge(num_bytes: int) -> Tensor:
    """At least so many bytes, beginning on a huge page, which the system is asked for; it may refuse without harm."""
    whole = -(-num_bytes // _HUGE_PAGE_BYTES) * _HUGE_PAGE_BYTES
    memory = torch.empty(whole + _HUGE_PAGE_BYTES, dtype=torch.uint8)
    ask_for_huge_pages(memory)
    return memory[-memory.data_ptr() % _HUGE_PAGE_BYTES :][:whole]


def ask_for_huge_pages(memory: Tensor) -> None:
    """Ask the system for huge pages where the tensor lies, before anything is written there; it may refuse."""
    first = -(-memory.data_ptr() // _HUGE_PAGE_BYTES) * _HUGE_PAGE_BYTES
    num_bytes = (memory.data_ptr() + memory.nbytes - first) // _HUGE_PAGE_BYTES * _HUGE_PAGE_BYTES
    advise = getattr(_libc(), "madvise", None)
    if advise is not None and num_bytes > 0 and memory.device.type == "cpu":
        advise(ctypes.c_void_p(first), ctypes.c_size_t(num_bytes), ctypes.c_int(_MADV_HUGEPAGE))


@cache
def _libc() -> Any:
    return ctypes.CDLL(None)
