"""Every check and timing of the CUDA path in one run of under 8 minutes: captured graphs, kernels, no Triton.

    python benchmarks/gpu.py [--out FOLDER] [--seconds 450]
    python benchmarks/gpu.py --device cpu --tiny        the same on tiny shapes, for a machine without a GPU

Needs torch (2.11 or later), numpy, safetensors and this folder; no tokenizer, no data, no network. Writes gpu.json (or
gpu-cpu.json) after every section: machine, checks, timings. Exits 1 where a check failed, 2 where there is no GPU.
"""

# ruff: noqa: E402 — what must not be imported is refused before anything else is imported
import argparse
import gc
import importlib.abc
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

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
from torch import Tensor
from torch._inductor import metrics

from ft_eval.engine.graphs.backend import FtGraph
from ft_eval.engine.graphs.rewrite import count_operators
from ft_eval.engine.graphs.runner import DecodeGraphs, GraphCompiler, GraphOptions
from ft_eval.engine.latents import LatentSampler
from ft_eval.engine.prefix_store import PrefixStore
from ft_eval.engine.readout import TorchReadout
from ft_eval.engine.requests import BatchLimits, ScoringRequest
from ft_eval.engine.score import Scorer
from ft_eval.model.cache import cache_bytes_per_token
from ft_eval.model.config import LatentConfig, ModelConfig
from ft_eval.model.kernels import flash, plain
from ft_eval.model.noise import NoiseKey, prior_codes
from ft_eval.model.transformer import Transformer

FP32, BF16 = torch.float32, torch.bfloat16
LATENT = LatentConfig(num_bits=16)
_TINY = ModelConfig(
    vocab_size=97, hidden_size=64, num_layers=2, num_heads=4, num_kv_heads=2, head_dim=16, intermediate_size=96,
    max_position_embeddings=512, latent=LatentConfig(num_bits=5),
)  # fmt: skip
SIZES = {
    "1.5B": ModelConfig(
        vocab_size=151936, hidden_size=1536, num_layers=28, num_heads=12, num_kv_heads=2, head_dim=128, latent=LATENT,
        intermediate_size=8960, max_position_embeddings=4096, tie_embeddings=True, qkv_bias=True,
    ),
    "8B": ModelConfig(
        vocab_size=128256, hidden_size=4096, num_layers=32, num_heads=32, num_kv_heads=8, head_dim=128, latent=LATENT,
        intermediate_size=14336, max_position_embeddings=4096, rope_theta=500000.0,
    ),
}  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Bench:
    """Where it runs, how long it may, and what was found."""

    device: torch.device
    tiny: bool
    deadline: float
    out: Path
    machine: dict[str, str] = field(default_factory=dict)
    checks: dict[str, dict[str, object]] = field(default_factory=dict)
    timings: dict[str, dict[str, float]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    copy_bytes_per_second: float = 0.0

    def check(self, name: str, *, passed: bool, **detail: object) -> None:
        """Note whether something holds."""
        self.checks[name] = {"passed": passed, **detail}
        print(f"{'ok  ' if passed else 'FAIL'} {name} {detail}", flush=True)

    def time(self, name: str, **figures: float) -> None:
        """Note figures."""
        self.timings[name] = figures
        print(f"     {name} " + " ".join(f"{key}={value:.6g}" for key, value in figures.items()), flush=True)

    def write(self) -> None:
        """Put all that was found where it can be read."""
        self.out.mkdir(parents=True, exist_ok=True)
        found = {key: value for key, value in asdict(self).items() if key not in ("deadline", "device", "out")}
        name = "gpu.json" if self.device.type == "cuda" else "gpu-cpu.json"
        (self.out / name).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")

    def seconds(self, function: Callable[[], object], repeats: int = 1) -> float:
        """Seconds of one call, the device's work included."""
        self.wait()
        started = time.perf_counter()
        for _ in range(repeats):
            function()
        self.wait()
        return (time.perf_counter() - started) / repeats

    def wait(self) -> None:
        """Until the device is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def build(bench: Bench, config: ModelConfig, dtype: torch.dtype) -> Transformer:
    """A random model, made where it runs; norms and biases are random too."""
    with torch.device("meta"):
        model = Transformer(config)
    model = model.to(dtype).to_empty(device=bench.device).requires_grad_(requires_grad=False).eval()
    model.tie_weights()
    generator = torch.Generator(device=bench.device).manual_seed(0)
    for name, parameter in model.named_parameters():
        parameter.normal_(std=config.hidden_size**-0.5, generator=generator)
        if name.endswith("norm.weight"):
            parameter.add_(1.0)
    return model


class Decoding:
    """Greedy decoding of random prompts, eager or by graphs."""

    def __init__(self, bench: Bench, model: Transformer, *, num_rows: int, length: int, steps: int = 0) -> None:
        self.bench, self.model, self.length = bench, model, length
        self.cache = model.new_cache(num_rows, length + (steps or 64))
        generator = torch.Generator(device=bench.device).manual_seed(1)
        size, config = (num_rows, length), model.config
        tokens = torch.randint(config.vocab_size, size, device=bench.device, generator=generator)
        self.codes = None
        if config.latent is not None:
            keys = [NoiseKey(seed=0, item=str(row)) for row in range(num_rows)]
            codes = [prior_codes(key, self.cache.max_length, config.latent.num_codes) for key in keys]
            self.codes = torch.stack(codes).to(bench.device)
        codes_before = None if self.codes is None else self.codes[:, :length]
        hidden = model(tokens, codes=codes_before, cache=self.cache)
        self.first = model.logits(hidden[:, -1]).argmax(-1, keepdim=True)

    def inputs(self, tokens: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """Tokens, positions and codes of a step."""
        position = self.length + step
        codes = None if self.codes is None else self.codes[: len(tokens), position : position + 1]
        return tokens, torch.full_like(tokens, position), codes

    def eager(self, tokens: Tensor, positions: Tensor, codes: Tensor | None) -> Tensor:
        """A step of the model itself."""
        cache = self.cache.rows(0, len(tokens))
        hidden: Tensor = self.model(tokens, codes=codes, positions=positions, cache=cache)
        return hidden

    def run(self, step: Callable[..., Tensor], num_steps: int) -> Tensor:
        """The tokens of some steps, (B, steps)."""
        tokens, found = self.first, []
        for number in range(num_steps):
            tokens = self.model.logits(step(*self.inputs(tokens, number))[:, 0]).argmax(-1, keepdim=True)
            found.append(tokens)
        return torch.cat(found, 1)


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
    base = _TINY if bench.tiny else replace(_TINY, hidden_size=512, num_heads=8, head_dim=64, intermediate_size=1024)
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
        model = build(bench, _TINY if bench.tiny else replace(SIZES["1.5B"], num_layers=4), dtype)
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
        decoding = Decoding(bench, build(bench, _TINY, BF16), num_rows=8, length=16)
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


def time_copy(bench: Bench) -> None:
    """Bytes a second that a copy reads and writes: the bound of decoding."""
    source = torch.zeros(1 << (20 if bench.tiny else 31), dtype=torch.uint8, device=bench.device)
    target = torch.empty_like(source)
    target.copy_(source)
    seconds = min(bench.seconds(lambda: target.copy_(source), 5) for _ in range(5))
    bench.copy_bytes_per_second = 2 * source.numel() / seconds
    bench.time("copy", bytes_per_second=bench.copy_bytes_per_second)


def time_decode(bench: Bench, size: str, config: ModelConfig) -> None:
    """Steps of both arms at batch 1, 8 and 32: eager, and by graphs as a share of the bandwidth's bound."""
    length, steps = (24, 4) if bench.tiny else (512, 32)
    for num_rows in (1, 2) if bench.tiny else (1, 8, 32):
        seconds = {}
        for arm, arm_config in (("latent", config), ("baseline", replace(config, latent=None))):
            model = build(bench, arm_config, BF16)
            decoding = Decoding(bench, model, num_rows=num_rows, length=length)
            compiler = GraphCompiler.for_model(model)
            graphs = DecodeGraphs(model, decoding.cache, compiler=compiler)
            first = bench.seconds(partial(decoding.run, graphs.step, 1))
            run = [bench.seconds(partial(decoding.run, graphs.step, steps)) for _ in range(3)]
            eager = bench.seconds(partial(decoding.run, decoding.eager, 8)) / 8
            seconds[arm] = min(run) / steps
            read = weight_bytes(model) + num_rows * (length + steps) * cache_bytes_per_token(arm_config, BF16)
            bound = read / bench.copy_bytes_per_second
            bench.time(
                f"decode {size} {arm} batch {num_rows}", step_seconds=seconds[arm], share_of_bound=bound / seconds[arm],
                eager_seconds=eager, eager_over_graph=eager / seconds[arm], first_step_seconds=first,
                tokens_per_second=num_rows / seconds[arm], peak_gb=peak_gb(bench),
            )  # fmt: skip
            del model, decoding, graphs, compiler
            forget()
        bench.time(f"latent over baseline {size} batch {num_rows}", ratio=seconds["latent"] / seconds["baseline"])


def forget() -> None:
    """Let go of the last model: what Dynamo keeps, and what PyTorch keeps of the device's memory."""
    torch.compiler.reset()
    gc.collect()
    torch.cuda.empty_cache()


def weight_bytes(model: Transformer) -> int:
    """Bytes of weights that a decode step reads; of the embedding, the encoder and W it reads a row at most."""
    read = {*model.model.layers.parameters(), *model.model.norm.parameters(), model.lm_head.weight}
    return sum(parameter.numel() * parameter.element_size() for parameter in read)


def peak_gb(bench: Bench) -> float:
    """The most memory taken since this was asked last, in 10^9 bytes; 0 on the CPU."""
    if bench.device.type != "cuda":
        return 0.0
    peak = torch.cuda.max_memory_allocated() / 1e9
    torch.cuda.reset_peak_memory_stats()
    return peak


def time_prompts(bench: Bench, size: str, config: ModelConfig) -> None:
    """Prefill, and scoring of requests behind a shared prefix, with and without sharing it."""
    shared, own, num_requests, rows = (64, 8, 4, 2) if bench.tiny else (1024, 64, 64, 8)
    config = replace(config, latent=None)
    model = build(bench, config, BF16)
    tokens = torch.randint(config.vocab_size, (rows, shared), device=bench.device)
    cache = model.new_cache(rows, shared)
    model(tokens, cache=cache)
    seconds = min(bench.seconds(lambda: model(tokens, cache=cache)) for _ in range(3))
    bench.time(f"prefill {size}", tokens_per_second=rows * shared / seconds, peak_gb=peak_gb(bench))
    rest = torch.randint(config.vocab_size, (num_requests, own)).tolist()
    prefix, noise = tuple(tokens[0].tolist()), NoiseKey(seed=0, item="a")
    requests = [ScoringRequest(context=prefix + tuple(row), continuation=(1, 2, 3), noise=noise) for row in rest]
    limits, latents = BatchLimits(num_rows=64, num_tokens=32768), LatentSampler(model, None)
    for name, store in (("shared", PrefixStore(model, 1 << 34)), ("not shared", None)):
        scores: list[object] = []
        scorer = Scorer(model, latents, limits, store, TorchReadout())
        everything, keep = frozenset(range(num_requests)), partial(_keep, scores)
        seconds = bench.seconds(partial(scorer.run, requests, everything, keep))
        bench.time(f"scoring {size}, prefix {name}", requests_per_second=len(scores) / seconds, peak_gb=peak_gb(bench))


def _keep(scores: list[object], index: int, score: object) -> None:
    scores.append((index, score))


def sections(bench: Bench) -> list[tuple[str, Callable[[], None]]]:
    """Checks first, then timings, the dearest last."""
    sizes = {"tiny": _TINY} if bench.tiny else SIZES
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
