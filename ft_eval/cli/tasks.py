"""`ft-eval tasks`: the names that `--tasks` takes, and what is behind those that ft-eval brings itself."""

from collections.abc import Sequence
from pathlib import Path

import click

from ft_eval.cli.paths import PATH
from ft_eval.errors import TaskError


@click.command(short_help="List the tasks.")
@click.argument("pattern", required=False)
@click.option("--all", "everything", is_flag=True, help="lm-eval's own too (thousands; takes seconds).")
@click.option("--data-dir", type=PATH, metavar="DIR", help="Where to look for datasets, as in `ft-eval run`.")
@click.option("--where", is_flag=True, help="Print the file of the task called PATTERN, for an include.")
def tasks(pattern: str | None, everything: bool, data_dir: Path | None, where: bool) -> None:
    """List the names that --tasks takes, those that contain PATTERN if one is given.

    Without --all or a pattern, only the tasks that ft-eval brings itself; MMLU's subjects as the groups they make up.
    """
    from ft_eval.cli.quiet import quiet_libraries

    quiet_libraries(offline=True)
    from ft_eval.harness.listing import list_ours, task_file
    from ft_eval.harness.mirror import DataSource
    from ft_eval.harness.tasks import task_names

    if where:
        if pattern is None:
            raise click.UsageError("--where needs the name of a task, such as `ft-eval tasks gsm8k --where`")
        click.echo(task_file(pattern))
        return
    wanted = everything or pattern is not None
    ours = [one for one in list_ours(DataSource(data_dir=data_dir)) if wanted or not one.is_detail]
    rows = {one.name: (one.name, one.metric, _count(one.num_fewshot), _count(one.num_docs), one.data) for one in ours}
    names = sorted({*rows, *task_names(ours_only=False)}) if wanted else sorted(rows)
    if pattern is not None and not any(pattern in name for name in names):
        raise TaskError(f"no name contains {pattern!r}; `ft-eval tasks --all` lists all names")
    shown = [rows.get(name, (name, "", "", "", "")) for name in names if pattern is None or pattern in name]
    for line in _aligned([("name", "metric", "shots", "items", "data"), *shown]) if shown else ():
        click.echo(line)


def _count(number: int | None) -> str:
    return "–" if number is None else f"{number:,}"


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Columns as wide as their longest cell, the numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    cells = [
        [cell.rjust(width) if column in (2, 3) else cell.ljust(width) for column, (cell, width) in enumerate(pairs)]
        for pairs in (zip(row, widths, strict=True) for row in rows)
    ]
    return ["  ".join(row).rstrip() for row in cells]
