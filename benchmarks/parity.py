"""Our lm-eval backend against lm-eval's own `hf` backend: same checkpoint, same data, every answer compared.

    python benchmarks/parity.py --ckpt CHECKPOINT --data-dir DATA [--limit 50] [--tasks gsm8k,arc_easy]

Needs transformers and accelerate (the dev group), which the `hf` backend imports. Exit code 1 when anything differs.
"""

import argparse
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TQDM_DISABLE="1", TOKENIZERS_PARALLELISM="false")

TOLERANCE_NATS = 1e-3
"""How far two fp32 log-likelihoods of one continuation may be apart: sums over up to a few hundred tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One task's comparison."""

    task: str
    num_docs: int
    num_different: int
    largest_gap_nats: float
    scores_equal: bool
    seconds_ours: float
    seconds_hf: float
    first: str = ""


def main() -> int:
    """Compare and print."""
    arguments = _arguments()
    rows = []
    for name, num_fewshot, limit in _work(arguments):
        rows += compare(name, num_fewshot, limit, arguments)
    print(f"{'task':44} {'docs':>5} {'differ':>6} {'max |Δ log p|':>14} {'scores':>7} {'ours s':>8} {'hf s':>8}")
    for row in rows:
        print(
            f"{row.task:44} {row.num_docs:5} {row.num_different:6} {row.largest_gap_nats:14.2e} "
            f"{'equal' if row.scores_equal else 'DIFFER':>7} {row.seconds_ours:8.1f} {row.seconds_hf:8.1f} {row.first}"
        )
    different = sum(row.num_different + (not row.scores_equal) for row in rows)
    print(f"differences: {different or 'none'} in {sum(row.num_docs for row in rows)} documents of {len(rows)} tasks")
    return 1 if different else 0


def compare(name: str, num_fewshot: int | None, limit: int, arguments: argparse.Namespace) -> list[Row]:
    """Run one name through both backends; a group gives a row per group, its tasks together."""
    ours, seconds_ours = _run(name, num_fewshot, limit, arguments, ours=True)
    theirs, seconds_hf = _run(name, num_fewshot, limit, arguments, ours=False)
    differing, largest, total = [], 0.0, 0
    for task in theirs["samples"]:
        for mine, reference in zip(ours["samples"][task], theirs["samples"][task], strict=True):
            total += 1
            gap = _gap(mine["resps"], reference["resps"])
            largest = max(largest, gap)
            if gap > TOLERANCE_NATS or _metrics(mine) != _metrics(reference):
                differing.append(f"{task}/{mine['doc_id']}")
    equal = _scores(ours) == _scores(theirs)
    row = Row(
        task=f"{name} ({num_fewshot if num_fewshot is not None else 'default'}-shot)",
        num_docs=total,
        num_different=len(differing),
        largest_gap_nats=largest,
        scores_equal=equal,
        seconds_ours=seconds_ours,
        seconds_hf=seconds_hf,
        first=differing[0] if differing else "",
    )
    return [row]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ckpt", type=Path, required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=50)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--tasks", default="gsm8k,arc_easy,hellaswag,piqa,mmlu,triviaqa,winogrande,boolq")
    return parser.parse_args()


def _work(arguments: argparse.Namespace) -> list[tuple[str, int | None, int]]:
    names = arguments.tasks.split(",")
    return [(name, 5, min(4, arguments.limit)) if name == "mmlu" else (name, None, arguments.limit) for name in names]


def _run(
    name: str, num_fewshot: int | None, limit: int, arguments: argparse.Namespace, *, ours: bool
) -> tuple[Mapping[str, Any], float]:
    from lm_eval.evaluator import evaluate

    from ft_eval.engine.loading import ModelArguments, load_engine
    from ft_eval.harness.lm import FreeTransformerLM
    from ft_eval.harness.mirror import DataSource
    from ft_eval.harness.tasks import TaskOptions, load_tasks

    options = TaskOptions(limit=limit, num_fewshot=num_fewshot)
    loaded = load_tasks([name], options, DataSource(data_dir=arguments.data_dir, offline=True))
    if ours:
        engine = load_engine(ModelArguments(path=arguments.ckpt, device="cpu", batch_size=arguments.batch_size))
        lm: Any = FreeTransformerLM(engine)
    else:
        from lm_eval.models.huggingface import HFLM

        lm = HFLM(pretrained=str(arguments.ckpt), device="cpu", batch_size=arguments.batch_size, dtype="float32")
    started = time.perf_counter()
    found = evaluate(lm, {"tasks": dict(loaded.tasks)}, limit=limit, bootstrap_iters=0)
    assert found is not None, "rank 0 always has results"
    return found, time.perf_counter() - started


def _gap(mine: Any, reference: Any) -> float:
    """The largest difference of log-likelihoods, or infinity where texts or greedy flags differ."""
    gap = 0.0
    for ours, theirs in zip(mine, reference, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            if isinstance(b, str):
                gap = max(gap, 0.0 if a == b else float("inf"))
            elif isinstance(b, tuple):
                gap = max(gap, abs(a[0] - b[0]) if a[1] == b[1] else float("inf"))
            else:
                gap = max(gap, abs(a - b))
    return gap


def _metrics(sample: Mapping[str, Any]) -> Mapping[str, Any]:
    return {metric: sample[metric] for metric in sample["metrics"]}


def _scores(results: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        task: {key: value for key, value in scores.items() if "," in key and "stderr" not in key}
        for task, scores in results["results"].items()
    }


if __name__ == "__main__":
    sys.exit(main())
