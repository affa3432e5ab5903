"""What `ft-eval run` asks of the scoring of programs, and how far their check is. Knows no program."""

import time
from typing import Any

import click

_SECONDS_BETWEEN_LINES = 15.0


def code_settings(source: Any, tier: str, *, allow_unsafe_code: bool, check_references: bool) -> Any:
    """`CodeTaskSettings` over a `DataSource`, whose modules are too heavy to be named above.

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
        on_check=_CheckLines(),
    )


class _CheckLines:
    """Says how far the check of a code task's own solutions is: when it begins, four times a minute, and at its end."""

    def __init__(self) -> None:
        self._last = -_SECONDS_BETWEEN_LINES

    def __call__(self, task: str, num_done: int, num_items: int) -> None:
        now, is_done = time.monotonic(), num_done == num_items
        if is_done or now - self._last >= _SECONDS_BETWEEN_LINES:
            self._last = -_SECONDS_BETWEEN_LINES if is_done else now
            click.echo(f"gold check, {task}: {num_done} of {num_items} of its own solutions were run", err=True)
