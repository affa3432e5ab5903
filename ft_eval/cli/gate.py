"""`ft-eval gate`: hold runs to a policy, for CI. Parses, calls one function, prints.

0 pass    1 fail    2 a mistake of yours    3 inconclusive    4 incomplete
"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ft_eval.cli.options import RunPlace
from ft_eval.cli.paths import PATH

if TYPE_CHECKING:
    from ft_eval.store.remote.url import RunUrl


@click.command(short_help="Hold runs to a policy, for CI.")
@click.argument("runs", nargs=-1, type=RunPlace(), metavar="[RUN]...")
@click.option("--policy", "policy_file", type=PATH, required=True, metavar="FILE", help="A policy.toml.")
@click.option("--junit", "junit_file", type=PATH, metavar="FILE", help="Also write the checks as JUnit XML.")
@click.pass_context
def gate(ctx: click.Context, runs: "tuple[Path | RunUrl, ...]", policy_file: Path, junit_file: Path | None) -> None:
    """Hold runs to a policy and exit with 0 pass, 1 fail, 2 a mistake, 3 inconclusive, 4 incomplete.

    RUN is a run's folder, or its address (s3://bucket/run); without one, the latest run in or under this folder.
    """
    from ft_eval.cli.report import latest_run
    from ft_eval.cli.verdicts import print_checks
    from ft_eval.report import EXIT_CODES, Terms, build_report, check_policy, junit_xml, load_policy
    from ft_eval.store import RunStore
    from ft_eval.store.outputs import try_output, write_output
    from ft_eval.store.remote.opening import folder_to_read

    if junit_file is not None:
        try_output("--junit", junit_file, (policy_file,))
    policy = load_policy(policy_file)
    stores = [RunStore.open(folder_to_read(place)) for place in list(runs) or [latest_run()]]
    report = build_report(stores, terms=Terms(primary=policy.primary, margin_points=policy.margin_points))
    result = check_policy(report, policy)
    if junit_file is not None:
        text = junit_xml(result, name=policy_file.name, timestamp=report.created_at)
        write_output("--junit", junit_file, text.encode())
    print_checks(result)
    ctx.exit(EXIT_CODES[result.outcome])
