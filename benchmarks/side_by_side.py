"""Both sides of a benchmark in one process, in turn, on the same random checkpoint and requests, answers compared.

A random model of realistic shape costs what a trained one costs; its text is not worth reading. With one thread, what
is taken is the process's own processor time, which other work on the machine moves less than the clock.
"""

import json
import os
import random
import statistics
import string
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TQDM_DISABLE="1", TOKENIZERS_PARALLELISM="false")

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from ft_eval.engine import Engine
from ft_eval.engine.loading import ModelArguments, latent_policy, load_engine
from ft_eval.harness.lm import FreeTransformerLM
from ft_eval.model.checkpoint import save_model
from ft_eval.model.config import LatentConfig, ModelConfig
from ft_eval.model.tokenizer import BYTE_BOS, BYTE_EOS, byte_tokenizer_json
from ft_eval.model.training import new_model

TOLERANCE_NATS = 1e-3
SIZES = {"30M": (512, 8, 8, 4, 1408), "100M": (768, 12, 12, 4, 2048)}
"""Hidden size, layers, heads, key-value heads, intermediate size."""
_TOKENIZER_CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "bos_token": "<|bos|>",
    "eos_token": "<|eos|>",
    "pad_token": "<|pad|>",
}
"""For transformers alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table."""

    work: str
    against: str
    goal: float
    ratio: float
    """Their median seconds over ours."""
    seconds_ours: float
    seconds_theirs: float
    num_repeats: int
    answers: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Where checkpoints lie, and how much is measured."""

    folder: Path
    repeats: int
    scale: float


def checkpoint(bench: Bench, size: str, *, num_bits: int | None = None) -> Path:
    """A random checkpoint of that shape; tokens that the byte tokenizer does not know are never the likeliest."""
    path = bench.folder / f"{size}-{num_bits}"
    if not path.exists():
        hidden, layers, heads, kv_heads, width = SIZES[size]
        config = ModelConfig(
            vocab_size=32000,
            hidden_size=hidden,
            num_layers=layers,
            num_heads=heads,
            num_kv_heads=kv_heads,
            head_dim=hidden // heads,
            intermediate_size=width,
            max_position_embeddings=2048,
            tie_embeddings=True,
            bos_token_id=BYTE_BOS,
            eos_token_ids=(BYTE_EOS,),
            latent=None if num_bits is None else LatentConfig(num_bits=num_bits),
        )
        model = new_model(config, seed=1, std=0.06)
        with torch.no_grad():
            model.model.embed_tokens.weight[BYTE_EOS:] = 0.0
        save_model(model, path, tokenizer_json=byte_tokenizer_json())
        (path / "tokenizer_config.json").write_text(json.dumps(_TOKENIZER_CONFIG), encoding="utf-8")
    return path


def ours(
    path: Path, *, draws: int = 1, prefix: str = "item", dtype: str = "float32", compile_: str = "auto"
) -> FreeTransformerLM:
    """Our backend, without a log."""
    latents = latent_policy("prior", str(draws), prefix)
    arguments = ModelArguments(path=path, dtype=dtype, device="cpu", latents=latents, compile=compile_)
    return FreeTransformerLM(load_engine(arguments))


def theirs(path: Path) -> HFLM:
    """lm-eval's backend."""
    return HFLM(pretrained=str(path), dtype="float32", device="cpu", batch_size=16, max_length=2048)


def in_turn(bench: Bench, calls: Sequence[Callable[[], Any]]) -> list[tuple[float, Any]]:
    """Every call in turn, `repeats` times: its median seconds, and its answers of the last time."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    seconds: list[list[float]] = [[] for _ in calls]
    answers: list[Any] = [None for _ in calls]
    for _ in range(bench.repeats):
        for number, call in enumerate(calls):
            started = clock()
            answers[number] = call()
            seconds[number].append(clock() - started)
    return [(statistics.median(times), answer) for times, answer in zip(seconds, answers, strict=True)]


def compare(
    bench: Bench, work: str, goal: float, mine: Callable[[], Any], reference: Callable[[], Any], **said: Any
) -> Row:
    """Both in turn."""
    ours_too, theirs_too = in_turn(bench, (mine, reference))
    return make_row(bench, work, goal, ours_too, theirs_too, **said)


def make_row(
    bench: Bench, work: str, goal: float, mine: tuple[float, Any], reference: tuple[float, Any], **said: Any
) -> Row:
    """One line, from (seconds, answers) of both sides."""
    check = said.get("check", same_answers)
    return Row(
        work=work,
        against=said.get("against", "lm-eval hf"),
        goal=goal,
        ratio=reference[0] / mine[0],
        seconds_ours=mine[0],
        seconds_theirs=reference[0],
        num_repeats=bench.repeats,
        answers=check(mine[1], reference[1]),
    )


def same_answers(mine: Sequence[Any], reference: Sequence[Any]) -> str:
    """In words: whether texts are equal, or log-likelihoods near."""
    if isinstance(mine[0], str):
        num_same = sum(a == b for a, b in zip(mine, reference, strict=True))
        return f"{num_same} of {len(mine)} texts equal"
    gap = max(abs(a[0] - b[0]) for a, b in zip(mine, reference, strict=True))
    greedy = sum(a[1] == b[1] for a, b in zip(mine, reference, strict=True))
    return (
        f"max |Δ log p| {gap:.1e}{'' if gap < TOLERANCE_NATS else ' TOO LARGE'}, {greedy} of {len(mine)} greedy equal"
    )


def not_comparable(*_: Any) -> str:
    """Another model's answers."""
    return "another model: see tests/engine/test_sharing.py"


def text(rng: random.Random, low: int, high: int) -> str:
    """Words of about so many characters."""
    length, words = rng.randint(low, high), ""
    while len(words) < length:
        words += "".join(rng.choices(string.ascii_lowercase, k=rng.randint(2, 8))) + " "
    return words[:length].strip()


def instances(kind: str, arguments: Sequence[Sequence[tuple[Any, ...]]]) -> list[Instance]:
    """lm-eval's requests: per document, its requests' arguments."""
    return [
        Instance(request_type=kind, doc={}, arguments=args, idx=idx, metadata=("bench", doc_id, 1))
        for doc_id, document in enumerate(arguments)
        for idx, args in enumerate(document)
    ]


def fresh(lm: FreeTransformerLM) -> FreeTransformerLM:
    """The same engine with an empty log and no prefix kept from before."""
    return FreeTransformerLM(lm.engine.call(_without_prefixes), seed=lm.seed)


def _without_prefixes(engine: Engine) -> Engine:
    return Engine(engine.model, engine.tokenizer, latents=engine.latents, options=engine.options, steps=engine.steps)


def generate(lm: FreeTransformerLM, requests: list[Instance]) -> list[str]:
    """Our completions."""
    return fresh(lm).generate_until(requests)


def score(lm: Any, requests: list[Instance]) -> Any:
    """Either side's log-likelihoods."""
    return (fresh(lm) if isinstance(lm, FreeTransformerLM) else lm).loglikelihood(requests)
