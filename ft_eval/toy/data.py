"""Rows of tokens for a training step: functions of the recipe and the step alone, so that both arms see the same.

    text rows   <|bos|> document, cut at the row's length        target rows   <|bos|> K> 64 characters <|eos|>

A row holds one document and begins as a prompt does at evaluation. No row is padded: the latent's encoder looks at
whole rows. The text is ASCII, a byte a token.
"""

from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

from ft_eval.model.tokenizer import BYTE_BOS, BYTE_EOS
from ft_eval.toy.corpora import SOURCES
from ft_eval.toy.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One document as tokens."""

    token_ids: tuple[int, ...]
    is_answer: tuple[bool, ...]
    """Per token, whether it belongs to an answer; <|eos|> does, <|bos|> does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Rows of one length."""

    token_ids: Tensor
    """(rows, length) int64."""
    is_answer: Tensor
    """(rows, length) bool."""


def step_batches(recipe: Recipe, step: int) -> tuple[Batch, ...]:
    """The rows of one step, a batch per distinct length, in the recipe's order of sources."""
    by_length: dict[int, list[Row]] = {}
    for corpus in recipe.corpora:
        length = recipe.row_length(corpus)
        num_rows = recipe.num_rows(corpus)
        rows = by_length.setdefault(length, [])
        rows.extend(row_of(corpus, recipe.seed, step * num_rows + i, length) for i in range(num_rows))
    return tuple(map(_batch, by_length.values()))


def row_of(corpus: str, seed: int, index: int, length: int) -> Row:
    """The `index`-th row of a source: <|bos|>, then its text cut to fit; <|eos|> only where the text ends by itself."""
    parts = SOURCES[corpus](seed, index, length - 2)
    token_ids = chain([BYTE_BOS], *(part.text.encode("ascii") for part in parts), [BYTE_EOS])
    is_answer = chain([False], *([part.is_answer] * len(part.text) for part in parts), [True])
    return Row(token_ids=tuple(token_ids)[:length], is_answer=tuple(is_answer)[:length])


def _batch(rows: list[Row]) -> Batch:
    return Batch(
        token_ids=torch.tensor([row.token_ids for row in rows]), is_answer=torch.tensor([row.is_answer for row in rows])
    )
