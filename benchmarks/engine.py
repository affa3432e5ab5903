"""The engine against lm-eval's own `hf` backend and transformers' `generate`: ratios of medians, both sides in turn.

    python -m benchmarks.engine [--only mmlu,decode] [--repeats 3] [--threads 1] [--scale 1.0] [--json FILE]

Both sides get the same requests on the same random checkpoint in the same process, and every answer is compared: the
same text, the same choice, log-likelihoods within 1e-3 nats. Needs transformers and accelerate (the dev group).
"""

# ruff: noqa: S311 — seeded noise for benchmarks, no secrets
import argparse
import json
import random
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lm_eval.api.instance import Instance

from benchmarks.decoding import decode, inductor, latent_decode
from benchmarks.side_by_side import (
    Bench,
    Row,
    checkpoint,
    compare,
    generate,
    in_turn,
    instances,
    make_row,
    not_comparable,
    ours,
    same_answers,
    score,
    text,
    theirs,
)
from ft_eval.environment import collect_environment
from ft_eval.harness.lm import FreeTransformerLM


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(folder=Path(folder), repeats=arguments.repeats, scale=arguments.scale)
        for name, work in WORK.items():
            if not arguments.only or name in arguments.only.split(","):
                rows += work(bench)
                print(f"{name} is done", flush=True)
    environment = collect_environment()
    versions = f"Python {environment.python}, torch {torch.__version__}"
    print(f"{environment.processor}; {versions}, {arguments.threads} thread(s)")
    print(f"{'work':46} {'against':22} {'goal':>6} {'ratio':>7} {'ours s':>8} {'theirs s':>9}  answers")
    for row in rows:
        print(
            f"{row.work:46} {row.against:22} {row.goal:6.2f} {row.ratio:7.2f} {row.seconds_ours:8.2f} "
            f"{row.seconds_theirs:9.2f}  {row.answers}"
        )
    if arguments.json:
        Path(arguments.json).write_text(json.dumps([asdict(row) for row in rows], indent=2), encoding="utf-8")


def mmlu_requests(num_questions: int, *, by_text: bool) -> list[Instance]:
    """One subject: 600 shared tokens, about 80 of each question's own, four choices: a letter, or 4 to 16 tokens."""
    rng = random.Random(1)
    head = text(rng, 600, 600)
    documents = []
    for _ in range(num_questions):
        context = f"{head}\n\n{text(rng, 50, 100)}\nAnswer:"
        choices = [text(rng, 4, 16) for _ in "ABCD"] if by_text else list("ABCD")
        documents.append([(context, choice) for choice in choices])
    return instances("loglikelihood", documents)


def mmlu(bench: Bench) -> list[Row]:
    """5-shot MMLU by letter."""
    requests = mmlu_requests(int(200 * bench.scale), by_text=False)
    path, latent = checkpoint(bench, "30M"), checkpoint(bench, "30M", num_bits=10)
    base, reference = ours(path), theirs(path)
    item, shared = ours(latent), ours(latent, prefix="shared")
    calls = [partial(score, lm, requests) for lm in (base, shared, item, reference)]
    *mine, hf = in_turn(bench, calls)
    names = ("baseline", "latent, shared Z", "latent, Z per item")
    checks = (same_answers, not_comparable, not_comparable)
    return [
        make_row(bench, f"MMLU by letter, {name}", goal, found, hf, check=check)
        for name, goal, found, check in zip(names, (10, 10, 1.8), mine, checks, strict=True)
    ]


def mmlu_text(bench: Bench) -> list[Row]:
    """5-shot MMLU by option text."""
    requests = mmlu_requests(int(100 * bench.scale), by_text=True)
    path = checkpoint(bench, "30M")
    return [compare(bench, "MMLU by option text", 20, *_scoring(ours(path), theirs(path), requests))]


def hellaswag(bench: Bench) -> list[Row]:
    """0-shot, four long choices."""
    rng = random.Random(2)
    documents = [
        [(context, " " + text(rng, 40, 120)) for _ in "ABCD"]
        for context in (text(rng, 100, 250) for _ in range(int(60 * bench.scale)))
    ]
    path = checkpoint(bench, "30M")
    return [
        compare(
            bench, "HellaSwag 0-shot", 2.5, *_scoring(ours(path), theirs(path), instances("loglikelihood", documents))
        )
    ]


def draws(bench: Bench) -> list[Row]:
    """K = 8 draws against K = 1, on our side alone."""
    path = checkpoint(bench, "30M", num_bits=10)
    requests = mmlu_requests(int(32 * bench.scale), by_text=False)
    rows = []
    for prefix in ("item", "shared"):
        one, eight = ours(path, prefix=prefix), ours(path, draws=8, prefix=prefix)
        row = compare(
            bench,
            f"MMLU by letter, K = 8 over K = 1, {prefix}",
            4.5,
            *_scoring(one, eight, requests),
            against="our K = 1 (at most)",
            check=not_comparable,
        )
        rows.append(row)
    return rows


def gsm8k(bench: Bench) -> list[Row]:
    """48 prompts of 900 shared and about 60 own tokens, and prompts that share nothing."""
    path, rng = checkpoint(bench, "100M"), random.Random(3)
    base, reference = ours(path), theirs(path)
    shared, apart = gsm8k_prompts(rng, int(48 * bench.scale))
    stops = _stops(base, shared[:12])
    rows = []
    for name, prompts, max_tokens, goal in (
        ("GSM8K-like, shared prefix, whole", shared, 128, 6.0),
        ("GSM8K-like, shared prefix, prefill", shared, 1, 12.0),
        ("GSM8K-like, random few-shots", apart, 128, 2.5),
    ):
        gen_kwargs = {"until": stops, "max_gen_toks": max_tokens, "do_sample": False}
        requests = instances("generate_until", [[(prompt, gen_kwargs)] for prompt in prompts])
        row = compare(
            bench,
            name,
            goal,
            partial(generate, base, requests),
            partial(reference.generate_until, requests),
        )
        rows.append(row)
    return rows


def gsm8k_prompts(rng: random.Random, number: int) -> tuple[list[str], list[str]]:
    """Prompts of 900 shared and about 60 own tokens, and half as many that share nothing."""
    head = text(rng, 900, 900)
    shared = [f"{head}\n\nQuestion: {text(rng, 30, 70)}\nAnswer:" for _ in range(number)]
    apart = [f"{text(rng, 900, 900)}\n\nQuestion: {text(rng, 30, 70)}\nAnswer:" for _ in range(number // 2)]
    return shared, apart


def _stops(lm: FreeTransformerLM, prompts: list[str]) -> list[str]:
    """A stop string that ends completions after about 85 of 128 tokens on average."""
    gen_kwargs = {"until": ["\0"], "max_gen_toks": 128, "do_sample": False}
    texts = generate(lm, instances("generate_until", [[(prompt, gen_kwargs)] for prompt in prompts]))

    def mean_length(char: str) -> float:
        return statistics.mean(found if (found := one.find(char)) >= 0 else 128 for one in texts)

    candidates = sorted({char for one in texts for char in one if char.isprintable() and char.isascii()}) or ["\0"]
    return [min(candidates, key=lambda char: abs(mean_length(char) - 85))]


def _scoring(
    mine: FreeTransformerLM, reference: Any, requests: list[Instance]
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    return partial(score, mine, requests), partial(score, reference, requests)


WORK: dict[str, Callable[[Bench], list[Row]]] = {
    "decode": decode,
    "latent_decode": latent_decode,
    "inductor": inductor,
    "gsm8k": gsm8k,
    "mmlu": mmlu,
    "mmlu_text": mmlu_text,
    "hellaswag": hellaswag,
    "draws": draws,
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help=f"of {', '.join(WORK)}")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the requests")
    parser.add_argument("--json", default="")
    return parser.parse_args()


if __name__ == "__main__":
    main()
