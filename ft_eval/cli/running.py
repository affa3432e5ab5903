"""What `ft-eval run` shows: the plan of a dry run, the live progress, the table at the end. Computes nothing itself."""

from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from ft_eval.cli.display import console, live_progress
from ft_eval.cli.verdicts import print_verdicts
from ft_eval.engine.client import EngineSlot
from ft_eval.executors.opening import ExecutorOptions, open_executor
from ft_eval.plan import DISCORDANCES, Foresight, PlannedRun, estimate_workload, foresee
from ft_eval.report import build_report
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
    show_foresight(foresee(planned.plan))
    click.echo(f"run id {planned.plan.run_id}; nothing was written")


def show_foresight(found: Foresight) -> None:
    """Print the smallest differences that the run could find; nothing where it compares nothing."""
    if not found.tasks:
        return
    table = Table(title="Smallest detectable difference, in points", title_justify="left", header_style="bold")
    table.add_column("task")
    for name in ("items", "draws", *(f"{100 * share:g} % of items differ" for share in DISCORDANCES)):
        table.add_column(name, justify="right")
    for task in found.tasks:
        effects = ["–" if effect.reason else f"{effect.points:.1f}" for effect in task.effects]
        table.add_row(escape(task.name), f"{task.num_items:,}", str(task.num_draws), *effects)
    console().print(table)
    num_tests = len(found.tasks) * found.num_candidates
    shared = f" shared by {num_tests} tests (tasks × candidates)" if num_tests > 1 else ""
    click.echo(f"found 4 times in 5, at 5 %{shared}; how many items differ is an assumption")


def run_plan(planned: PlannedRun, path: Path, workers: ExecutorOptions) -> None:
    """Carry out a plan in a folder, with a live display, and print what came of it."""
    with (
        open_executor(EngineSlot, workers) as executor,
        RunStore.open_or_create(path, planned.plan, on_notice=_notice) as store,
    ):
        try:
            with live_progress(planned.plan) as progress:
                execute_plan(planned, store, progress, executor)
        except KeyboardInterrupt:
            _say_how_to_continue(planned, store)
            raise
    _show_summary(path)


def _notice(text: str) -> None:
    click.echo(f"notice: {text}", err=True)


def _say_how_to_continue(planned: PlannedRun, store: RunStore) -> None:
    jobs = planned.plan.jobs
    done = sum(store.is_done(job.id) for job in jobs)
    click.echo(f"\nstopped: {done} of {len(jobs)} jobs are done; every answer is kept in {store.path}", err=True)
    click.echo(f"continue with: {planned.plan.command}", err=True)


def _show_summary(path: Path) -> None:
    print_verdicts(build_report([RunStore.open(path)]))
    default = path.parent == Path("runs")
    click.echo(f"run kept in {path}\nnext: ft-eval report{'' if default else f' {path}'}")
