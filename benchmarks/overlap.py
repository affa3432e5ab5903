"""What judging programs while a model writes costs the writing: HumanEval+'s prompts, a random model of 30M parameters.

    python -m benchmarks.overlap --data-dir DIR [--limit 60] [--tokens 64] [--threads 2] [--repeats 3]

DIR has evalplus/humanevalplus and evalplus-release/. In one process, in turn: what the model writes is judged when all
is written, or meanwhile (a random model's programs end at once); and the problems' own solutions in place of what it
writes, which is more work than a model's programs are. "writing" is the time in the model's answers, "in all" the time
until every program has its verdict; a problem's expected answers are made in it.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.scale_parts import checkpoint
from ft_eval.engine.client import Answerer
from ft_eval.engine.loading import ModelArguments, load_engine
from ft_eval.harness import code_documents, lm
from ft_eval.harness.code_tasks import CodeTaskSettings, session
from ft_eval.harness.mirror import DataSource
from ft_eval.harness.tasks import TaskOptions, load_tasks
from ft_eval.records import LatentPolicy
from ft_eval.resources import tasks_dir

_TASK = """\
include: {tasks}/humaneval_plus/humaneval_plus.yaml
task: overlap
generation_kwargs: {{until: ["\\nclass"], max_gen_toks: {tokens}, do_sample: false}}
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=60)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2, help="of the model")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "overlap.yaml").write_text(_TASK.format(tasks=tasks_dir(), tokens=arguments.tokens))
        options = TaskOptions(limit=arguments.limit, include_paths=(Path(folder),))
        task = load_tasks(["overlap"], options, DataSource(data_dir=arguments.data_dir, offline=True)).tasks["overlap"]
        path = Path(checkpoint(Path(folder), "30M")["path"])
        engine = load_engine(ModelArguments(path=path, latents=LatentPolicy()))
        seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in _WAYS}
        for _ in range(arguments.repeats):
            for name, way in _WAYS.items():
                seconds[name].append(_one(arguments, task, engine, way))
    print(f"{arguments.limit} prompts, {arguments.tokens} tokens each, {arguments.threads} threads of the model")
    print(f"{'':34} {'writing':>9} {'in all':>9}")
    for name, runs in seconds.items():
        writing, in_all = (statistics.median(run[part] for run in runs) for part in (0, 1))
        print(f"{name:34} {writing:8.2f}s {in_all:8.2f}s")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """What is judged, and when."""

    is_meanwhile: bool
    judges_solutions: bool

    def program(self, document: Mapping[str, Any], completion: str) -> str:
        """What stands for a completion."""
        return str(document["canonical_solution"]) if self.judges_solutions else completion

    def score_ahead(self, task: str, document: Mapping[str, Any], completion: str) -> None:
        """Called by the backend with each completion."""
        if self.is_meanwhile:
            code_documents.score_ahead(task, document, self.program(document, completion))


def _one(arguments: argparse.Namespace, task: Any, engine: Answerer, way: _Way) -> tuple[float, float]:
    """Seconds of the writing, and until all is judged."""
    task.build_all_requests(limit=arguments.limit, rank=0, world_size=1)
    with session(CodeTaskSettings(data_dir=arguments.data_dir, offline=True)) as opened:
        _ = opened.description
        vars(lm)["score_ahead"] = way.score_ahead
        model = lm.FreeTransformerLM(engine)
        started = time.perf_counter()
        texts = model.generate_until(task.instances)
        written = time.perf_counter() - started
        for request, text in zip(task.instances, texts, strict=True):
            task.process_results(request.doc, [way.program(request.doc, text)])
        return written, time.perf_counter() - started


_WAYS: Mapping[str, _Way] = {
    "its programs, afterwards": _Way(is_meanwhile=False, judges_solutions=False),
    "its programs, meanwhile": _Way(is_meanwhile=True, judges_solutions=False),
    "solutions, afterwards": _Way(is_meanwhile=False, judges_solutions=True),
    "solutions, meanwhile": _Way(is_meanwhile=True, judges_solutions=True),
}


if __name__ == "__main__":
    main()
