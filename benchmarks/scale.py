"""Start-up, memory, loading, and what long prompts cost those that are being decoded: one table.

    python benchmarks/scale.py [--only startup,memory,loading,prefill,nested] [--repeats 3] [--requests 100000]

Each part runs in processes of its own. Seconds are by the clock, with the processor's own beside them, which other work
on the machine moves less. Python's bytecode is kept in a folder of its own and warmed first, as an installation has it.

    startup    ft-eval --help; tasks; a run of 2 documents on a model of 30M parameters; the same run again, done
    memory     a local task of 100,000 requests on a tiny model, through lm-eval, the log and the store
    loading    a sharded bfloat16 checkpoint with the matrices of an 8B Llama and fewer layers
    prefill    long prompts admitted while others are decoded: in passes, against each prompt at once
    nested     passages behind few-shot examples: prefixes behind prefixes, against one prefix per request
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCALE_PARTS = Path(__file__).with_name("scale_parts.py")
MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table."""

    what: str
    goal: str
    seen: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Where things lie, and how much is measured."""

    folder: Path
    repeats: int
    num_requests: int
    num_layers: int


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        bench = Bench(
            folder=Path(folder),
            repeats=arguments.repeats,
            num_requests=arguments.requests,
            num_layers=arguments.layers,
        )
        for name, part in PARTS.items():
            if not arguments.only or name in arguments.only.split(","):
                rows += part(bench)
                print(f"{name} is done", file=sys.stderr, flush=True)
    print(f"{os.cpu_count()} cores, {_processor()}, Python {platform.python_version()}; load {os.getloadavg()[0]:.1f}")
    for row in rows:
        print(f"{row.what:52} goal {row.goal:>12}   seen {row.seen:>26}   {row.note}")


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text(encoding="utf-8").splitlines() if line.startswith("model name")]
    return names[0].split(":", 1)[1].strip() if names else platform.machine()


def startup(bench: Bench) -> list[Row]:
    """Commands from nothing to their end."""
    path = _part(bench, "checkpoint", "30M")["path"]
    asked = ["run", "--ckpt", str(path), "--tasks", "toy_mmlu", "--limit", "2", "--offline", "--dtype", "float32"]
    _timed(bench, [*asked, "-o", str(bench.folder / "warm")])  # bytecode, the index of tasks, kernels
    _timed(bench, ["tasks"])
    runs = [_timed(bench, [*asked, "-o", str(bench.folder / f"run-{number}")]) for number in range(bench.repeats)]
    done = [_timed(bench, [*asked, "-o", str(bench.folder / "run-0")]) for _ in range(bench.repeats)]
    return [
        _startup_row("ft-eval --help", "0.3 s", [_timed(bench, ["--help"]) for _ in range(bench.repeats)]),
        _startup_row("ft-eval tasks", "2 s", [_timed(bench, ["tasks"]) for _ in range(bench.repeats)]),
        _startup_row("run of 2 documents, 30M parameters", "5 s", runs),
        _startup_row("the same run, done", "5 s", done),
    ]


def _startup_row(what: str, goal: str, seconds: list[tuple[float, float]]) -> Row:
    clock, processor = (statistics.median(column) for column in zip(*seconds, strict=True))
    best = min(wall for wall, _ in seconds)
    return Row(what=what, goal=goal, seen=f"{clock:.2f} s", note=f"least {best:.2f} s, processor {processor:.2f} s")


def _timed(bench: Bench, arguments: list[str]) -> tuple[float, float]:
    """Seconds of a command by the clock and of the processor."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [str(Path(sys.executable).with_name("ft-eval")), *arguments]
    subprocess.run(command, check=True, capture_output=True, env=_environment(bench))
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _environment(bench: Bench) -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPYCACHEPREFIX": str(bench.folder / "bytecode"), "HF_HUB_OFFLINE": "1"}


def _part(bench: Bench, *arguments: str) -> dict[str, Any]:
    """What a part said, run in a process of its own."""
    command = [sys.executable, str(SCALE_PARTS), str(bench.folder), *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=_environment(bench))
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def memory(bench: Bench) -> list[Row]:
    """What 100,000 requests take beside the model."""
    found = _part(bench, "memory", str(bench.num_requests))
    note = f"before {found['before'] / MIB:.0f} MiB, most {found['peak'] / MIB:.0f} MiB; {found['seconds']:.0f} s"
    grown = (found["peak"] - found["before"]) / MIB
    return [
        Row(what=f"harness, {found['num_requests']:,} requests", goal="1024 MiB", seen=f"{grown:.0f} MiB", note=note)
    ]


def loading(bench: Bench) -> list[Row]:
    """What a sharded checkpoint takes."""
    made = _part(bench, "shards", str(bench.num_layers))
    rows = []
    for kind, goal in (("mapped", "0"), ("packed", "1")):
        found = _part(bench, "loading", kind)
        copies = found["private"] / made["num_bytes"]
        what = f"{made['num_bytes'] / 2**30:.1f} GiB in {made['num_shards']} shards, {kind}"
        note = f"{found['seconds']:.1f} s; private {found['private'] / MIB:.0f} MiB, all {found['peak'] / MIB:.0f} MiB"
        rows.append(Row(what=what, goal=f"{goal} copies", seen=f"{copies:.2f} copies", note=note))
    return rows


def prefill(bench: Bench) -> list[Row]:
    """How long those under way wait for a token while long prompts come in."""
    _part(bench, "checkpoint", "30M")
    found = _part(bench, "prefill", str(bench.repeats))
    waits = f"{found['wait_passes']:.2f} s for {found['wait_whole']:.2f} s"
    total = found["seconds_passes"] / found["seconds_whole"]
    return [
        Row(what="longest wait for a token, passes for whole", goal="less", seen=waits, note="the same texts"),
        Row(what="seconds in all, passes over whole", goal="1.0 ×", seen=f"{total:.2f} ×"),
    ]


def nested(bench: Bench) -> list[Row]:
    """Few-shot examples, passages, questions, choices."""
    _part(bench, "checkpoint", "30M")
    found = _part(bench, "nested", str(bench.repeats))
    ratio = found["seconds_single"] / found["seconds_nested"]
    note = f"largest |Δ log p| {found['gap_nats']:.1e}, {found['num_changed']} other choices"
    return [
        Row(what="passages behind few-shots, one prefix over nested", goal="> 1 ×", seen=f"{ratio:.2f} ×", note=note)
    ]


PARTS: Mapping[str, Callable[[Bench], list[Row]]] = {
    "startup": startup,
    "memory": memory,
    "loading": loading,
    "prefill": prefill,
    "nested": nested,
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--layers", type=int, default=2, help="of the sharded checkpoint")
    parser.add_argument("--folder", help="where to put several GB for a while")
    return parser.parse_args()


if __name__ == "__main__":
    main()
