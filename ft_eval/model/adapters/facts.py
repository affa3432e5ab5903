"""What a plan must know of a checkpoint that runs through an adapter: its config, its size, its digest.

Our own folders have `checkpoint.read_config` and `weights_digest` for it, which read less.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch

from ft_eval.errors import CheckpointError
from ft_eval.model.adapters.opening import identify, open_model
from ft_eval.model.adapters.torch_files import TORCH_SUFFIXES
from ft_eval.model.checkpoint import CONFIG_FILE
from ft_eval.model.config import ModelConfig
from ft_eval.model.hub_json import readable

_CHUNK_BYTES = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptedFacts:
    """A checkpoint as a plan sees it."""

    config: ModelConfig
    num_parameters: int
    """A tied readout counts once."""
    digest: str
    """sha256, hexadecimal, over the weights files, config.json and the adapter's name."""


def read_facts(path: Path, *, adapter: str | None = None) -> AdaptedFacts:
    """Open a checkpoint once and say what it is.

    Args:
        path: as `opening.open_model` takes it.
        adapter: the same.

    Raises:
        CheckpointError: the checkpoint can't be used.
        UsageError: the adapter can't.
    """
    model = open_model(path, adapter=adapter, dtype=torch.float32, device="cpu")
    place = path if adapter is not None else identify(path).path
    return AdaptedFacts(
        config=model.config,
        num_parameters=sum(parameter.numel() for parameter in model.parameters()),
        digest=_digest(place, adapter or ""),
    )


def _digest(path: Path, adapter: str) -> str:
    digest = hashlib.sha256(adapter.encode())
    for file in _files(path):
        digest.update(file.name.encode() + b"\0")
        with readable(file), file.open("rb") as data:
            while chunk := data.read(_CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()


def _files(path: Path) -> list[Path]:
    """The files that make the model what it is, by name."""
    folder = path if path.is_dir() else path.parent
    config = [folder / CONFIG_FILE] if (folder / CONFIG_FILE).is_file() else []
    if path.is_file():
        return [path, *config]
    weights = sorted(file for file in folder.iterdir() if file.suffix in (".safetensors", *TORCH_SUFFIXES))
    if not weights:
        raise CheckpointError(f"{folder} has no weights file that a digest could be taken of")
    return [*weights, *config]
