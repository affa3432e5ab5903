"""The kernels as host code: `fused.cu` itself, compiled by g++, a block's threads taking turns at each barrier.

What can be checked without a GPU: their indices, their arithmetic, their rounding and their order of sums.
"""

import ctypes
import re
import subprocess
from ctypes import c_float, c_int, c_longlong, c_void_p
from pathlib import Path

import torch
from torch import Tensor

from ft_eval.model.kernels.source import KERNELS, THREADS, source


class HostModule:
    """The same launches as `driver.Module`, on CPU tensors."""

    def __init__(self, dtype: torch.dtype, folder: Path) -> None:
        here = Path(__file__).parent
        program = folder / "fused.cpp"
        program.write_text(source() + "".join(map(_launcher, KERNELS)))
        library = folder / "fused.so"
        command = ["g++", "-O1", "-shared", "-fPIC", "-ffp-contract=off", "-w", f"-DFT_THREADS={THREADS}"]
        command += ["-DFT_BF16"] * (dtype == torch.bfloat16)
        command += ["-include", str(here / "emulation.hpp"), str(program), "-o", str(library)]
        subprocess.run(command, check=True)
        self._library = ctypes.CDLL(str(library))
        self.launches: list[str] = []

    def launch(self, name: str, grid: tuple[int, int], *arguments: object) -> None:
        """Run the kernel block by block, thread by thread."""
        self.launches.append(name)
        for argument, parameter in zip(arguments, _parameters(name), strict=True):
            assert _fits(argument, parameter), f"{name}: {argument} for {parameter}"
        values = [c_void_p(a.data_ptr()) if isinstance(a, Tensor) else a for a in arguments]
        getattr(self._library, f"run_{name}")(*grid, *values)


def _fits(argument: object, parameter: str) -> bool:
    """Whether the argument has the size in memory that the driver reads for this parameter."""
    if "*" in parameter:
        return isinstance(argument, Tensor) and argument.device.type == "cpu"
    kinds = {"int": c_int, "long long": c_longlong, "float": c_float}
    return isinstance(argument, kinds[parameter.rpartition(" ")[0]])


def _parameters(name: str) -> list[str]:
    found = re.search(rf"void {name}\((.*?)\)", source(), re.DOTALL)
    assert found, name
    return [" ".join(parameter.split()) for parameter in found[1].split(",")]


def _launcher(name: str) -> str:
    """C that takes the arguments, keeps them where the fibers find them, and runs the grid."""
    parameters = _parameters(name)
    names = [parameter.split()[-1].lstrip("*") for parameter in parameters]
    kept = "".join(f"static {p.removesuffix(n)}{name}_{n};\n" for p, n in zip(parameters, names, strict=True))
    copies = "".join(f"{name}_{n} = {n};" for n in names)
    call = ", ".join(f"{name}_{n}" for n in names)
    arguments = ", ".join(parameters)
    return (
        f"\n{kept}static void body_{name}() {{ {name}({call}); }}\n"
        f'extern "C" void run_{name}(int num_x, int num_y, {arguments}) {{\n'
        f"{copies} run_grid(num_x, num_y, body_{name}); }}\n"
    )
