"""What the checks and the timings of the GPU share: models of real shapes, decoding, and where findings are kept.

Knows no check. Needs torch, numpy and safetensors.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from ft_eval.model.config import LatentConfig, ModelConfig
from ft_eval.model.noise import NoiseKey, prior_codes
from ft_eval.model.transformer import Transformer

FP32, BF16 = torch.float32, torch.bfloat16
LATENT = LatentConfig(num_bits=16)
TINY = ModelConfig(
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
