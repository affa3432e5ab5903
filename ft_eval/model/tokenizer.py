"""Text to token ids and back, by the folder's tokenizer.json, as transformers' PreTrainedTokenizerFast does it.

Knows no model beyond the size of its vocabulary, and no prompt format. No Python code of a checkpoint is ever run.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken, decoders, models, pre_tokenizers, processors

from ft_eval.errors import CheckpointError
from ft_eval.model.config import ModelConfig
from ft_eval.model.hub_json import Fields, read_bounded, read_json_object

TOKENIZER_FILE = "tokenizer.json"
TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
SPECIAL_TOKENS_FILE = "special_tokens_map.json"

_MAX_TOKENIZER_BYTES = 256 * 2**20
_SPECIAL_NAMES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_CLEAN_UPS = (
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
)
"""What transformers takes out of decoded text where a tokenizer asks for clean_up_tokenization_spaces."""


class Tokenizer:
    """A checkpoint's tokenizer. Make one with `load`."""

    def __init__(self, backend: Any, settings: Fields, config: ModelConfig) -> None:
        """Wrap a backend that is already set up.

        Args:
            backend: a `tokenizers.Tokenizer`.
            settings: the fields of tokenizer_config.json; empty where the folder has none.
            config: the model, for special token ids that the settings don't name.
        """
        self._backend = backend
        self.vocab_size = 1 + max(backend.get_vocab(with_added_tokens=True).values(), default=-1)
        """One more than the largest id."""
        self.bos_id = _special_id(backend, settings, "bos_token", config.bos_token_id)
        """The token a text begins with; None for a model that has none."""
        self.eos_id = _special_id(backend, settings, "eos_token", next(iter(config.eos_token_ids), None))
        """The tokenizer's own end token (`eos_text`); None where it has none."""
        own = () if self.eos_id is None else (self.eos_id,)
        self.eos_ids = tuple(dict.fromkeys((*config.eos_token_ids, *own)))
        """Every token that ends a generation: generation_config.json's or config.json's, and the tokenizer's own."""
        self._cleans_up = _cleans_up(backend, settings)

    @classmethod
    def load(cls, folder: Path, config: ModelConfig) -> "Tokenizer":
        """The tokenizer of a checkpoint folder.

        Raises:
            CheckpointError: no tokenizer.json, one that can't be parsed, or one with ids the model has no row for.
        """
        backend = _read_backend(folder)
        settings = _read_settings(folder)
        with _library_errors(f"{settings.where}: its tokens are none that this tokenizer can have"):
            _add_missing_tokens(backend, settings, config.vocab_size)
            tokenizer = cls(backend, settings, config)
        if tokenizer.vocab_size > config.vocab_size:
            raise CheckpointError(
                f"{folder / TOKENIZER_FILE} has token ids up to {tokenizer.vocab_size - 1}, but the model's vocab_size "
                f"is {config.vocab_size}: the tokenizer is of another model"
            )
        return tokenizer

    @property
    def eos_text(self) -> str | None:
        """The end token as text; None where there is none."""
        return None if self.eos_id is None else self.decode([self.eos_id], skip_special_tokens=False)

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """Token ids of the text. Special tokens spelled out in the text become their ids, as the hub's habit is.

        Args:
            text: any text.
            add_special_tokens: whether to add what the tokenizer adds around a text, such as BOS.

        A lone surrogate, which no UTF-8 can say, is read as U+FFFD.

        Raises:
            CheckpointError: the tokenizer has no way to encode this text, such as no unknown token.
        """
        with _library_errors("the tokenizer can't encode a text"):
            try:
                return self._ids(text, add_special_tokens=add_special_tokens)
            except TypeError:
                sayable = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
                return self._ids(sayable, add_special_tokens=add_special_tokens)

    def _ids(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """The ids alone: the library's way of several texts finds them in two thirds of the time, without places."""
        (encoding,) = self._backend.encode_batch_fast([text], add_special_tokens=add_special_tokens)
        ids: list[int] = encoding.ids
        return ids

    def decode(self, ids: list[int], *, skip_special_tokens: bool = True) -> str:
        """Text of the ids. Bytes that are no valid UTF-8 become U+FFFD."""
        text: str = self._backend.decode(ids, skip_special_tokens=skip_special_tokens)
        if self._cleans_up:
            for old, new in _CLEAN_UPS:
                text = text.replace(old, new)
        return text


@contextmanager
def _library_errors(what: str) -> Iterator[None]:
    """What the tokenizers library raises, as one CheckpointError: it has no narrower types, and panics on odd files."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, MemoryError, CheckpointError):
        raise
    except BaseException as error:  # a panic is no Exception
        raise CheckpointError(f"{what}: {' '.join(str(error).split())[:300]}") from error


def _read_backend(folder: Path) -> Any:
    path = folder / TOKENIZER_FILE
    if not path.exists():
        raise CheckpointError(
            f"{folder} has no {TOKENIZER_FILE}; make one where transformers is installed: "
            f'AutoTokenizer.from_pretrained("{folder}").save_pretrained("{folder}")'
        )
    data = read_bounded(path, _MAX_TOKENIZER_BYTES)
    with _library_errors(f"{path} is not a tokenizer"):
        backend = tokenizers.Tokenizer.from_buffer(data)
    backend.no_truncation()  # a length baked into the file is some training script's, not the text's
    backend.no_padding()
    return backend


def _special_text(settings: Fields, name: str) -> str | None:
    """A special token's text, whether spelled as a string or as an object with `content`."""
    value = settings.raw.get(name)
    if isinstance(value, dict):
        value = value.get("content")
    if value is not None and not isinstance(value, str):
        raise settings.fail(name, "a string or an object with content")
    return value


def _special_id(backend: Any, settings: Fields, name: str, fallback: int | None) -> int | None:
    """The id of a special token that the settings name (null means none), else the model config's."""
    if name not in settings.raw:
        return fallback
    text = _special_text(settings, name)
    if text is None:
        return None
    token_id: int | None = backend.token_to_id(text)
    if token_id is None:
        raise CheckpointError(f"{settings.where}: {name} is {text}, which is no token of {TOKENIZER_FILE}")
    return token_id


def _read_settings(folder: Path) -> Fields:
    """The fields of tokenizer_config.json; the older special_tokens_map.json's go over them, as in transformers."""
    path = folder / TOKENIZER_CONFIG_FILE
    raw = read_json_object(path) if path.exists() else {}
    older = folder / SPECIAL_TOKENS_FILE
    if "added_tokens_decoder" not in raw and older.exists():
        raw |= read_json_object(older)
    return Fields(raw, str(path))


def _add_missing_tokens(backend: Any, settings: Fields, vocab_size: int) -> None:
    """Add the tokens that the settings name and tokenizer.json has not, in transformers' order.

    A special token that the model has no row for, such as a padding token named for training, stays plain text.
    """
    section = settings.section("added_tokens_decoder")
    listed = {} if section is None else dict(sorted(_listed_tokens(section).items()))
    backend.add_tokens(list(listed.values()))
    for token_id, token in listed.items():
        if backend.token_to_id(token.content) != token_id:
            raise CheckpointError(
                f"{settings.where}: added_tokens_decoder puts {token.content} at id {token_id}, but it comes out as "
                f"{backend.token_to_id(token.content)}: {TOKENIZER_FILE} is of another tokenizer"
            )
    present = {token.content for token in backend.get_added_tokens_decoder().values()}
    for text in _special_texts(settings):
        has_row = backend.token_to_id(text) is not None or backend.get_vocab_size(with_added_tokens=True) < vocab_size
        if text not in present and has_row:
            backend.add_tokens([AddedToken(text, special=True)])


def _special_texts(settings: Fields) -> list[str]:
    """Every special token the settings name, by name or in a list of further ones."""
    named = [_special_text(settings, name) for name in _SPECIAL_NAMES]
    further = settings.raw.get("extra_special_tokens") or settings.raw.get("additional_special_tokens") or []
    listed = further if isinstance(further, list) else []
    contents = [token.get("content") if isinstance(token, dict) else token for token in listed]
    return [text for text in (*named, *contents) if isinstance(text, str)]


def _listed_tokens(listed: Fields) -> dict[int, AddedToken]:
    names = ("single_word", "lstrip", "rstrip", "normalized", "special")
    tokens = {}
    for token_id, raw in listed.raw.items():
        if not token_id.isdecimal() or not isinstance(raw, dict) or not isinstance(raw.get("content"), str):
            raise listed.fail(token_id, "a token id and an object with content")
        tokens[int(token_id)] = AddedToken(raw["content"], **{name: bool(raw[name]) for name in names if name in raw})
    return tokens


def _cleans_up(backend: Any, settings: Fields) -> bool:
    """Whether decoded text loses spaces before punctuation: where asked for, but not for BPE, unless insisted on."""
    if not settings.flag_or("clean_up_tokenization_spaces", default=False):
        return False
    insists = "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output"
    return type(backend.model).__name__ != "BPE" or settings.flag_or(insists, default=False)


BYTE_BOS, BYTE_EOS, BYTE_PAD = 256, 257, 258
"""Ids of the byte tokenizer's special tokens; ids 0 to 255 are the bytes."""


def byte_tokenizer_json() -> bytes:
    """A tokenizer.json for byte-level models: 259 ids, the 256 bytes and <|bos|>, <|eos|>, <|pad|>.

    Every text that spells none of the three comes back as it was. Encoding with special tokens puts <|bos|> first.
    """
    vocabulary = {character: byte for byte, character in enumerate(_byte_characters())}
    backend = tokenizers.Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(text, normalized=False) for text in ("<|bos|>", "<|eos|>", "<|pad|>")])
    backend.post_processor = processors.TemplateProcessing(
        single=["<|bos|>", "$A"], pair=["<|bos|>", "$A", "$B:1"], special_tokens=[("<|bos|>", BYTE_BOS)]
    )
    text: str = backend.to_str(pretty=False)
    return json.dumps(json.loads(text), ensure_ascii=True, sort_keys=True).encode()


def _byte_characters() -> list[str]:
    """The character that byte-level BPE writes for each byte (GPT-2): itself where printable, else from 256 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]
