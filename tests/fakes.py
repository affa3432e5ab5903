"""Tiny stand-ins with the shape of the real things: random models of a few thousand parameters, a byte tokenizer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ft_eval.cli.main import main
from ft_eval.engine import Engine
from ft_eval.model.checkpoint import save_model
from ft_eval.model.config import LatentConfig, ModelConfig
from ft_eval.model.tokenizer import BYTE_BOS, BYTE_EOS, Tokenizer, byte_tokenizer_json
from ft_eval.model.transformer import Transformer
from ft_eval.records import EngineOptions, LatentPolicy, LatentSource


def tiny_config(*, num_bits: int | None = None, max_length: int = 64) -> ModelConfig:
    """A byte-level decoder of about 10,000 parameters, with a latent of that many bits or none."""
    return ModelConfig(
        vocab_size=260,
        hidden_size=16,
        num_layers=4,
        num_heads=4,
        num_kv_heads=2,
        head_dim=4,
        intermediate_size=24,
        max_position_embeddings=max_length,
        tie_embeddings=True,
        bos_token_id=BYTE_BOS,
        eos_token_ids=(BYTE_EOS,),
        latent=None if num_bits is None else LatentConfig(num_bits=num_bits),
    )


def tiny_model(*, num_bits: int | None = None, max_length: int = 64, seed: int = 0, scale: float = 0.35) -> Transformer:
    """A random model, its weights wide enough that its greedy text is not one repeated token."""
    torch.manual_seed(seed)
    model = Transformer(tiny_config(num_bits=num_bits, max_length=max_length))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0.0, scale)
    return model.eval()


def write_checkpoint(folder: Path, *, num_bits: int | None = None, max_length: int = 64, seed: int = 0) -> Path:
    """A random checkpoint on disk, with the byte tokenizer."""
    save_model(
        tiny_model(num_bits=num_bits, max_length=max_length, seed=seed), folder, tokenizer_json=byte_tokenizer_json()
    )
    return folder


def tiny_engine(
    folder: Path,
    *,
    num_bits: int | None = None,
    batch_size: int | None = None,
    source: LatentSource = LatentSource.PRIOR,
) -> Engine:
    """An engine over a random model; `folder` is where its tokenizer goes."""
    model = tiny_model(num_bits=num_bits)
    write_checkpoint(folder, num_bits=num_bits)
    tokenizer = Tokenizer.load(folder, model.config)
    policy = None if num_bits is None else LatentPolicy(source=source)
    return Engine(model, tokenizer, latents=policy, options=EngineOptions(batch_size=batch_size))


def caller(capsys: Any) -> Callable[..., tuple[int, str, str]]:
    """Runs the command line in this process; gives its exit code, stdout and stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        try:
            main([str(argument) for argument in arguments])
            code = 0
        except SystemExit as leave:
            code = int(leave.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run
