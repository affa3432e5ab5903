"""Cases 23 to 31: tokenizers that don't fit their model, prompts that don't fit their context, texts that are none."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from ft_eval.errors import UsageError
from ft_eval.store import RunStore
from tests.bad_inputs.case import Case, Held, Room, edit_config, edit_weights, run_arguments
from tests.fakes import tiny_engine

EMBEDDING = "model.embed_tokens.weight"
TEXT = ("output_type: generate_until", 'doc_to_text: "{{q}}"', "doc_to_target: a")
CHOICE = (
    "output_type: multiple_choice",
    'doc_to_text: "{{q}}"',
    "doc_to_target: 0",
    'doc_to_choice: "{{[a, 7|string]}}"',
)


def with_rows(num_rows: int, *more: object) -> Callable[[Room], Sequence[object]]:
    """A model with so many rows of the embedding, and the byte tokenizer's 259 tokens."""

    def prepare(room: Room) -> Sequence[object]:
        folder = room.checkpoint()
        edit_config(folder, vocab_size=num_rows)
        edit_weights(folder, lambda t: t.update({EMBEDDING: torch.randn(num_rows, 16)}))
        (folder / "tokenizer_config.json").write_text('{"eos_token": "</s>"}' if num_rows == 259 else "{}")
        return run_arguments(folder, *more)

    return prepare


def without_tokenizer(room: Room) -> Sequence[object]:
    folder = room.checkpoint()
    (folder / "tokenizer.json").unlink()
    return run_arguments(folder)


def with_file(name: str, text: str) -> Callable[[Room], Sequence[object]]:
    def prepare(room: Room) -> Sequence[object]:
        folder = room.checkpoint()
        (folder / name).write_text(text)
        return run_arguments(folder)

    return prepare


def forget_special_tokens(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"bos_token_id": None, "eos_token_id": None}))
    raw = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps(raw | {"post_processor": None}))


def empty_prompt_without_bos(room: Room) -> Sequence[object]:
    folder = room.checkpoint()
    forget_special_tokens(folder)
    return run_arguments(folder, "--dry-run", task=room.task(*CHOICE, docs=[{"q": "", "a": "b"}] * 2)[0])


def empty_continuation(room: Room) -> Sequence[object]:
    task = room.task(*CHOICE, 'target_delimiter: ""', docs=[{"q": "q", "a": "b"}, {"q": "q", "a": ""}])
    return run_arguments(room.checkpoint(), "--dry-run", task=task[0])


def half_a_character(room: Room) -> Sequence[object]:
    return run_arguments(room.checkpoint(), task=room.task(*TEXT, docs=[{"q": "\ud83d", "a": "b"}])[0])


CASES = (
    Case(23, "a tokenizer larger than the model", with_rows(258)),
    Case(23, "a tokenizer much smaller than the model", with_rows(2048, "--dry-run")),
    Case(24, "no tokenizer", without_tokenizer),
    Case(24, "a tokenizer that is none", with_file("tokenizer.json", "{}")),
    Case(24, "an end token that the model has no row for", with_rows(259)),
    Case(24, "a special token of half a character", with_file("tokenizer_config.json", '{"pad_token": "\\ud800"}')),
    Case(28, "a continuation of no tokens", empty_continuation),
    Case(29, "an empty prompt and no BOS", empty_prompt_without_bos),
    Case(30, "half a character in a data file", half_a_character),
    Case(31, "a chat template asked for", lambda room: run_arguments(room.checkpoint(), "--apply-chat-template")),
)
HELD = (
    Held(25, "token ids out of range in the data"),
    Held(
        26,
        "a prompt longer than the context",
        "tests/run/test_execute.py::test_a_prompt_longer_than_the_context_is_cut_and_counted",
    ),
    Held(27, "examples and answer longer than the context", "test_27_a_dry_run_says_how_many_prompts_are_cut"),
    Held(
        28,
        "a tokenizer that merges across prompt and continuation",
        "tests/harness/test_encoding.py::test_a_pair_is_split_as_lm_eval_splits_it",
    ),
    Held(30, "NUL and escapes in a document", "test_30_any_text_is_asked_and_stored_as_it_is"),
    Held(31, "a chat template asked for by lm-eval", "test_31_no_chat_template_is_applied_silently"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_text_that_does_not_fit_is_one_line(hold, case):
    hold(case)


def test_27_a_dry_run_says_how_many_prompts_are_cut(room, call):
    task = room.task(*TEXT, "generation_kwargs: {max_gen_toks: 120}", docs=[{"q": "long " * 20, "a": "b"}] * 3)
    code, out, err = call(*run_arguments(room.checkpoint(), "--dry-run", task=task[0]))
    assert code == 0, err
    total = next(line for line in out.splitlines() if "total" in line)
    assert total.split("│")[-2].strip() == "2", out


def test_30_any_text_is_asked_and_stored_as_it_is(room, call):
    question = "NUL \x00, \x1b]0;title\x07, \u202eright to left, \u2028 and é"
    task = room.task(*TEXT, "generation_kwargs: {max_gen_toks: 4}", docs=[{"q": question, "a": "b"}] * 2)
    code, out, err = call(*run_arguments(room.checkpoint(), "-o", room.inputs / "run", task=task[0]))
    assert code == 0, err
    store = RunStore.open(room.inputs / "run")
    (job,) = store.plan.jobs
    sample = next(iter(store.samples(job.id)))
    assert sample.prompt == question
    raw = (room.inputs / "run" / "jobs" / job.id / "samples.jsonl").read_bytes()
    assert raw.isascii()
    assert b"\x1b" not in raw + out.encode() + err.encode()


def test_31_no_chat_template_is_applied_silently(tmp_path):
    from ft_eval.harness.lm import FreeTransformerLM

    lm = FreeTransformerLM(tiny_engine(tmp_path / "m"))
    assert lm.chat_template() == ""
    for ask in (lambda: lm.chat_template(chat_template=True), lambda: lm.apply_chat_template([])):
        with pytest.raises(UsageError, match="chat templates are not applied by free_transformer"):
            ask()
