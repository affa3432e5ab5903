"""What `ft-eval run` shows: the plan of a dry run, the live progress, the table at the end. Computes nothing itself."""

import shlex
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from ft_eval import __version__
from ft_eval.cli.code_settings import other_tiers
from ft_eval.cli.display import Style, live_progress
from ft_eval.cli.options import DEFAULT_MAX_UNSCORED, one_line
from ft_eval.cli.terminal import console
from ft_eval.cli.verdicts import print_verdicts
from ft_eval.engine.client import EngineSlot
from ft_eval.errors import FtEvalError, StoreError, UsageError
from ft_eval.executors import Executor
from ft_eval.executors.opening import ExecutorOptions, open_executor
from ft_eval.harness.code_tasks import open_session
from ft_eval.plan import DISCORDANCES, Foresight, PlannedRun, estimate_workload, foresee
from ft_eval.report import build_report
from ft_eval.run.execute import execute_plan
from ft_eval.run.journal import Journal, RunLog, StatusFile
from ft_eval.run.unscored import check_unscored, unscored_lines
from ft_eval.run.watched import Watched
from ft_eval.store import RunStore
from ft_eval.store.remote.opening import Kept, kept_at
from ft_eval.store.remote.url import RunUrl


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """How much is said while a run runs, and when too little of it could be scored."""

    style: Style = Style.NORMAL
    max_unscored: float = DEFAULT_MAX_UNSCORED
    """The share of a job's samples that may be unscored, 0 to 1."""


def telling(max_unscored: float, *, quiet: bool, verbose: bool) -> Telling:
    """What the flags ask for.

    Raises:
        UsageError: Both at once.
    """
    if quiet and verbose:
        raise UsageError("--quiet and --verbose were both given; choose one")
    style = Style.QUIET if quiet else Style.VERBOSE if verbose else Style.NORMAL
    return Telling(style=style, max_unscored=max_unscored)


def run_plan(planned: PlannedRun, place: Path | RunUrl, workers: ExecutorOptions, telling: Telling) -> None:
    """Carry out a plan in a folder or a store, with a live display and a log, and print what came of it.

    Raises:
        UnscoredError: The run is done and more of a job's samples than `telling` allows could not be scored.
    """
    found: list[str] = []
    echo = (lambda line: click.echo(line, err=True)) if telling.style is Style.VERBOSE else None
    with (
        kept_at(place, found.append) as kept,
        _workers(planned, kept.folder, workers) as executor,
        RunStore.open_or_create(kept.folder, planned.plan, found.append) as store,
        _run_log(planned, store, kept.name, echo) as log,
    ):
        with live_progress(planned.plan, telling.style) as display:
            journal = Journal(log, logs_answers=telling.style is Style.VERBOSE)
            progress = Watched(kept.watch(), display, journal, StatusFile(kept.folder, store.owner))
            store.on_notice = progress.noticed
            session = open_session()
            for text in (*found, *(other_tiers(store, session.settings.sandbox.tier) if session else ())):
                progress.noticed(text)
            execute_plan(planned, store, progress, executor)
        for line in unscored_lines(store):
            log.write("warning", line)
            if telling.style is not Style.VERBOSE:
                click.echo(f"warning: {one_line(line)}", err=True)
    if telling.style is not Style.QUIET:
        _show_summary(kept)
    check_unscored(RunStore.open(kept.folder), telling.max_unscored)


def _workers(planned: PlannedRun, folder: Path, options: ExecutorOptions) -> Executor:
    """The executor that was asked for; of a run that is done and whole, whatever is quickest to have."""
    if options != ExecutorOptions():
        with suppress(StoreError):
            store = RunStore.open(folder)
            if store.plan.run_id == planned.plan.run_id and store.is_through():
                return open_executor(EngineSlot, ExecutorOptions())
    return open_executor(EngineSlot, options)


@contextmanager
def _run_log(planned: PlannedRun, store: RunStore, name: str, echo: Callable[[str], None] | None) -> Iterator[RunLog]:
    """The run's log, with how this process began and ended in it; who was stopped is told how to continue."""
    log = RunLog(store.path, echo)
    log.write("info", f"{store.owner} begins: {planned.plan.command} (ft-eval {__version__})")
    try:
        yield log
    except KeyboardInterrupt as stop:
        log.write("warning", f"stopped{f' by {stop}' if str(stop) else ''}: {_standing(store)}")
        click.echo(f"\nstopped: {_standing(store)}; every answer is kept in {name}", err=True)
        click.echo(f"continue with: {planned.plan.command}", err=True)
        raise
    except FtEvalError as error:
        log.write("error", one_line(str(error)))
        raise
    except Exception:
        log.write("error", traceback.format_exc().rstrip())
        raise
    else:
        log.write("info", _standing(store))
    finally:
        log.close()


def _standing(store: RunStore) -> str:
    done = sum(store.is_done(job.id) for job in store.plan.jobs)
    return f"{done} of {len(store.plan.jobs)} jobs are done"


def _show_summary(kept: Kept) -> None:
    print_verdicts(build_report([RunStore.open(kept.folder)]))
    default = Path(kept.name).parent == Path("runs")
    click.echo(f"run kept in {kept.name}\nnext: ft-eval report{'' if default else f' {shlex.quote(kept.name)}'}")
