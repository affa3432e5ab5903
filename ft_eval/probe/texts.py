"""The texts and prompts that a model is probed on: a file's, or held-out ones of the shipped toy. Knows no tensor.

A text is scored in windows of the model's context; each begins with the beginning-of-text token, which is given, not
scored. Every arm of a comparison is scored on the same windows.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

from ft_eval.errors import CheckpointError, DataError, UsageError
from ft_eval.model.config import ModelConfig
from ft_eval.model.tokenizer import BYTE_PAD, Tokenizer
from ft_eval.store.files import read_bounded
from ft_eval.toy.corpora.choices import draw_question
from ft_eval.toy.corpora.functions import draw_function
from ft_eval.toy.corpora.problems import draw_problem
from ft_eval.toy.corpora.target import draw_sequence

HELD_OUT_SEED = 2_000_003
"""Another than any recipe's and than the toy tasks'."""
NUM_TEXTS = 16
"""Held-out toy texts per source."""
MAX_TEXT_CHARACTERS = 256
"""Of a toy text: training rows are little longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeText:
    """One text."""

    group: str
    """Where it comes from; numbers are given per group, and over all."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What one forward pass reads of a text."""

    group: str
    index: int
    """The text's number."""
    token_ids: tuple[int, ...]
    """T tokens, the given ones included."""
    num_given: int
    """Tokens at the beginning that are not scored; at least 1."""
    num_bytes: int
    """UTF-8 bytes of the scored part."""

    @property
    def num_scored(self) -> int:
        """T − num_given."""
        return len(self.token_ids) - self.num_given


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbePrompt:
    """A prompt, and what the right completion answers where that is known."""

    prompt: str
    answer: str | None = None


def read_texts(path: Path) -> tuple[ProbeText, ...]:
    """The texts of a file: one per line, or, in a .jsonl, the `text` of an object per line. Empty lines are left out.

    Raises:
        StoreError: the file can't be read.
        DataError: it is not UTF-8, a line of a .jsonl is no object with a `text`, or nothing is in it.
    """
    try:
        lines = read_bounded(path).decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: byte {error.start} is not UTF-8; give plain text, a text per line") from None
    numbered = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if path.suffix == ".jsonl":
        texts = [_text_of(line, f"{path}, line {number}") for number, line in numbered]
    else:
        texts = [line.removesuffix("\r") for _, line in numbered]
    if not texts:
        raise DataError(f"{path} holds no text; give one per line")
    return tuple(ProbeText(group=path.stem, text=text) for text in texts)


def _text_of(line: str, where: str) -> str:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        raise DataError(f'{where}: not JSON; expected an object such as {{"text": "..."}}') from None
    text = row.get("text") if isinstance(row, dict) else None
    if not isinstance(text, str) or not text:
        raise DataError(f'{where}: no `text`; expected an object such as {{"text": "..."}}')
    return text


def is_toy(config: ModelConfig) -> bool:
    """Whether the model reads bytes as the shipped toy does, so that toy texts make sense to it."""
    return config.vocab_size == BYTE_PAD + 1


def toy_texts(num_texts: int = NUM_TEXTS) -> tuple[ProbeText, ...]:
    """Held-out texts of the four toy sources, this many of each."""
    sources = {
        "target": (draw_sequence(HELD_OUT_SEED, index).text for index in count()),
        "problems": _documents(_problem_text(index) for index in count()),
        "choices": _documents(_question_text(index) for index in count()),
        "functions": _documents(draw_function(HELD_OUT_SEED, index, held_out=True).text for index in count()),
    }
    return tuple(
        ProbeText(group=group, text=text) for group, texts in sources.items() for text in islice(texts, num_texts)
    )


def _problem_text(index: int) -> str:
    problem = draw_problem(HELD_OUT_SEED, index, held_out=True)
    return f"{problem.prompt} {problem.answer}"


def _question_text(index: int) -> str:
    question = draw_question(HELD_OUT_SEED, index, held_out=True)
    return f"{question.prompt} {question.choices[question.answer]}"


def _documents(items: Iterator[str]) -> Iterator[str]:
    """Items joined by empty lines, as training saw them, cut to one window's length."""
    while True:
        text = ""
        while len(text) < MAX_TEXT_CHARACTERS:
            text += next(items) + "\n\n"
        yield text[:MAX_TEXT_CHARACTERS]


def beginning_of_text(config: ModelConfig) -> int:
    """The token a text begins after: the model's own, or its end-of-text token where it has none.

    Raises:
        CheckpointError: the model has neither.
    """
    if config.bos_token_id is not None:
        return config.bos_token_id
    if config.eos_token_ids:
        return config.eos_token_ids[0]
    raise CheckpointError("the model has neither a bos_token_id nor an eos_token_id in its config.json; add one")


def make_windows(
    texts: Sequence[ProbeText], tokenizer: Tokenizer, config: ModelConfig, *, max_tokens: int | None = None
) -> tuple[Window, ...]:
    """The texts as windows of at most the model's context, or `max_tokens` where that is less.

    Windows of one text follow each other without overlap, each after a beginning-of-text token. A text without tokens
    has none.
    """
    first = beginning_of_text(config)
    width = min(config.context_length, max_tokens or config.context_length) - 1
    if width < 1:
        raise UsageError("a window of one token scores nothing; give at least 2")
    windows: list[Window] = []
    for index, text in enumerate(texts):
        ids = tokenizer.encode(text.text, add_special_tokens=False)
        if not ids:
            continue
        pieces = [ids[start : start + width] for start in range(0, len(ids), width)]
        sizes = _piece_bytes(text.text, pieces, tokenizer)
        for piece, num_bytes in zip(pieces, sizes, strict=True):
            windows.append(
                Window(group=text.group, index=index, token_ids=(first, *piece), num_given=1, num_bytes=num_bytes)
            )
    return tuple(windows)


def _piece_bytes(text: str, pieces: Sequence[Sequence[int]], tokenizer: Tokenizer) -> list[int]:
    """Bytes of each piece; the last one gets what is left, so that they sum to the text's."""
    sizes = [len(tokenizer.decode(list(piece)).encode("utf-8", "replace")) for piece in pieces[:-1]]
    return [*sizes, len(text.encode("utf-8", "replace")) - sum(sizes)]
