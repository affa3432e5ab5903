"""What is fuzzed, by name, and what was found before. Imports are at the top, for a fuzzer to instrument at once."""

from pathlib import Path

from tests.fuzz import checkpoint_files, finished_runs, run_files, task_files

TARGETS = {
    target.name: target
    for group in (checkpoint_files, run_files, finished_runs, task_files)
    for target in group.TARGETS
}


def corpus(name: str) -> list[bytes]:
    """What a fuzzer has found before, mended since."""
    kept = Path(__file__).with_name("corpus") / name
    return [path.read_bytes() for path in sorted(kept.iterdir())] if kept.is_dir() else []
