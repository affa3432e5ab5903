"""A sandbox of each tier, opened once; tests of a tier that this machine can't have are skipped, with the reason.

Docker's tier is taken through a stand-in where no daemon answers: `stand_in_docker` reads docker's command line and
builds its walls with bubblewrap. What docker itself does with that command line is then not tested.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ft_eval.errors import SandboxError
from ft_eval.sandbox.records import SandboxSettings
from ft_eval.sandbox.sandbox import Sandbox
from tests.sandbox.daemon import has_docker

TIERS = ("ns", "bwrap", "ll", "docker")


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an executable `docker` that is the stand-in."""
    folder = tmp_path_factory.mktemp("bin")
    script = Path(__file__).with_name("stand_in_docker.py")
    (folder / "docker").write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n')
    (folder / "docker").chmod(0o755)
    return folder


@pytest.fixture(scope="session", params=TIERS)
def sandbox(request: pytest.FixtureRequest, stand_in: Path) -> Iterator[Sandbox]:
    """An open, isolating sandbox. What its owner's environment holds must not show inside."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("FT_EVAL_TEST_TOKEN", "secret")
        if request.param == "docker" and not has_docker():
            patched.setenv("PATH", f"{stand_in}:{os.environ['PATH']}")
        opened = Sandbox(SandboxSettings(tier=request.param))
        try:
            opened.__enter__()
        except SandboxError as error:
            pytest.skip(f"no {request.param} tier here: {error}")
        try:
            yield opened
        finally:
            opened.close()
