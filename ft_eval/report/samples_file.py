"""All samples of the reported runs as one Parquet file, written while the report reads them: no second pass.

`recorded_runs` stands in for the runs: each job's samples go into the file the first time that somebody reads them, and
what nobody read is added at the end. A row is one document under one draw, with its whole texts. Knows no statistics.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ft_eval.records import Job, SampleResult
from ft_eval.report.catalog import policy_text
from ft_eval.report.columns import Batch, RunReader, StoredRun, struct_column, struct_fields
from ft_eval.store.files import make_folder, one_clear_line, refuse_in_place_of_file, sync_folder

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
def recorded_runs(stores: Sequence[StoredRun], path: Path) -> Iterator[tuple[RunReader, ...]]:
    """The runs, whose samples are in the file at `path` when the block has ended well; else the old file stays.

    Raises:
        StoreError: the file can't be written, or samples can't be read.
    """
    make_folder(path.parent)
    refuse_in_place_of_file(path)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with one_clear_line(path, "write"):
            temporary.unlink(missing_ok=True)  # of a process that died; never written through, were it a link
        with one_clear_line(path, "write"), temporary.open("xb") as file:
            with pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
                rows = _Rows(writer)
                runs = [RunReader(store, partial(rows.append, store.plan.run_id)) for store in stores]
                yield tuple(runs)
                for run in runs:
                    run.see_the_rest()
                rows.flush()
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink()


class _Rows:
    """Samples on their way into the file, as columns."""

    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer
        self._waiting: list[pa.Table] = []
        self._num_rows = self._num_characters = 0

    def append(self, run_id: str, owner: Job, batch: Batch) -> None:
        """Add a batch; whole row groups go into the file."""
        table = _table(run_id, owner, batch)
        characters = _characters(table)
        while table.num_rows:
            end = self._end_of_group(characters)
            self._waiting.append(table.slice(0, end))
            self._num_rows, self._num_characters = (
                self._num_rows + end,
                self._num_characters + int(characters[:end].sum()),
            )
            table, characters = table.slice(end), characters[end:]
            if self._is_full():
                self.flush()

    def _end_of_group(self, characters: NDArray[np.int64]) -> int:
        """How many of the next rows go into the group that is being filled: all, if it does not get full."""
        rows = self._num_rows + np.arange(1, len(characters) + 1)
        is_full = (rows >= _MAX_ROWS) | (self._num_characters + np.cumsum(characters) >= _MAX_CHARACTERS)
        return int(is_full.argmax()) + 1 if is_full.any() else len(characters)

    def _is_full(self) -> bool:
        return self._num_rows >= _MAX_ROWS or self._num_characters >= _MAX_CHARACTERS

    def flush(self) -> None:
        """Write what waits as a row group."""
        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting).combine_chunks())
        self._waiting, self._num_rows, self._num_characters = [], 0, 0


def _characters(table: pa.Table) -> NDArray[np.int64]:
    """The length of each row's prompt, target and responses together, shape (n,)."""
    responses = table["responses"].combine_chunks()
    ends = np.concatenate([[0], np.cumsum(pc.utf8_length(responses.flatten()).to_numpy(zero_copy_only=False))])
    sizes = pc.list_value_length(responses).to_numpy(zero_copy_only=False).astype(np.int64)
    last = np.cumsum(sizes)
    own = pc.add(pc.utf8_length(table["prompt"]), pc.utf8_length(table["target"])).to_numpy().astype(np.int64)
    return np.asarray(own + ends[last] - ends[last - sizes], dtype=np.int64)


def _table(run_id: str, owner: Job, batch: Batch) -> pa.Table:
    """The batch's rows in the file's columns."""
    if batch.table is None:
        columns = _of_samples(owner, batch.samples)
        num_rows = len(batch.samples)
    else:
        columns = _of_table(owner, batch.table)
        num_rows = batch.table.num_rows
    columns |= {name: [value] * num_rows for name, value in _owner_row(run_id, owner).items()}
    arrays = [
        columns[entry.name] if isinstance(columns[entry.name], pa.Array | pa.ChunkedArray)
        else pa.array(columns[entry.name], entry.type)
        for entry in SCHEMA
    ]  # fmt: skip
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def _of_table(owner: Job, table: pa.Table) -> dict[str, Any]:
    columns: dict[str, Any] = {name: table[name] for name in (*_PLAIN_FIELDS, *_TEXT_FIELDS, "responses", "error")}
    for name in ("metrics", "details"):
        columns[name] = _maps(table[name], SCHEMA.field(name).type)
    score = struct_column(table["metrics"], owner.task.metric)
    columns["score"] = pc.if_else(table["error"].is_null(), score, None).cast(pa.float64())
    return columns


def _maps(structs: pa.ChunkedArray, kind: pa.MapType) -> pa.Array:
    """Structs as maps of the names that each has, in the order of the names."""
    fields = [column.combine_chunks() for column in struct_fields(structs)]
    num_rows, names = len(structs), [entry.name for entry in structs.type]
    is_there = np.zeros((num_rows, len(names)), dtype=np.bool_)
    for place, column in enumerate(fields):
        is_there[:, place] = column.is_valid().to_numpy(zero_copy_only=False)
    rows, places = np.nonzero(is_there)
    offsets = np.concatenate([[0], np.cumsum(is_there.sum(axis=1))])
    values = (
        pa.concat_arrays(fields).take(pa.array(places * num_rows + rows)) if fields else pa.array([], kind.item_type)
    )
    keys = pa.array(names, kind.key_type).take(pa.array(places))
    return pa.MapArray.from_arrays(pa.array(offsets, pa.int32()), keys, values)


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


def _of_samples(owner: Job, samples: Sequence[SampleResult]) -> dict[str, Any]:
    columns: dict[str, Any] = {name: [getattr(sample, name) for sample in samples] for name in _PLAIN_FIELDS}
    columns |= {name: [_utf8(getattr(sample, name)) for sample in samples] for name in _TEXT_FIELDS}
    columns["responses"] = [[_utf8(text) for text in s.responses] for s in samples]
    columns["metrics"] = [[(_utf8(name), value) for name, value in sorted(s.metrics.items())] for s in samples]
    columns["error"] = [None if s.error is None else _utf8(s.error) for s in samples]
    columns["details"] = [[(_utf8(name), _utf8(text)) for name, text in sorted(s.details.items())] for s in samples]
    columns["score"] = [s.metrics.get(owner.task.metric) if s.error is None else None for s in samples]
    return columns


def _utf8(text: str) -> str:
    r"""The text as Parquet can hold it: half of a surrogate pair, which a model can make, becomes `\\ud800`."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
