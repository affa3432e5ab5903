"""Every check and timing of the CUDA path in one run of under 8 minutes: captured graphs, kernels, no Triton.

    python benchmarks/gpu.py [--out FOLDER] [--seconds 450]
    python benchmarks/gpu.py --device cpu --tiny        the same on tiny shapes, for a machine without a GPU

Needs torch (2.11 or later), numpy, safetensors and this folder; no tokenizer, no data, no network. Writes gpu.json (or
gpu-cpu.json) after every section: machine, checks, timings. Exits 1 where a check failed, 2 where there is no GPU.
"""

# ruff: noqa: E402 — what must not be imported is refused before anything else is imported
import argparse
import importlib.abc
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
os.environ.update(CUBLAS_WORKSPACE_CONFIG=":4096:8", TRITON_CACHE_DIR=tempfile.mkdtemp(prefix="no-triton-"))
sys.path.insert(0, str(ROOT))


class NoTriton(importlib.abc.MetaPathFinder):
    """Refuses Triton to everyone, as if it weren't installed."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Raise for Triton; leave the rest to other finders."""
        if name.partition(".")[0] == "triton":
            raise ModuleNotFoundError(name)


class Absent(ModuleType):
    """Stands for a package that is imported for text, where there is no text."""

    def __getattr__(self, name: str) -> object:
        """Anything; nothing of it is called."""
        if name.startswith("__"):
            raise AttributeError(name)
        return object


sys.meta_path.insert(0, NoTriton())
try:
    import tokenizers  # noqa: F401 — only whether it is there
except ModuleNotFoundError:
    sys.modules["tokenizers"] = Absent("tokenizers")

import torch

from benchmarks.gpu_bench import BF16, SIZES, TINY, Bench
from benchmarks.gpu_checks import check_invariance, check_kernels, check_steps, check_triton
from benchmarks.gpu_times import time_copy, time_decode, time_prompts
from ft_eval.engine.graphs.backend import FtGraph
from ft_eval.model.kernels import flash


def sections(bench: Bench) -> list[tuple[str, Callable[[], None]]]:
    """Checks first, then timings, the dearest last."""
    sizes = {"tiny": TINY} if bench.tiny else SIZES
    found: list[tuple[str, Callable[[], None]]] = [
        ("kernels", lambda: check_kernels(bench)),
        ("steps", lambda: check_steps(bench)),
        ("invariance", lambda: check_invariance(bench)),
        ("copy", lambda: time_copy(bench)),
    ]
    for size, config in sizes.items():
        found.append((f"decode {size}", partial(time_decode, bench, size, config)))
        found.append((f"prompts {size}", partial(time_prompts, bench, size, config)))
    return [*found, ("no Triton", lambda: check_triton(bench))]


def describe(device: torch.device) -> dict[str, str]:
    """The machine and the versions."""
    found = {"python": platform.python_version(), "torch": torch.__version__, "machine": platform.machine()}
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        found |= {"gpu": torch.cuda.get_device_name(device), "capability": f"{major}.{minor}"}
        found |= {"cuda": str(torch.version.cuda), "flash_with_lengths": str(flash.flash_works(BF16, device))}
    return found | {"flash_num_splits": str(flash.flash_has("num_splits")), "backend": FtGraph.__name__}


def main() -> int:
    """Run all sections that there is time for; 0, 1 where a check failed, 2 without a GPU."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="tiny shapes, for a machine without a GPU")
    parser.add_argument("--seconds", type=float, default=450.0, help="no section begins later than this")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    arguments = parser.parse_args()
    if arguments.device.startswith("cuda") and not torch.cuda.is_available():
        print("no GPU here: nothing was run (--device cpu --tiny runs the checks on tiny shapes)")
        return 2
    device = torch.device(arguments.device)
    started = time.perf_counter()
    bench = Bench(device=device, tiny=arguments.tiny, deadline=started + arguments.seconds, out=arguments.out)
    bench.machine = describe(device)
    print(bench.machine, flush=True)
    with torch.inference_mode():
        for name, section in sections(bench):
            if name != "no Triton" and time.perf_counter() > bench.deadline:
                bench.skipped.append(name)
                continue
            begun = time.perf_counter()
            section()
            bench.time(f"section {name}", seconds=time.perf_counter() - begun)
            bench.write()
    print(f"skipped for want of time: {bench.skipped}" if bench.skipped else "nothing was skipped")
    return int(not all(check["passed"] for check in bench.checks.values()))


if __name__ == "__main__":
    sys.exit(main())
