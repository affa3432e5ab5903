"""`ft-eval score`: completions that were made elsewhere, run in the sandbox and judged against evalplus's tests."""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from ft_eval.cli.now_and_then import NowAndThen
from ft_eval.cli.options import Whole
from ft_eval.cli.paths import PATH


@click.command(short_help="Score completions made elsewhere.")
@click.argument("samples", type=PATH, metavar="SAMPLES.jsonl")
@click.option("--task", "-t", required=True, metavar="NAME", help="humaneval_plus or mbpp_plus.")
@click.option("--problems", type=PATH, metavar="FILE", help="Score against these problems, in evalplus's format.")
@click.option("--json", "json_path", type=PATH, metavar="OUT", help="Write the scores and every verdict there.")
@click.option("--partial", is_flag=True, help="Score what is there where some problems have no sample.")
@click.option("--num-workers", type=Whole(low=1), metavar="N", help="Programs at a time; default: one per processor.")
@click.option(
    "--sandbox", "tier", default="auto", show_default=True, metavar="TIER", help="auto, ns, bwrap, ll, docker or none."
)
@click.option("--allow-unsafe-code", is_flag=True, help="Let --sandbox none run programs with all your rights.")
@click.option("--data-dir", type=PATH, metavar="DIR", help="Where evalplus-release/ lies.")
@click.option("--offline", is_flag=True, help="Open no network connection.")
def score(  # noqa: PLR0917 — click passes every option by name
    samples: Path,
    task: str,
    problems: Path | None,
    json_path: Path | None,
    partial: bool,
    num_workers: int | None,
    tier: str,
    allow_unsafe_code: bool,
    data_dir: Path | None,
    offline: bool,
) -> None:
    """Score completions made elsewhere, in evalplus's sample format: pass@1, and pass@10 and pass@100 where samples do.

    A line of SAMPLES.jsonl (or .jsonl.gz) is {"task_id", "solution"} or {"task_id", "completion"}; several lines of one
    task_id are several samples.
    """
    from ft_eval.harness.code_samples import read_solutions, score_solutions
    from ft_eval.harness.code_tasks import CodeTaskSettings, session
    from ft_eval.sandbox.records import SandboxSettings
    from ft_eval.sandbox.tiers import candidate_tiers
    from ft_eval.store.outputs import is_stdout, try_output, write_output

    sandbox = SandboxSettings(tier=tier, allow_unsafe_code=allow_unsafe_code)
    candidate_tiers(sandbox)
    settings = CodeTaskSettings(
        data_dir=data_dir, offline=offline, sandbox=sandbox, problems_file=problems, num_workers=num_workers
    )
    with session(settings) as opened:
        if json_path is not None:
            try_output("--json", json_path, (samples, problems, *opened.test_files()))
        file = read_solutions(samples, opened, task, is_partial=partial)
        opened.remark_on_tests([task])
        with _progress(len(file.solutions)) as on_score:
            scored = score_solutions(opened, task, file, on_score)
        scoring = opened.provenance([task])
    try:  # first, so that there are scores even where they can't be written
        _show(task, scored, scoring["sandbox"], to_stderr=json_path is not None and is_stdout(json_path))
    finally:  # and also where nobody reads what is shown
        if json_path is not None:
            content = {"task": task, **_as_json(scored), "scoring": dict(scoring)}
            write_output("--json", json_path, (json.dumps(content, indent=1) + "\n").encode())


def _as_json(scored: Any) -> dict[str, Any]:
    file = scored.file
    return {
        **{f"pass@{k}": {"base": rate.base, "plus": rate.plus} for k, rate in scored.rates.items()},
        "num_problems": scored.num_problems,
        "num_samples": len(file.solutions),
        "missing": list(file.missing),
        "samples": [
            {"task_id": solution.task_id, "base": one.base, "plus": one.plus, "status": str(one.outcome)}
            for solution, one in zip(file.solutions, scored.scores, strict=True)
        ],
    }


def _show(task: str, scored: Any, sandbox: str, *, to_stderr: bool) -> None:
    from rich.table import Table

    from ft_eval.cli.terminal import console

    table = Table(title=task, title_justify="left", header_style="bold")
    table.add_column("tests")
    for k in scored.rates:
        table.add_column(f"pass@{k}", justify="right")
    for tests in ("base", "plus"):
        table.add_row(tests, *(f"{getattr(rate, tests):.1%}" for rate in scored.rates.values()))
    console(to_stderr=to_stderr).print(table)
    for line in _remarks(scored):
        click.echo(line, err=to_stderr)
    click.echo(f"sandbox {sandbox}", err=to_stderr)


def _remarks(scored: Any) -> Iterator[str]:
    endings = Counter(str(one.outcome) for one in scored.scores)
    yield f"{len(scored.scores)} samples: {', '.join(f'{n} {name}' for name, n in endings.most_common())}"
    file = scored.file
    if file.missing:
        yield f"{len(file.missing)} problems have no sample; the rates are over the other {scored.num_problems}"
    if file.num_repeated:
        yield f"{file.num_repeated} samples repeat another of their problem word for word; each counts"


@contextmanager
def _progress(num_samples: int) -> Iterator[Callable[[int], None]]:
    """A bar in a terminal, a line now and then elsewhere; both to stderr."""
    from ft_eval.cli.terminal import console, is_terminal

    if not is_terminal(sys.stderr):
        yield _Lines(num_samples)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("samples"), BarColumn(), MofNCompleteColumn(), TextColumn("left"), TimeRemainingColumn())
    with Progress(*columns, console=console(to_stderr=True), refresh_per_second=5) as bars:
        bar = bars.add_task("samples", total=num_samples)
        yield lambda num_done: bars.update(bar, completed=num_done)


class _Lines:
    """Says where it stands four times a minute, and at the end."""

    def __init__(self, num_samples: int) -> None:
        self._num_samples = num_samples
        self._started, self._pace = time.monotonic(), NowAndThen()

    def __call__(self, num_done: int) -> None:
        seconds = time.monotonic() - self._started
        if num_done == self._num_samples:
            click.echo(f"{num_done} samples scored in {seconds:.1f} s", err=True)
        elif self._pace.is_due():
            left = seconds / num_done * (self._num_samples - num_done)
            click.echo(f"{num_done} of {self._num_samples} samples, about {left:.0f} s left", err=True)
