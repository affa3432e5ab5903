"""`ft-eval plan`, which writes down what a run will do, and `run --plan`, which does it. Parses, calls, prints.

`plan` takes the flags of `run`. A run that is given the plan takes its flags from there; what is said beside it stands
before, and the report names what deviates.
"""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ft_eval.cli.paths import PATH

if TYPE_CHECKING:  # heavy: loaded when a command runs
    from ft_eval.plan import PlannedRun
    from ft_eval.records import Registration

_NOT_PLANNED = frozenset({"output_path", "dry_run", "plan_file"})
"""What `run` takes and `plan` doesn't."""


def take_flags(ctx: click.Context, _: click.Parameter, path: Path | None) -> Path | None:
    """Let a plan's flags be the defaults of this command: the callback of `--plan`."""
    if path is None or ctx.resilient_parsing:
        return path
    from ft_eval.errors import StoreError
    from ft_eval.store.plan_file import read_plan_file

    command = shlex.split(read_plan_file(path).command)
    try:
        made = make_plan_command(ctx.command).make_context("plan", command[command.index("plan") + 1 :])
    except (ValueError, click.ClickException) as error:
        raise StoreError(f"{path}: its command is not one of this ft-eval: {shlex.join(command)}") from error
    given = {name: value for name, value in made.params.items() if _is_given(made, name)}
    ctx.default_map = {**(ctx.default_map or {}), **given}
    return path


def _is_given(ctx: click.Context, name: str) -> bool:
    return name != "plan_to" and ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE


def make_plan_command(run: click.Command) -> click.Command:
    """`plan` as `run` with another ending."""
    to = click.Option(
        ["--to", "plan_to"],
        type=PATH,
        default=Path("plan.json"),
        show_default=True,
        metavar="FILE",
        help="Where to write the plan.",
    )
    shared = [param for param in run.params if param.name not in _NOT_PLANNED]

    def plan(**values: Any) -> None:
        assert run.callback is not None, "run does something"
        run.callback(output_path=None, dry_run=False, plan_file=None, **values)

    return click.Command(
        "plan",
        callback=plan,
        params=[*shared, to],
        short_help="Write down what a run will do, before it does.",
        help=(
            "Write down what a run will do: its jobs, the tasks and the margin of the verdict, under a hash.\n\n"
            "Takes the flags of `ft-eval run`. `ft-eval run --plan FILE` does it, and the report names what deviates."
        ),
    )


def read_registration(path: Path | None) -> "Registration | None":
    """The plan of `--plan`, if one was given."""
    from ft_eval.store.plan_file import read_plan_file

    return None if path is None else read_plan_file(path)


def write_plan(planned: "PlannedRun", path: Path) -> None:
    """Write a plan's file and say its digest."""
    from ft_eval.cli.running import show_foresight
    from ft_eval.plan import foresee
    from ft_eval.records import Registration
    from ft_eval.store.plan_file import write_plan_file

    plan = planned.plan
    registration = Registration(
        jobs=plan.jobs,
        primary=plan.primary,
        margin_points=plan.margin_points,
        command=plan.command,
        created_at=plan.created_at,
    )
    write_plan_file(path, registration)
    show_foresight(foresee(plan))
    click.echo(f"{len(plan.jobs)} jobs written to {path}, sha256 {registration.digest}")
    click.echo(f"next: ft-eval run --plan {shlex.quote(str(path))}")


def say_deviations(planned: "PlannedRun") -> None:
    """Warn where a run is about to do other work than its plan says."""
    from ft_eval.errors import remark

    plan = planned.plan
    if plan.registered is None:
        return
    ids = {job.id for job in plan.jobs}
    planned_ids = {job.id for job in plan.registered.jobs}
    if ids != planned_ids:
        remark(
            f"this run is not as planned: {len(planned_ids - ids)} of {len(planned_ids)} planned jobs are not in it, "
            f"{len(ids - planned_ids)} others are; the report names them"
        )
