"""What the jobs took: seconds, tokens, peak memory, per job and per contender. Knows no scores."""

from collections.abc import Sequence

from ft_eval.records import LatentSource, TaskResult
from ft_eval.report.cards import AskedAgain, CostRow
from ft_eval.report.catalog import Catalog, Matchup
from ft_eval.report.tables import Contender

_ASK_THE_ENCODER = frozenset({LatentSource.POSTERIOR, LatentSource.SHUFFLED})


def make_costs(catalog: Catalog, matchups: Sequence[Matchup]) -> tuple[CostRow, ...]:
    """One row per contender that has finished a job, each baseline followed by its latents."""
    ordered = [(contender, m.baseline) for m in matchups for contender in (m.baseline, *m.latents) if contender]
    rows = [_total(catalog, contender, baseline) for contender, baseline in ordered]
    return tuple(row for row in rows if row.num_jobs)


def make_job_costs(catalog: Catalog, matchups: Sequence[Matchup]) -> tuple[CostRow, ...]:
    """One row per finished job, task by task."""
    ordered = [(contender, m.baseline) for m in matchups for contender in (m.baseline, *m.latents) if contender]
    return tuple(
        _row(contender, task, [result], _ratio(catalog, contender, baseline, [task]))
        for task in catalog.tasks
        for contender, baseline in ordered
        if (result := _result(catalog, contender, task)) is not None
    )


def make_asked_again(catalog: Catalog) -> tuple[AskedAgain, ...]:
    """One row per contender of which requests were asked again."""
    rows = []
    for contender in catalog.contenders:
        results = [_result(catalog, contender, task) for task in catalog.tasks]
        found = [result.verification for result in results if result is not None and result.verification is not None]
        if found:
            rows.append(
                AskedAgain(
                    label=contender.label,
                    num_requests=sum(one.num_requests for one in found),
                    num_changed=sum(one.num_changed for one in found),
                    largest_gap_nats=max(one.largest_gap_nats for one in found),
                )
            )
    return tuple(rows)


def _total(catalog: Catalog, contender: Contender, baseline: Contender | None) -> CostRow:
    results = [result for task in catalog.tasks if (result := _result(catalog, contender, task)) is not None]
    return _row(contender, "", results, _ratio(catalog, contender, baseline, list(catalog.tasks)))


def _result(catalog: Catalog, contender: Contender, task: str) -> TaskResult | None:
    entry = catalog.entry(contender, task)
    return None if entry is None else entry.result


def _ratio(catalog: Catalog, contender: Contender, baseline: Contender | None, tasks: Sequence[str]) -> float | None:
    """Seconds over the baseline's on the tasks that both finished with as many documents."""
    if baseline is None or baseline is contender:
        return None
    pairs = [(_result(catalog, contender, task), _result(catalog, baseline, task)) for task in tasks]
    both = [(mine, base) for mine, base in pairs if mine and base and mine.num_samples == base.num_samples]
    base_seconds = sum(base.seconds for _, base in both)
    return sum(mine.seconds for mine, _ in both) / base_seconds if base_seconds else None


def _row(contender: Contender, task: str, results: Sequence[TaskResult], ratio: float | None) -> CostRow:
    seconds, checkpoint = sum(result.seconds for result in results), contender.checkpoint
    asks_encoder = contender.latents is not None and contender.latents.source in _ASK_THE_ENCODER
    num_prompt = sum(result.num_prompt_tokens for result in results)
    num_generated = sum(result.num_generated_tokens for result in results)
    return CostRow(
        label=contender.label,
        task=task,
        num_parameters=checkpoint.num_parameters,
        flops_per_token=checkpoint.flops_per_token,
        flops_per_prompt_token=checkpoint.flops_per_token + asks_encoder * checkpoint.encoder_flops_per_token,
        num_jobs=len(results),
        seconds=seconds,
        num_prompt_tokens=num_prompt,
        num_generated_tokens=num_generated,
        tokens_per_second=(num_prompt + num_generated) / seconds if seconds else 0.0,
        peak_memory_bytes=max((result.peak_memory_bytes for result in results), default=0),
        seconds_ratio=ratio,
    )
