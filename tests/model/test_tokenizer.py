"""Text becomes the ids that transformers gives, and comes back as transformers writes it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers import Tokenizer as Backend

from ft_eval.errors import CheckpointError
from ft_eval.model.checkpoint import read_config
from ft_eval.model.config import ModelConfig
from ft_eval.model.tokenizer import BYTE_BOS, BYTE_EOS, BYTE_PAD, Tokenizer, byte_tokenizer_json
from tests.model.tiny import BASELINE

UNKNOWN = {"unk_token": "<unk>"}
PADDING = {"length": 40, "pad_id": 1, "pad_token": "</s>"}
WIDE = replace(BASELINE, vocab_size=1000)
CORPUS = [
    "Once upon a time, there was a little girl.",
    "def f(x):\n    return x + 1  # 12345",
    "It isn't so , is it ?",
] * 3
TEXTS = [
    "",
    " ",
    "Once upon a time, there was a Héllo 漢字 🙂 girl.",
    "  two  spaces\n\n\ttabs \u00a0and\u2003more ",
    "It isn't so , is it ? We 've , they 're ' quoted ' .",
    "special <s> tokens </s> in <extra>text<pad> and 12345678",
]


def byte_level() -> Backend:
    """As Llama 3's: byte-level BPE, BOS by a template."""
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(CORPUS, trainer)
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", 0)]
    )
    return backend


def metaspace() -> Backend:
    """As Llama 2's: BPE over ▁ with byte fallback, BOS by a template."""
    backend = Backend(models.BPE(**UNKNOWN, byte_fallback=True, fuse_unk=True))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    specials = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    backend.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=400, special_tokens=specials, show_progress=False)
    )
    raw = json.loads(backend.to_str())
    raw["added_tokens"] = raw["added_tokens"][:3]  # the bytes are plain tokens
    backend = Backend.from_str(json.dumps(raw))
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", 1)]
    )
    return backend


def word_piece() -> Backend:
    """As BERT's: the kind for which cleaning up spaces is meant."""
    backend = Backend(models.WordPiece(**UNKNOWN))
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(cleanup=False)
    trainer = trainers.WordPieceTrainer(vocab_size=200, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False)
    backend.train_from_iterator(CORPUS, trainer)
    return backend


def with_limits() -> Backend:
    """A training script's truncation and padding, baked into the file."""
    backend = byte_level()
    backend.enable_truncation(5)
    backend.enable_padding(**PADDING)
    return backend


NAMES = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}
EXTRA = {"317": {"content": "<extra>", "special": False, "normalized": False, "lstrip": True}}
LISTED = {"0": {"content": "<s>", "special": True, "rstrip": True}}
CASES: dict[str, tuple[Callable[[], Backend], dict[str, Any], dict[str, Any]]] = {
    "byte-level": (byte_level, NAMES, {}),
    "byte-level, no names": (byte_level, {"tokenizer_class": "PreTrainedTokenizerFast"}, {}),
    "byte-level, clean up ignored": (byte_level, NAMES | {"clean_up_tokenization_spaces": True}, {}),
    "byte-level, adds no BOS": (byte_level, NAMES | {"add_bos_token": False, "add_eos_token": True}, {}),
    "byte-level, pad missing": (byte_level, NAMES | {"pad_token": {"content": "<pad>", "__type": "AddedToken"}}, {}),
    "byte-level, listed tokens": (byte_level, NAMES | {"added_tokens_decoder": EXTRA}, {}),
    "byte-level, other flags": (byte_level, NAMES | {"added_tokens_decoder": LISTED}, {}),
    "byte-level, further ones": (byte_level, NAMES | {"additional_special_tokens": ["<extra>", "</s>"]}, {}),
    "byte-level, older map": (
        byte_level,
        NAMES,
        {"eos_token": "<s>", "pad_token": {"content": "<pad>", "lstrip": False}},
    ),
    "limits baked in": (with_limits, NAMES, {}),
    "metaspace": (metaspace, NAMES | {"unk_token": "<unk>"}, {}),
    "word-piece": (word_piece, NAMES | {"unk_token": "<unk>"}, {}),
    "word-piece, clean up": (word_piece, NAMES | {"unk_token": "<unk>", "clean_up_tokenization_spaces": True}, {}),
}


def write(folder: Path, backend: Backend, settings: dict[str, Any], older: dict[str, Any]) -> None:
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "tokenizer.json").write_text(backend.to_str())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    if older:
        (folder / "special_tokens_map.json").write_text(json.dumps(older))


def assert_equals_transformers(folder: Path, config: ModelConfig) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is the reference our tokenizer is held to")
    theirs, ours = transformers.AutoTokenizer.from_pretrained(folder), Tokenizer.load(folder, config)
    for text in (*TEXTS, *CORPUS):
        for special in (False, True):
            ids = ours.encode(text, add_special_tokens=special)
            assert ids == theirs(text, add_special_tokens=special)["input_ids"], text
            for skip in (False, True):
                assert ours.decode(ids, skip_special_tokens=skip) == theirs.decode(ids, skip_special_tokens=skip), text
    if theirs.eos_token is not None:
        assert (ours.bos_id, ours.eos_id) == (theirs.bos_token_id, theirs.eos_token_id)
        assert ours.eos_text == theirs.decode([theirs.eos_token_id])
    assert ours.vocab_size == len(theirs)


@pytest.mark.parametrize(("make", "settings", "older"), CASES.values(), ids=CASES)
def test_ids_and_texts_equal_transformers(
    make: Callable[[], Backend], settings: dict[str, Any], older: dict[str, Any], tmp_path: Path
) -> None:
    write(tmp_path, make(), settings, older)
    assert_equals_transformers(tmp_path, WIDE)


def test_real_tokenizer_equals_transformers(stories: Path) -> None:
    assert_equals_transformers(stories, read_config(stories))


def test_byte_tokenizer_is_one_that_transformers_reads(tmp_path: Path) -> None:
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|bos|>", "eos_token": "<|eos|>"}
    write(tmp_path, Backend.from_buffer(byte_tokenizer_json()), settings, {})
    assert_equals_transformers(tmp_path, WIDE)


@pytest.fixture(scope="module")
def byte_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    folder = tmp_path_factory.mktemp("bytes")
    (folder / "tokenizer.json").write_bytes(byte_tokenizer_json())
    config = replace(BASELINE, vocab_size=259, bos_token_id=BYTE_BOS, eos_token_ids=(BYTE_EOS,))
    return Tokenizer.load(folder, config)


@hypothesis_settings(deadline=None)
@given(text=st.text())
@example(text="\x00\r\n\t ﷺ\u200b\U0010ffff e\u0301")
def test_byte_tokenizer_s_ids_are_the_bytes_of_any_text(text: str, byte_tokenizer: Tokenizer) -> None:
    ids = byte_tokenizer.encode(text, add_special_tokens=True)
    assert ids == [BYTE_BOS, *text.encode()]
    assert byte_tokenizer.decode(ids) == text


def test_byte_tokenizer_has_its_special_tokens(byte_tokenizer: Tokenizer) -> None:
    assert (byte_tokenizer.bos_id, byte_tokenizer.eos_id, byte_tokenizer.vocab_size) == (BYTE_BOS, BYTE_EOS, 259)
    assert byte_tokenizer.eos_text == "<|eos|>"
    assert byte_tokenizer.decode([BYTE_BOS, 72, 105, BYTE_EOS, BYTE_PAD]) == "Hi"
    assert byte_tokenizer.encode("<|eos|>", add_special_tokens=False) == [BYTE_EOS]


def test_bytes_that_are_no_text_are_replaced_and_spoil_nothing_else(byte_tokenizer: Tokenizer) -> None:
    assert byte_tokenizer.decode([72, 0xFF, 105]) == "H\ufffdi"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, (1, 7, (7, 8))),
        ({"bos_token": "<s>", "eos_token": "</s>"}, (0, 1, (7, 8, 1))),
        ({"bos_token": None, "eos_token": {"content": "</s>"}}, (None, 1, (7, 8, 1))),
    ],
    ids=["the model's config", "the tokenizer's own", "none"],
)
def test_special_tokens_come_from_the_tokenizer_then_the_model(
    settings: dict[str, Any], expected: tuple[Any, ...], tmp_path: Path
) -> None:
    """Every end token of either ends a generation; the tokenizer's own is the one that has a text in a prompt."""
    write(tmp_path, byte_level(), settings, {})
    tokenizer = Tokenizer.load(tmp_path, replace(WIDE, bos_token_id=1, eos_token_ids=(7, 8)))
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.eos_ids) == expected


def test_a_model_without_special_tokens_has_none(tmp_path: Path) -> None:
    write(tmp_path, byte_level(), {}, {})
    tokenizer = Tokenizer.load(tmp_path, replace(WIDE, bos_token_id=None, eos_token_ids=()))
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.eos_ids, tokenizer.eos_text) == (None, None, (), None)


def test_wrong_files_say_what_is_wrong(tmp_path: Path) -> None:
    def refused(message: str, config: ModelConfig = WIDE) -> None:
        with pytest.raises(CheckpointError, match=message) as caught:
            Tokenizer.load(tmp_path, config)
        assert "\n" not in str(caught.value)

    refused("has no tokenizer.json; make one where transformers is installed: AutoTokenizer.from_pretrained")
    (tmp_path / "tokenizer.json").write_text('{"version": "1.0"}')
    refused("tokenizer.json is not a tokenizer: ")
    (tmp_path / "tokenizer.json").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    refused("tokenizer.json is a Git LFS pointer")
    write(tmp_path, byte_level(), NAMES, {})
    refused("token ids up to 3[0-9]+, but the model's vocab_size is 61: the tokenizer is of another model", BASELINE)
    write(tmp_path, byte_level(), NAMES | {"eos_token": 3}, {})
    refused("tokenizer_config.json: eos_token is 3, expected a string or an object with content")
    write(tmp_path, byte_level(), NAMES | {"added_tokens_decoder": {"x": {}}}, {})
    refused("added_tokens_decoder: x is {}, expected a token id and an object with content")
    write(tmp_path, byte_level(), NAMES | {"added_tokens_decoder": {"900": {"content": "<far>"}}}, {})
    refused("added_tokens_decoder puts <far> at id 900, but it comes out as [0-9]+")


def test_special_tokens_that_the_model_has_no_row_for(tmp_path: Path) -> None:
    """A padding token named for training is no reason to refuse a model; an end token is."""
    config = replace(WIDE, vocab_size=317)
    write(tmp_path, byte_level(), NAMES | {"pad_token": "<pad>"}, {})
    tokenizer = Tokenizer.load(tmp_path, config)
    assert tokenizer.vocab_size == 317
    assert tokenizer.decode(tokenizer.encode("a<pad>b", add_special_tokens=False)) == "a<pad>b"
    write(tmp_path, byte_level(), NAMES | {"eos_token": "<end>"}, {})
    with pytest.raises(CheckpointError, match=r"eos_token is <end>, which is no token of tokenizer.json"):
        Tokenizer.load(tmp_path, config)


def test_added_token_of_the_file_is_kept(tmp_path: Path) -> None:
    backend = byte_level()
    backend.add_tokens([AddedToken("<tool>", special=False)])
    write(tmp_path, backend, NAMES, {})
    tokenizer = Tokenizer.load(tmp_path, WIDE)
    assert tokenizer.encode("a<tool>b", add_special_tokens=False)[1] == tokenizer.vocab_size - 1
