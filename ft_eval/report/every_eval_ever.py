"""The report in the Every Eval Ever format, schema 0.3.0: one file per contender, for the shared store of results.

The format knows no comparison, no draws and no latent: what a latent has against its baseline stands in the details of
its scores. https://github.com/evaleval/every_eval_ever. Computes nothing.
"""

import json
import math
import re
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version

from ft_eval.records import Arm, TaskSpec
from ft_eval.report.catalog import policy_text
from ft_eval.report.formats import visible
from ft_eval.report.tables import Contender, MetricRow, Report, RowKind, TaskRow, Unit
from ft_eval.report.verdicts import Comparison
from ft_eval.stats import Estimate

SCHEMA_VERSION = "0.3.0"
FOLDER = "every_eval_ever"


def every_eval_ever_files(report: Report, details: Mapping[str, Mapping[str, object]] | None = None) -> dict[str, str]:
    """The files by name, one per contender that has a score, as JSON.

    Args:
        report: what they are of.
        details: by the contender's label, where its samples stand; None where they were not written.
    """
    files: dict[str, str] = {}
    for contender, name in contender_names(report):
        record = _record(report, contender, list(_results(report, contender)))
        if details is not None:
            record["detailed_evaluation_results"] = details[contender.label]
        files[name] = json.dumps(record, indent=1, ensure_ascii=True, allow_nan=False) + "\n"
    return files


def contender_names(report: Report) -> tuple[tuple[Contender, str], ...]:
    """The contenders that have a score, each with its file's name."""
    names: dict[str, Contender] = {}
    for contender in report.contenders:
        if next(_results(report, contender), None) is not None:
            names[_file_name(contender.label, names)] = contender
    return tuple((contender, name) for name, contender in names.items())


def evaluation_id(report: Report, contender: Contender) -> str:
    """What a contender's file and its samples have in common."""
    return f"ft-eval/{visible(contender.label)}/{_epoch(report.created_at)}"


def model_id(contender: Contender) -> str:
    """The checkpoint's name in the format's own form."""
    return f"unknown/{visible(contender.checkpoint.name)}"


def _file_name(label: str, taken: Collection[str]) -> str:
    """The label in letters that every file system takes; a number where two labels would share a name."""
    stem = re.sub(r"[^A-Za-z0-9.]+", "-", label).strip("-.")[:80] or "model"
    names = (f"{stem}{'' if number == 1 else f'-{number}'}.json" for number in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)


def _record(report: Report, contender: Contender, results: list[dict[str, object]]) -> dict[str, object]:
    checkpoint = contender.checkpoint
    epoch = _epoch(report.created_at)
    details = {
        "deployment_type": "self_deployed",
        "model_availability": "unknown",
        "arm": checkpoint.arm.value,
        "weights_sha256": checkpoint.digest,
        "dtype": checkpoint.dtype,
        "num_parameters": str(checkpoint.num_parameters),
        "seed": str(contender.seed),
    }
    if checkpoint.arm is Arm.LATENT:
        details |= {
            "latent_policy": policy_text(contender.latents),
            "kappa_bits": str(checkpoint.kappa_bits),
            "num_latent_bits": str(checkpoint.num_latent_bits),
            "baseline": str(checkpoint.baseline),
        }
    library = {"name": "ft-eval", "version": version("ft-eval")}
    return {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": evaluation_id(report, contender),
        "evaluation_timestamp": epoch,
        "retrieved_timestamp": epoch,
        "source_metadata": {
            "source_name": "ft-eval report",
            "source_type": "evaluation_run",
            "source_organization_name": "unknown",
            "evaluator_relationship": "other",
            "additional_details": {"run_ids": ", ".join(run.run_id for run in report.runs)},
        },
        "eval_library": library,
        "model_info": {
            "name": visible(checkpoint.name),
            "id": model_id(contender),
            "inference_engine": library,
            "additional_details": _texts(details),
        },
        "evaluation_results": results,
    }


def _epoch(created_at: str) -> str:
    """Seconds since 1970 as a text, or the time as it is where it can't be read."""
    try:
        moment = datetime.fromisoformat(created_at)
    except ValueError:
        return visible(created_at)
    return str(int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()))


def _results(report: Report, contender: Contender) -> Iterator[dict[str, object]]:
    """One per metric of each task and group that the contender has a score on; a task of two groups is one."""
    seen: set[tuple[str, str]] = set()
    tasks = {card.task.name: card.task for card in report.tasks}
    for panel in report.panels:
        for row in panel.rows:
            for metric in row.metrics:
                score, comparison = _score_of(contender, panel.baseline, metric)
                if score is not None and math.isfinite(score.mean) and (row.name, metric.metric) not in seen:
                    seen.add((row.name, metric.metric))
                    yield _result(row, metric, tasks.get(row.name), score, comparison)


def _score_of(
    contender: Contender, baseline: Contender | None, metric: MetricRow
) -> tuple[Estimate | None, Comparison | None]:
    if contender is baseline:
        return metric.baseline, None
    cell = next((cell for cell in metric.cells if cell.label == contender.label), None)
    return (None, None) if cell is None else (cell.score, cell.comparison)


def _result(
    row: TaskRow, metric: MetricRow, task: TaskSpec | None, score: Estimate, comparison: Comparison | None
) -> dict[str, object]:
    is_share = metric.unit is Unit.POINTS
    uncertainty: dict[str, object] = {"num_samples": score.n}
    if math.isfinite(score.stderr):
        uncertainty["standard_error"] = {"value": score.stderr, "method": "analytic"}
    if math.isfinite(score.low) and math.isfinite(score.high):
        ends = {"lower": score.low, "upper": score.high}
        uncertainty["confidence_interval"] = {**ends, "confidence_level": 0.95, "method": score.method}
    return {
        "evaluation_result_id": visible(f"{row.name}/{metric.metric}"),
        "evaluation_name": visible(row.name),
        "source_data": _source(row, task),
        "metric_config": {
            "metric_name": visible(metric.metric),
            "metric_unit": "proportion" if is_share else "its own",
            "lower_is_better": not metric.higher_is_better,
            "score_type": "continuous",
            "min_score": 0.0 if is_share else None,
            "max_score": 1.0 if is_share else None,
            "additional_details": _texts({"is_primary": str(metric.is_primary), "num_fewshot": str(row.num_fewshot)}),
        },
        "score_details": {
            "score": score.mean,
            "uncertainty": uncertainty,
            "details": {} if comparison is None else _against_baseline(comparison),
        },
    }


def _source(row: TaskRow, task: TaskSpec | None) -> dict[str, object]:
    details = {"num_documents": str(row.num_docs), "limit": str(row.limit)}
    if row.kind is RowKind.GROUP or task is None or not task.dataset:
        return {"dataset_name": visible(row.name), "source_type": "other", "additional_details": _texts(details)}
    details |= {"scored_documents_sha256": task.dataset_digest, "task_version": task.version}
    return {
        "dataset_name": visible(task.dataset),
        "source_type": "hf_dataset",
        "hf_repo": visible(task.dataset.split(" ")[0]),
        "samples_number": task.num_docs,
        "additional_details": _texts(details),
    }


def _against_baseline(comparison: Comparison) -> dict[str, str]:
    """What the format has no fields for, as texts."""
    paired, difference = comparison.paired, comparison.paired.difference
    return _texts(
        {
            "difference_to_baseline": repr(difference.mean),
            "difference_interval_95": f"[{difference.low!r}, {difference.high!r}]",
            "relative_gain_percent": repr(comparison.gain.percent),
            "p_value": repr(paired.p_value),
            "p_corrected": repr(comparison.p_corrected),
            "test": paired.test,
            "num_pairs": "0, two samples" if paired.is_unpaired else str(difference.n),
            "num_wins": str(paired.num_wins),
            "num_losses": str(paired.num_losses),
            "num_ties": str(paired.num_ties),
            "num_draws": str(paired.num_latent_draws),
            "verdict": comparison.verdict.value,
        }
    )


def _texts(details: dict[str, str]) -> dict[str, str]:
    return {name: visible(value) for name, value in details.items()}
