"""From the kernels' source to a loaded library: compiled once per machine, compiler and source, then read from disk.

Knows what is called; knows no tensor.
"""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import torch

from ft_eval.resources import user_cache_dir

_FLAGS = (
    "-O3",
    "-std=c++17",
    "-march=native",
    "-fopenmp",
    "-fPIC",
    "-shared",
    "-fno-math-errno",
    "-ffp-contract=off",  # sums and products are joined where the source says so, on any compiler
    "-w",
)
_MAIN = "decode.cpp"
_HEADERS = (
    "amx.h",
    "attention.h",
    "attention_many.h",
    "linear.h",
    "numbers.h",
    "panels.h",
    "pieces.h",
    "prefill.h",
    "readout.h",
)
_TIMEOUT_SECONDS = 120


class LinearStruct(ctypes.Structure):
    """`Linear` of decode.cpp."""

    _fields_ = (
        ("weight", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
        ("num_outputs", ctypes.c_int64),
        ("num_inputs", ctypes.c_int64),
    )


@dataclass(frozen=True, slots=True)
class Library:
    """The kernels, loaded."""

    handle: ctypes.CDLL
    has_bf16: bool
    """Whether there are kernels for bfloat16 that nothing here beats: by AMX, or by AVX512_BF16 without AMX."""

    def supports(self, dtype: torch.dtype) -> bool:
        """Whether there are kernels for that type."""
        return dtype == torch.float32 or (dtype == torch.bfloat16 and self.has_bf16)


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Why there are no kernels here, in half a sentence."""

    reason: str


@cache
def load_library() -> Library | Unavailable:
    """The kernels, compiled first where this machine has not done so yet; once per process."""
    capability = torch.backends.cpu.get_cpu_capability()
    if platform.machine() not in ("x86_64", "AMD64") or not capability.startswith("AVX512"):
        return Unavailable(f"the kernels need AVX-512, and this CPU offers {capability}")
    compiler = next(filter(None, map(shutil.which, (os.environ.get("CXX") or "c++", "g++", "clang++"))), None)
    if compiler is None:
        return Unavailable("no C++ compiler is on the PATH")
    try:
        handle = _open(compiler)
    except (OSError, subprocess.SubprocessError) as error:
        return Unavailable(f"{compiler} could not build the kernels: {_said(error)}")
    handle.ft_has_bf16.restype = ctypes.c_int64
    return Library(handle, handle.ft_has_bf16() > ("amx_bf16" in _processor()))


def _open(compiler: str) -> ctypes.CDLL:
    """The library from disk, where one lies that is whole; else made, and kept if it loads.

    Its file is named after what it was made from and after its own bytes: one that was cut short is never mapped.
    """
    folder, key = _folder(), _key(compiler)
    for path in folder.glob(f"{key}-*.so"):
        if path.stem == f"{key}-{_digest(path)}":
            return ctypes.CDLL(str(path))
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            built = _compile(compiler, Path(scratch))
            handle = ctypes.CDLL(str(built))
            built.replace(folder / f"{key}-{_digest(built)}.so")
            return handle
    except PermissionError:  # a home that can't be written: every process compiles for itself
        with tempfile.TemporaryDirectory() as scratch:
            return ctypes.CDLL(str(_compile(compiler, Path(scratch))))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:24]


def _compile(compiler: str, folder: Path) -> Path:
    for name, text in _sources().items():
        (folder / name).write_text(text, encoding="utf-8")
    built = folder / "decode.so"
    command = [compiler, *_FLAGS, str(folder / _MAIN), "-o", str(built)]
    subprocess.run(command, check=True, capture_output=True, timeout=_TIMEOUT_SECONDS)  # noqa: S603 — the user's own compiler
    return built


def _folder() -> Path:
    return user_cache_dir() / "kernels"


def _key(compiler: str) -> str:
    """What the machine code hangs on: the source, the flags, the compiler and the processor."""
    version = subprocess.run([compiler, "--version"], check=True, capture_output=True, timeout=_TIMEOUT_SECONDS)  # noqa: S603 — as above
    text = "\n".join((*_sources().values(), *_FLAGS, compiler, version.stdout.decode(errors="replace"), _processor()))
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _sources() -> dict[str, str]:
    """The kernels' files, by name."""
    folder = files(__package__)
    return {name: folder.joinpath(name).read_text(encoding="utf-8") for name in (_MAIN, *_HEADERS)}


@cache
def _processor() -> str:
    """The processor's name and what it can, as Linux tells it; empty elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    told = {line.partition("\t")[0]: line for line in reversed(lines) if line.startswith(("model name", "flags"))}
    return "\n".join(told.values())


def _said(error: Exception) -> str:
    """The first line of what a compiler or the loader said."""
    output = getattr(error, "stderr", None)
    text = output.decode(errors="replace") if output else str(error)
    return next((line for line in text.splitlines() if line.strip()), type(error).__name__)
