"""The kernels' source, and what it is compiled with. Knows no compiler and no device."""

from functools import cache
from importlib.resources import files

import torch

THREADS = 256
"""Of a block. Fixed: the order of a row's sum hangs on it."""
KERNELS = (
    "ft_add_rms_norm",
    "ft_free_dual_norm",
    "ft_rope_kv_write",
    "ft_silu_mul",
    "ft_merge_lse",
    "ft_philox_codes",
)
_TYPE_OPTIONS = {torch.float32: (), torch.bfloat16: ("-DFT_BF16",)}
DTYPES = tuple(_TYPE_OPTIONS)
"""Types of numbers that there are kernels for."""


@cache
def source() -> str:
    """CUDA C++ of all kernels."""
    return files(__package__).joinpath("fused.cu").read_text(encoding="ascii")


def compile_options(dtype: torch.dtype, capability: tuple[int, int]) -> tuple[str, ...]:
    """NVRTC's options for one type of numbers and one compute capability, such as (9, 0)."""
    major, minor = capability
    return (
        f"--gpu-architecture=sm_{major}{minor}",
        "--fmad=false",
        f"-DFT_THREADS={THREADS}",
        *_TYPE_OPTIONS[dtype],
    )
