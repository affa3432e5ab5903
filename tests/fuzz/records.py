"""Records and a run folder made of them, for targets to begin with, and what makes bytes of them."""

import gzip
import re
import zlib
from dataclasses import replace
from pathlib import Path

from ft_eval.records import PromptUsage, RunPlan, SampleResult, TaskResult
from ft_eval.store import RunStore
from tests.store import made


def plan() -> RunPlan:
    """One latent checkpoint on one task."""
    return replace(made.plan(), jobs=made.plan().jobs[1:])


def sample() -> SampleResult:
    """A scored document of the plan's job, with what JSON has no number for."""
    return replace(made.sample(plan().jobs[0].id, 0), logprobs_nats=(-0.5, float("-inf")))


def result() -> TaskResult:
    """The plan's job, done."""
    return replace(
        made.result(plan().jobs[0].id),
        stderrs={"exact_match": float("nan")},
        num_samples=1,
        scoring={"sandbox": "ns"},
        prompt_usage=PromptUsage(kl_bits=0.5, information_bits=0.1, num_tokens=5, num_prompts=1),
    )


def run_folder(path: Path) -> Path:
    """A run whose one job is done; made where there is none yet."""
    if not path.exists():
        with RunStore.create(path, plan()) as store:
            store.finish(result(), [sample()])
    return path


def files_of(path: Path) -> dict[str, Path]:
    """The files of a run, by name."""
    return {file.name: file for file in path.rglob("*") if file.is_file()}


def sealed(data: bytes) -> bytes:
    """Lines that begin with ! with their checksum, the others as they are."""
    return b"".join(_sealed_line(line) for line in data.splitlines(keepends=True))


def unsealed(data: bytes) -> bytes:
    """The other way: lines that have a checksum with a ! in its place."""
    return re.sub(rb'^\{"crc32":"[0-9a-f]{8}",', b"!", data, flags=re.MULTILINE)


def _sealed_line(line: bytes) -> bytes:
    if not line.startswith(b"!"):
        return line
    body = line[1:].removesuffix(b"\n")
    return b'{"crc32":"%08x",' % zlib.crc32(body) + body + line[1 + len(body) :]


def gzipped(data: bytes) -> bytes:
    """The same bytes for the same data."""
    return gzip.compress(data, mtime=0)
