"""What `ft-eval run` shows: the plan of a dry run, the live progress, the table at the end. Computes nothing itself."""

from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from ft_eval.cli.display import console, live_progress
from ft_eval.plan import PlannedRun, estimate_workload
from ft_eval.report import RowKind, SummaryRow, build_report, summary_rows
from ft_eval.run import execute_plan
from ft_eval.store import RunStore


def show_plan(planned: PlannedRun) -> None:
    """Print what a run would do."""
    table = Table(title="Plan", title_justify="left", header_style="bold")
    for name, justify in (("checkpoint", "left"), ("task", "left"), ("shots", "right"), ("latents", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type] # rich's Literal
    for name in ("documents", "requests", "prompt tokens", "new tokens, at most", "truncated"):
        table.add_column(name, justify="right")
    totals = [0, 0, 0, 0, 0]
    for load in estimate_workload(planned):
        numbers = [
            load.num_docs,
            load.num_requests,
            load.num_prompt_tokens,
            load.max_generated_tokens,
            load.num_truncated,
        ]
        totals = [total + number for total, number in zip(totals, numbers, strict=True)]
        policy = load.job.latents.source if load.job.latents else "–"
        task = load.job.task
        table.add_row(load.job.checkpoint.name, task.name, str(task.num_fewshot), policy, *(f"{n:,}" for n in numbers))
    table.add_section()
    table.add_row("total", f"{len(planned.plan.jobs)} jobs", "", "", *(f"{n:,}" for n in totals))
    console().print(table)
    click.echo(f"run id {planned.plan.run_id}; nothing was written")


def run_plan(planned: PlannedRun, path: Path) -> None:
    """Carry out a plan in a folder, with a live display, and print what came of it."""
    with RunStore.open_or_create(path, planned.plan) as store:
        try:
            with live_progress(planned.plan) as progress:
                execute_plan(planned, store, progress)
        except KeyboardInterrupt:
            _say_how_to_continue(planned, store)
            raise
    _show_summary(path)


def _say_how_to_continue(planned: PlannedRun, store: RunStore) -> None:
    jobs = planned.plan.jobs
    done = sum(store.is_done(job.id) for job in jobs)
    click.echo(f"\nstopped: {done} of {len(jobs)} jobs are done; every answer is kept in {store.path}", err=True)
    click.echo(f"continue with: {planned.plan.command}", err=True)


def _show_summary(path: Path) -> None:
    report = build_report([RunStore.open(path)])
    table = Table(header_style="bold")
    for name in ("task", "metric", "latent"):
        table.add_column(name)
    for name in ("items", "baseline", "latent", "difference", "95 % interval", "relative", "p"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    for row in summary_rows(report):
        if row.kind is not RowKind.SUBTASK:
            table.add_row(*map(escape, _cells(row)))
    console().print(table)
    default = path.parent == Path("runs")
    click.echo(f"run kept in {path}\nnext: ft-eval report{'' if default else f' {path}'}")


def _cells(row: SummaryRow) -> tuple[str, ...]:
    scores = (row.num_items, row.baseline_score, row.latent_score, row.difference, row.interval, row.relative_gain)
    return (row.task, row.metric, row.latent, *scores, row.p_value, row.verdict or row.remark)
