"""`ft-eval tasks`: the names that `--tasks` takes."""

import click


@click.command(short_help="List the tasks.")
@click.argument("pattern", required=False)
@click.option("--all", "everything", is_flag=True, help="lm-eval's own too (thousands; takes seconds).")
def tasks(pattern: str | None, everything: bool) -> None:
    """List the names that --tasks takes, those that contain PATTERN if one is given.

    Without --all or a pattern, only the tasks that ft-eval brings itself.
    """
    from ft_eval.cli.quiet import quiet_libraries

    quiet_libraries(offline=True)
    from ft_eval.harness.tasks import task_names

    names = task_names(ours_only=not everything and pattern is None)
    for name in names:
        if pattern is None or pattern in name:
            click.echo(name)
