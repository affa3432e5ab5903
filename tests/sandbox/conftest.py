"""A sandbox of each tier, opened once; tests of a tier that this machine can't have are skipped, with the reason."""

import os
from collections.abc import Iterator

import pytest

from ft_eval.errors import SandboxError
from ft_eval.sandbox.records import SandboxSettings
from ft_eval.sandbox.sandbox import Sandbox


@pytest.fixture(scope="session", params=["ns", "ll"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """An open, isolating sandbox. What its owner's environment holds must not show inside."""
    os.environ["FT_EVAL_TEST_TOKEN"] = "secret"  # noqa: S105
    opened = Sandbox(SandboxSettings(tier=request.param))
    try:
        opened.__enter__()
    except SandboxError as error:
        pytest.skip(f"no {request.param} tier here: {error}")
    try:
        yield opened
    finally:
        opened.close()
        del os.environ["FT_EVAL_TEST_TOKEN"]
