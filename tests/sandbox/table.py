"""The whole corpus in every tier that this machine has, as root and as an ordinary user, as one table.

    python -m tests.sandbox.table [--tiers ns,bwrap,ll,docker] [--users root,1001]

Each tier and user has an owner of its own in a PID namespace of its own: after every program, all processes there are
counted (where root starts it: nobody else may make that namespace). A program *breaches* when it finds a way out (it is
then right) or changes anything outside, *forges* when it passes without an answer, *stays* when a process is left,
*disturbs* when the program after it fails; an honest one *fails* when it does not pass. Docker is its stand-in where no
daemon answers. Exit status 1 if any cell is not 0.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.sandbox import processes
from tests.sandbox.daemon import has_docker

if TYPE_CHECKING:
    from ft_eval.sandbox.sandbox import Sandbox

ROOT = Path(__file__).resolve().parents[2]
HEADS = ("hostile", "breaches", "forgeries", "stay", "disturb", "honest", "fail", "seconds")


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiers", default="ns,bwrap,ll,docker")
    parser.add_argument("--users", default="root,1001" if os.geteuid() == 0 else "self")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        for found in _inside(arguments.inside):
            print(json.dumps(found), flush=True)  # noqa: T201 (a command)
        return 0
    print("| tier | user |", " | ".join(HEADS), "|\n|---|---|", "--:|" * len(HEADS), sep="")  # noqa: T201 (a command)
    worst = 0
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        for tier in arguments.tiers.split(","):
            for user in arguments.users.split(","):
                worst |= _row(tier, user, Path(folder))
    return worst


def _row(tier: str, user: str, folder: Path) -> int:
    start = time.monotonic()
    done = subprocess.run(
        [*_own_namespace(), *_become(user), *_python(user, folder), "-m", "tests.sandbox.table", "--inside", tier],
        cwd=ROOT, capture_output=True, text=True, check=False, env=_environment(tier, user, folder),
    )  # fmt: skip
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines or "description" not in lines[0]:
        reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        print(f"| {tier} | {user} | not here: {reason[:200]} |", flush=True)  # noqa: T201 (a command)
        return 0 if "SandboxError" in reason else 1
    counts = Counter(one["kind"] for one in lines[1:])
    faults = Counter(fault for one in lines[1:] for fault in one["faults"])
    found: dict[str, object] = {name: faults[name] for name in ("breach", "forgery", "stays", "disturbs")}
    if not lines[0]["counts_processes"]:
        found["stays"] = "not counted"
    cells = [counts["hostile"], *found.values(), counts["honest"]]
    print(  # noqa: T201 (a command)
        f"| {tier} | {user} | {' | '.join(map(str, [*cells, faults['fails'], round(time.monotonic() - start)]))} |",
        flush=True,
    )
    for one in lines[1:]:
        if one["faults"]:
            print(f"    {one['name']}: {one}", flush=True)  # noqa: T201 (a command)
    print(f"    {lines[0]['description']}", flush=True)  # noqa: T201 (a command)
    return int(bool(faults))


def _own_namespace() -> list[str]:
    """A shell as process 1 there, and an owner with a number that no program of the corpus has in a box of its own."""
    if os.geteuid() != 0:
        return []
    wait = 'n=0; while [ $n -lt 500 ]; do (:); n=$((n+1)); done; "$@"'
    return ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", wait, "sh"]


def _become(user: str) -> list[str]:
    if user in ("root", "self"):
        return []
    return ["setpriv", "--reuid", user, "--regid", user, "--clear-groups"]


def _python(user: str, folder: Path) -> list[str]:
    """This interpreter; for another user one that it may run, with a copy of NumPy."""
    if user in ("root", "self"):
        return [sys.executable, "-B"]
    if not (folder / "numpy").exists():
        import numpy as np

        installed = Path(np.__file__).parents[1]
        for name in ("numpy", "numpy.libs"):
            if (installed / name).is_dir():
                shutil.copytree(installed / name, folder / name)
        for path in (folder, *folder.rglob("*")):  # the user's own, as where an ordinary user has installed it
            os.chown(path, int(user), int(user))
    return ["/usr/bin/python3", "-B"]


def _environment(tier: str, user: str, folder: Path) -> Mapping[str, str]:
    found = {**os.environ, "FT_EVAL_TEST_TOKEN": "secret", "TMPDIR": "/tmp"}  # noqa: S108 (open to both users)
    if user not in ("root", "self"):
        found |= {"HOME": "/nonexistent", "PYTHONPATH": str(folder), "STAND_IN_PACKAGES": str(folder)}
    if tier == "docker" and not has_docker():
        binaries = folder / "bin"
        binaries.mkdir(exist_ok=True)
        script = ROOT / "tests" / "sandbox" / "stand_in_docker.py"
        python = sys.executable if user in ("root", "self") else "/usr/bin/python3"
        (binaries / "docker").write_text(f'#!/bin/sh\nexec "{python}" "{script}" "$@"\n')
        (binaries / "docker").chmod(0o755)
        found["PATH"] = f"{binaries}:{found['PATH']}"
    return found


def _inside(tier: str) -> Iterator[Mapping[str, Any]]:
    """The owner's part: one line on the sandbox, then one per program."""
    from ft_eval.sandbox.records import Calls, Limits, Outcome, SandboxSettings
    from ft_eval.sandbox.sandbox import Sandbox
    from tests.sandbox.cheats import DISTURBANCES, FORGERIES, RESOURCES
    from tests.sandbox.corpus import FOLLOWER, INPUTS, LIMITS, is_double, lay_out, outside_places, state
    from tests.sandbox.escapes import ESCAPES, fill
    from tests.sandbox.honest import HONEST

    with outside_places() as places, Sandbox(SandboxSettings(tier=tier)) as sandbox:

        def run(program: str, limits: Limits) -> Outcome:
            calls = Calls(program=program, entry_point="solve", inputs=INPUTS, limits=limits)
            return sandbox.run_calls(calls, is_double).outcome

        yield {"description": sandbox.description, "counts_processes": _is_in_own_namespace()}
        run(FOLLOWER, Limits())
        for name, program in (ESCAPES | FORGERIES | RESOURCES | DISTURBANCES).items():
            lay_out(places)
            before = state(places)
            outcome, faults = run(fill(program, places), LIMITS), []
            if outcome is Outcome.PASSED:
                faults.append("forgery" if name in FORGERIES else "breach")
            if state(places) != before:
                faults.append("breach")
            if not _settles(sandbox):
                faults.append("stays")
            if run(FOLLOWER, Limits()) is not Outcome.PASSED:
                faults.append("disturbs")
            yield {"kind": "hostile", "name": name, "outcome": str(outcome), "faults": faults}
        for name, program in HONEST.items():
            outcome = run(program, Limits())
            yield {
                "kind": "honest",
                "name": name,
                "outcome": str(outcome),
                "faults": [] if outcome is Outcome.PASSED else ["fails"],
            }


def _settles(sandbox: "Sandbox") -> bool:
    """Whether within five seconds nothing is left here but the shell, the owner, the server and what runs the server.

    That is bubblewrap, the agent of a stand-in's container, or a container of docker's own, whose agent and server it
    counts itself.
    """
    num_allowed = {"ns": 3, "ll": 3, "bwrap": 4, "docker": 5}[sandbox.tier]
    until = time.monotonic() + 5
    while time.monotonic() < until:
        living = [path for path in Path("/proc").glob("[0-9]*/stat") if _lives(path)]
        num_living = len(living) + processes.num_in_container(sandbox)
        if num_living <= num_allowed or not _is_in_own_namespace():  # else not ours to count
            return True
        time.sleep(0.05)
    return False


def _is_in_own_namespace() -> bool:
    return b"sh\0-c\0n=0" in Path("/proc/1/cmdline").read_bytes()


def _lives(path: Path) -> bool:
    try:
        return path.read_bytes().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main())
