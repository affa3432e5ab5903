"""What `ft-eval run` asks of the scoring of programs, and how far their check is. Knows no program."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ft_eval.cli.now_and_then import NowAndThen
from ft_eval.errors import StoreError

if TYPE_CHECKING:  # heavy: loaded when a command runs
    from ft_eval.harness.code_tasks import CodeTaskSettings
    from ft_eval.harness.mirror import DataSource
    from ft_eval.plan import PlannedRun
    from ft_eval.store import RunStore
    from ft_eval.store.remote.url import RunUrl


def code_settings(
    source: "DataSource", tier: str, *, allow_unsafe_code: bool, check_references: bool, tells: bool = True
) -> "CodeTaskSettings":
    """How a run's programs are scored.

    Args:
        source: where problems are looked for.
        tier: the sandbox's name.
        allow_unsafe_code: whether `none` may be that name.
        check_references: whether the tasks' own solutions are run first.
        tells: whether lines say how far that is.

    Raises:
        UsageError: a tier that can't be meant, before anything is looked up.
    """
    from ft_eval.harness.code_tasks import CodeTaskSettings
    from ft_eval.sandbox.records import SandboxSettings
    from ft_eval.sandbox.tiers import candidate_tiers

    sandbox = SandboxSettings(tier=tier, allow_unsafe_code=allow_unsafe_code)
    candidate_tiers(sandbox)
    return CodeTaskSettings(
        data_dir=source.data_dir,
        offline=source.offline,
        sandbox=sandbox,
        check_references=check_references,
        on_check=_CheckLines() if tells else lambda _task, _num_done, _num_items: None,
    )


def require_code(planned: "PlannedRun", place: "Path | RunUrl") -> None:
    """Before a new run is put down anywhere: see that its code tasks can be scored, where it has any.

    Raises:
        FtEvalError: as `check_code` does.
    """
    if isinstance(place, Path) and place.exists() and not (place.is_dir() and not any(place.iterdir())):
        return  # a run that goes on is checked as far as it has code left; anything else is refused at once
    if any(job.task.runs_code for job in planned.plan.jobs):
        from ft_eval.run.execute import check_code

        check_code(planned)


def other_tiers(store: "RunStore", tier: str) -> list[str]:
    """A line where jobs of a run are done whose programs ran in another sandbox than the one that is asked for now."""
    found: set[str] = set()
    for job in store.plan.jobs:
        with suppress(StoreError):  # a damaged result is told and made anew elsewhere
            result = store.result(job.id) if job.task.runs_code else None
            found |= {result.scoring["sandbox"].partition(":")[0]} if result and "sandbox" in result.scoring else set()
    other = sorted(found & {"none"} if tier == "auto" else found - {tier})
    if not other:
        return []
    done = f"programs of jobs that are done were run in the sandbox {' and '.join(other)}"
    return [f"{done}, and --sandbox {tier} changes nothing of that; choose another --output-path to run them again"]


class _CheckLines:
    """Says how far the check of a code task's own solutions is: when it begins, four times a minute, and at its end."""

    def __init__(self) -> None:
        self._pace = NowAndThen(at_once=True)

    def __call__(self, task: str, num_done: int, num_items: int) -> None:
        is_done = num_done == num_items
        if is_done or self._pace.is_due():
            click.echo(f"gold check, {task}: {num_done} of {num_items} of its own solutions were run", err=True)
        if is_done:
            self._pace = NowAndThen(at_once=True)  # the next task begins with a line
