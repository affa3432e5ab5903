"""A job's samples as Arrow tables, a block of lines at a time.

Arrow parses the lines where it finds in them exactly what the store's codec would. What it can't read, or would read
more kindly than the codec (an infinite score, half of a surrogate pair, a field left out), the codec decodes, which is
ten times slower and says what is wrong. Knows no statistics.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from ft_eval.records import Job, RunPlan, SampleResult, TaskResult
from ft_eval.store import FORMAT_VERSION, SampleBlock

_TEXT, _TEXTS, _NUMBERS, _COUNT = pa.string(), pa.list_(pa.string()), pa.list_(pa.float64()), pa.int64()
_PLAIN: Mapping[str, pa.DataType] = {
    "format_version": _COUNT, "job_id": _TEXT, "doc_id": _COUNT, "draw": _COUNT, "doc_hash": _TEXT,
    "prompt_hash": _TEXT, "target_hash": _TEXT, "prompt": _TEXT, "target": _TEXT, "responses": _TEXTS,
    "logprobs_nats": _NUMBERS, "logprob_stderrs_nats": _NUMBERS, "effective_sample_sizes": _NUMBERS,
    "num_draws": _COUNT, "may_flip": pa.bool_(), "num_prompt_tokens": _COUNT, "num_generated_tokens": _COUNT,
    "num_truncated_tokens": _COUNT, "seconds": pa.float64(), "error": _TEXT,
}  # fmt: skip
"""What a line holds beside `metrics` and `details`, whose names differ from task to task."""
_OPTIONAL = ("may_flip", "error")
_MAX_NAMES = 64
"""More names of metrics or details than this in one job are left to the codec."""


class StoredRun(Protocol):
    """What a report needs of a run; `RunStore` is one."""

    @property
    def plan(self) -> RunPlan:
        """All that the run does."""
        ...

    def result(self, job_id: str) -> TaskResult | None:
        """The job's result, or None while it is not done."""
        ...

    def samples(self, job_id: str, doc_ids: AbstractSet[int] | None = None) -> Iterator[SampleResult]:
        """The samples of a job that is done, of these documents or of all."""
        ...

    def sample_blocks(self, job_id: str) -> Iterator[SampleBlock]:
        """All samples of a job that is done, as blocks of lines."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Some of a job's samples, either as a table or, where Arrow would not have done, one by one."""

    table: pa.Table | None = None
    """A column per field of `SampleResult`; `metrics` and `details` are structs, with null for a name that a sample
    lacks. No number in it is infinite or nan."""
    samples: Sequence[SampleResult] = ()
    """Where there is no table."""


OnBatch = Callable[[Job, Batch], None]


class RunReader:
    """A run as a report reads it. `on_batch` sees what passes by, each job once."""

    def __init__(self, store: StoredRun, on_batch: OnBatch | None = None) -> None:
        self._store, self._on_batch = store, on_batch
        self._jobs = {job.id: job for job in store.plan.jobs}
        self._seen: set[str] = set()

    @property
    def plan(self) -> RunPlan:
        """All that the run does."""
        return self._store.plan

    def result(self, job_id: str) -> TaskResult | None:
        """The job's result, or None while it is not done."""
        return self._store.result(job_id)

    def samples(self, job_id: str, doc_ids: AbstractSet[int] | None = None) -> Iterator[SampleResult]:
        """The samples of a job that is done, of these documents or of all, texts and all."""
        return self._store.samples(job_id, doc_ids)

    def batches(self, job_id: str) -> Iterator[Batch]:
        """All samples of a job that is done, in the order in which they were stored.

        Raises:
            StoreError: samples can't be read; what came before stands.
        """
        is_new = self._on_batch is not None and job_id not in self._seen
        self._seen.add(job_id)
        for batch in read_batches(self._store.sample_blocks(job_id)):
            if self._on_batch is not None and is_new:
                self._on_batch(self._jobs[job_id], batch)
            yield batch

    def see_the_rest(self) -> None:
        """Let `on_batch` see the finished jobs that nobody read."""
        for job_id in self._jobs:
            if job_id not in self._seen and self.result(job_id) is not None:
                for _ in self.batches(job_id):
                    pass


def as_readers(stores: Sequence[StoredRun | RunReader]) -> tuple[RunReader, ...]:
    """The runs as a report reads them; what is a reader already stays it."""
    return tuple(store if isinstance(store, RunReader) else RunReader(store) for store in stores)


@dataclass(slots=True)
class _Names:
    """The names that a job's samples have used so far."""

    metrics: set[str] = field(default_factory=set)
    details: set[str] = field(default_factory=set)

    def learn(self, samples: Sequence[SampleResult]) -> None:
        for sample in samples:
            self.metrics.update(sample.metrics)
            self.details.update(sample.details)

    def schema(self) -> pa.Schema | None:
        """Of a line that uses no other names; None where they are too many, or no text for Arrow."""
        if max(len(self.metrics), len(self.details)) > _MAX_NAMES or not self._are_texts():
            return None
        metrics = pa.struct([(name, pa.float64()) for name in sorted(self.metrics)])
        details = pa.struct([(name, _TEXT) for name in sorted(self.details)])
        return pa.schema([*_PLAIN.items(), ("metrics", metrics), ("details", details)])

    def _are_texts(self) -> bool:
        return all(letter < "\ud800" or letter > "\udfff" for name in self.metrics | self.details for letter in name)


def read_batches(blocks: Iterator[SampleBlock]) -> Iterator[Batch]:
    """Decode a job's blocks, in order."""
    names = _Names()
    for block in blocks:
        if not block.first:
            names.learn(_head(block))
        table = _parse(block, names.schema())
        if table is not None:
            yield Batch(table=table)
            continue
        samples = block.samples()
        names.learn(samples)
        yield Batch(samples=samples)


def _head(block: SampleBlock) -> Sequence[SampleResult]:
    """The first sample, by the codec."""
    line = block.text.split(b"\n", 1)[0]
    return SampleBlock(text=line, first=block.first, num_lines=1, job_id=block.job_id, source=block.source).samples()


def _parse(block: SampleBlock, schema: pa.Schema | None) -> pa.Table | None:
    """None where the codec has to look."""
    if schema is None or not block.text.isascii():
        return None
    try:
        table = pj.read_json(
            pa.BufferReader(block.text),
            read_options=pj.ReadOptions(use_threads=False, block_size=len(block.text)),
            parse_options=pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error"),
        )
        if not _is_exact(table.combine_chunks(), block):
            return None
    except pa.ArrowInvalid:
        return None
    place = table.column_names.index("seconds")
    if block.seconds:
        table = table.set_column(place, "seconds", pa.array(block.seconds, pa.float64()))
    return table.combine_chunks()


def _is_exact(table: pa.Table, block: SampleBlock) -> bool:
    """Whether the codec would have read the same: no field left out or null, one job, no odd number."""
    versions = pc.min_max(table["format_version"])
    columns = {name: table[name] for name in table.column_names}
    return (
        table.num_rows == block.num_lines
        and all(columns[name].null_count == 0 for name in columns if name not in _OPTIONAL)
        and all(columns[name].null_count == _num_nulls(block, name) for name in _OPTIONAL)
        and not any(_hides_null(columns[name], block) for name in ("metrics", "details"))
        and 1 <= versions["min"].as_py() <= versions["max"].as_py() <= FORMAT_VERSION
        and bool(pc.all(pc.equal(columns["job_id"], block.job_id)).as_py())
        and all(_holds_values(columns[name]) for name, kind in _PLAIN.items() if pa.types.is_list(kind))
        and all(_is_finite(value) for value in (columns["seconds"], *struct_fields(columns["metrics"])))
    )


def _num_nulls(block: SampleBlock, name: str) -> int:
    """How often the text says null of a field; a string's own quotes are escaped, so none of them is counted."""
    return block.text.count(f"{json.dumps(name)}:null".encode())


def _hides_null(structs: pa.ChunkedArray, block: SampleBlock) -> bool:
    """Whether a name that Arrow takes to be absent stands there with null, which the codec refuses."""
    children = zip(structs.type, struct_fields(structs), strict=True)
    return any(child.null_count and _num_nulls(block, entry.name) for entry, child in children)


def _holds_values(lists: pa.ChunkedArray) -> bool:
    values = pc.list_flatten(lists)
    return values.null_count == 0 and (pa.types.is_string(values.type) or _is_finite(values))


def _is_finite(values: pa.ChunkedArray | pa.Array) -> bool:
    return pc.all(pc.is_finite(values)).as_py() is not False


def struct_fields(structs: pa.ChunkedArray) -> list[pa.ChunkedArray]:
    """The columns of a struct, in its order."""
    return [pc.struct_field(structs, [place]) for place in range(structs.type.num_fields)]


def struct_column(structs: pa.ChunkedArray, name: str | None) -> pa.ChunkedArray | pa.Array:
    """A struct's column by name; nulls where it has none of that name."""
    names = [entry.name for entry in structs.type]
    return struct_fields(structs)[names.index(name)] if name in names else pa.nulls(len(structs), pa.float64())
