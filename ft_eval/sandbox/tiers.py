"""Chooses how programs are confined here: the strongest tier that works, found by doing, and never a weaker one.

`auto` takes ns, else ll, else refuses with what to do about it. `none` is never chosen; it is asked for by name.
"""

import os
import sys
from pathlib import Path

from ft_eval.errors import SandboxError, UsageError, did_you_mean
from ft_eval.sandbox.probe import probe
from ft_eval.sandbox.records import SandboxSettings, Tier
from ft_eval.sandbox.server import BoxServer, ServerError

_APPARMOR = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
_MAX_NAMESPACES = Path("/proc/sys/user/max_user_namespaces")


def start_server(settings: SandboxSettings) -> tuple[BoxServer, Tier, str]:
    """A probed server, its tier, and one line for the record. Raises SandboxError, or UsageError for a bad setting."""
    if sys.platform != "linux":
        raise SandboxError(
            f"generated code runs in a sandbox that needs Linux, and this is {sys.platform}; "
            "run ft-eval in a Linux container or virtual machine"
        )
    reasons = []
    for tier in candidate_tiers(settings):
        try:
            return _start_probed(tier)
        except ServerError as error:
            reasons.append(f"{tier}: {error}")
    raise SandboxError(f"generated code can't be isolated here ({'; '.join(reasons)}); {_advice()}")


def candidate_tiers(settings: SandboxSettings) -> tuple[Tier, ...]:
    """The tiers to try, in order: no process is started. Raises UsageError for a setting that can't be meant."""
    if settings.tier == "auto":
        return (Tier.NS, Tier.LL)
    known = [str(tier) for tier in Tier]
    if settings.tier not in known:
        near = did_you_mean(settings.tier, known)
        raise UsageError(f"--sandbox {settings.tier}: no such tier; expected auto, {', '.join(known)}{near}")
    if settings.tier == Tier.NONE and not settings.allow_unsafe_code:
        raise UsageError(
            "--sandbox none runs generated code with your own rights, files and network; pass --allow-unsafe-code too "
            "if that is what you want"
        )
    return (Tier(settings.tier),)


def _start_probed(tier: Tier) -> tuple[BoxServer, Tier, str]:
    server = BoxServer(tier)
    try:
        found = probe(server, tier)
    except BaseException:
        server.close()
        raise
    numpy = f"numpy {server.numpy_version}" if server.numpy_version else "no numpy"
    return server, tier, f"{tier}: {server.walls}; {found}; python {sys.version.split()[0]}, {numpy}"


def _advice() -> str:
    if _reads(_APPARMOR, "1"):
        return (
            "AppArmor forbids user namespaces: allow them with "
            "`sysctl kernel.apparmor_restrict_unprivileged_userns=0`, or boot a kernel with Landlock"
        )
    if _reads(_MAX_NAMESPACES, "0"):
        return "user namespaces are switched off: set `sysctl user.max_user_namespaces`, or boot a kernel with Landlock"
    if os.geteuid() == 0:
        return "run as an ordinary user, or in a container that allows Landlock (kernel 5.13 or newer)"
    return "use a kernel of 5.13 or newer with Landlock, or one that allows user namespaces"


def _reads(path: Path, value: str) -> bool:
    try:
        return path.read_text(encoding="ascii").strip() == value
    except OSError:
        return False
