"""Linear layers: F.linear against the candidates to replace it, side by side, on the shapes of a small Llama.

    python benchmarks/packing.py [--dtype float32] [--threads 1] [--hidden 768 --intermediate 2048 --vocab 32000]

A cell is the median of F.linear's time over the candidate's, so above 1 the candidate is faster. The candidates take
turns, call by call, on as many layers as overflow the caches. With one thread a call's own processor time is taken,
which other work on the machine hardly moves; with more, the fastest tenth by the clock.

    plain     F.linear, in µs
    packed    oneDNN's packed weights (ft_eval.model.packed)
    mkl       MKL's packed weights: one layout per number of rows, and the plain weights beside them
    int8      int8 weights (bf16 only)
    fused     the packed layers of one input as one product, against the packed layers one by one
"""

import argparse
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ft_eval.environment import collect_environment
from ft_eval.model.packed import FusedLinear, Int8Linear, PackedLinear
from ft_eval.model.steadiness import unsteady_row_counts

ROW_COUNTS = (1, 4, 8, 16, 32, 64, 256, 1024)
MOST_READOUT_ROWS = 64
CACHE_BYTES = 24e6
"""Weights of each candidate: together they are more than a core's caches hold."""

Multiply = Callable[[Tensor], object]
Candidates = dict[str, Sequence[Multiply]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A linear layer's shape and how many of it a model of 12 blocks has."""

    name: str
    out_features: int
    in_features: int
    num_layers: int


def main() -> int:
    """Measure and print."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    environment = collect_environment()
    print(f"{environment.processor}; torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}")
    with torch.inference_mode():
        for dtype in (getattr(torch, name) for name in arguments.dtype.split(",")):
            _measure_layers(dtype, arguments)
            _measure_fused(dtype, arguments)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", default="float32,bfloat16")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.4, help="per cell")
    parser.add_argument("--hidden", type=int, default=768)
    parser.add_argument("--kv", type=int, default=256, help="num_kv_heads · head_dim")
    parser.add_argument("--intermediate", type=int, default=2048)
    parser.add_argument("--vocab", type=int, default=32000)
    return parser.parse_args()


def _shapes(arguments: argparse.Namespace) -> tuple[Shape, ...]:
    D, kv, width, vocab = arguments.hidden, arguments.kv, arguments.intermediate, arguments.vocab
    return (
        Shape(name="q, o", out_features=D, in_features=D, num_layers=24),
        Shape(name="k, v", out_features=kv, in_features=D, num_layers=24),
        Shape(name="gate, up", out_features=width, in_features=D, num_layers=24),
        Shape(name="down", out_features=D, in_features=width, num_layers=12),
        Shape(name="readout", out_features=vocab, in_features=D, num_layers=1),
    )


def _measure_layers(dtype: torch.dtype, arguments: argparse.Namespace) -> None:
    names = ("packed", "mkl") if dtype == torch.float32 else ("packed", "int8")
    print(
        f"\n{dtype}, {arguments.threads} thread(s); unsteady: batch sizes whose rows have other bits than in one of 48"
    )
    print(f"{'layer':28} {'rows':>5} {'plain µs':>9} " + " ".join(f"{name:>7}" for name in names))
    totals: dict[int, Counter[str]] = {}
    for shape in _shapes(arguments):
        linears = [linear for (linear,) in _layers([shape.out_features], shape.in_features, dtype)]
        candidates = _candidates(linears)
        for num_rows in ROW_COUNTS:
            if shape.name == "readout" and num_rows > MOST_READOUT_ROWS:
                continue
            seconds = _race(_with_mkl(candidates, linears, num_rows), _rows(num_rows, shape, dtype), arguments)
            _print_row(f"{shape.name} {shape.out_features} × {shape.in_features}", num_rows, seconds, names)
            total = totals.setdefault(num_rows, Counter())
            total.update({name: shape.num_layers * seconds.get(name, seconds["plain"]) for name in ("plain", *names)})
        plain, packed = unsteady_row_counts(linears[0])
        print(f"{'':28} unsteady: plain {sorted(plain) or 'none'}, packed {sorted(packed) or 'none'}")
    for num_rows, total in totals.items():
        with_readout = " and readout" if num_rows <= MOST_READOUT_ROWS else ""
        _print_row(f"12 blocks{with_readout}", num_rows, total, names)


def _measure_fused(dtype: torch.dtype, arguments: argparse.Namespace) -> None:
    D, kv, width = arguments.hidden, arguments.kv, arguments.intermediate
    print(f"{'one product for':28} {'rows':>5} {'apart µs':>9} {'fused':>7}")
    for name, sizes in (("q, k, v", (D, kv, kv)), ("gate, up", (width, width))):
        groups = _layers(sizes, D, dtype)
        apart = [_apart([PackedLinear(linear) for linear in group]) for group in groups]
        candidates: Candidates = {"plain": apart, "fused": [FusedLinear(group) for group in groups]}
        shape = Shape(name=name, out_features=sum(sizes), in_features=D, num_layers=12)
        for num_rows in ROW_COUNTS:
            seconds = _race(candidates, _rows(num_rows, shape, dtype), arguments)
            _print_row(name, num_rows, seconds, ("fused",))


def _apart(layers: Sequence[nn.Module]) -> Multiply:
    return lambda x: [layer(x) for layer in layers]


def _rows(num_rows: int, shape: Shape, dtype: torch.dtype) -> Tensor:
    return torch.randn(num_rows, shape.in_features).to(dtype)


def _layers(sizes: Sequence[int], in_features: int, dtype: torch.dtype) -> list[list[nn.Linear]]:
    """As many groups of layers of these output sizes as overflow the caches, at least two groups."""
    num_bytes = sum(sizes) * in_features * dtype.itemsize
    num_groups = max(2, min(24, int(CACHE_BYTES / num_bytes)))
    return [[_layer(size, in_features, dtype) for size in sizes] for _ in range(num_groups)]


def _layer(out_features: int, in_features: int, dtype: torch.dtype) -> nn.Linear:
    return nn.Linear(in_features, out_features, bias=False, dtype=dtype)


def _candidates(linears: Sequence[nn.Linear]) -> Candidates:
    candidates: Candidates = {"plain": linears, "packed": [PackedLinear(linear) for linear in linears]}
    if linears[0].weight.dtype == torch.bfloat16:
        candidates["int8"] = [Int8Linear(linear) for linear in linears]
    return candidates


def _with_mkl(candidates: Candidates, linears: Sequence[nn.Linear], num_rows: int) -> Candidates:
    if linears[0].weight.dtype != torch.float32 or num_rows > MOST_READOUT_ROWS:
        return candidates
    return candidates | {"mkl": [_mkl(linear.weight, num_rows) for linear in linears]}


def _mkl(weight: Tensor, num_rows: int) -> Multiply:
    packed = torch.ops.mkl._mkl_reorder_linear_weight(weight, num_rows)  # noqa: SLF001 - there is no public one
    return lambda x: torch.ops.mkl._mkl_linear(x, packed, weight, None, num_rows)  # noqa: SLF001 - as above


def _race(candidates: Candidates, x: Tensor, arguments: argparse.Namespace) -> dict[str, float]:
    """Seconds of a call per candidate."""
    clock = time.thread_time if arguments.threads == 1 else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for calls in candidates.values():
        calls[0](x)
    started = time.perf_counter()
    while time.perf_counter() - started < arguments.seconds or len(times["plain"]) < 5:
        for name, calls in candidates.items():
            for call in calls:
                before = clock()
                call(x)
                times[name].append(clock() - before)
    if arguments.threads == 1:
        return {name: statistics.median(taken) for name, taken in times.items()}
    return {name: sorted(taken)[len(taken) // 10] for name, taken in times.items()}


def _print_row(label: str, num_rows: int, seconds: Mapping[str, float], names: Sequence[str]) -> None:
    ratios = [f"{seconds['plain'] / seconds[name]:7.2f}" if name in seconds else f"{'–':>7}" for name in names]
    print(f"{label:28} {num_rows:5} {seconds['plain'] * 1e6:9.0f} {' '.join(ratios)}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
