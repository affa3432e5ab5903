"""From a path to a model, whichever of the known layouts it has. Runs no code of a checkpoint; writes nothing.

folder   config.json with model_type                      the hub's layout: ours, or with a latent head
         config.json with dec_head_depth                  x-transformers' arguments, weights beside
         best.pt                                          a run of bryanvine/free-transformer
file     {"model", "model_cfg", ...} of torch.save        bryanvine/free-transformer
         a state dictionary with query_token_for_latents  x-transformers, config.json beside
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import torch

from ft_eval.errors import CheckpointError
from ft_eval.model.adapters.bryanvine import is_bryanvine, load_bryanvine
from ft_eval.model.adapters.latent_head import has_latent_head, load_latent_head
from ft_eval.model.adapters.protocol import load_class
from ft_eval.model.adapters.torch_files import TORCH_SUFFIXES, read_torch_file
from ft_eval.model.adapters.xtransformers import is_arguments, is_state_dict, load_xtransformers
from ft_eval.model.checkpoint import CONFIG_FILE, load_model
from ft_eval.model.families import FREE_TRANSFORMER
from ft_eval.model.hub_json import is_there, read_json_object

BEST_FILE = "best.pt"
"""What bryanvine's training keeps of a run; ckpt.pt beside it is for going on with the training."""


class Layout(StrEnum):
    """Whose habit a checkpoint follows."""

    OURS = "ft-eval"
    LATENT_HEAD = "hub folder with a latent head"
    BRYANVINE = "bryanvine/free-transformer"
    X_TRANSFORMERS = "x-transformers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A checkpoint that was recognised."""

    layout: Layout
    path: Path
    """The folder or the file that the layout's reader takes."""


def identify(path: Path) -> Source:
    """Whose layout a path has.

    Raises:
        CheckpointError: nothing is there, it can't be read, or it has no known layout.
    """
    if not is_there(path):
        raise CheckpointError(f"no such file or folder: {path}")
    return _identify_folder(path) if path.is_dir() else _identify_file(path)


def open_model(
    path: Path,
    *,
    adapter: str | None,
    dtype: torch.dtype,
    device: torch.device | str,
    allow_nonfinite: bool = False,
) -> Any:
    """A model of `protocol.LatentModel`'s surface, in eval mode.

    Args:
        path: a checkpoint of a known layout, or whatever the adapter's `load` takes.
        adapter: None, or the name of a class as `protocol.find_class` takes it.
        dtype: of the weights.
        device: where they go.
        allow_nonfinite: whether a folder of our layout may hold NaN and infinities; the other readers refuse them.

    Raises:
        CheckpointError: the checkpoint can't be used.
        UsageError: the adapter can't.
    """
    if adapter is not None:
        return load_class(adapter, path, dtype=dtype, device=device)
    source = identify(path)
    if source.layout is Layout.OURS:
        return load_model(source.path, dtype=dtype, device=device, allow_nonfinite=allow_nonfinite)
    readers = {
        Layout.LATENT_HEAD: load_latent_head,
        Layout.BRYANVINE: load_bryanvine,
        Layout.X_TRANSFORMERS: load_xtransformers,
    }
    return readers[source.layout](source.path, dtype=dtype, device=device)


def _identify_folder(folder: Path) -> Source:
    config_path = folder / CONFIG_FILE
    raw = read_json_object(config_path) if config_path.exists() else {}
    if "model_type" in raw:
        ours = raw["model_type"] == FREE_TRANSFORMER or not has_latent_head(folder)
        return Source(layout=Layout.OURS if ours else Layout.LATENT_HEAD, path=folder)
    if is_arguments(raw):
        return Source(layout=Layout.X_TRANSFORMERS, path=folder)
    if (folder / BEST_FILE).is_file():
        return _identify_file(folder / BEST_FILE)
    files = sorted(path for path in folder.iterdir() if path.suffix in TORCH_SUFFIXES)
    if len(files) == 1:
        return _identify_file(files[0])
    raise CheckpointError(
        f"{folder} is no checkpoint of a known layout: it has no {CONFIG_FILE} with model_type, no x-transformers "
        f"arguments, no {BEST_FILE} and {len(files)} other torch files; give a file, or --adapter module:Class"
    )


def _identify_file(path: Path) -> Source:
    if path.suffix == ".safetensors":
        return _identify_safetensors(path)
    loaded = read_torch_file(path)
    if is_bryanvine(loaded):
        return Source(layout=Layout.BRYANVINE, path=path)
    if any(is_state_dict(inner) for inner in _state_dicts(loaded)):
        return Source(layout=Layout.X_TRANSFORMERS, path=path)
    if "model_state_dict" in loaded:
        raise CheckpointError(
            f"{path} holds model_state_dict without a config (as udapy/free-transformer saves it, whose encoder has no "
            "positions): it is not supported; read it with a class of your own, --adapter module:Class"
        )
    names = ", ".join(sorted(loaded)[:5])
    raise CheckpointError(
        f"{path} has no known layout (it holds {names or 'nothing'}); expected model and model_cfg "
        "(bryanvine/free-transformer) or a FreeTransformer's state dictionary (x-transformers)"
    )


def _identify_safetensors(path: Path) -> Source:
    config_path = path.parent / CONFIG_FILE
    if config_path.exists() and is_arguments(read_json_object(config_path)):
        return Source(layout=Layout.X_TRANSFORMERS, path=path)
    raise CheckpointError(f"{path} is a weights file; give its folder")


def _state_dicts(loaded: Mapping[str, object]) -> list[Mapping[str, object]]:
    """The dictionary itself and what training scripts wrap it in."""
    wrapped = [loaded.get(name) for name in ("model", "model_state_dict")]
    return [loaded, *(inner for inner in wrapped if isinstance(inner, dict))]
