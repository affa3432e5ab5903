"""What spreading a run costs the process that spreads it: real planner, pool, client, logs, lm-eval scoring, files.

    python -m benchmarks.cluster --samples 1000000 --workers 512
    python -m benchmarks.cluster --samples 100000 --workers 8 64 512

Only the workers are simulated: they answer a shard the moment they are given it, so whatever time passes is overhead.
Four in five samples are completions, one in five has four choices. One line per number of workers: what the planner
took, what all took, the most memory, and, for a driver with a processor to itself, how long a worker must be at a
sample for that many to be kept busy ("busy from"), and for the driver's time to be 2 % of all that workers are paid
for.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ft_eval.cli.quiet import quiet_libraries

quiet_libraries(offline=True)

from ft_eval.engine import Completion, Loglikelihood  # noqa: E402 — after the libraries were told to be quiet
from ft_eval.engine.client import CallWork, GenerationWork  # noqa: E402
from ft_eval.engine.requests import FinishReason  # noqa: E402
from ft_eval.executors.crew import Emitted, Event, Finished, Joined, Task  # noqa: E402
from ft_eval.executors.pool import PoolExecutor  # noqa: E402
from ft_eval.harness.mirror import DataSource  # noqa: E402
from ft_eval.harness.tasks import TaskOptions  # noqa: E402
from ft_eval.plan import PlannedRun, RunOptions, plan_run  # noqa: E402
from ft_eval.records import Job  # noqa: E402
from ft_eval.run import SilentProgress  # noqa: E402
from ft_eval.run.execute import execute_plan  # noqa: E402
from ft_eval.store import RunStore  # noqa: E402
from tests.fakes import write_checkpoint  # noqa: E402

_DOCS_PER_CHECKPOINT = 10_000
_SHARE_OF_CHOICES = 5
_SCORE = Loglikelihood(total_nats=-1.5, num_tokens=2, is_greedy=False, seconds=0.001)
_TEXT = Completion(
    text=" so the answer is 42.", token_ids=tuple(range(20)), finish_reason=FinishReason.STOP, seconds=0.01
)
_TASKS = {
    "completions": """
task: completions
dataset_path: local/completions
output_type: generate_until
test_split: test
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_target: "{{answer}}"
generation_kwargs: {until: ["\\n"], do_sample: false, max_gen_toks: 64}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true, regexes_to_ignore: [".* is ", "\\\\.$"]}]
metadata: {version: 1}
""",
    "choices": """
task: choices
dataset_path: local/choices
output_type: multiple_choice
test_split: test
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_target: 0
doc_to_choice: ["one", "two", "three", "four"]
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
metadata: {version: 1}
""",
}


class SimulatedCrew:
    """Workers that answer a shard the moment they are given it."""

    def __init__(self, num_workers: int) -> None:
        self.num_workers = num_workers
        self._events: deque[Event] = deque(Joined(worker=worker) for worker in range(num_workers))

    def give(self, worker: int, task: Task) -> None:
        """Answer the shard."""
        if isinstance(task.work, CallWork):
            outcomes: tuple[Any, ...] = (None,)
        else:
            answer = _TEXT if isinstance(task.work, GenerationWork) else _SCORE
            outcomes = tuple((index, answer) for index in task.item)
        self._events.append(Emitted(worker=worker, outcomes=outcomes))
        self._events.append(Finished(worker=worker))

    def poll(self, seconds: float) -> Sequence[Event]:
        """What was answered."""
        if not self._events:
            time.sleep(0.001)
        events, self._events = tuple(self._events), deque()
        return events

    def forget(self, call: int) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nobody is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one run took."""

    workers: int
    samples: int
    requests: int
    plan_seconds: float
    wall_seconds: float
    cpu_seconds: float
    peak_mib: float
    disk_mib: float


class Milestones(SilentProgress):
    """Says on stderr, each hundred thousand samples, what they took."""

    def __init__(self) -> None:
        self._num_samples = 0
        self._cpu = time.process_time()

    def job_finished(self, job: Job) -> None:
        """Count."""
        before, self._num_samples = self._num_samples, self._num_samples + job.task.num_docs
        if self._num_samples // 100_000 > before // 100_000:
            seconds, peak = time.process_time() - self._cpu, _peak_mib()
            print(f"{self._num_samples:,} samples: {seconds:.0f} s CPU, {peak:.0f} MiB", file=sys.stderr, flush=True)


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def write_world(folder: Path, num_checkpoints: int) -> None:
    """Tiny checkpoints, two tasks and their documents."""
    for number in range(num_checkpoints):
        write_checkpoint(folder / "checkpoints" / f"step-{number:04d}", max_length=2048, seed=number)
    num_choices = _DOCS_PER_CHECKPOINT // _SHARE_OF_CHOICES
    (folder / "tasks").mkdir()
    for name, num_docs in (("completions", _DOCS_PER_CHECKPOINT - num_choices), ("choices", num_choices)):
        data = folder / "data" / "local" / name
        data.mkdir(parents=True)
        rows = [
            {"question": f"{number}: " + "how many apples are left? " * 12, "answer": "42"}
            for number in range(num_docs)
        ]
        (data / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / "tasks" / f"{name}.yaml").write_text(_TASKS[name])


def plan(folder: Path) -> PlannedRun:
    """The real planner's plan of it."""
    return plan_run(
        RunOptions(
            checkpoints=(str(folder / "checkpoints"),),
            tasks=tuple(_TASKS),
            task_options=TaskOptions(include_paths=(folder / "tasks",)),
            source=DataSource(data_dir=folder / "data", offline=True),
            seed=1,
            command="benchmark",
        )
    )


def measure(num_samples: int, num_workers: int, folder: Path) -> Row:
    """One run, from nothing to its last file."""
    write_world(folder, max(1, num_samples // _DOCS_PER_CHECKPOINT))
    wall, cpu = time.perf_counter(), time.process_time()
    planned = plan(folder)
    planned_after = time.perf_counter() - wall
    with (
        PoolExecutor(SimulatedCrew(num_workers)) as executor,
        RunStore.open_or_create(folder / "run", planned.plan) as store,
    ):
        execute_plan(planned, store, Milestones(), executor)
    done = sum(job.task.num_docs for job in planned.plan.jobs)
    return Row(
        workers=num_workers,
        samples=done,
        requests=sum(job.task.num_docs * (4 if job.task.name == "choices" else 1) for job in planned.plan.jobs),
        plan_seconds=planned_after,
        wall_seconds=time.perf_counter() - wall,
        cpu_seconds=time.process_time() - cpu,
        peak_mib=_peak_mib(),
        disk_mib=sum(path.stat().st_size for path in (folder / "run").rglob("*") if path.is_file()) / 2**20,
    )


def show(row: Row) -> None:
    """Print a row."""
    each = row.cpu_seconds / row.samples
    print(
        f"{row.workers:7d} {row.samples:9,d} {row.requests:10,d} {row.plan_seconds:7.1f} {row.wall_seconds:8.1f}"
        f" {row.cpu_seconds:8.1f} {1e6 * each:10.0f} {row.peak_mib:9.0f} {row.disk_mib:9.0f}"
        f" {each * row.workers:12.3f} {50 * each:12.3f}",
        flush=True,
    )


def main() -> None:
    """Print one row per number of workers, each from a process of its own: its memory is its own too."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, nargs="+", default=[8, 64, 512])
    parser.add_argument("--folder", type=Path, help="where runs are written, and removed again")
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.bare:
        print(f"{os.cpu_count()} cores, Python {platform.python_version()}; simulated workers, all else real")
        print(
            "workers   samples   requests  plan s   wall s    CPU s  us/sample  peak MiB  disk MiB"
            "  busy from s   2 % from s",
            flush=True,
        )
    if len(arguments.workers) > 1:
        for number in arguments.workers:
            given = ["--samples", str(arguments.samples), "--workers", str(number), "--bare"]
            given += ["--folder", str(arguments.folder)] if arguments.folder else []
            subprocess.run([sys.executable, "-m", "benchmarks.cluster", *given], check=True)
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        show(measure(arguments.samples, arguments.workers[0], Path(folder)))


if __name__ == "__main__":
    main()
