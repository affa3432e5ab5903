"""`ft-eval convert`: someone else's checkpoint as a folder of ours, or the checks of any model."""

from pathlib import Path
from typing import Any

import click

from ft_eval.cli.paths import PATH


@click.command(short_help="Turn another project's checkpoint into a folder, or check it.")
@click.argument("source", type=PATH, metavar="SRC")
@click.argument("destination", type=PATH, metavar="[DST]", required=False)
@click.option("--check", is_flag=True, help="Print the self-checks of SRC and write nothing.")
@click.option(
    "--tokenizer",
    type=PATH,
    metavar="PATH",
    help="A tokenizer.json or its folder; default: the one beside SRC.",
)
@click.option(
    "--adapter", metavar="NAME", help="With --check: a model class, as module:Class or the name of an entry point."
)
def convert(source: Path, destination: Path | None, check: bool, tokenizer: Path | None, adapter: str | None) -> None:
    """Turn SRC into a checkpoint folder DST, which must be new or empty.

    SRC is a checkpoint of bryanvine/free-transformer or x-transformers, or a Llama-like hub folder with a latent head.
    Where no folder computes the same as SRC, one line says why.
    """
    from ft_eval.errors import UsageError

    if check:
        if destination is not None or tokenizer is not None:
            raise UsageError("--check writes nothing: leave out DST and --tokenizer")
        _check(source, adapter)
        return
    if destination is None:
        raise UsageError("DST is missing: give a new or empty folder, or --check")
    if adapter is not None:
        raise UsageError("--adapter goes with --check: a model class of your own is not converted, it runs as it is")
    _convert(source, destination, tokenizer)


def _convert(source: Path, destination: Path, tokenizer: Path | None) -> None:
    from ft_eval.model.adapters.convert import convert as convert_checkpoint

    done = convert_checkpoint(source, destination, tokenizer=tokenizer)
    click.echo(f"{done.layout}: {done.num_parameters:,} parameters written to {done.destination}")
    click.echo(f"largest difference of its logits from the source's: {done.max_logit_difference:.1e}")
    if not done.has_tokenizer:
        click.echo("it has no tokenizer.json yet: put one there before it is evaluated, or convert with --tokenizer")


def _check(source: Path, adapter: str | None) -> None:
    from ft_eval.errors import CheckpointError
    from ft_eval.model.adapters.check import check_checkpoint

    checks = check_checkpoint(source, adapter=adapter)
    _print_table(checks)
    failed = [check.name for check in checks if not check.passed]
    if failed:
        raise CheckpointError(f"{source}: {len(failed)} of {len(checks)} checks failed: {', '.join(failed)}")


def _print_table(checks: Any) -> None:
    from rich.table import Table

    from ft_eval.cli.terminal import console

    table = Table(header_style="bold")
    for name in ("check", "passed", "what was measured"):
        table.add_column(name, overflow="fold")
    for check in checks:
        table.add_row(check.name, "yes" if check.passed else "NO", check.detail)
    console().print(table)
