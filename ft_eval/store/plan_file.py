"""A plan that was written before its run, as one sealed file: its content can't be changed without being noticed.

The digest in it is over what it declares. Who wants to prove when it was written publishes the digest, or commits the
file.
"""

from dataclasses import dataclass
from pathlib import Path

from ft_eval.errors import StoreError
from ft_eval.records import Registration
from ft_eval.store.whole import DamagedError, read_whole, write_whole


@dataclass(frozen=True, slots=True, kw_only=True)
class _PlanFile:
    """The content of a plan's file; `digest` is kept beside the plan that it is computed from as a check on it."""

    digest: str
    plan: Registration


def write_plan_file(path: Path, plan: Registration) -> None:
    """Write a new file; an old one is never replaced.

    Raises:
        StoreError: the file is there already, or can't be written.
    """
    if path.exists() or path.is_symlink():
        raise StoreError(f"{path} is there already, and a plan is not written twice; choose another name with --to")
    write_whole(path, _PlanFile(digest=plan.digest, plan=plan))


def read_plan_file(path: Path) -> Registration:
    """The plan that `write_plan_file` wrote.

    Raises:
        StoreError: the file can't be read, is no plan, or is not what was written.
    """
    try:
        file = read_whole(path, _PlanFile)
    except DamagedError as error:
        raise StoreError(f"{path}: not a plan as `ft-eval plan` wrote it: cut short, damaged or edited") from error
    if file.digest != file.plan.digest:
        raise StoreError(f"{path}: its digest is not that of what it declares: edited, or of another ft-eval")
    return file.plan
