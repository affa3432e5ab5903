"""What must hold on a GPU, or on tiny shapes anywhere: fused operators, captured steps, bits of a row, no Triton."""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._inductor import metrics

from benchmarks.gpu_bench import BF16, FP32, SIZES, TINY, Bench, Decoding, build
from ft_eval.engine.graphs.rewrite import count_operators
from ft_eval.engine.graphs.runner import DecodeGraphs, GraphCompiler, GraphOptions
from ft_eval.model.kernels import plain
from ft_eval.model.noise import NoiseKey, prior_codes


def kernel_calls(bench: Bench, dtype: torch.dtype) -> dict[str, Callable[[Any, int], object]]:
    """Each fused operator on the same numbers: of a side (fused or plain), writing to that side's caches."""
    width, num_codes, device = (64, 32, bench.device) if bench.tiny else (4096, 1024, bench.device)
    x, y = torch.randn(2, 33, 1, width, dtype=dtype, device=device)
    weight = torch.randn(width, dtype=dtype, device=device)
    table = torch.randn(num_codes, width, dtype=dtype, device=device)
    codes = torch.randint(-1, num_codes, (33, 1), device=device)
    heads = torch.randn(33, 1, 12, 32, dtype=dtype, device=device)
    angles = torch.randn(33, 1, 1, 32, device=device)
    turned = (heads, heads[:, :, :4], heads[:, :, 4:8], angles.cos().to(dtype), angles.sin().to(dtype))
    place = torch.randint(64, (33, 1), device=device)
    caches = [torch.zeros(2, 33, 4, 64, 32, dtype=dtype, device=device) for _ in range(2)]
    lse = torch.randn(2, 33, 1, device=device)
    lse[0, 0], lse[1, 1], lse[:, 2] = -torch.inf, -torch.inf, -torch.inf
    return {
        "add_rms_norm": lambda side, _: side.add_rms_norm(x, y, weight, 1e-6),
        "free_dual_norm": lambda side, _: side.free_dual_norm(x, codes, table, weight, 1e-6),
        "silu_mul": lambda side, _: side.silu_mul(x, y),
        "merge_lse": lambda side, _: side.merge_lse(x, lse[0], y, lse[1]),
        "rope_kv_write": lambda side, i: (side.rope_kv_write(*turned, place, *caches[i]), caches[i]),
    }


def check_kernels(bench: Bench) -> None:
    """Each fused operator against plain PyTorch, in both types."""
    for dtype, tolerance in ((FP32, 1e-5), (BF16, 2e-2)):
        for name, call in kernel_calls(bench, dtype).items():
            found, expected = (call(side, index) for index, side in enumerate((torch.ops.ft, plain)))
            pairs = zip(*((side,) if isinstance(side, Tensor) else side for side in (found, expected)), strict=True)
            worst = max(float((a.float() - b.float()).abs().max() / b.float().abs().max()) for a, b in pairs)
            bench.check(f"kernel {name} {dtype}", passed=worst <= tolerance, relative_error=worst)
    keys = [NoiseKey(seed=3, item=str(number), draw=number) for number in range(5)]
    words = torch.tensor([key.words for key in keys], device=bench.device)
    drawn = torch.ops.ft.philox_codes(words, torch.arange(5, device=bench.device), 0, 1000, 16).cpu()
    same = torch.equal(drawn, torch.stack([prior_codes(key, 1000, 1 << 16) for key in keys]))
    bench.check("kernel philox_codes", passed=same)


def check_steps(bench: Bench) -> None:
    """The compiled and replayed step against the model, tokens, and operators per block."""
    length = 24 if bench.tiny else 200
    base = TINY if bench.tiny else replace(TINY, hidden_size=512, num_heads=8, head_dim=64, intermediate_size=1024)
    for arm, config in (("latent", base), ("baseline", replace(base, latent=None))):
        for dtype, tolerance in ((FP32, 1e-4), (BF16, 5e-2)):
            name, model = f"{arm} {dtype}", build(bench, config, dtype)
            compiler = GraphCompiler.for_model(model)
            ours, theirs = (Decoding(bench, model, num_rows=8, length=length) for _ in range(2))
            graphs = DecodeGraphs(model, ours.cache, compiler=compiler)
            found, expected = graphs.step(*ours.inputs(ours.first, 0)), theirs.eager(*theirs.inputs(ours.first, 0))
            worst = float((found - expected).abs().max() / expected.abs().max())
            counts = dict(count_operators(compiler.backend.modules[0]))
            bench.check(f"step {name}", passed=worst <= tolerance, relative_error=worst, operators=counts)
            steps = 8 if bench.tiny else 32
            agree = float((ours.run(graphs.step, steps) == theirs.run(theirs.eager, steps)).float().mean())
            bench.check(f"tokens {name}", passed=agree == 1.0 or dtype == BF16, share_equal=agree)
            bench.check(
                f"replays {name}", passed=graphs.counters.replays == steps, recordings=graphs.counters.recordings
            )


def check_invariance(bench: Bench) -> None:
    """Whether a row's bits hang on how many rows there are: with one fixed shape they must not."""
    num_rows, matmul = 4 if bench.tiny else 32, torch.backends.cuda.matmul
    matmul.allow_bf16_reduced_precision_reduction = (False, False)  # nor sums cut in parts; see docs/gpu.md
    for dtype in (FP32, BF16):
        model = build(bench, TINY if bench.tiny else replace(SIZES["1.5B"], num_layers=4), dtype)
        for fixed in (True, False):
            compiler = GraphCompiler.for_model(model, GraphOptions(fixed_shapes=fixed))
            hidden = []
            for rows in (num_rows, 1, num_rows // 2):
                decoding = Decoding(bench, model, num_rows=num_rows, length=16)
                graphs = DecodeGraphs(model, decoding.cache, compiler=compiler)
                hidden.append(graphs.step(*decoding.inputs(decoding.first[:rows], 0))[0].clone())
            same = all(torch.equal(row, hidden[0]) for row in hidden)
            worst = max(float((row - hidden[0]).abs().max()) for row in hidden)
            name = f"row bits {'fixed shapes' if fixed else 'bucketed (told, not asked)'} {dtype}"
            bench.check(name, passed=same or not fixed, equal=same, largest_difference=worst)
    matmul.allow_bf16_reduced_precision_reduction = (True, True)  # PyTorch's own choice, for the timings


def check_triton(bench: Bench) -> None:
    """Nothing of Triton was imported, generated or stored; on a GPU, no such kernel ran in a step."""
    kernels: list[str] = []
    if bench.device.type == "cuda":
        decoding = Decoding(bench, build(bench, TINY, BF16), num_rows=8, length=16)
        graphs = DecodeGraphs(decoding.model, decoding.cache)
        graphs.step(*decoding.inputs(decoding.first, 0))
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
            graphs.step(*decoding.inputs(decoding.first, 1))
            bench.wait()
        kernels = [event.name for event in profile.events()]
    passed = {
        "not imported": "triton" not in sys.modules,
        "no Inductor kernel": metrics.generated_kernel_count == 0,
        "nothing cached": not any(Path(os.environ["TRITON_CACHE_DIR"]).iterdir()),
        "no kernel of that name": not any("triton" in name for name in kernels),
    }
    bench.check(
        "no Triton", passed=all(passed.values()), **passed, kernels_of_a_step=len(kernels), names=sorted(set(kernels))
    )
