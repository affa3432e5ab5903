"""Where the engine's time goes: shares of what is computed, for scoring, for generation and for decoding alone.

    python -m benchmarks.where_time_goes [--dtype float32]

Taken by Python's own profiler on one thread: what a compiled function takes is counted to it, the rest to the Python
that called. Random models of the shapes of `side_by_side.py`.
"""

# ruff: noqa: S311 — seeded noise for benchmarks, no secrets
import argparse
import cProfile
import pstats
import random
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from benchmarks.decoding import decode_ours
from benchmarks.engine import gsm8k_prompts, mmlu_requests
from benchmarks.side_by_side import Bench, checkpoint, generate, instances, ours, score, text

PARTS = {
    "blocks of a prefill": ("native/prefill.py",),
    "blocks of a decoding step": ("native/blocks.py",),
    "linear layers": ("_multiply", "linear_pointwise"),
    "attention in prefill": ("scaled_dot_product", "lerp", "attention.py"),
    "norms, RoPE, SwiGLU": ("rms_norm", "rope.py", "silu", "layers.py"),
    "log-softmax, likeliest token": ("readout.py", "log_softmax", "'max'"),
    "keys, values and tokens moved": (
        "torch.cat",
        "'reshape'",
        "torch.zeros",
        "'flatten'",
        "_put",
        "'repeat'",
        "'copy_'",
    ),
    "tokenizer": ("tokenizers", "tokenizer.py"),
}
"""What belongs to a part: pieces of a function's or file's name, the first part that has one."""
REST = "everything else in Python"


def main() -> None:
    """Profile and print."""
    arguments = _arguments()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(folder=Path(folder), repeats=1, scale=1.0)
        for name, work in _works(bench, arguments.dtype).items():
            work()
            profile = cProfile.Profile()
            profile.runcall(work)
            _print(name, profile)


def _works(bench: Bench, dtype: str) -> dict[str, Callable[[], object]]:
    small, large = ours(checkpoint(bench, "30M"), dtype=dtype), ours(checkpoint(bench, "100M"), dtype=dtype)
    gen_kwargs = {"until": ["\0"], "max_gen_toks": 85, "do_sample": False}
    shared = instances("generate_until", [[(prompt, gen_kwargs)] for prompt in gsm8k_prompts(random.Random(3), 16)[0]])
    prompts = [text(random.Random(4), 128, 128).ljust(128, "x")] * 32
    return {
        "MMLU by letter, 50 questions, 30M": partial(score, small, mmlu_requests(50, by_text=False)),
        "GSM8K-like, 16 prompts, 85 new tokens each, 100M": partial(generate, large, shared),
        "32 prompts of 128 tokens, 49 new ones each, 100M": partial(decode_ours, large, prompts, 49),
    }


def _print(name: str, profile: cProfile.Profile) -> None:
    stats = pstats.Stats(profile)
    seconds: Counter[str] = Counter()
    for (file, _, function), (_, _, own_seconds, _, _) in stats.stats.items():  # type: ignore[attr-defined] # untyped
        seconds[_part(f"{file} {function}")] += own_seconds
    total = sum(seconds.values())
    print(f"{name}: {total:.2f} s")
    for part, own in seconds.most_common():
        print(f"  {part:32} {own / total:6.1%}")


def _part(place: str) -> str:
    return next((part for part, names in PARTS.items() if any(name in place for name in names)), REST)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
