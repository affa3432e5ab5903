"""Decoding alone: against transformers' `generate`, reading the weights once, and a latent model against its baseline.

Prompts of 128 tokens, which no padding widens, with 1 and 49 new ones; the difference is 48 steps of decoding.
Knows no task.
"""

# ruff: noqa: S311 — seeded noise for benchmarks, no secrets
import random
import time
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.side_by_side import Bench, Row, checkpoint, generate, in_turn, instances, make_row, ours, text
from ft_eval.engine.graphs.step import DecodeStep, StepShape
from ft_eval.harness.lm import FreeTransformerLM
from ft_eval.model.checkpoint import load_model
from ft_eval.model.native.blocks import NativeBlocks
from ft_eval.model.native.memory import Arena
from ft_eval.model.noise import NoiseKey, prior_codes
from ft_eval.model.tokenizer import BYTE_BOS, BYTE_PAD, Tokenizer
from ft_eval.model.transformer import Transformer

_NUM_DECODED = 49
_BATCHES = (1, 8, 32)
_DTYPES = ("float32", "bfloat16")
_MOST_OVERHEAD = 1 / 1.02
"""Of a latent model: the ratio to reach, its baseline's seconds over its own."""
_STREAM_GOAL = 0.8
_POSITION = 128
_NUM_DRAWN = 1024
"""Codes that are drawn at once; an engine draws those of a row's whole length."""


def decode(bench: Bench) -> list[Row]:
    """Against transformers; in a batch of one also against reading the weights once."""
    from transformers import AutoModelForCausalLM

    path, rows = checkpoint(bench, "100M"), []
    bench = replace(bench, repeats=bench.repeats + 2)
    for dtype in _DTYPES:
        lm = ours(path, dtype=dtype)
        tokenizer = lm.engine.call(lambda engine: engine.tokenizer)
        model = AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, dtype)).eval()
        stream = _stream(sum(parameter.nbytes for parameter in model.parameters()))
        for size in _BATCHES:
            calls = [partial(decode_ours, lm), partial(_decode_theirs, model, tokenizer)]
            (mine, reference), read = _seconds(bench, calls, size, stream)
            row = partial(make_row, bench, against="transformers generate")
            rows.append(row(f"decode, {dtype}, batch {size}", 2.0 if size == 1 else 2.2, mine, reference))
            if size == 1:
                rows.append(
                    make_row(
                        bench,
                        f"decode, {dtype}, batch 1: weights read once",
                        _STREAM_GOAL,
                        mine,
                        (read * (_NUM_DECODED - 1), None),
                        against="reading as many bytes",
                        check=_no_answers,
                    )
                )
    return rows


def latent_decode(bench: Bench) -> list[Row]:
    """A step of a latent model of 16 bits against its baseline's: blocks, look-up of R, readout; noise drawn ahead.

    The baseline is the same model in the same memory: where weights happen to lie moves a step by up to 5 %.
    """
    path = checkpoint(bench, "100M", num_bits=16)
    bench, rows = replace(bench, repeats=20 * bench.repeats), []
    for dtype in _DTYPES:
        blocks = _blocks(path, dtype)
        both = (blocks, _without_latent(blocks))
        for size in _BATCHES:
            drawing = partial(prior_codes, NoiseKey(seed=0, item="bench/0"), _NUM_DRAWN, 2**16)
            (latent, _), (baseline, _) = in_turn(bench, [_native_step(each, size) for each in both])
            ((drawn, _),) = in_turn(bench, [drawing])
            with_noise = latent + drawn / _NUM_DRAWN * size
            name = f"latent decode step, {dtype}, batch {size}"
            row = partial(make_row, bench, name, _MOST_OVERHEAD, (with_noise, latent), (baseline, baseline))
            rows.append(row(against="its baseline", check=_without_noise))
    return rows


def _without_latent(blocks: NativeBlocks) -> NativeBlocks:
    """The same blocks, of a model that has no latent."""
    model = copy(blocks.model)
    model._modules = {**model._modules, "latent": None}  # noqa: SLF001 — a view of a module without one of its parts
    return replace(blocks, model=model)


def _without_noise(latent: float, baseline: float) -> str:
    return f"{baseline / latent:.3f} without drawing Z"


def _no_answers(*_: Any) -> str:
    return ""


def _seconds(
    bench: Bench, calls: Sequence[Callable[[list[str], int], list[str]]], size: int, other: Callable[[], Any]
) -> tuple[list[tuple[float, list[str]]], float]:
    """Per side the seconds of 48 steps and its texts, and the seconds of the other call, all in turn."""
    rng = random.Random(4)
    prompts = [text(rng, 127, 127).ljust(127, "x") for _ in range(size)]
    each = [partial(call, prompts, number) for call in calls for number in (1, _NUM_DECODED)]
    *found, (read, _) = in_turn(bench, [*each, other])
    return [(found[i + 1][0] - found[i][0], found[i + 1][1]) for i in range(0, len(found), 2)], read


def _stream(num_bytes: int) -> Callable[[], float]:
    """Reads that many bytes, for the largest number; in huge pages, where the kernels' weights lie as well."""
    numbers = Arena().take((num_bytes // 4,), torch.float32).fill_(1.0)
    return lambda: float(numbers.max())


def decode_ours(lm: FreeTransformerLM, prompts: list[str], number: int) -> list[str]:
    """So many tokens more of each prompt, by our engine."""
    gen_kwargs = {"until": ["\0"], "max_gen_toks": number, "do_sample": False}
    return generate(lm, instances("generate_until", [[(prompt, gen_kwargs)] for prompt in prompts]))


def _decode_theirs(model: Any, tokenizer: Tokenizer, prompts: list[str], number: int) -> list[str]:
    ids = torch.tensor([[BYTE_BOS, *prompt.encode()] for prompt in prompts])
    found = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=number,
        do_sample=False,
        pad_token_id=BYTE_PAD,
        use_cache=True,
    )
    return [tokenizer.decode(row.tolist()) for row in found[:, ids.shape[1] :]]


def inductor(bench: Bench) -> list[Row]:
    """A step by the kernels against the same step by torch.compile, weights frozen, GEMMs chosen by trial."""
    import torch._inductor.config as settings

    settings.freezing = True
    settings.max_autotune_gemm_backends = "CPP,ATEN"
    settings.max_autotune = True
    path, rows = checkpoint(bench, "100M"), []
    bench = replace(bench, repeats=10 * bench.repeats)
    for dtype in _DTYPES:
        steps = _blocks(path, dtype)
        model = load_model(path, dtype=getattr(torch, dtype))
        for size in _BATCHES:
            started = time.perf_counter()
            theirs = _compiled_step(model, size)
            theirs()
            print(f"torch.compile, {dtype}, batch {size}: {time.perf_counter() - started:.0f} s", flush=True)
            mine, reference = in_turn(bench, [_native_step(steps, size), theirs])
            name = f"decode step, {dtype}, batch {size}"
            rows.append(make_row(bench, name, 1.0, mine, reference, against="torch.compile", check=_gap))
    return rows


def _compiled_step(model: Transformer, size: int) -> Callable[[], torch.Tensor]:
    cache = model.new_cache(size, 2 * _POSITION)
    shape = StepShape(num_rows=size, num_keys=(_POSITION + 64, _POSITION + 64))
    step = DecodeStep(model, cache, (None, None), shape)
    tokens, positions = _inputs(size)

    def whole(token_ids: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        return model.logits(step(token_ids, places, None))

    compiled = torch.compile(whole, dynamic=False)

    @torch.no_grad()
    def call() -> torch.Tensor:
        return compiled(tokens, positions)

    return call


def _blocks(path: Path, dtype: str) -> NativeBlocks:
    steps = ours(path, dtype=dtype).engine.call(lambda engine: engine.steps)
    assert isinstance(steps, NativeBlocks), "the kernels can be built here"
    return steps


def _native_step(blocks: NativeBlocks, size: int) -> Callable[[], torch.Tensor]:
    model, generator = blocks.model, torch.Generator().manual_seed(0)
    steps = blocks.open(model, model.new_cache(size, 2 * _POSITION), (None, None))
    assert steps is not None, "a whole cache of this model"
    tokens, positions = _inputs(size)
    all_codes = torch.randint(2**16, (size, 2 * _POSITION), generator=generator) if model.latent else None

    @torch.no_grad()
    def call() -> torch.Tensor:
        codes = None if all_codes is None else all_codes.gather(1, positions)
        return model.logits(steps.step(tokens, positions, codes))

    return call


def _inputs(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.arange(size)[:, None] + 97, torch.full((size, 1), _POSITION)


def _gap(mine: torch.Tensor, reference: torch.Tensor) -> str:
    return f"max |Δ logit| {float((mine - reference).abs().max()):.1e} of {float(reference.abs().max()):.1f}"
