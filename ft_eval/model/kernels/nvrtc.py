"""NVRTC by ctypes: CUDA C++ in, machine code of one architecture out. Needs the library, and no GPU and no header.

PyTorch has a wrapper of its own, `torch.cuda._compile_kernel`; it asks for a CUDA toolkit's include folder, which a
machine with PyTorch's wheel alone doesn't have.
"""

import ctypes
import ctypes.util
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import torch

from ft_eval.errors import EngineError

_Program = ctypes.c_void_p


@cache
def library() -> ctypes.CDLL | None:
    """NVRTC, or None where there is none: PyTorch's own if it has one, else the system's."""
    for name in _candidates():
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue  # not there, or not for this machine: the next one
    return None


def _candidates() -> Iterator[str]:
    """Paths and names of the library; those of the CUDA version that PyTorch was built for first."""
    major = (torch.version.cuda or "").split(".")[0]
    found = [path for folder in _wheel_folders() for path in folder.glob("libnvrtc.so*")]
    yield from map(str, sorted(found, key=lambda path: (not path.name.endswith(f".so.{major}"), path.name)))
    yield from (f"libnvrtc.so.{number}" for number in dict.fromkeys((major, "13", "12")) if number)
    system = ctypes.util.find_library("nvrtc")
    if system:
        yield system


def _wheel_folders() -> Iterator[Path]:
    """Where NVIDIA's packages and PyTorch's wheel keep their libraries."""
    spec = find_spec("nvidia")
    for root in spec.submodule_search_locations or () if spec else ():
        yield from sorted(Path(root).glob("*/lib"))
    yield Path(torch.__file__).parent / "lib"


def compile_cubin(source: str, options: tuple[str, ...]) -> bytes:
    """Machine code of the source.

    Raises:
        EngineError: there is no NVRTC, or it refuses the source.
    """
    nvrtc = library()
    if nvrtc is None:
        raise EngineError(
            "no NVRTC found: it comes with PyTorch's CUDA wheels, or with `pip install nvidia-cuda-nvrtc`"
        )
    program = _Program()
    _check(nvrtc, nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"fused.cu", 0, None, None))
    try:
        encoded = [option.encode() for option in options]
        status = nvrtc.nvrtcCompileProgram(program, len(encoded), (ctypes.c_char_p * len(encoded))(*encoded))
        if status:
            log = _read(nvrtc, program, "ProgramLog").decode(errors="replace").strip("\0 \n")
            raise EngineError(f"NVRTC can't compile the kernels with {' '.join(options)}: {log or f'error {status}'}")
        return _read(nvrtc, program, "CUBIN")
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _read(nvrtc: ctypes.CDLL, program: _Program, what: str) -> bytes:
    size = ctypes.c_size_t()
    _check(nvrtc, getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
    buffer = ctypes.create_string_buffer(size.value)
    _check(nvrtc, getattr(nvrtc, f"nvrtcGet{what}")(program, buffer))
    return buffer.raw


def _check(nvrtc: ctypes.CDLL, status: int) -> None:
    if status:
        describe = nvrtc.nvrtcGetErrorString
        describe.restype = ctypes.c_char_p
        raise EngineError(f"NVRTC: {describe(status).decode()}")
