"""The engine against lm-eval's own `hf` backend and transformers' `generate`: ratios of medians, both sides in turn.

    python benchmarks/engine.py [--only mmlu,decode] [--repeats 3] [--threads 1] [--scale 1.0] [--json FILE]

Both sides get the same requests on the same random checkpoint in the same process, and every answer is compared: the
same text, the same choice, log-likelihoods within 1e-3 nats. Needs transformers and accelerate (the dev group). A
random model of realistic shape costs what a trained one costs; its text is not worth reading.
"""

# ruff: noqa: S311 — seeded noise for benchmarks, no secrets
import argparse
import json
import os
import platform
import random
import statistics
import string
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TQDM_DISABLE="1", TOKENIZERS_PARALLELISM="false")

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from ft_eval.engine.loading import ModelArguments, latent_policy, load_engine
from ft_eval.harness.lm import FreeTransformerLM
from ft_eval.model.checkpoint import save_model
from ft_eval.model.config import LatentConfig, ModelConfig
from ft_eval.model.tokenizer import BYTE_BOS, BYTE_EOS, BYTE_PAD, byte_tokenizer_json
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
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}, {arguments.threads} thread(s)")
    print(f"{'work':46} {'against':22} {'goal':>6} {'ratio':>7} {'ours s':>8} {'theirs s':>9}  answers")
    for row in rows:
        print(
            f"{row.work:46} {row.against:22} {row.goal:6.2f} {row.ratio:7.2f} {row.seconds_ours:8.2f} "
            f"{row.seconds_theirs:9.2f}  {row.answers}"
        )
    if arguments.json:
        Path(arguments.json).write_text(json.dumps([asdict(row) for row in rows], indent=2), encoding="utf-8")


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


def ours(path: Path, policy: str = "prior", draws: int = 1, prefix: str = "item") -> FreeTransformerLM:
    """Our backend, without a log."""
    latents = latent_policy(policy, str(draws), prefix)
    return FreeTransformerLM(load_engine(ModelArguments(path=path, dtype="float32", device="cpu", latents=latents)))


def theirs(path: Path) -> HFLM:
    """lm-eval's backend."""
    return HFLM(pretrained=str(path), dtype="float32", device="cpu", batch_size=16, max_length=2048)


def in_turn(bench: Bench, calls: Sequence[Callable[[], Any]]) -> list[tuple[float, Any]]:
    """Every call in turn, `repeats` times: its median seconds, and its answers of the last time."""
    seconds: list[list[float]] = [[] for _ in calls]
    answers: list[Any] = [None for _ in calls]
    for _ in range(bench.repeats):
        for number, call in enumerate(calls):
            started = time.perf_counter()
            answers[number] = call()
            seconds[number].append(time.perf_counter() - started)
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
    calls = [partial(_loglikelihood, lm, requests) for lm in (base, shared, item, reference)]
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
    """64 prompts of 900 shared and about 60 own tokens, and prompts that share nothing."""
    path, rng = checkpoint(bench, "100M"), random.Random(3)
    base, reference = ours(path), theirs(path)
    number, head = int(48 * bench.scale), text(rng, 900, 900)
    shared = [f"{head}\n\nQuestion: {text(rng, 30, 70)}\nAnswer:" for _ in range(number)]
    apart = [f"{text(rng, 900, 900)}\n\nQuestion: {text(rng, 30, 70)}\nAnswer:" for _ in range(number // 2)]
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
            partial(_generate, base, requests),
            partial(reference.generate_until, requests),
        )
        rows.append(row)
    return rows


def _generate(lm: FreeTransformerLM, requests: list[Instance]) -> list[str]:
    return fresh(lm).generate_until(requests)


def _stops(lm: FreeTransformerLM, prompts: list[str]) -> list[str]:
    """A stop string that ends completions after about 85 of 128 tokens on average."""
    gen_kwargs = {"until": ["\0"], "max_gen_toks": 128, "do_sample": False}
    texts = fresh(lm).generate_until(instances("generate_until", [[(prompt, gen_kwargs)] for prompt in prompts]))

    def mean_length(char: str) -> float:
        return statistics.mean(found if (found := one.find(char)) >= 0 else 128 for one in texts)

    candidates = sorted({char for one in texts for char in one if char.isprintable() and char.isascii()}) or ["\0"]
    return [min(candidates, key=lambda char: abs(mean_length(char) - 85))]


def decode(bench: Bench) -> list[Row]:
    """Decoding alone: prompts of 128 tokens, 1 and 49 new ones; the difference is decoding."""
    from transformers import AutoModelForCausalLM

    path, rng, rows = checkpoint(bench, "100M"), random.Random(4), []
    bench = replace(bench, repeats=bench.repeats + 2)
    for dtype in ("float32", "bfloat16"):
        lm = FreeTransformerLM(load_engine(ModelArguments(path=path, dtype=dtype, device="cpu")))
        model = AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, dtype)).eval()
        for size in (1, 8, 32):
            prompts = [text(rng, 128, 128).ljust(128, "x") for _ in range(size)]
            calls = [
                partial(call, side, prompts, number)
                for call, side in ((_decode_ours, lm), (_decode_theirs, model))
                for number in (1, _NUM_DECODED)
            ]
            first, mine, hf_first, hf = in_turn(bench, calls)
            rows.append(
                make_row(
                    bench,
                    f"decode, {dtype}, batch {size}",
                    2.0 if size == 1 else 2.2,
                    (mine[0] - first[0], mine[1]),
                    (hf[0] - hf_first[0], hf[1]),
                    against="transformers generate",
                )
            )
    return rows


_NUM_DECODED = 49


def _decode_ours(lm: FreeTransformerLM, prompts: list[str], number: int) -> list[str]:
    gen_kwargs = {"until": ["\0"], "max_gen_toks": number, "do_sample": False}
    return fresh(lm).generate_until(instances("generate_until", [[(prompt, gen_kwargs)] for prompt in prompts]))


def _decode_theirs(model: Any, prompts: list[str], number: int) -> list[str]:
    ids = torch.tensor([[BYTE_BOS, *prompt.encode()] for prompt in prompts])
    found = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=number,
        do_sample=False,
        pad_token_id=BYTE_PAD,
        use_cache=True,
    )
    return [bytes(token for token in row[129:].tolist() if token < 256).decode(errors="replace") for row in found]


def _scoring(
    mine: FreeTransformerLM, reference: Any, requests: list[Instance]
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    return partial(_loglikelihood, mine, requests), partial(_loglikelihood, reference, requests)


def _loglikelihood(lm: Any, requests: list[Instance]) -> Any:
    return (fresh(lm) if isinstance(lm, FreeTransformerLM) else lm).loglikelihood(requests)


def fresh(lm: FreeTransformerLM) -> FreeTransformerLM:
    """The same engine with an empty log and no prefix kept from before."""
    engine = type(lm.engine)(lm.engine.model, lm.engine.tokenizer, latents=lm.engine.latents, options=lm.engine.options)
    return FreeTransformerLM(engine, seed=lm.seed)


WORK: dict[str, Callable[[Bench], list[Row]]] = {
    "decode": decode,
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
