"""The samples of one job as a tidy pandas frame: hashes and numbers, one row per document and draw, and no text.

A sample takes about 70 bytes plus 8 per metric, whatever the length of its prompt, so a million stay small. Texts are
read again for the few samples that are shown (`flips.py`).
"""

import hashlib
import math
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ft_eval.records import SampleResult
from ft_eval.report.columns import Batch, struct_column, struct_fields

CONTENT = ["doc", "prompt", "target"]
"""The columns that identify an item by its content, 64 bits of a hash each."""
ITEM = [*CONTENT, "occurrence"]
"""The same, with a number that tells apart documents of equal content in one task."""
_MAX_ERROR_LENGTH = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """One job's samples without their texts."""

    frame: pd.DataFrame
    """Columns doc_id, draw, doc, prompt, target, cluster, num_choices (0 where there is none), is_scored, has_cluster,
    is_truncated, may_flip, and one per name in `metrics` (nan where it has no score)."""
    metrics: tuple[str, ...]
    errors: tuple[tuple[str, int], ...]
    """Why documents could not be scored, the most frequent reason first, with its count."""
    num_not_finite: int = 0
    """Samples with a score that is NaN or infinite: such a score counts as none."""


@dataclass(slots=True)
class _Columns:
    """Columns as they fill, eight bytes a value."""

    ids: "array[int]" = field(default_factory=lambda: array("q"))
    draws: "array[int]" = field(default_factory=lambda: array("q"))
    hashes: "tuple[array[int], ...]" = field(default_factory=lambda: tuple(array("Q") for _ in CONTENT))
    clusters: "array[int]" = field(default_factory=lambda: array("Q"))
    num_choices: "array[int]" = field(default_factory=lambda: array("q"))
    is_scored: "array[int]" = field(default_factory=lambda: array("b"))
    has_cluster: "array[int]" = field(default_factory=lambda: array("b"))
    is_truncated: "array[int]" = field(default_factory=lambda: array("b"))
    may_flip: "array[int]" = field(default_factory=lambda: array("b"))
    metrics: "dict[str, array[float]]" = field(default_factory=dict)
    errors: Counter[str] = field(default_factory=Counter)
    num_not_finite: int = 0

    def append(self, sample: SampleResult, cluster: str | None) -> None:
        for name in sample.metrics.keys() - self.metrics.keys():
            self.metrics[name] = array("d", [math.nan] * len(self.ids))
        self.ids.append(sample.doc_id)
        self.draws.append(sample.draw)
        for column, text in zip(self.hashes, (sample.doc_hash, sample.prompt_hash, sample.target_hash), strict=True):
            column.append(_hash64(text))
        self.clusters.append(0 if cluster is None else _hash64(cluster))
        self.has_cluster.append(cluster is not None)
        self.num_choices.append(len(sample.logprobs_nats))
        self.is_scored.append(sample.error is None)
        self.is_truncated.append(sample.num_truncated_tokens > 0)
        self.may_flip.append(sample.may_flip is True)
        for name, column_of_metric in self.metrics.items():
            value = sample.metrics.get(name, math.nan) if sample.error is None else math.nan
            column_of_metric.append(value if math.isfinite(value) else math.nan)
        if sample.error is not None:
            self.errors[sample.error[:_MAX_ERROR_LENGTH]] += 1
        elif not all(map(math.isfinite, sample.metrics.values())):
            self.num_not_finite += 1

    def extend(self, table: pa.Table, cluster_field: str | None) -> None:
        """Append a table's samples, as `append` would one by one."""
        is_scored = table["error"].is_null()
        for entry, values in zip(table["metrics"].type, struct_fields(table["metrics"]), strict=True):
            if values.null_count < len(values) and entry.name not in self.metrics:
                self.metrics[entry.name] = array("d", [math.nan] * len(self.ids))
        for name, column in self.metrics.items():
            values = struct_column(table["metrics"], name)
            _extend(column, pc.if_else(is_scored, values, None).fill_null(math.nan), np.float64)
        for column_of_hashes, name in zip(self.hashes, CONTENT, strict=True):
            column_of_hashes.extend(map(_hash64, table[f"{name}_hash"].to_pylist()))
        clusters = struct_column(table["details"], cluster_field).to_pylist()
        self.clusters.extend(0 if text is None else _hash64(text) for text in clusters)
        self.has_cluster.extend(text is not None for text in clusters)
        _extend(self.ids, table["doc_id"], np.int64)
        _extend(self.draws, table["draw"], np.int64)
        _extend(self.num_choices, pc.list_value_length(table["logprobs_nats"]), np.int64)
        _extend(self.is_scored, is_scored, np.int8)
        _extend(self.is_truncated, pc.greater(table["num_truncated_tokens"], 0), np.int8)
        _extend(self.may_flip, pc.is_in(table["may_flip"], pa.array([True])), np.int8)
        self.errors.update(text[:_MAX_ERROR_LENGTH] for text in table["error"].drop_null().to_pylist())


def _extend(column: "array[int] | array[float]", values: pa.ChunkedArray, kind: type[np.generic]) -> None:
    column.frombytes(values.to_numpy().astype(kind).tobytes())


def read_samples(batches: Iterable[Batch], cluster_field: str | None = None) -> Samples:
    """Drain one job's samples into columns; texts are dropped as they pass.

    Args:
        batches: all samples of one job.
        cluster_field: the name among a sample's details that says which cluster its document is in; None for none.
    """
    columns = _Columns()
    for batch in batches:
        if batch.table is not None:
            columns.extend(batch.table, cluster_field)
        for sample in batch.samples:
            columns.append(sample, None if cluster_field is None else sample.details.get(cluster_field))
    names = tuple(sorted(columns.metrics))
    data = {
        "doc_id": np.array(columns.ids, dtype=np.int64),
        "draw": np.array(columns.draws, dtype=np.int64),
        **{name: np.array(values, dtype=np.uint64) for name, values in zip(CONTENT, columns.hashes, strict=True)},
        "cluster": np.array(columns.clusters, dtype=np.uint64),
        "num_choices": np.array(columns.num_choices, dtype=np.int64),
        "is_scored": np.array(columns.is_scored, dtype=np.bool_),
        "has_cluster": np.array(columns.has_cluster, dtype=np.bool_),
        "is_truncated": np.array(columns.is_truncated, dtype=np.bool_),
        "may_flip": np.array(columns.may_flip, dtype=np.bool_),
        **{metric_column(name): np.array(columns.metrics[name], dtype=np.float64) for name in names},
    }
    errors = sorted(columns.errors.items(), key=lambda item: (-item[1], item[0]))
    return Samples(frame=pd.DataFrame(data), metrics=names, errors=tuple(errors), num_not_finite=columns.num_not_finite)


def metric_column(metric: str) -> str:
    """The column of a metric: ASCII, whatever the name, and like no other column's."""
    return f"metric:{metric!a}"


def item_frame(samples: Samples) -> pd.DataFrame:
    """One row per document: doc_id, `ITEM`, cluster, has_cluster, is_truncated, and each metric averaged over the draws
    that have a score.

    Draws of one document are not independent, so all statistics see documents.
    """
    metrics = [metric_column(name) for name in samples.metrics]
    grouped = samples.frame.groupby("doc_id", sort=True)
    items = grouped[[*CONTENT, "cluster"]].first().join(grouped[["is_truncated", "has_cluster"]].max())
    if metrics:
        items = items.join(grouped[metrics].mean())
    items["occurrence"] = items.groupby(CONTENT).cumcount()
    return items.reset_index()


def draw_matrix(samples: Samples, metric: str, doc_ids: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """The scores of these documents draw by draw, shape (n, K) in their order.

    None where there is one draw, or where not all documents have a score in as many draws.
    """
    column, frame = metric_column(metric), samples.frame
    if frame["draw"].max() == frame["draw"].min():
        return None
    scored = frame[frame["doc_id"].isin(doc_ids)].dropna(subset=[column])
    scored = scored.sort_values(["doc_id", "draw"], kind="stable")
    sizes = scored.groupby("doc_id", sort=True).size()
    if sizes.empty or sizes.min() < sizes.max() or sizes.iloc[0] == 1 or len(sizes) != len(doc_ids):
        return None
    matrix = scored[column].to_numpy(dtype=np.float64).reshape(len(sizes), -1)
    return np.asarray(matrix[sizes.index.get_indexer(pd.Index(doc_ids))], dtype=np.float64)


def chance_of_guessing(samples: Samples) -> float:
    """The share of documents that a guess among each one's choices gets right; 0 where a scored one has no choices."""
    choices = samples.frame.loc[samples.frame["is_scored"], "num_choices"]
    return float((1.0 / choices).mean()) if len(choices) and (choices > 0).all() else 0.0


def _hash64(text: str) -> int:
    """64 bits of a hash: among a million items two collide with a chance of 3 in 10^8."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
