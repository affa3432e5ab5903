"""What a GPU takes: a copy, decoding beside the bandwidth's bound, prefill, scoring behind a shared prefix or not."""

import gc
from dataclasses import replace
from functools import partial

import torch

from benchmarks.gpu_bench import BF16, Bench, Decoding, build
from ft_eval.engine.graphs.runner import DecodeGraphs, GraphCompiler
from ft_eval.engine.latents import LatentSampler
from ft_eval.engine.prefix_store import PrefixStore
from ft_eval.engine.readout import TorchReadout
from ft_eval.engine.requests import BatchLimits, ScoringRequest
from ft_eval.engine.score import Scorer
from ft_eval.model.cache import cache_bytes_per_token
from ft_eval.model.config import ModelConfig
from ft_eval.model.noise import NoiseKey
from ft_eval.model.transformer import Transformer


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
