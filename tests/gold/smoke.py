"""The smoke evaluation: the shipped toy pair over the four toy tasks, as rows that can be compared with a file."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ft_eval.harness.mirror import DataSource
from ft_eval.harness.tasks import TaskOptions
from ft_eval.plan import RunOptions, plan_run
from ft_eval.records import EngineOptions, LatentPolicy, LatentSource
from ft_eval.resources import toy_dir
from ft_eval.run import SilentProgress
from ft_eval.run.execute import execute_plan
from ft_eval.store import RunStore

GOLD = Path(__file__).with_name("toy_answers.jsonl")
TASKS = ("toy_gsm8k", "toy_mmlu", "toy_humaneval", "toy_target")
LIMIT = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One document's answer, with all that decides its score."""

    checkpoint: str
    latents: str
    task: str
    doc_id: int
    draw: int
    responses: tuple[str, ...]
    logprobs_nats: tuple[float, ...]
    """To four decimals: other processors differ behind them."""
    metrics: tuple[tuple[str, float], ...]

    @property
    def name(self) -> str:
        """What the row is of."""
        return f"{self.checkpoint} ({self.latents}) {self.task}/{self.doc_id} draw {self.draw}"


def collect(folder: Path, *, batch_size: int | None = None) -> list[Row]:
    """Run it in a folder and read its answers back from disk."""
    arms = (LatentPolicy(num_draws=2), LatentPolicy(source=LatentSource.ZERO))
    options = RunOptions(
        checkpoints=(str(toy_dir()),),
        tasks=TASKS,
        task_options=TaskOptions(limit=LIMIT),
        latents=arms,
        seed=1234,
        dtype="float32",
        engine=EngineOptions(batch_size=batch_size),
        source=DataSource(offline=True),
        command="smoke",
    )
    planned = plan_run(options)
    with RunStore.open_or_create(folder / "run", planned.plan) as store:
        execute_plan(planned, store, SilentProgress())
    return [
        Row(
            checkpoint=job.checkpoint.name,
            latents="none" if job.latents is None else str(job.latents.source),
            task=job.task.name,
            doc_id=sample.doc_id,
            draw=sample.draw,
            responses=sample.responses,
            logprobs_nats=tuple(round(value, 4) for value in sample.logprobs_nats),
            metrics=tuple(sorted(sample.metrics.items())),
        )
        for job in planned.plan.jobs
        for sample in RunStore.open(folder / "run").samples(job.id)
    ]


def write(rows: Sequence[Row]) -> None:
    """Write the golden file."""
    GOLD.write_text("".join(json.dumps(asdict(row), ensure_ascii=True) + "\n" for row in rows))


def read() -> list[Row]:
    """Read the golden file."""
    rows = []
    for line in GOLD.read_text().splitlines():
        raw = json.loads(line)
        raw["metrics"] = tuple((name, value) for name, value in raw["metrics"])
        rows.append(Row(**{**raw, "responses": tuple(raw["responses"]), "logprobs_nats": tuple(raw["logprobs_nats"])}))
    return rows
