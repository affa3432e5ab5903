"""Where a run runs: interpreter, processor, package versions, git commit. For provenance; it never fails a run.

Imports no heavy library and records no user, host or path.
"""

import os
import platform
import re
import resource
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ft_eval import __version__
from ft_eval.records import Environment

_PACKAGES = ("torch", "lm_eval", "evalplus", "datasets", "tokenizers", "safetensors", "numpy", "scipy", "pandas")
"""Those whose version can change an answer or a figure."""
_TESTED = {"python": "3.11", "torch": "2.13", "lm_eval": "0.4"}
"""The newest versions that the tests were run with."""
_SECRETS = (
    (re.compile(r"://[^/\s:@]*:[^/\s@]*@"), "://***@"),
    (re.compile(r"\b(hf_|sk-|ghp_|github_pat_|glpat-|xox[abp]-)[A-Za-z0-9_-]{16,}"), "***"),
    (re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b"), "***"),
    (
        re.compile(
            r"(?i)([a-z0-9_-]*(?:token|secret|password|passwd|api_?key|access_?key|auth)[a-z0-9_-]*=)[^\s&'\"]+"
        ),
        r"\1***",
    ),
)
"""What a secret looks like, and what is written in its place."""
_GIT_SECONDS = 10.0


def collect_environment() -> Environment:
    """The environment of this process. What can't be found out is left out."""
    return Environment(
        python=platform.python_version(),
        platform=platform.platform(),
        processor=_processor(Path("/proc/cpuinfo")),
        num_threads=_num_threads(),
        versions=_versions(),
        git_commit=_git_commit(Path(__file__).resolve().parent.parent),
    )


def redact(text: str) -> str:
    """A text without what opens doors: tokens, keys, passwords, credentials in addresses.

    >>> redact("--x s3://me:secret@host/a API_KEY=abc")
    '--x s3://***@host/a API_KEY=***'
    """
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


def version_remarks() -> tuple[str, ...]:
    """A line for Python, and for each package, that is newer than what this version was tested with."""
    here = {"python": platform.python_version(), **_versions()}
    return tuple(
        f"{name} {here[name]} is newer than what ft-eval {__version__} was tested with (up to {newest}); "
        "answers may differ in their last bits"
        for name, newest in _TESTED.items()
        if name in here and _numbers(here[name])[: len(_numbers(newest))] > _numbers(newest)
    )


def _numbers(text: str) -> tuple[int, ...]:
    """`2.13.0+cpu` as (2, 13, 0)."""
    return tuple(int(part) for part in re.findall(r"\d+", text.partition("+")[0])[:3])


def peak_memory_bytes() -> int:
    """The largest resident size that this process has had, in bytes; device memory is not in it."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts KiB


def _processor(cpuinfo: Path) -> str:
    """The processor's name: Linux's model name where there is one, else what the platform says."""
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    name = re.search(r"^model name\s*:\s*(.+)$", text, flags=re.MULTILINE)
    return name.group(1).strip() if name else platform.processor() or platform.machine()


def _num_threads() -> int:
    """Processors this process may use, or OMP_NUM_THREADS where it is set: what torch starts with."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isascii() and wanted.isdigit() and int(wanted) > 0:
        return int(wanted)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _versions() -> dict[str, str]:
    versions = {"ft-eval": __version__}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _git_commit(checkout: Path) -> str | None:
    """The commit of a git checkout, with `-dirty` behind it when files differ; None elsewhere or without git."""
    git = shutil.which("git")
    if git is None or not (checkout / ".git").exists():
        return None
    command = [git, "-C", str(checkout), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command on our own checkout
            command, env=environment, capture_output=True, text=True, timeout=_GIT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout.strip() or None
