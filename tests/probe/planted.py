"""Tiny latent models with a known structure, and the fakes the probe's tests share."""

from pathlib import Path

import torch

from ft_eval.model.tokenizer import BYTE_BOS, Tokenizer, byte_tokenizer_json
from ft_eval.model.transformer import Transformer
from ft_eval.probe.sampling import Subject
from ft_eval.probe.texts import Window
from tests.fakes import tiny_config, tiny_model


def byte_tokenizer(folder: Path) -> Tokenizer:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_bytes(byte_tokenizer_json())
    return Tokenizer.load(folder, tiny_config())


def subject(folder: Path, model: Transformer, name: str = "tiny") -> Subject:
    return Subject(name=name, model=model, tokenizer=byte_tokenizer(folder))


def window(text: bytes, *, group: str = "texts", index: int = 0, num_given: int = 1) -> Window:
    return Window(
        group=group, index=index, token_ids=(BYTE_BOS, *text), num_given=num_given, num_bytes=len(text) + 1 - num_given
    )


def windows(num_windows: int, length: int, *, seed: int = 0) -> list[Window]:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(97, 123, (num_windows, length), generator=generator).tolist()
    return [window(bytes(row), index=index) for index, row in enumerate(rows)]


def one_bit_model(bit: int, *, num_bits: int = 4) -> Transformer:
    """Its encoder says something about one bit and nothing about the others."""
    model = tiny_model(num_bits=num_bits)
    assert model.latent is not None
    with torch.no_grad():
        rows = torch.arange(num_bits) != bit
        model.latent.encoder.readout.weight[rows] = 0.0
    return model


def deaf_model(*, num_bits: int = 4) -> Transformer:
    """Its decoder does not hear Z: the post-sampler is zero."""
    model = tiny_model(num_bits=num_bits)
    assert model.latent is not None
    with torch.no_grad():
        model.latent.post_sampler.weight.zero_()
    return model


def modest_model(*, num_bits: int = 4) -> Transformer:
    """Its encoder leans one way and is never sure: a fair proposal, though untrained."""
    model = tiny_model(num_bits=num_bits)
    assert model.latent is not None
    with torch.no_grad():
        model.latent.encoder.readout.weight.mul_(0.2)
    return model


def loud_model(*, num_bits: int = 4) -> Transformer:
    """Z shouts: R is far larger than X, so that what is sampled hangs on it."""
    model = tiny_model(num_bits=num_bits)
    assert model.latent is not None
    with torch.no_grad():
        model.latent.post_sampler.weight.mul_(20.0)
        model.model.norm.weight.mul_(8.0)  # and the next token is nearly sure
    return model
