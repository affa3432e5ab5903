"""Tiers are found by trying and never weakened in silence, whatever the machine forbids."""

import shutil
import subprocess
import sys

import pytest

from ft_eval.errors import SandboxError, UsageError
from ft_eval.sandbox import probe as probe_module
from ft_eval.sandbox import tiers
from ft_eval.sandbox.box.syscall_table import architecture
from ft_eval.sandbox.boxes import LocalBox
from ft_eval.sandbox.records import Calls, Outcome, SandboxSettings, Tier
from ft_eval.sandbox.sandbox import Sandbox
from ft_eval.sandbox.server import ServerError
from tests.conftest import ROOT
from tests.sandbox.corpus import INPUTS, is_double

GOOD = Calls(program="def solve(x):\n    return 2 * x", entry_point="solve", inputs=INPUTS)
FORBID = """
import sys
sys.path.insert(0, sys.argv[1])
from ft_eval.errors import SandboxError
from ft_eval.sandbox.box import kernel, seccomp
from ft_eval.sandbox.boxes import LocalBox
from ft_eval.sandbox.box.syscall_table import DENIED_TABLE, architecture, numbers
from ft_eval.sandbox.records import SandboxSettings
from ft_eval.sandbox.sandbox import Sandbox
known = numbers(DENIED_TABLE, architecture())
program = [(0x20, 0, 0, 0)]
for name in sys.argv[3].split(","):
    program += [(0x15, 0, 1, known[name]), (0x06, 0, 0, 0x50001)]
program.append((0x06, 0, 0, 0x7FFF0000))
kernel.control_process(kernel.PR_SET_NO_NEW_PRIVS, 1)
seccomp.install(b"".join(map(seccomp._pack, program)), 0)
try:
    with Sandbox(SandboxSettings(tier=sys.argv[2])) as sandbox:
        print(sandbox.description)
except SandboxError as error:
    print("refused:", error)
"""
NAMESPACES, LANDLOCK = "unshare,mount,setns,pivot_root", "landlock_create_ruleset,landlock_restrict_self"


def where_forbidden(tier: str, calls: str) -> str:
    """What a fresh process finds in which these system calls are forbidden, as a container forbids them."""
    if architecture() is None:
        pytest.skip("no system call table for this processor")
    command = [sys.executable, "-c", FORBID, str(ROOT), tier, calls]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout.strip()


def test_where_namespaces_are_forbidden_auto_takes_ll(sandbox: Sandbox) -> None:
    if sandbox.tier is not Tier.LL:
        pytest.skip("one tier's turn is enough")
    assert where_forbidden("auto", NAMESPACES).startswith("ll: landlock")


def test_where_namespaces_are_forbidden_ns_refuses_and_takes_no_other() -> None:
    found = where_forbidden("ns", NAMESPACES)
    assert found.startswith("refused: generated code can't be isolated here (ns: ")
    assert "ll" not in found.split(";")[0]


def test_where_nothing_works_the_line_gives_every_reason_and_what_to_do() -> None:
    found = where_forbidden("auto", f"{NAMESPACES},{LANDLOCK}")
    assert found.startswith("refused: generated code can't be isolated here (ns: ")
    assert "ll: this kernel has no Landlock" in found
    assert "\n" not in found


def test_without_landlock_ns_says_that_it_has_none(sandbox: Sandbox) -> None:
    if sandbox.tier is not Tier.NS:
        pytest.skip("one tier's turn is enough")
    found = where_forbidden("auto", LANDLOCK)
    assert found.startswith("ns: namespaces")
    assert "landlock" not in found


def test_a_tier_whose_canary_sings_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unconfined server, probed as if it were confined, fails by name for all that it lets through."""
    server = LocalBox(Tier.NONE)
    try:
        with pytest.raises(ServerError) as caught:
            probe_module.probe(server, Tier.NS)
    finally:
        server.close()
    for sign in ("a file was read", "a file was written", "a socket was opened", "a process was started"):
        assert sign in str(caught.value)


@pytest.mark.parametrize("tier", ["ns", "ll", "bwrap"])
def test_a_server_that_can_not_start_says_why(monkeypatch: pytest.MonkeyPatch, tier: str) -> None:
    if tier == "bwrap" and shutil.which("bwrap") is None:
        pytest.skip("no bubblewrap here")
    monkeypatch.setattr("ft_eval.sandbox.server._BOOT", "import sys; sys.exit('no luck today')")
    with pytest.raises(SandboxError, match="no luck today"):
        tiers.start_box(SandboxSettings(tier=tier))


@pytest.mark.parametrize("tier", ["bwrap", "docker"])
def test_a_tool_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tier: str) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SandboxError, match=f"there is no {tier} on the PATH"):
        tiers.start_box(SandboxSettings(tier=tier))


def test_elsewhere_than_on_linux_there_is_docker_or_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SandboxError, match=r"docker: there is no docker.*on darwin programs run in docker alone"):
        tiers.start_box(SandboxSettings())
    with pytest.raises(SandboxError, match="--sandbox ns needs Linux, and this is darwin; use --sandbox docker"):
        tiers.start_box(SandboxSettings(tier="ns"))


def test_tier_none_is_never_chosen_and_never_given_unasked() -> None:
    with pytest.raises(UsageError, match="none"), Sandbox(SandboxSettings(tier="none")):
        pass
    with Sandbox(SandboxSettings(tier="none", allow_unsafe_code=True)) as unsafe:
        assert "no isolation" in unsafe.description
        assert unsafe.run_calls(GOOD, is_double).outcome is Outcome.PASSED


def test_an_unknown_tier_is_refused_with_its_neighbour() -> None:
    with pytest.raises(UsageError, match="did you mean none"), Sandbox(SandboxSettings(tier="nune")):
        pass


def test_a_program_that_never_got_ready_is_no_verdict(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    if sandbox.tier is Tier.DOCKER:
        pytest.skip("the job is made inside the container, out of reach of a test")
    with monkeypatch.context() as patched:
        patched.setattr("ft_eval.sandbox.execution._job", lambda _calls: b"{")
        with pytest.raises(SandboxError, match=r"nothing was scored.*JSONDecodeError"):
            sandbox.run_calls(GOOD, is_double)
    assert sandbox.run_calls(GOOD, is_double).outcome is Outcome.PASSED


@pytest.mark.parametrize("tier", ["ns", "ll"])
def test_a_tier_is_had_by_an_owner_whose_process_id_is_1(sandbox: Sandbox, tier: str) -> None:
    """In a container ft-eval is often process 1, and so is a program in a namespace of its own."""
    if sandbox.tier != tier:
        pytest.skip("one tier's turn is enough")
    alone = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no PID namespace may be made here")
    code = FORBID.replace("\nprogram = [", "\nimport os; assert os.getpid() == 1\nprogram = [")
    command = [*alone, sys.executable, "-c", code, str(ROOT), tier, "vhangup"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.startswith(f"{tier}: ")
