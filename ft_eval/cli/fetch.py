"""`ft-eval fetch`: the datasets of tasks, into a folder that `--data-dir` reads; and whether such a folder is whole."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ft_eval.cli.options import parse_names
from ft_eval.cli.paths import PATH
from ft_eval.errors import DataError, UsageError

_REVISION = re.compile(r"([\w.-]+(?:/[\w.-]+)?)=([\w./-]+)", flags=re.ASCII)


@click.command(short_help="Download the datasets of tasks for --data-dir.")
@click.argument("folder", required=False, type=PATH, metavar="[DIR]")
@click.option("--tasks", "-t", multiple=True, metavar="A,B", help="Tasks, groups or tags; see `ft-eval tasks`.")
@click.option("--to", "to", type=PATH, metavar="DIR", help="The folder; datasets go to DIR/ORG/NAME.")
@click.option(
    "--revision",
    "revisions",
    multiple=True,
    metavar="ORG/NAME=REV",
    help="A dataset's commit, branch or tag; default: its task's, DIR's own, or the main branch's newest. Repeatable.",
)
@click.option("--check", is_flag=True, help="Hold DIR to its manifest instead, without a network.")
def fetch(
    folder: Path | None, tasks: tuple[str, ...], to: Path | None, revisions: tuple[str, ...], check: bool
) -> None:
    """Download the datasets that tasks need, at fixed commits, into a folder that --data-dir reads.

    Interrupted, it goes on when the same command is typed again. DIR/manifest.json says what is there.
    """
    mirror = _mirror(folder, to)
    if check:
        if tasks or revisions:
            raise UsageError("--check looks at a whole folder; leave --tasks and --revision out")
        _check(mirror)
    else:
        _fetch(parse_names(tasks), mirror, _parse_revisions(revisions))


def _mirror(folder: Path | None, to: Path | None) -> Path:
    if folder is not None and to is not None and folder != to:
        raise UsageError(f"two folders were given, {folder} and --to {to}; give one")
    mirror = to or folder
    if mirror is None:
        raise UsageError("no folder was given; pass --to DIR")
    return mirror


def _parse_revisions(values: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for value in values:
        parts = _REVISION.fullmatch(value)
        if parts is None:
            raise UsageError(f"--revision {value}: expected ORG/NAME=REVISION, such as openai/gsm8k=main")
        if found.setdefault(parts[1], parts[2]) != parts[2]:
            raise UsageError(f"--revision {parts[1]}: two were given, {found[parts[1]]} and {parts[2]}; give one")
    return found


def _fetch(tasks: tuple[str, ...], folder: Path, revisions: dict[str, str]) -> None:
    from ft_eval.cli.quiet import quiet_libraries

    quiet_libraries(offline=False)
    from ft_eval.harness.fetch import FetchOptions, fetch
    from ft_eval.harness.fetch_hub import Hub

    summary = fetch(FetchOptions(tasks=tasks, folder=folder, revisions=revisions), Hub(), _show)
    if not summary.repositories:
        click.echo(f"nothing to fetch: the data of {', '.join(summary.bundled)} comes with ft-eval")
        return
    names = shlex.join(["--data-dir", str(folder), "--offline", "--tasks", ",".join(tasks)])
    click.echo(f"\nnext: ft-eval run {names} --ckpt …")


def _show(fetched: Any) -> None:
    one = fetched.repository
    revision = one.revision[:12] if re.fullmatch(r"[0-9a-f]{40}", one.revision) else one.revision
    kept = f", {fetched.num_kept} were there" if fetched.num_kept else ""
    click.echo(
        f"{one.id} @ {revision}: {fetched.num_fetched} files fetched, {fetched.num_bytes_fetched / 1e6:,.1f} MB{kept}"
        f" ({_printable(one.licence) or 'no licence named'})"
    )


def _check(folder: Path) -> None:
    from ft_eval.harness.manifest import verify_mirror

    faults = verify_mirror(folder)
    for what, names in (("missing", faults.missing), ("changed", faults.changed), ("extra", faults.extra)):
        for name in names:
            click.echo(f"{what}  {_printable(name)}")
    if faults:
        counts = f"{len(faults.missing)} missing, {len(faults.changed)} changed, {len(faults.extra)} extra"
        advice = [
            *(["run its `ft-eval fetch` again"] if faults.missing or faults.changed else []),
            *(["move away what is extra"] if faults.extra else []),
        ]
        raise DataError(f"{folder} is not what its manifest says: {counts}; {' and '.join(advice)}")
    click.echo(f"{folder} is what its manifest says")


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
