"""Targets among a checkpoint's files: the header of its weights, its config, its tokenizer."""

from pathlib import Path

from ft_eval.model.checkpoint import count_parameters, read_config
from ft_eval.model.tokenizer import Tokenizer, byte_tokenizer_json
from ft_eval.model.weights import inspect_weights, weights_digest
from tests.fakes import tiny_config, write_checkpoint
from tests.fuzz import mutate
from tests.fuzz.target import Target, folder

_MAX_LAYERS = 4
"""Larger models are described and not built: building one takes milliseconds a layer."""


def _checkpoint(target: str) -> Path:
    """The target's checkpoint, made where there is none yet."""
    place = folder() / target
    return place if place.exists() else write_checkpoint(place, num_bits=3)


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


_in_header = mutate.around(b"\n", mutate.in_json)

TARGETS = (
    Target(name="header", read=_header, seeds=_header_seeds, mutate=mutate.after(1, _in_header)),
    Target(name="config", read=_config, seeds=_config_seeds, mutate=mutate.in_json),
    Target(name="tokenizer", read=_tokenizer, seeds=_tokenizer_seeds, mutate=mutate.around(b"\0", mutate.in_json)),
)
