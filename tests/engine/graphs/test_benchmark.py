"""The GPU benchmark runs all of its checks on a machine without a GPU, and needs little to be installed."""

import json
import subprocess
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[3]
BARE = """
import importlib.abc, runpy, sys

class Bare(importlib.abc.MetaPathFinder):
    gone = {"tokenizers", "pydantic", "lm_eval", "evalplus", "datasets", "transformers", "click", "rich"}

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.gone:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Bare())
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    script = f"import sys; sys.argv = {[str(ROOT / 'benchmarks' / 'gpu.py'), *arguments]!r}\n{BARE}"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)


def test_every_check_passes_on_tiny_shapes(tmp_path):
    done = run("--device", "cpu", "--tiny", "--out", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "gpu-cpu.json").read_text())
    assert found["machine"]["torch"] == torch.__version__
    assert found["skipped"] == []
    assert {check["passed"] for check in found["checks"].values()} == {True}
    kinds = {name.split()[0] for name in found["checks"]}
    assert kinds == {"kernel", "step", "tokens", "replays", "row", "no"}
    kinds = {name.split()[0] for name in found["timings"]}
    assert kinds >= {"copy", "decode", "latent", "prefill", "scoring"}


def test_without_a_gpu_it_says_so_in_one_line():
    if torch.cuda.is_available():
        return
    done = run()
    assert done.returncode == 2
    assert done.stdout.splitlines() == [
        "no GPU here: nothing was run (--device cpu --tiny runs the checks on tiny shapes)"
    ]
