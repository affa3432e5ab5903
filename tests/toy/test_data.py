"""Rows of tokens: whole, unpadded, begun as a prompt is at evaluation, and functions of the recipe and the step."""

import torch

from ft_eval.model.tokenizer import BYTE_BOS, BYTE_EOS, BYTE_PAD
from ft_eval.toy.corpora import SOURCES, target
from ft_eval.toy.data import Row, row_of, step_batches
from ft_eval.toy.recipe import TARGET_ROW_LENGTH, TEXT_ROW_LENGTH, Recipe


def _text(row: Row) -> str:
    return bytes(token for token in row.token_ids if token < 256).decode("ascii")


def _answers(row: Row) -> str:
    pairs = zip(row.token_ids, row.is_answer, strict=True)
    return bytes(token for token, is_answer in pairs if is_answer and token < 256).decode("ascii")


def test_a_step_has_a_batch_per_length_and_no_padding() -> None:
    short, long = step_batches(Recipe(), 0)
    assert short.token_ids.shape == short.is_answer.shape == (3, TARGET_ROW_LENGTH)
    assert long.token_ids.shape == long.is_answer.shape == (5, TEXT_ROW_LENGTH)
    assert not (short.token_ids == BYTE_PAD).any()
    assert not (long.token_ids == BYTE_PAD).any()


def test_the_rows_of_a_step_are_those_of_its_sources_in_order() -> None:
    recipe = Recipe(corpora=("problems", "functions"))
    [batch] = step_batches(recipe, 3)
    wanted = [("problems", 6), ("problems", 7), ("functions", 3)]
    rows = [row_of(corpus, recipe.seed, index, TEXT_ROW_LENGTH) for corpus, index in wanted]
    assert batch.token_ids.tolist() == [list(row.token_ids) for row in rows]
    assert batch.is_answer.tolist() == [list(row.is_answer) for row in rows]


def test_no_row_comes_twice_in_a_hundred_steps() -> None:
    batches = (batch for step in range(100) for batch in step_batches(Recipe(), step))
    rows = [tuple(row) for batch in batches for row in batch.token_ids.tolist()]
    assert len(set(rows)) == len(rows) == 800


def test_a_step_depends_on_seed_and_step_alone() -> None:
    for first, again in zip(step_batches(Recipe(), 5), step_batches(Recipe(), 5), strict=True):
        assert torch.equal(first.token_ids, again.token_ids)
    other = step_batches(Recipe(seed=2), 5)[0]
    assert not torch.equal(step_batches(Recipe(seed=1), 5)[0].token_ids, other.token_ids)


def test_a_target_row_is_the_whole_sequence_between_bos_and_eos() -> None:
    row = row_of("target", 1, 0, TARGET_ROW_LENGTH)
    sequence = target.draw_sequence(1, 0)
    assert (row.token_ids[0], row.token_ids[-1]) == (BYTE_BOS, BYTE_EOS)
    assert (row.is_answer[0], row.is_answer[-1]) == (False, True)
    assert _text(row) == sequence.text
    assert _answers(row) == sequence.body


def test_a_text_row_is_the_beginning_of_its_document() -> None:
    for corpus in ("problems", "choices", "functions"):
        row = row_of(corpus, 1, 0, TEXT_ROW_LENGTH)
        parts = SOURCES[corpus](1, 0, TEXT_ROW_LENGTH - 2)
        assert row.token_ids[0] == BYTE_BOS
        assert len(row.token_ids) == len(row.is_answer) == TEXT_ROW_LENGTH
        assert "".join(part.text for part in parts).startswith(_text(row))
        assert "".join(part.text for part in parts if part.is_answer).startswith(_answers(row))
