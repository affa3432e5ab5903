"""`python -m tests.fuzz --target NAME --runs N`: coverage-guided fuzzing (atheris) of one target, or of all in turn.

Prints how many inputs were tried and how fast, and how many were taken rather than refused. An input that raises, hangs
for ten seconds or takes 2 GiB stops it and is kept in the folder of --keep; put it into tests/fuzz/corpus/NAME once it
is mended, and the default suite replays it.
"""

import argparse
import hashlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.fuzz.mutate import Mutator

_SECONDS_TO_HANG = 10
_MEGABYTES = 2048
_MAX_BYTES = 8192
_SHARE_OF_FORM, _SHARE_OF_GOOD = 0.7, 0.5


def main() -> None:
    """Parse, and fuzz in a process per target: the fuzzer ends its process."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--target", default="all", help="a target's name, or all")
    parser.add_argument("--runs", type=int, default=100_000, help="inputs per target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-found"), help="where inputs at fault are kept")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        _fuzz(arguments.target, arguments.runs, arguments.seed, arguments.keep)
        return
    names = _names() if arguments.target == "all" else [arguments.target]
    sys.exit(max(_start(name, arguments) for name in names))


def _names() -> list[str]:
    from tests.fuzz.targets import TARGETS

    return list(TARGETS)


def _start(name: str, arguments: argparse.Namespace) -> int:
    command = [sys.executable, "-m", "tests.fuzz", "--inside", "--target", name, "--runs", str(arguments.runs)]
    return subprocess.run(
        [*command, "--seed", str(arguments.seed), "--keep", str(arguments.keep)], check=False
    ).returncode


def _mutator(keeps_form: "Mutator", seeds: list[bytes]) -> Callable[[bytes, int, int], bytes]:
    """Most changes keep the file's form, half of them a good file's: what is collected is what is refused somehow new.

    The fuzzer's own changes can't be asked for from here, so the others are ours, too.
    """
    from tests.fuzz.mutate import anywhere

    def mutate(data: bytes, max_bytes: int, seed: int) -> bytes:
        rng = Random(seed)
        data = rng.choice(seeds) if rng.random() < _SHARE_OF_GOOD else data
        changed = keeps_form(data, rng) if rng.random() < _SHARE_OF_FORM else data
        return (changed if changed != data and len(changed) <= max_bytes else anywhere(data, rng))[:max_bytes]

    return mutate


def _fuzz(name: str, num_runs: int, seed: int, keep: Path) -> None:
    import atheris

    with atheris.instrument_imports(include=["ft_eval"]):
        from tests.fuzz import targets
        from tests.fuzz.target import run
    target = targets.TARGETS[name]
    counts: Counter[bool] = Counter()
    started = time.monotonic()

    def one(data: bytes) -> None:
        try:
            counts[run(target, data)] += 1
        except BaseException:
            (keep / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}").write_bytes(data)
            raise
        if counts.total() == num_runs:
            signal.setitimer(signal.ITIMER_REAL, 0)  # the fuzzer's watch for hangs would end a process that tidies up
            seconds = time.monotonic() - started
            row = {"target": name, "inputs": num_runs, "taken": counts[True], "refused": counts[False]}
            row |= {"seconds": round(seconds), "inputs_per_second": round(num_runs / seconds)}
            sys.stdout.write(json.dumps(row) + "\n")
            sys.stdout.flush()

    keep.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as corpus:
        for number, data in enumerate([*target.seeds(), *targets.corpus(name)]):
            (Path(corpus) / str(number)).write_bytes(data)
        flags = [f"-atheris_runs={num_runs}", f"-max_len={_MAX_BYTES}", f"-timeout={_SECONDS_TO_HANG}", f"-seed={seed}"]
        flags += [f"-rss_limit_mb={_MEGABYTES}", f"-artifact_prefix={keep}/{name}-", "-verbosity=0", "-len_control=0"]
        own = {} if target.mutate is None else {"custom_mutator": _mutator(target.mutate, target.seeds())}
        atheris.Setup([sys.argv[0], *flags, corpus], one, **own)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
