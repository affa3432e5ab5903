"""Targets among a run's files: checkpoints.toml, the log of answers, a finished run's folder, single records."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from ft_eval.config import load_checkpoints
from ft_eval.records import Answer, RunPlan, SampleResult, TaskResult
from ft_eval.store import ResponseLog, RunStore
from ft_eval.store.codec import dump, load
from tests.fuzz import mutate, records
from tests.fuzz.target import Target, folder, put
from tests.store import made


def _toml(data: bytes) -> None:
    load_checkpoints(put("checkpoints.toml", data))


def _toml_seeds() -> list[bytes]:
    example = Path(__file__).resolve().parents[2] / "checkpoints.example.toml"
    pair = b"""primary = ["gsm8k"]\n[checkpoints.a]\npath = "~/a"\narm = "baseline"\ntraining_tokens = 47_000\n
        step = 1\n[checkpoints."b.1"]\npath = "/b"\nbaseline = "a"
        kappa_bits = 0.5\ndtype = "bfloat16"\nadapter = "m:C"\n"""
    return [example.read_bytes(), pair]


def _log(data: bytes) -> None:
    """A log; a line that begins with ! gets its checksum, so that what is behind the checksum is reached too."""
    path = put("responses.jsonl", records.sealed(data))
    with ResponseLog.open(path) as log:
        log.append(Answer(key="new", text="x"))
    with ResponseLog.open(path) as log:
        assert log.get("new") is not None, "what was put right stays right"


def _log_seeds() -> list[bytes]:
    answers = (made.answer(0), replace(made.answer(1), text=None, logprob_nats=-1.5, is_greedy=True))
    lines = [b"!" + dump(answer, versioned=True).encode("ascii")[1:] + b"\n" for answer in answers]
    return [b"".join(lines), lines[0] + lines[0] + b"torn", b"damaged\n" + lines[1]]


_FILES = ("run.json", "result.json", "samples.jsonl")


def _run_folder(data: bytes) -> None:
    """A run folder in which one file is the bytes; the first byte says which. Lines with ! as in a log."""
    place = records.run_folder(folder() / "run")
    files = records.files_of(place)
    name = _FILES[data[0] % len(_FILES)] if data else _FILES[0]
    kept = files[name].read_bytes()
    files[name].write_bytes(records.sealed(data[1:]))
    try:
        store = RunStore.open(place)
        for job in store.plan.jobs:
            if store.is_done(job.id):
                store.result(job.id)
                list(store.samples(job.id))
    finally:
        files[name].write_bytes(kept)


def _run_seeds() -> list[bytes]:
    files = records.files_of(records.run_folder(folder() / "run"))
    whole = [bytes([number]) + files[name].read_bytes() for number, name in enumerate(_FILES)]
    return whole + [data[:1] + records.unsealed(data[1:]) for data in whole]


_RECORDS: tuple[type, ...] = (Answer, SampleResult, TaskResult, RunPlan)


def _record(data: bytes) -> None:
    """One record of the store; what is read is written and read again, and is the same."""
    if not data:
        return
    kind: Any = _RECORDS[data[0] % len(_RECORDS)]
    record = load(kind, data[1:], versioned=True)
    again = dump(record, versioned=True)
    assert dump(load(kind, again, versioned=True), versioned=True) == again


def _record_seeds() -> list[bytes]:
    seeds = (made.answer(0), records.sample(), records.result(), records.plan())
    return [bytes([n]) + dump(record, versioned=True).encode("ascii") for n, record in enumerate(seeds)]


TARGETS = (
    Target(name="toml", read=_toml, seeds=_toml_seeds, mutate=mutate.in_toml),
    Target(name="log", read=_log, seeds=_log_seeds, mutate=mutate.in_lines),
    Target(name="run", read=_run_folder, seeds=_run_seeds, mutate=mutate.after(1, mutate.in_lines)),
    Target(name="record", read=_record, seeds=_record_seeds, mutate=mutate.after(1, mutate.in_json)),
)
