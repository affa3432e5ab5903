"""How much one forward pass may hold, by the memory that is free; and what to do when it was too much after all.

Knows a model's shape and the device; knows no request.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import torch

from ft_eval.engine.requests import BatchLimits
from ft_eval.model.adapters.protocol import LatentModel
from ft_eval.model.cache import cache_bytes_per_token
from ft_eval.records import EngineOptions

_MOST_ON_CPU = BatchLimits(num_rows=32, num_tokens=4096)
"""More rows are no faster on a CPU: its matrix kernels are at their limit."""
_MOST_ON_GPU = BatchLimits(num_rows=256, num_tokens=32768)
_MIN_TOKENS = 512
_SHARE_OF_CACHE = 0.4
_SHARE_OF_PASS = 0.2
_SHARE_OF_PREFIXES = 0.2
"""Of the free memory."""
_COPIES_PER_TOKEN = 6
"""Activations of a block that are alive at once, in hidden and intermediate sizes."""
_CGROUPS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)


def free_bytes(device: str) -> int:
    """Memory that may still be taken on a device: a GPU's own, or the machine's within the control group's limit."""
    if device.startswith("cuda"):
        free, _ = torch.cuda.mem_get_info(torch.device(device))
        return free
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        lines = dict(line.split(":", 1) for line in meminfo.read_text(encoding="ascii").splitlines())
        free = int(lines["MemAvailable"].split()[0]) * 1024
    for limit, usage in _CGROUPS:
        if limit.exists() and (text := limit.read_text(encoding="ascii").strip()).isdigit():
            free = min(free, int(text) - int(usage.read_text(encoding="ascii")))
    return max(0, free)


@dataclass(slots=True)
class SharedLimits:
    """What bounds the passes of all engines over one model: where one runs out of memory, all go on with less."""

    now: BatchLimits

    def halve(self) -> bool:
        """Go on with half as much; False where a pass is of one row already."""
        smaller = halved(self.now)
        if smaller is not None:
            self.now = smaller
        return smaller is not None


def batch_limits(model: LatentModel, options: EngineOptions) -> BatchLimits:
    """What bounds a pass: the batch size that was asked for, or what the free memory holds.

    Of the latter the rows of a batch follow from how long they may become: the caches of all of them must fit.
    """
    most = _MOST_ON_CPU if options.device == "cpu" else _MOST_ON_GPU
    free, config = free_bytes(options.device), model.config
    per_token = _COPIES_PER_TOKEN * (config.hidden_size + config.intermediate_size) * model.dtype.itemsize
    num_tokens = max(_MIN_TOKENS, min(most.num_tokens, int(_SHARE_OF_PASS * free / per_token)))
    if options.batch_size:
        return BatchLimits(num_rows=options.batch_size, num_tokens=num_tokens)
    num_cached = max(1, int(_SHARE_OF_CACHE * free / cache_bytes_per_token(config, model.dtype)))
    return BatchLimits(num_rows=most.num_rows, num_tokens=num_tokens, num_cached_tokens=num_cached)


def rows_that_fit(limits: BatchLimits, length: int) -> int:
    """How many sequences of at most that many cached positions may be decoded together, 1 at least."""
    if limits.num_cached_tokens is None:
        return limits.num_rows
    return max(1, min(limits.num_rows, limits.num_cached_tokens // max(1, length)))


def prefix_bytes(options: EngineOptions) -> int:
    """How much the kept prefixes may take."""
    return int(_SHARE_OF_PREFIXES * free_bytes(options.device))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a pass failed for want of memory, on a GPU or on the CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def halved(limits: BatchLimits) -> BatchLimits | None:
    """Half the rows and tokens; None where a pass is of one row already."""
    if limits.num_rows == 1:
        return None
    cached = limits.num_cached_tokens
    return BatchLimits(
        num_rows=limits.num_rows // 2,
        num_tokens=max(1, limits.num_tokens // 2),
        num_cached_tokens=None if cached is None else max(1, cached // 2),
    )
