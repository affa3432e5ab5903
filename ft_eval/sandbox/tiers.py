"""Chooses how programs are confined here: the strongest tier that works, found by doing, and never a weaker one.

`auto` takes ns, else bwrap, else ll, else docker, else refuses with what to do about it; elsewhere than on Linux there
is docker alone. `none` is never chosen; it is asked for by name.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from ft_eval.errors import SandboxError, UsageError, did_you_mean
from ft_eval.sandbox.boxes import Box, open_box
from ft_eval.sandbox.probe import probe
from ft_eval.sandbox.records import SandboxSettings, Tier
from ft_eval.sandbox.server import ServerError

_APPARMOR = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
_MAX_NAMESPACES = Path("/proc/sys/user/max_user_namespaces")


NOT_CONTAINED: Mapping[Tier, str] = {
    Tier.NS: "kernel bugs, side channels",
    Tier.BWRAP: "kernel bugs, side channels; a worker's programs share a box, one after another",
    Tier.LL: (
        "kernel bugs, side channels; names, sizes and times of files can be seen; programs have no process or network "
        "namespace of their own: the system call filter alone keeps them from other processes and from the network"
    ),
    Tier.DOCKER: "kernel bugs, side channels; a worker's programs share a container, one after another",
    Tier.NONE: "anything: programs have the user's files, network and processes, and can forge scores",
}
"""What a tier does not hold back, for the record; SECURITY.md has it in full."""


def start_box(settings: SandboxSettings) -> tuple[Box, Tier, str]:
    """A probed box, its tier, and one line for the record. Raises SandboxError, or UsageError for a bad setting."""
    reasons = []
    for tier in candidate_tiers(settings):
        if not is_linux() and tier is not Tier.DOCKER:
            raise SandboxError(
                f"--sandbox {tier} needs Linux, and this is {sys.platform}; use --sandbox docker, or run ft-eval in a "
                "Linux container or virtual machine"
            )
        try:
            return _start_probed(tier)
        except ServerError as error:
            reasons.append(f"{tier}: {error}")
    raise SandboxError(f"generated code can't be isolated here ({'; '.join(reasons)}); {_advice(settings)}")


def candidate_tiers(settings: SandboxSettings) -> tuple[Tier, ...]:
    """The tiers to try, in order: no process is started. Raises UsageError for a setting that can't be meant."""
    if settings.tier == "auto":
        return (Tier.NS, Tier.BWRAP, Tier.LL, Tier.DOCKER) if is_linux() else (Tier.DOCKER,)
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


def is_linux() -> bool:
    """Whether a program can be confined here without a container."""
    return sys.platform == "linux"


def _start_probed(tier: Tier) -> tuple[Box, Tier, str]:
    box = open_box(tier)
    try:
        found = probe(box, tier)
    except BaseException:
        box.close()
        raise
    return box, tier, f"{tier}: {box.walls}; {found}; {box.versions}"


def _advice(settings: SandboxSettings) -> str:
    if not is_linux():
        return f"on {sys.platform} programs run in docker alone: start it, or run ft-eval in a Linux virtual machine"
    if settings.tier in {Tier.BWRAP, Tier.DOCKER}:
        return "see SECURITY.md for what each tier needs, or use --sandbox auto"
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
