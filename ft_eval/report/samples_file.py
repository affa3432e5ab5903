"""All samples of the reported runs as one Parquet file, written while the report reads them: no second pass.

`recorded_runs` stands in for the runs: each job's samples go into the file the first time that somebody reads them, and
what nobody read is added at the end. A row is one document under one draw, with its whole texts. Knows no statistics.
"""

import os
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ft_eval.records import Job, RunPlan, SampleResult, TaskResult
from ft_eval.report.catalog import RunReader, policy_text
from ft_eval.store.files import make_folder, one_clear_line, sync_folder

_MAX_ROWS, _MAX_CHARACTERS = 16_384, 16 * 2**20
"""A row group ends at either, so that memory stays small whatever the texts' length."""
_TEXT, _TEXTS, _NUMBERS = pa.string(), pa.list_(pa.string()), pa.list_(pa.float64())
SCHEMA = pa.schema(
    [
        ("run_id", _TEXT), ("job_id", _TEXT), ("checkpoint", _TEXT), ("arm", _TEXT), ("kappa_bits", pa.float64()),
        ("latent_policy", _TEXT), ("seed", pa.int64()), ("task", _TEXT), ("task_version", _TEXT),
        ("num_fewshot", pa.int64()), ("metric", _TEXT), ("score", pa.float64()), ("doc_id", pa.int64()),
        ("draw", pa.int64()), ("doc_hash", _TEXT), ("prompt_hash", _TEXT), ("target_hash", _TEXT), ("prompt", _TEXT),
        ("target", _TEXT), ("responses", _TEXTS), ("logprobs_nats", _NUMBERS), ("logprob_stderrs_nats", _NUMBERS),
        ("effective_sample_sizes", _NUMBERS), ("num_draws", pa.int64()), ("may_flip", pa.bool_()),
        ("metrics", pa.map_(_TEXT, pa.float64())), ("num_prompt_tokens", pa.int64()),
        ("num_generated_tokens", pa.int64()), ("num_truncated_tokens", pa.int64()), ("seconds", pa.float64()),
        ("error", _TEXT), ("details", pa.map_(_TEXT, _TEXT)),
    ]
)  # fmt: skip
"""`score` is the task's primary metric, null where the sample has none."""
_PLAIN_FIELDS = (
    "doc_id", "draw", "logprobs_nats", "logprob_stderrs_nats", "effective_sample_sizes", "num_draws", "may_flip",
    "num_prompt_tokens", "num_generated_tokens", "num_truncated_tokens", "seconds",
)  # fmt: skip
_TEXT_FIELDS = ("doc_hash", "prompt_hash", "target_hash", "prompt", "target")


@contextmanager
def recorded_runs(stores: Sequence[RunReader], path: Path) -> Iterator[tuple[RunReader, ...]]:
    """The runs, whose samples are in the file at `path` when the block has ended well; else the old file stays.

    Raises:
        StoreError: the file can't be written, or samples can't be read.
    """
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with one_clear_line(path, "write"), temporary.open("wb") as file:
            with pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
                rows = _Rows(writer)
                runs = [_RecordedRun(store, rows) for store in stores]
                yield tuple(runs)
                for run in runs:
                    run.record_the_rest()
                rows.flush()
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink()


class _RecordedRun:
    """A run whose samples are written down as they pass by for the first time."""

    def __init__(self, store: RunReader, rows: "_Rows") -> None:
        self._store, self._rows = store, rows
        self._recorded: set[str] = set()
        self._jobs = {job.id: job for job in store.plan.jobs}

    @property
    def plan(self) -> RunPlan:
        return self._store.plan

    def result(self, job_id: str) -> TaskResult | None:
        return self._store.result(job_id)

    def samples(self, job_id: str, doc_ids: AbstractSet[int] | None = None) -> Iterator[SampleResult]:
        if job_id in self._recorded:
            yield from self._store.samples(job_id, doc_ids)
            return
        for sample in self._record(job_id):
            if doc_ids is None or sample.doc_id in doc_ids:
                yield sample

    def _record(self, job_id: str) -> Iterator[SampleResult]:
        self._recorded.add(job_id)
        owner, run_id, samples = self._jobs[job_id], self.plan.run_id, self._store.samples(job_id)
        try:
            for sample in samples:
                self._rows.append(run_id, owner, sample)
                yield sample
        except GeneratorExit:  # the reader has seen enough, the file has not
            for sample in samples:
                self._rows.append(run_id, owner, sample)
            raise

    def record_the_rest(self) -> None:
        """Write down the finished jobs that nobody read."""
        for job_id in self._jobs:
            if job_id not in self._recorded and self.result(job_id) is not None:
                for _ in self.samples(job_id):
                    pass


class _Rows:
    """Samples on their way into the file; they become columns, since a row at a time costs a third more."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer
        self._runs: list[tuple[str, Job, list[SampleResult]]] = []
        """Samples of one job that stand together."""
        self._num_rows = self._num_characters = 0

    def append(self, run_id: str, owner: Job, sample: SampleResult) -> None:
        if not self._runs or self._runs[-1][1] is not owner:
            self._runs.append((run_id, owner, []))
        self._runs[-1][2].append(sample)
        self._num_rows += 1
        self._num_characters += len(sample.prompt) + len(sample.target) + sum(map(len, sample.responses))
        if self._num_rows >= _MAX_ROWS or self._num_characters >= _MAX_CHARACTERS:
            self.flush()

    def flush(self) -> None:
        if self._runs:
            columns = _of_owners(self._runs) | _of_samples([sample for _, _, run in self._runs for sample in run])
            self._writer.write_table(pa.Table.from_pydict(columns, schema=SCHEMA))
        self._runs, self._num_rows, self._num_characters = [], 0, 0


def _of_owners(runs: Sequence[tuple[str, Job, Sequence[SampleResult]]]) -> dict[str, list[Any]]:
    """The columns that are one value for all samples of a job, and the score, whose name the job's task says."""
    columns: dict[str, list[Any]] = {"score": []}
    for run_id, owner, samples in runs:
        metric = owner.task.metric
        columns["score"] += [s.metrics.get(metric) if s.error is None else None for s in samples]
        for name, value in _owner_row(run_id, owner).items():
            columns.setdefault(name, []).extend([value] * len(samples))
    return columns


def _owner_row(run_id: str, owner: Job) -> dict[str, Any]:
    checkpoint, task = owner.checkpoint, owner.task
    return {
        "run_id": run_id,
        "job_id": owner.id,
        "checkpoint": _utf8(checkpoint.name),
        "arm": checkpoint.arm.value,
        "kappa_bits": checkpoint.kappa_bits,
        "latent_policy": policy_text(owner.latents),
        "seed": owner.seed,
        "task": _utf8(task.name),
        "task_version": _utf8(task.version),
        "num_fewshot": task.num_fewshot,
        "metric": _utf8(task.metric),
    }


def _of_samples(samples: Sequence[SampleResult]) -> dict[str, list[Any]]:
    """The columns that are a sample's own."""
    columns = {name: [getattr(sample, name) for sample in samples] for name in _PLAIN_FIELDS}
    columns |= {name: [_utf8(getattr(sample, name)) for sample in samples] for name in _TEXT_FIELDS}
    columns["responses"] = [[_utf8(text) for text in s.responses] for s in samples]
    columns["metrics"] = [[(_utf8(name), value) for name, value in sorted(s.metrics.items())] for s in samples]
    columns["error"] = [None if s.error is None else _utf8(s.error) for s in samples]
    columns["details"] = [[(_utf8(name), _utf8(text)) for name, text in sorted(s.details.items())] for s in samples]
    return columns


def _utf8(text: str) -> str:
    r"""The text as Parquet can hold it: half of a surrogate pair, which a model can make, becomes `\\ud800`."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
