"""The compiled path neither imports Triton nor makes a kernel for it."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
HARNESS = """
import importlib.abc, json, os, sys

class NoTriton(importlib.abc.MetaPathFinder):
    asked = 0

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "triton":
            NoTriton.asked += 1
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, NoTriton())
import torch
"""
COMPILED = """
from ft_eval.engine.graphs.runner import DecodeGraphs, GraphCompiler, GraphOptions
from tests.model.tiny import random_codes, random_tokens, tiny_model

model = tiny_model(num_layers=2)
compiler = GraphCompiler.for_model(model, GraphOptions(lengths=True))
with torch.inference_mode():
    graphs = DecodeGraphs(model, model.new_cache(4, 64), compiler=compiler)
    for position in range(4):
        graphs.step(random_tokens(4, 1), torch.full((4, 1), position), random_codes(4, 1))

import torch._inductor.metrics
print(json.dumps({
    "triton": "triton" in sys.modules,
    "inductor_kernels": torch._inductor.metrics.generated_kernel_count,
    "cache": os.listdir(os.environ["TRITON_CACHE_DIR"]),
    "graphs": torch._dynamo.utils.counters["stats"]["unique_graphs"],
    "breaks": sum(torch._dynamo.utils.counters["graph_break"].values()),
    "replays": graphs.counters.replays,
}))
"""
CONTROL = """
try:
    import triton
except ModuleNotFoundError:
    print(json.dumps({"refused": NoTriton.asked}))
"""


def run(script: str, folder: Path) -> dict[str, object]:
    """What the script prints at its end, with an installed package of that name in its way."""
    packages = folder / "packages" / "triton"
    packages.mkdir(parents=True)
    (packages / "__init__.py").write_text("")
    kernels = folder / "kernels"
    kernels.mkdir()
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "PYTHONPATH": f"{ROOT}:{folder / 'packages'}",
        "TRITON_CACHE_DIR": str(kernels),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", HARNESS + script],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_the_compiled_step_runs_where_triton_cannot_be_imported(tmp_path):
    found = run(COMPILED, tmp_path)
    assert found == {
        "triton": False,
        "inductor_kernels": 0,
        "cache": [],
        "graphs": 1,
        "breaks": 0,
        "replays": 3,
    }


def test_the_harness_refuses_an_installed_triton(tmp_path):
    refused = run(CONTROL, tmp_path)["refused"]
    assert isinstance(refused, int)
    assert refused >= 1
