"""What the paper's sixteen rows cost in time and money: their texts counted, rates given, two model sizes.

    python -m benchmarks.cost --data-dir DIR

Bytes of prompts, of what is left of them where common beginnings are read once, and of reference answers are counted in
the real prompts. All else is a parameter, and printed: bytes per token, what part of a device is used, its price. The
GPU's rates are assumptions: none was measured. `--measure` takes a processor's from a random model of 85M parameters,
in this process; hours on processors are extrapolated from it by the number of multiplications.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ft_eval.cli.quiet import quiet_libraries

quiet_libraries(offline=True)

from ft_eval.harness.mirror import DataSource  # noqa: E402 — after the libraries were told to be quiet
from ft_eval.harness.tasks import LoadedTasks, TaskOptions, load_tasks, reset_fewshot  # noqa: E402

ROWS = {
    "HumanEval+": "humaneval_plus",
    "MBPP": "ft_mbpp",
    "GSM8K": "ft_gsm8k",
    "MMLU": "ft_mmlu_letter",
    "CommonsenseQA": "ft_commonsense_qa_letter",
    "HellaSwag": "ft_hellaswag_text",
    "WinoGrande": "ft_winogrande_text",
    "OpenBookQA": "ft_openbookqa_text",
    "ARC-easy": "ft_arc_easy_text",
    "ARC-challenge": "ft_arc_challenge_text",
    "PIQA": "ft_piqa_text",
    "BoolQ": "ft_boolq",
    "NaturalQuestions": "ft_nq",
    "TriviaQA": "ft_triviaqa",
}
SIZES = {"1.5B": 1.5e9, "8B": 8e9}
_NUM_DRAWS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """What one row asks, in bytes."""

    name: str
    num_items: int
    num_requests: int
    asked: int
    """Of all prompts and choices."""
    shared: int
    """Of these, where what several have in common is counted once."""
    answered: int
    """Of all reference answers; 0 where nothing is written."""


RACE = (
    # No data at hand: 353 and 231 words of passage on average (Lai et al. 2017), about 5.6 bytes a word, 300 bytes of
    # question and options, four choices of 35; 1,045 and 362 passages.
    Texts(name="RACE high *", num_items=3498, num_requests=13992, asked=33_000_000, shared=3_500_000, answered=0),
    Texts(name="RACE middle *", num_items=1436, num_requests=5744, asked=9_400_000, shared=1_100_000, answered=0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """A device, and what of it is used."""

    name: str
    flops: float
    """Per second, in prefill."""
    bytes_per_second: float
    """Of weights, in decoding."""
    batch: int
    weight_bytes: float
    """Per parameter."""
    price: float
    """Per hour."""

    def seconds(self, num_parameters: float, read: float, written: float) -> float:
        """For so many tokens read and written; attention's own part is left out, as it is small at these lengths."""
        step = max(
            num_parameters * self.weight_bytes / self.bytes_per_second,
            2 * num_parameters * self.batch / self.flops,
        )
        return read * 2 * num_parameters / self.flops + written * step / self.batch


def count(name: str, task: str, source: DataSource) -> Texts:
    """Build a row's prompts."""
    loaded = load_tasks([task], TaskOptions(), source)
    texts, answers, num_requests, num_items = set[bytes](), 0, 0, 0
    asked = 0
    for spec in loaded.specs:
        built = loaded.tasks[spec.name]
        for text in _texts(built):
            asked += len(text)
            num_requests += 1
            texts.add(text)
        num_items += spec.num_docs
        if spec.output_type == "generate_until":
            answers += sum(_answer_bytes(built, doc) for doc in _docs(loaded, spec.name, spec.num_docs))
    return Texts(
        name=name,
        num_items=num_items,
        num_requests=num_requests,
        asked=asked,
        shared=_trie(texts),
        answered=answers,
    )


def _texts(task: Any) -> Iterable[bytes]:
    reset_fewshot(task)
    task.build_all_requests(rank=0, world_size=1)
    for request in task.instances:
        context, second = request.args
        yield (context + second if isinstance(second, str) else context).encode()


def _docs(loaded: LoadedTasks, name: str, number: int) -> Iterable[Any]:
    return [doc for _, doc in zip(range(number), loaded.tasks[name].eval_docs, strict=False)]


def _answer_bytes(task: Any, doc: Any) -> int:
    """The reference answer's; of several the first's."""
    answer = doc.get("canonical_solution") or doc.get("code") or task.doc_to_target(doc)
    while isinstance(answer, list | tuple):
        answer = answer[0] if answer else ""
    return len(str(answer).encode())


def _trie(texts: Iterable[bytes]) -> int:
    """Bytes of the texts where each common beginning counts once."""
    total, before = 0, b""
    for text in sorted(texts):
        low, high = 0, min(len(text), len(before))
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if text[:middle] == before[:middle] else (low, middle - 1)
        total += len(text) - low
        before = text
    return total


def measure(batch: int) -> Rates:
    """This processor's rates, on one thread, float32, by our engine as a run loads it, on a random model."""
    from benchmarks.side_by_side import ours
    from ft_eval.engine import GenerationRequest, SamplingParams, ScoringRequest
    from ft_eval.model.checkpoint import save_model
    from ft_eval.model.config import ModelConfig
    from ft_eval.model.noise import NoiseKey
    from ft_eval.model.tokenizer import BYTE_BOS, BYTE_EOS, byte_tokenizer_json
    from ft_eval.model.transformer import Transformer

    config = ModelConfig(
        vocab_size=260,
        hidden_size=768,
        num_layers=12,
        num_heads=12,
        num_kv_heads=12,
        head_dim=64,
        intermediate_size=2048,
        max_position_embeddings=1024,
        tie_embeddings=True,
        bos_token_id=BYTE_BOS,
        eos_token_ids=(BYTE_EOS,),
        latent=None,
    )
    with tempfile.TemporaryDirectory() as name:
        model = Transformer(config)
        save_model(model, Path(name), tokenizer_json=byte_tokenizer_json())
        engine = ours(Path(name)).engine
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    ids = tuple(range(10, 240)) * 2
    scoring = [
        ScoringRequest(context=(one + 10, *ids), continuation=(65,), noise=NoiseKey(seed=1, item=f"{one}"))
        for one in range(24)
    ]
    asking = [
        GenerationRequest(
            prompt=(one + 10, 11, 12), params=SamplingParams(max_tokens=48), noise=NoiseKey(seed=1, item=f"{one}")
        )
        for one in range(batch)
    ]
    engine.score(scoring[:2], lambda *_: None)  # what is built and loaded once is not in the rates
    engine.generate(asking, lambda *_: None)
    started = time.perf_counter()
    engine.score(scoring[2:], lambda *_: None)
    prefill = time.perf_counter() - started
    written: list[int] = []
    started = time.perf_counter()
    engine.generate(asking, lambda _, completion: written.append(len(completion.token_ids)))
    decode = time.perf_counter() - started
    flops = 2 * num_parameters * 22 * (len(ids) + 2) / prefill
    tokens_per_second = sum(written) / decode
    return Rates(
        name=f"one core here: {flops / 1e9:.0f} GFLOP/s reading, {tokens_per_second:.0f} tokens/s writing at 85M",
        flops=flops,
        bytes_per_second=tokens_per_second / batch * num_parameters * 4,
        batch=batch,
        weight_bytes=4,
        price=0.05,
    )


def show(rows: Sequence[Texts], rates: Sequence[Rates], bytes_per_token: float, answer_factor: float) -> None:
    """Print the counts, and what they come to."""
    print("row                items requests  MB asked  MB shared  MB answered")
    for row in rows:
        numbers = f"{row.asked / 1e6:9.2f} {row.shared / 1e6:10.2f} {row.answered / 1e6:12.3f}"
        print(f"{row.name:16s} {row.num_items:7,d} {row.num_requests:8,d} {numbers}")
    total = [sum(getattr(row, field) for row in rows) for field in ("asked", "shared", "answered")]
    print(f"{'total':16s} {'':7s} {'':8s} {total[0] / 1e6:9.2f} {total[1] / 1e6:10.2f} {total[2] / 1e6:12.3f}")
    print("* no data at hand: estimated from the published average lengths\n")
    print(f"{bytes_per_token:g} bytes per token; answers {answer_factor:g} times as long as the references")
    for rate in rates:
        print(f"\n{rate.name}; batch {rate.batch}, {rate.price:g} per hour")
        print("model  arm                      hours, prefixes shared   hours, each prompt read whole    money, shared")
        for size, num_parameters in SIZES.items():
            for arm, reads, writes in _arms():
                hours = [
                    rate.seconds(
                        num_parameters,
                        reads * read / bytes_per_token,
                        writes * total[2] * answer_factor / bytes_per_token,
                    )
                    / 3600
                    for read in (total[1], total[0])
                ]
                print(f"{size:6s} {arm:24s} {hours[0]:22.3f} {hours[1]:31.3f} {hours[0] * rate.price:16.2f}")


def _arms() -> tuple[tuple[str, float, float], ...]:
    """Times that prompts are read and answers written; draws share the half of the blocks that never sees Z."""
    return (
        ("baseline", 1.0, 1.0),
        ("latent, 1 draw", 1.0, 1.0),
        (f"latent, {_NUM_DRAWS} draws", (1 + _NUM_DRAWS) / 2, float(_NUM_DRAWS)),
    )


def main() -> None:
    """Count, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--bytes-per-token", type=float, default=4.0)
    parser.add_argument("--answer-factor", type=float, default=1.5)
    parser.add_argument("--gpu", default="H100", help="its name")
    parser.add_argument("--tflops", type=float, default=989.0, help="dense bfloat16, as its maker states")
    parser.add_argument("--terabytes", type=float, default=3.35, help="of memory per second, as its maker states")
    parser.add_argument("--used-flops", type=float, default=0.4, help="the part that is reached in prefill")
    parser.add_argument("--used-bytes", type=float, default=0.6, help="the part that is reached in decoding")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--price", type=float, default=3.0, help="of a GPU hour")
    parser.add_argument("--measure", action="store_true", help="this processor too")
    given = parser.parse_args()
    source = DataSource(data_dir=given.data_dir, offline=True)
    rows = [*(count(name, task, source) for name, task in ROWS.items()), *RACE]
    gpu = Rates(
        name=f"{given.gpu}, ASSUMED: {given.used_flops:.0%} of {given.tflops:g} TFLOP/s, {given.used_bytes:.0%} of "
        f"{given.terabytes:g} TB/s; not measured",
        flops=given.used_flops * given.tflops * 1e12,
        bytes_per_second=given.used_bytes * given.terabytes * 1e12,
        batch=given.batch,
        weight_bytes=2,
        price=given.price,
    )
    cpu = [measure(16)] if given.measure else []
    print(
        f"python -m benchmarks.cost; {os.cpu_count()} cores, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', '-')}\n"
    )
    show(rows, [gpu, *cpu], given.bytes_per_token, given.answer_factor)


if __name__ == "__main__":
    main()
