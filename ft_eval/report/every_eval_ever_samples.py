"""Every sample in the Every Eval Ever format's instance-level schema, 0.3.0: a JSON Lines file per contender.

One row per scored document, draw and primary metric, in the plan's order; its `evaluation_result_id` names the score in
the contender's own file. The format knows no draw and no latent: these stand in a row's metadata. Computes nothing.
"""

import hashlib
import json
import math
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ft_eval.records import SampleResult
from ft_eval.report.catalog import Catalog, Entry, make_catalog, policy_text
from ft_eval.report.columns import RunReader, StoredRun, as_readers
from ft_eval.report.every_eval_ever import FOLDER, SCHEMA_VERSION, contender_names, evaluation_id, model_id
from ft_eval.report.formats import visible
from ft_eval.report.tables import Contender, Report
from ft_eval.store.files import make_folder, write_atomically


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRows:
    """A file of rows, as its contender's own file refers to it."""

    file_path: str
    """Below the folder of the format, as its store of results wants it."""
    sha256: str
    num_rows: int


def write_sample_rows(report: Report, runs: Sequence[StoredRun | RunReader], folder: Path) -> dict[str, SampleRows]:
    """Write the rows of every contender that has a score, each file whole or absent.

    Args:
        report: of the runs.
        runs: on disk.
        folder: the report's.

    Returns:
        What was written, by the contender's label.

    Raises:
        StoreError: samples can't be read, or a file can't be written.
    """
    catalog = make_catalog(as_readers(runs))
    return {
        contender.label: _write(report, catalog, contender, name, folder / FOLDER)
        for contender, name in contender_names(report)
    }


def _write(report: Report, catalog: Catalog, contender: Contender, name: str, folder: Path) -> SampleRows:
    digest, num_rows = hashlib.sha256(), 0

    def lines() -> Iterator[bytes]:
        nonlocal num_rows
        for row in _rows(report, catalog, contender):
            line = json.dumps(row, ensure_ascii=True, allow_nan=False).encode("ascii") + b"\n"
            digest.update(line)
            num_rows += 1
            yield line

    key = hashlib.sha256(" ".join([*(run.run_id for run in report.runs), ascii(contender.label)]).encode("ascii"))
    stem = Path(name).stem
    file_path = f"data/ft-eval/unknown/{stem}/{uuid.UUID(bytes=key.digest()[:16], version=4)}_samples.jsonl"
    make_folder((folder / file_path).parent)
    write_atomically(folder / file_path, lines())
    return SampleRows(file_path=file_path, sha256=digest.hexdigest(), num_rows=num_rows)


def _rows(report: Report, catalog: Catalog, contender: Contender) -> Iterator[dict[str, object]]:
    for label, task in catalog.tasks.items():
        entry = catalog.entry(contender, label)
        if entry is not None and entry.result is not None:
            about = {
                "schema_version": SCHEMA_VERSION,
                "evaluation_id": evaluation_id(report, contender),
                "model_id": model_id(contender),
                "evaluation_name": visible(label),
                "evaluation_result_id": visible(f"{label}/{task.metric}"),
            }
            for sample in _samples(entry):
                yield about | _row(sample, task.metric, policy_text(contender.latents))


def _samples(entry: Entry) -> Iterator[SampleResult]:
    return entry.store.samples(entry.job.id)


def _row(sample: SampleResult, metric: str, policy: str) -> dict[str, object]:
    is_choice = bool(sample.logprobs_nats) and len(sample.responses) == len(sample.logprobs_nats)
    said = [sample.responses[_likeliest(sample)]] if is_choice else list(sample.responses)
    return {
        "sample_id": str(sample.doc_id),
        "sample_hash": hashlib.sha256((sample.prompt + sample.target).encode("utf-8", "surrogatepass")).hexdigest(),
        "interaction_type": "single_turn",
        "input": {
            "raw": sample.prompt,
            "formatted": sample.prompt,
            "reference": [sample.target],
            "choices": list(sample.responses) if is_choice else None,
        },
        "output": {"raw": said},
        "messages": None,
        "answer_attribution": [_by_likelihood(said[0])] if is_choice else [],
        "evaluation": _evaluation(sample, metric),
        "token_usage": {
            "input_tokens": sample.num_prompt_tokens,
            "output_tokens": sample.num_generated_tokens,
            "total_tokens": sample.num_prompt_tokens + sample.num_generated_tokens,
        },
        "performance": {"latency_ms": 1000.0 * sample.seconds},
        "error": sample.error,
        "metadata": _metadata(sample, policy),
    }


def _likeliest(sample: SampleResult) -> int:
    return max(range(len(sample.logprobs_nats)), key=lambda place: sample.logprobs_nats[place])


def _by_likelihood(choice: str) -> dict[str, object]:
    return {
        "turn_idx": 0,
        "source": "output.raw",
        "extracted_value": choice,
        "extraction_method": "likeliest choice",
        "is_terminal": True,
    }


def _evaluation(sample: SampleResult, metric: str) -> dict[str, object]:
    """The format has no place for a missing score: 0, not correct, and `error` says why."""
    score = sample.metrics.get(metric, math.nan) if sample.error is None else math.nan
    return {"score": score if math.isfinite(score) else 0.0, "is_correct": score == 1.0}


def _metadata(sample: SampleResult, policy: str) -> dict[str, str]:
    known = {
        "draw": str(sample.draw),
        "num_draws": str(sample.num_draws),
        "latent_policy": policy,
        "document_sha256": sample.doc_hash,
        "prompt_sha256": sample.prompt_hash,
        "target_sha256": sample.target_hash,
    }
    if sample.logprobs_nats:
        known["logprobs_nats"] = json.dumps([str(value) for value in sample.logprobs_nats])
    return known | {f"detail {name}": text for name, text in sorted(sample.details.items())}
