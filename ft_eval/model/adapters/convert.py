"""From a checkpoint of another layout to a folder of ours, where one computes the same; else the reason why none does.

What was written is loaded again and compared with the source on a few random tokens and codes. Reads no command line.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from ft_eval.errors import CheckpointError, UsageError
from ft_eval.model.adapters.bryanvine import bryanvine_as_ours, bryanvine_obstacle, read_bryanvine
from ft_eval.model.adapters.latent_head import load_latent_head
from ft_eval.model.adapters.opening import Layout, Source, identify, open_model
from ft_eval.model.adapters.selfcheck import random_input
from ft_eval.model.adapters.xtransformers import OBSTACLE as X_TRANSFORMERS_OBSTACLE
from ft_eval.model.checkpoint import GENERATION_FILE, TOKENIZER_FILE, count_parameters, load_model, save_model
from ft_eval.model.stored import stored_dtype
from ft_eval.model.tokenizer import SPECIAL_TOKENS_FILE, TOKENIZER_CONFIG_FILE, Tokenizer
from ft_eval.model.transformer import Transformer

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_BESIDE_TOKENIZER = (TOKENIZER_CONFIG_FILE, SPECIAL_TOKENS_FILE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """What was written."""

    layout: Layout
    destination: Path
    num_parameters: int
    has_tokenizer: bool
    max_logit_difference: float
    """Between source and folder, over a few random tokens and codes, in float32."""


def convert(source: Path, destination: Path, *, tokenizer: Path | None = None) -> Conversion:
    """Write a checkpoint of another layout as a folder of ours.

    Args:
        source: a path that `opening.identify` knows.
        destination: a folder that is new or empty.
        tokenizer: a tokenizer.json or its folder; None: the source's own where it has one.

    Raises:
        CheckpointError: the source can't be read, or no folder of ours computes the same (the line says why).
        UsageError: the destination holds files, or there is nothing to convert.
    """
    check_destination(destination)
    found = identify(source)
    obstacle = find_obstacle(found)
    if obstacle is not None:
        raise CheckpointError(
            f"{source} is not converted: {obstacle}; it runs as it is, through the {found.layout} adapter"
        )
    model = _as_ours(found)
    tokenizer_folder = _tokenizer_folder(found, tokenizer)
    if tokenizer_folder is not None:
        Tokenizer.load(tokenizer_folder, model.config)
    _write(model, destination, tokenizer_folder, found)
    return Conversion(
        layout=found.layout,
        destination=destination,
        num_parameters=count_parameters(destination),
        has_tokenizer=tokenizer_folder is not None,
        max_logit_difference=_compare(found.path, destination),
    )


def check_destination(destination: Path) -> None:
    """Raise UsageError when a folder to be written is not new or empty."""
    if destination.exists() and not destination.is_dir():
        raise UsageError(f"{destination} is a file, expected a new or empty folder")
    if destination.is_dir() and any(destination.iterdir()):
        raise UsageError(f"{destination} is not empty; give a new or empty folder")


def find_obstacle(source: Source) -> str | None:
    """Why no folder of ours computes what a source does, or None when one does.

    Raises:
        CheckpointError: the source can't be read.
        UsageError: it is a folder of ours already.
    """
    if source.layout is Layout.OURS:
        raise UsageError(f"{source.path} is a folder that ft-eval reads as it is; there is nothing to convert")
    if source.layout is Layout.X_TRANSFORMERS:
        return X_TRANSFORMERS_OBSTACLE
    return bryanvine_obstacle(read_bryanvine(source.path)[0]) if source.layout is Layout.BRYANVINE else None


def _as_ours(source: Source) -> Transformer:
    if source.layout is Layout.LATENT_HEAD:
        name = stored_dtype(source.path)
        if name not in _DTYPES:
            raise CheckpointError(f"{source.path}: its dtype is {name}, expected one of {', '.join(_DTYPES)}")
        return load_latent_head(source.path, dtype=_DTYPES[name], device="cpu")
    config, tensors = bryanvine_as_ours(*read_bryanvine(source.path))
    with torch.device("meta"):
        model = Transformer(config)
    model.load_state_dict(tensors, assign=True)
    model.tie_weights()
    return model


def _tokenizer_folder(source: Source, tokenizer: Path | None) -> Path | None:
    """Where the tokenizer.json to copy lies; None where there is none."""
    if tokenizer is None:
        folder = source.path if source.path.is_dir() else source.path.parent
        return folder if (folder / TOKENIZER_FILE).is_file() else None
    folder = tokenizer if tokenizer.is_dir() else tokenizer.parent
    if not (folder / TOKENIZER_FILE).is_file() or (tokenizer.is_file() and tokenizer.name != TOKENIZER_FILE):
        raise UsageError(f"--tokenizer {tokenizer}: expected a {TOKENIZER_FILE} or a folder that has one")
    return folder


def _write(model: Transformer, destination: Path, tokenizer_folder: Path | None, source: Source) -> None:
    """config.json last, as `save_model` does: a folder that lacks it is no checkpoint."""
    destination.mkdir(parents=True, exist_ok=True)
    data = None
    if tokenizer_folder is not None:
        data = (tokenizer_folder / TOKENIZER_FILE).read_bytes()
        for name in _BESIDE_TOKENIZER:
            if (tokenizer_folder / name).is_file():
                shutil.copyfile(tokenizer_folder / name, destination / name)
    if source.layout is Layout.LATENT_HEAD and (source.path / GENERATION_FILE).is_file():
        shutil.copyfile(source.path / GENERATION_FILE, destination / GENERATION_FILE)
    save_model(model, destination, tokenizer_json=data)


def _compare(source: Path, destination: Path) -> float:
    """The largest difference of the logits of source and folder in float32."""
    theirs = open_model(source, adapter=None, dtype=torch.float32, device="cpu")
    ours = load_model(destination)
    token_ids, codes = random_input(ours.config, num_rows=2, length=16)
    with torch.inference_mode():
        expected = theirs.logits(theirs(token_ids, codes=codes))
        got = ours.logits(ours(token_ids, codes=codes))
    return float((got - expected).abs().max())
