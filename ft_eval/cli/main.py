"""The entry point, and the one place where an exception becomes an exit code.

    0 done    2 a mistake the user can mend (one line, no traceback)    3 too many samples could not be scored
    4 no room on the disk, or a run's store out of reach    130 interrupted    141 nobody reads the output
    143 ended by SIGTERM

Our own bugs keep their traceback.
"""

import errno
import io
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click

from ft_eval import __version__
from ft_eval.cli.convert import convert
from ft_eval.cli.fetch import fetch
from ft_eval.cli.gate import gate
from ft_eval.cli.lm_eval import lm_eval
from ft_eval.cli.options import one_line
from ft_eval.cli.planning import make_plan_command
from ft_eval.cli.probe import probe
from ft_eval.cli.report import report
from ft_eval.cli.run import run
from ft_eval.cli.score import score
from ft_eval.cli.status import status
from ft_eval.cli.stopping import Stopped
from ft_eval.cli.tasks import tasks
from ft_eval.cli.toy import toy
from ft_eval.errors import NO_ROOM, FtEvalError, FtEvalWarning, NoRoomError

_CLOSED = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.EIO,
        errno.ELOOP,
        errno.EMFILE,
        errno.ENAMETOOLONG,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ESTALE,
    }
)
"""What a machine may say of a path that the user named; any other OSError is a bug of ours."""

_READER_IS_GONE = 141
"""128 and the number of SIGPIPE, as a shell has it."""


def _kebab(name: str) -> str:
    return name.replace("_", "-")


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "token_normalize_func": _kebab, "max_content_width": 110}
)
@click.version_option(__version__, message="ft-eval %(version)s")
def cli() -> None:
    """Does a latent model beat its baseline, by how much, and is it real?

    \b
    ft-eval run --ckpt ckpts/ --tasks gsm8k,humaneval_plus    evaluate checkpoints
    ft-eval plan --ckpt ckpts/ --tasks gsm8k                 write down beforehand what a run will do
    ft-eval status                                           where the latest run stands
    ft-eval report                                           write report.html of the latest run
    ft-eval gate --policy policy.toml                        hold the latest run to a policy, for CI
    ft-eval score samples.jsonl --task humaneval_plus        score programs that were written elsewhere
    ft-eval tasks                                            list the tasks
    ft-eval toy path                                         a small latent model and its baseline to try it on

    Flags may be spelled with - or _, as in lm-eval.
    """  # noqa: D301 — click's \b keeps the lines apart


for command in (run, make_plan_command(run), status, report, gate, score, probe, tasks, fetch, toy, convert, lm_eval):
    cli.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    try:
        _speak_any_locale()
        with _remarks_as_lines():
            code = _call(arguments)
        if code:  # what a command gave to ctx.exit, such as a gate's outcome
            sys.exit(code)
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except FtEvalError as error:
        click.echo(f"error: {one_line(str(error))}", err=True)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt) as end:
        stop = end.__cause__ or end  # click raises an Abort from what it caught
        click.echo(f"ended by {stop}" if isinstance(stop, Stopped) else "interrupted", err=True)
        sys.exit(stop.exit_code if isinstance(stop, Stopped) else 130)
    except BrokenPipeError:  # the reader of our output has gone: `ft-eval tasks | head`
        _forget_stdout()
        sys.exit(_READER_IS_GONE)
    except OSError as error:
        if error.errno not in NO_ROOM | _CLOSED:
            raise
        sys.exit(_tell(error))


def _call(arguments: list[str] | None) -> Any:
    """Run the command; what it gave to ctx.exit, or that nobody reads its output any more."""
    stdout, code = sys.stdout, None
    try:
        code = cli(args=arguments, prog_name="ft-eval", standalone_mode=False)
    except SystemExit:
        if sys.stdout is stdout:
            raise
    return code if sys.stdout is stdout else _READER_IS_GONE  # click puts another stream there when the reader is gone


def _tell(error: OSError) -> int:
    """Say what the machine has against a path that the user named; the exit code."""
    what = one_line(f"{error.filename or 'a file'}: {error.strerror}")
    if error.errno in NO_ROOM:
        click.echo(f"error: {what}; make room and run the same command again", err=True)
        return NoRoomError.exit_code
    click.echo(f"error: {what}; it can't be used", err=True)
    return FtEvalError.exit_code


def _speak_any_locale() -> None:
    """Print what the locale has no letter for as its code: a κ, or half a character of a model's."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _forget_stdout() -> None:
    """Nobody reads it any more: what is still to be written goes nowhere, without a complaint."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


@contextmanager
def _remarks_as_lines() -> Iterator[None]:
    """Within this context each remark is shown on stderr, once."""
    said: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *rest: Any, **named: Any) -> None:
        text = one_line(str(message))
        if not issubclass(category, FtEvalWarning):
            original(message, category, *rest, **named)
        elif text not in said:
            said.add(text)
            click.echo(f"warning: {text}", err=True)

    with warnings.catch_warnings():
        original, warnings.showwarning = warnings.showwarning, show
        warnings.simplefilter("always", FtEvalWarning)
        yield
