"""Texts in, windows out: every byte is scored once, and a bad file is one clear line."""

from dataclasses import replace
from pathlib import Path

import pytest

from ft_eval.errors import CheckpointError, DataError, FtEvalError
from ft_eval.model.tokenizer import BYTE_BOS, BYTE_EOS
from ft_eval.probe.texts import ProbeText, beginning_of_text, is_toy, make_windows, read_texts, toy_texts
from ft_eval.records import Arm
from ft_eval.toy.corpora.draw import is_held_out
from ft_eval.toy.corpora.target import is_well_formed
from ft_eval.toy.recipe import Recipe
from tests.fakes import tiny_config
from tests.probe.planted import byte_tokenizer


def test_lines_are_texts_and_empty_ones_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "poems.txt"
    path.write_bytes("one\r\n\n  \ntwo · three\n".encode())
    assert read_texts(path) == (ProbeText(group="poems", text="one"), ProbeText(group="poems", text="two · three"))


def test_a_jsonl_gives_its_texts_with_their_newlines(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "a\\nb", "id": 3}\n\n{"text": "c"}\n')
    assert [text.text for text in read_texts(path)] == ["a\nb", "c"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("x.txt", b"\n\n", "holds no text"),
        ("x.txt", b"ok\n\xff\n", "byte 3 is not UTF-8"),
        ("x.jsonl", b'{"text": "a"}\nnope\n', "line 2: not JSON"),
        ("x.jsonl", b'{"txt": "a"}\n', "line 1: no `text`"),
        ("x.jsonl", b'["a"]\n', "line 1: no `text`"),
        ("x.jsonl", b'{"text": ""}\n', "line 1: no `text`"),
        ("x.jsonl", b"[" * 100_000, "line 1: not JSON"),
    ],
)
def test_a_bad_file_is_one_clear_line(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=says) as raised:
        read_texts(path)
    assert "\n" not in str(raised.value)


def test_an_absent_file_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(FtEvalError, match="no_such"):
        read_texts(tmp_path / "no_such.txt")


@pytest.mark.parametrize("text", ["", "a", "abcdefg", "abcdefgh", "grüße · 你好 " * 5])
def test_windows_score_every_byte_once(tmp_path: Path, text: str) -> None:
    config = tiny_config(num_bits=2)
    windows = make_windows([ProbeText(group="g", text=text)], byte_tokenizer(tmp_path), config, max_tokens=8)
    assert b"".join(bytes(window.token_ids[1:]) for window in windows) == text.encode()
    assert all(window.token_ids[0] == BYTE_BOS and len(window.token_ids) <= 8 for window in windows)
    assert sum(window.num_bytes for window in windows) == len(text.encode())
    assert sum(window.num_scored for window in windows) == len(text.encode())


def test_a_window_is_no_longer_than_the_context(tmp_path: Path) -> None:
    config = tiny_config(num_bits=2, max_length=16)
    windows = make_windows([ProbeText(group="g", text="x" * 40)], byte_tokenizer(tmp_path), config, max_tokens=999)
    assert [len(window.token_ids) for window in windows] == [16, 16, 11]


def test_a_text_begins_after_the_models_own_token_or_its_end_of_text() -> None:
    config = tiny_config()
    assert beginning_of_text(config) == BYTE_BOS
    assert beginning_of_text(replace(config, bos_token_id=None)) == BYTE_EOS
    with pytest.raises(CheckpointError, match="bos_token_id"):
        beginning_of_text(replace(config, bos_token_id=None, eos_token_ids=()))


def test_toy_texts_are_held_out_and_of_all_four_sources() -> None:
    texts = toy_texts(3)
    assert [text.group for text in texts] == [
        g for g in ("target", "problems", "choices", "functions") for _ in range(3)
    ]
    assert all(text.text.isascii() and len(text.text) <= 256 for text in texts)
    assert all(is_well_formed(text.text[0], text.text[2:]) for text in texts if text.group == "target")
    problem = texts[3].text
    assert is_held_out(problem.removeprefix("Question: ").split("\n")[0])
    assert toy_texts(3) == texts


def test_only_a_model_of_the_toys_bytes_is_a_toy() -> None:
    assert is_toy(Recipe().model_config(Arm.LATENT))
    assert not is_toy(tiny_config())
