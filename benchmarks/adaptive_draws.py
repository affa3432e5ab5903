"""`--z-draws auto` against all 128 draws: the same decisions, and how many draws it took.

    python benchmarks/adaptive_draws.py [--ckpt CHECKPOINT] [--task toy_mmlu] [--limit 200]

The default is the latent model of the toy pair that ships with the package. Prints one line per policy.
"""

import argparse
import os
import time
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TQDM_DISABLE="1", TOKENIZERS_PARALLELISM="false")

from lm_eval.evaluator import evaluate

from ft_eval.engine import Engine
from ft_eval.engine.loading import ModelArguments, latent_policy, load_engine
from ft_eval.harness.lm import FreeTransformerLM
from ft_eval.harness.mirror import DataSource
from ft_eval.harness.tasks import LoadedTasks, TaskOptions, load_tasks
from ft_eval.records import Answer
from ft_eval.resources import toy_dir


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ckpt", type=Path, default=toy_dir() / "latent")
    parser.add_argument("--task", default="toy_mmlu")
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--data-dir", type=Path)
    arguments = parser.parse_args()
    source = DataSource(data_dir=arguments.data_dir, offline=True)
    loaded = load_tasks([arguments.task], TaskOptions(limit=arguments.limit), source)
    engine = load_engine(ModelArguments(path=arguments.ckpt, dtype="float32"))
    full, num_full, seconds_full = decisions(engine, loaded, "128", arguments.limit)
    auto, num_auto, seconds_auto = decisions(engine, loaded, "auto", arguments.limit)
    same = sum(a == b for a, b in zip(full, auto, strict=True))
    print(f"{arguments.task}, {len(full)} items, 128 draws at most")
    print(f"same decision            {same} of {len(full)} ({same / len(full):.2%})")
    print(f"draws, auto over all     {num_auto} over {num_full} ({num_auto / num_full:.1%})")
    print(f"seconds, auto over all   {seconds_auto:.1f} over {seconds_full:.1f} ({seconds_auto / seconds_full:.1%})")


def decisions(engine: Engine, loaded: LoadedTasks, z_draws: str, limit: int) -> tuple[list[int], int, float]:
    """The chosen answer of each document, the number of answers it took, and the seconds."""
    answers: list[Answer] = []
    lm = FreeTransformerLM(engine.under(latent_policy("prior", z_draws)), on_answer=answers.append)
    started = time.perf_counter()
    found = evaluate(lm, {"tasks": dict(loaded.tasks)}, limit=limit, bootstrap_iters=0)
    seconds = time.perf_counter() - started
    (samples,) = found["samples"].values()
    scores = [[response[0][0] for response in sample["resps"]] for sample in samples]
    return [row.index(max(row)) for row in scores], len(answers), seconds


if __name__ == "__main__":
    main()
