"""What is fuzzed: for each kind of file a stranger may hand us, the function that reads it, and files to begin with.

A target takes the file's bytes. It may raise FtEvalError, with one line; anything else that it raises is a fault, and
so is a file that it leaves outside its own folder. Imports are at the top, for a fuzzer to instrument them at once.
"""

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import lm_eval.utils
import yaml
from lm_eval.tasks._yaml_loader import load_yaml

from ft_eval.config import load_checkpoints
from ft_eval.errors import FtEvalError
from ft_eval.harness.code_samples import read_solutions
from ft_eval.harness.task_limits import check_task_limits
from ft_eval.harness.templates import bound_templates, template_faults
from ft_eval.model.checkpoint import count_parameters, read_config
from ft_eval.model.tokenizer import Tokenizer, byte_tokenizer_json
from ft_eval.model.weights import inspect_weights, weights_digest
from ft_eval.records import Answer, RunPlan, SampleResult, TaskResult
from ft_eval.resources import tasks_dir
from ft_eval.store import ResponseLog, RunStore
from ft_eval.store.codec import dump, load
from tests.fakes import tiny_config, write_checkpoint
from tests.fuzz import records

_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
_MAX_LAYERS = 4
"""Larger models are described and not built: building one takes milliseconds a layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One kind of file."""

    name: str
    read: Callable[[bytes], object]
    """Raises FtEvalError, or nothing."""
    seeds: Callable[[], list[bytes]]


class Escaped(AssertionError):  # noqa: N818 - a fault, not an error of the caller's
    """Something was written outside the target's folder."""


def run(target: Target, data: bytes) -> bool:
    """Give a target some bytes.

    Returns:
        Whether they were taken; False where they were refused with one line.
    """
    before = _names(folder().parent)
    try:
        target.read(data)
        said = ""
    except FtEvalError as error:
        said = str(error)
    assert len(said) < 20_000, "an error that nobody can read"
    if _names(folder().parent) != before:
        raise Escaped(f"{target.name} wrote outside its folder")
    return not said


@cache
def folder() -> Path:
    """The folder that targets may write in, in memory where there is such a place."""
    root = Path(tempfile.mkdtemp(prefix="ft-eval-fuzz-", dir=_MEMORY if _MEMORY.is_dir() else None))
    (root / "own").mkdir()
    return root / "own"


def _names(path: Path) -> list[str]:
    return os.listdir(path)  # noqa: PTH208 - fast


def _put(name: str, data: bytes) -> Path:
    path = folder() / name
    path.write_bytes(data)
    return path


@cache
def _checkpoint(target: str) -> Path:
    return write_checkpoint(folder() / target, num_bits=3)


def _header(data: bytes) -> None:
    """A weights file; after a ! come its header, a newline and its tensors, and the header's length is put in front."""
    place = _checkpoint("header")
    if data.startswith(b"!"):
        header, _, tensors = data[1:].partition(b"\n")
        data = len(header).to_bytes(8, "little") + header + tensors
    (place / "model.safetensors").write_bytes(data)
    inspect_weights(place)
    weights_digest(place)


def _header_seeds() -> list[bytes]:
    whole = (write_checkpoint(folder() / "seed", num_bits=3) / "model.safetensors").read_bytes()
    size = int.from_bytes(whole[:8], "little")
    header = b'{"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}'
    small = len(header).to_bytes(8, "little") + header + bytes(8)
    return [
        small,
        b"!" + header + b"\n" + bytes(8),
        whole[: 8 + size],
        len(header).to_bytes(8, "little") + header.replace(b"F32", b"I64"),
        b"",
    ]


def _config(data: bytes) -> None:
    place = _checkpoint("config")
    (place / "config.json").write_bytes(data)
    config = read_config(place)
    if config.num_layers <= _MAX_LAYERS:
        count_parameters(place)


def _config_seeds() -> list[bytes]:
    ours = (write_checkpoint(folder() / "seed", num_bits=3) / "config.json").read_bytes()
    llama = b"""{"model_type":"llama","vocab_size":64,"hidden_size":16,"num_hidden_layers":2,"num_attention_heads":4,
        "num_key_value_heads":2,"intermediate_size":32,"max_position_embeddings":64,"rope_scaling":{"rope_type":"llama3",
        "factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":32},
        "tie_word_embeddings":true,"bos_token_id":1,"eos_token_id":[2,3],"torch_dtype":"bfloat16"}"""
    qwen = b"""{"model_type":"qwen3","vocab_size":64,"hidden_size":16,"num_hidden_layers":2,"num_attention_heads":4,
        "num_key_value_heads":2,"head_dim":4,"intermediate_size":32,"max_position_embeddings":64,"sliding_window":8,
        "use_sliding_window":true,"max_window_layers":1,"layer_types":["full_attention","sliding_attention"]}"""
    return [ours, llama, qwen]


def _tokenizer(data: bytes) -> None:
    """The bytes before the first NUL are tokenizer.json, those after it tokenizer_config.json."""
    place = _checkpoint("tokenizer")
    backend, _, settings = data.partition(b"\0")
    (place / "tokenizer.json").write_bytes(backend)
    (place / "tokenizer_config.json").write_bytes(settings or b"{}")
    tokenizer = Tokenizer.load(place, tiny_config())
    tokenizer.decode(tokenizer.encode("a b\ud7ff!", add_special_tokens=True))


def _tokenizer_seeds() -> list[bytes]:
    words = b"""{"version":"1.0","truncation":null,"padding":null,"added_tokens":[{"id":3,"content":"<s>",
        "single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}],"normalizer":{"type":"Lowercase"},
        "pre_tokenizer":{"type":"Whitespace"},"post_processor":null,"decoder":null,
        "model":{"type":"WordLevel","vocab":{"a":0,"b":1,"[UNK]":2},"unk_token":"[UNK]"}}"""
    settings = b"""{"bos_token":"<s>","eos_token":{"content":"a"},"clean_up_tokenization_spaces":true,
        "added_tokens_decoder":{"3":{"content":"<s>","special":true}},"extra_special_tokens":["b"]}"""
    return [words, words + b"\0" + settings, byte_tokenizer_json()[:2000] + b"\0" + settings]


def _toml(data: bytes) -> None:
    load_checkpoints(_put("checkpoints.toml", data))


def _toml_seeds() -> list[bytes]:
    example = Path(__file__).resolve().parents[2] / "checkpoints.example.toml"
    pair = b"""primary = ["gsm8k"]\n[checkpoints.a]\npath = "~/a"\narm = "baseline"\ntraining_tokens = 47_000\n
        step = 1\n[checkpoints."b.1"]\npath = "/b"\nbaseline = "a"
        kappa_bits = 0.5\ndtype = "bfloat16"\nadapter = "m:C"\n"""
    return [example.read_bytes(), pair]


def _log(data: bytes) -> None:
    """A log; a line that begins with ! gets its checksum, so that what is behind the checksum is reached too."""
    path = _put("responses.jsonl", b"".join(records.sealed_line(line) for line in data.splitlines(keepends=True)))
    with ResponseLog.open(path) as log:
        log.append(Answer(key="new", text="x"))
    with ResponseLog.open(path) as log:
        assert log.get("new") is not None, "what was put right stays right"


def _log_seeds() -> list[bytes]:
    answers = (records.answer(0), replace(records.answer(1), text=None, logprob_nats=-1.5, is_greedy=True))
    lines = [b"!" + dump(answer, versioned=True).encode("ascii")[1:] + b"\n" for answer in answers]
    return [b"".join(lines), lines[0] + lines[0] + b"torn", b"damaged\n" + lines[1]]


_FILES = ("run.json", "result.json", "samples.jsonl")


def _run_folder(data: bytes) -> None:
    """A run folder in which one file is the bytes; the first byte says which."""
    place = records.run_folder(folder() / "run")
    files = records.files_of(place)
    name = _FILES[data[0] % len(_FILES)] if data else _FILES[0]
    kept = files[name].read_bytes()
    files[name].write_bytes(data[1:])
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
    return [bytes([number]) + files[name].read_bytes() for number, name in enumerate(_FILES)]


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
    made = (records.answer(0), records.sample(), records.result(), records.plan())
    return [bytes([n]) + dump(record, versioned=True).encode("ascii") for n, record in enumerate(made)]


class _Session:
    """Knows the names of two problems."""

    def task_ids(self, task: str) -> tuple[str, ...]:
        return ("HumanEval/0", "HumanEval/1")


def _samples(data: bytes) -> None:
    session: Any = _Session()
    read_solutions(_put("samples.jsonl", data), session, "humaneval_plus")


def _samples_seeds() -> list[bytes]:
    rows = [
        {"task_id": "HumanEval/0", "solution": "def f():\n    return 1\n"},
        {"task_id": "HumanEval/1", "completion": "    return '\u00e9'\n", "_identifier": "x"},
    ]
    plain = "\n".join(json.dumps(row) for row in rows).encode()
    return [plain, plain.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + plain, records.gzipped(plain)]


def _template(data: bytes) -> None:
    """A task's template over a document."""
    bound_templates()
    with template_faults("fuzzed"):
        lm_eval.utils.apply_template(data.decode("utf-8", "replace"), _DOCUMENT)


_DOCUMENT = {"q": "What?", "c": {"text": ["3", "4"], "label": ["A", "B"]}, "n": 7, "t": "a\tb <i>"}


def _template_seeds() -> list[bytes]:
    return [
        b"{{q.strip()}} {% for x in c.text %}{{loop.index}}{{x ~ n}}{{', ' if not loop.last}}{% endfor %}",
        b"{{c.label.index('B') + n * 2 ** 3}}{{q|replace('W', t)|upper|center(40)}}{{'%5d' % n}}{{'{:>9}'.format(n)}}",
        b"{% set s = namespace(t='a') %}{% for i in range(9) %}{% set s.t = s.t ~ s.t + 'b' * i %}{% endfor %}{{s.t}}",
        b"{% set b %}{{t.expandtabs(4)|regex_replace('a+', q)|tojson}}{% endset %}{{b|join(t)}}{{cycler('a').next()}}",
    ]


def _yaml(data: bytes) -> None:
    """A task file, by our bounds and then by lm-eval's own reader."""
    place = folder() / "tasks"
    place.mkdir(exist_ok=True)
    (place / "x.yaml").write_bytes(data)
    check_task_limits(place)
    with suppress(yaml.YAMLError, ValueError, TypeError, OSError):  # as `task_files` reads them
        load_yaml(place / "x.yaml", resolve_func=False)


def _yaml_seeds() -> list[bytes]:
    ours = sorted(tasks_dir().rglob("*.yaml"), key=lambda path: path.stat().st_size)
    odd = (
        b"task: &a a\ndataset_name: no\nmetadata: {v: 1e5, w: [*a, 010]}\ngeneration_kwargs: {until: [x], top_p: .5}\n"
    )
    return [*(path.read_bytes() for path in (ours[len(ours) // 2], ours[-1])), odd]


TARGETS = {
    target.name: target
    for target in (
        Target(name="header", read=_header, seeds=_header_seeds),
        Target(name="config", read=_config, seeds=_config_seeds),
        Target(name="tokenizer", read=_tokenizer, seeds=_tokenizer_seeds),
        Target(name="toml", read=_toml, seeds=_toml_seeds),
        Target(name="log", read=_log, seeds=_log_seeds),
        Target(name="run", read=_run_folder, seeds=_run_seeds),
        Target(name="record", read=_record, seeds=_record_seeds),
        Target(name="yaml", read=_yaml, seeds=_yaml_seeds),
        Target(name="template", read=_template, seeds=_template_seeds),
        Target(name="samples", read=_samples, seeds=_samples_seeds),
    )
}


def corpus(name: str) -> list[bytes]:
    """What a fuzzer has found before, mended since."""
    kept = Path(__file__).with_name("corpus") / name
    return [path.read_bytes() for path in sorted(kept.iterdir())] if kept.is_dir() else []


@contextmanager
def cleaned() -> Iterator[None]:
    """Take the targets' folder away at the end."""
    import shutil

    try:
        yield
    finally:
        if folder.cache_info().currsize:
            shutil.rmtree(folder().parent, ignore_errors=True)
            folder.cache_clear()
            _checkpoint.cache_clear()
