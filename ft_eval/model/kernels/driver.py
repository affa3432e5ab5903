"""The CUDA driver by ctypes: machine code in, launches on PyTorch's current stream out. Needs a GPU.

A launch allocates nothing and waits for nothing, so it can be captured in a CUDA graph. Knows no kernel by name.
"""

import ctypes
from functools import cache

import torch
from torch import Tensor

from ft_eval.errors import EngineError
from ft_eval.model.kernels.nvrtc import compile_cubin
from ft_eval.model.kernels.source import THREADS, compile_options, source

Argument = Tensor | ctypes.c_int | ctypes.c_longlong | ctypes.c_float


class Module:
    """The kernels for one type of numbers on one device."""

    def __init__(self, dtype: torch.dtype, device: torch.device) -> None:
        options = compile_options(dtype, torch.cuda.get_device_capability(device))
        self._cubin = compile_cubin(source(), options)
        self._handle = ctypes.c_void_p()
        self._functions: dict[str, ctypes.c_void_p] = {}
        with torch.cuda.device(device):
            torch.cuda.current_stream().synchronize()  # PyTorch makes the device's context, if nothing did before
            _check(_cuda().cuModuleLoadData(ctypes.byref(self._handle), self._cubin))

    def launch(self, name: str, grid: tuple[int, int], *arguments: Argument) -> None:
        """Run one kernel on the current stream of the tensors' device; nothing at all for an empty grid.

        Args:
            name: of the kernel.
            grid: blocks in x and y.
            arguments: in the kernel's order; tensors must be contiguous where the kernel says so.
        """
        if not all(grid):
            return
        values = [ctypes.c_void_p(a.data_ptr()) if isinstance(a, Tensor) else a for a in arguments]
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        device = next(a.device for a in arguments if isinstance(a, Tensor))
        with torch.cuda.device(device):
            stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
            _check(_cuda().cuLaunchKernel(self._function(name), *grid, 1, THREADS, 1, 1, 0, stream, pointers, None))

    def _function(self, name: str) -> ctypes.c_void_p:
        if name not in self._functions:
            function = ctypes.c_void_p()
            _check(_cuda().cuModuleGetFunction(ctypes.byref(function), self._handle, name.encode()))
            self._functions[name] = function
        return self._functions[name]


@cache
def load(dtype: torch.dtype, device: torch.device) -> Module:
    """The kernels for a type of numbers on a device, compiled once per process (0.3 s).

    Raises:
        EngineError: NVRTC is missing or the driver refuses its code.
    """
    return Module(dtype, device)


@cache
def _cuda() -> ctypes.CDLL:
    return ctypes.CDLL("libcuda.so.1")


def _check(status: int) -> None:
    if status:
        text = ctypes.c_char_p()
        _cuda().cuGetErrorString(status, ctypes.byref(text))
        raise EngineError(f"CUDA: {text.value.decode() if text.value else f'error {status}'}")
