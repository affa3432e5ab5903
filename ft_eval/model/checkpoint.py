"""Checkpoint folders in the hub's habit: config.json, model.safetensors (or shards and their index), tokenizer.json.

Whatever is wrong with a folder is one CheckpointError line: what was got, what was expected, what to do. Weights are
safetensors alone, memory-mapped; nothing is unpickled and no code of a checkpoint is ever run.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from ft_eval.errors import CheckpointError
from ft_eval.model.config import ModelConfig
from ft_eval.model.describe import to_hub
from ft_eval.model.families import parse_config
from ft_eval.model.hub_json import Fields, is_there, read_json_object
from ft_eval.model.transformer import Transformer
from ft_eval.model.weights import WEIGHTS_FILE, TensorInfo, inspect_weights, iterate_tensors, weight_files
from ft_eval.model.weights import weights_digest as weights_digest  # noqa: PLC0414 - part of this module's face

CONFIG_FILE = "config.json"
GENERATION_FILE = "generation_config.json"
TOKENIZER_FILE = "tokenizer.json"

EMBEDDING = "model.embed_tokens.weight"
READOUT = "lm_head.weight"
_LOOKED_AT = 2**22
"""Numbers looked at together: whether they are finite takes several times their own memory."""
_DERIVED = ("rotary_emb.inv_freq",)
"""Endings of tensors that old checkpoints carry and the config already determines."""


def read_config(folder: Path) -> ModelConfig:
    """What the folder's config.json and generation_config.json say; reads no weights.

    Raises:
        CheckpointError: no such folder, not a checkpoint, bad JSON, or a model that is not supported.
    """
    _check_folder(folder)
    path = folder / CONFIG_FILE
    config = parse_config(read_json_object(path), str(path))
    path = folder / GENERATION_FILE
    if not path.exists():
        return config
    generation = Fields(read_json_object(path), str(path))
    bos = generation.token_ids("bos_token_id")
    return replace(
        config,
        bos_token_id=bos[0] if bos else config.bos_token_id,
        eos_token_ids=generation.token_ids("eos_token_id") or config.eos_token_ids,
    )


def _check_folder(folder: Path) -> None:
    if not is_there(folder):
        raise CheckpointError(f"no such folder: {folder}")
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is a file, expected the checkpoint's folder")
    if not (folder / CONFIG_FILE).exists():
        raise CheckpointError(f"{folder} is not a checkpoint: it has no {CONFIG_FILE}")


def count_parameters(folder: Path) -> int:
    """Parameters of the folder's model, from its headers alone; a tied readout counts once.

    Raises:
        CheckpointError: as `read_config`, or the tensors don't fit the config.
    """
    config = read_config(folder)
    expected = _expected_tensors(config)
    _check_tensors(folder, config, inspect_weights(folder), expected)
    return sum(tensor.numel() for name, tensor in expected.items() if not (config.tie_embeddings and name == READOUT))


def load_model(
    folder: Path,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    allow_nonfinite: bool = False,
) -> Transformer:
    """The folder's model, in eval mode, its weights memory-mapped where no conversion is needed.

    Raises:
        CheckpointError: as `read_config`; or the weights are absent, damaged, don't fit the config, or, unless they are
            allowed to be, not finite.
    """
    config = read_config(folder)
    with torch.device("meta"):
        model = Transformer(config)
    _check_tensors(folder, config, inspect_weights(folder), dict(model.state_dict()))
    tensors = {}
    for name, tensor in iterate_tensors(weight_files(folder)):
        if not name.endswith(_DERIVED):
            converted = tensor.to(dtype)
            _check_finite(tensor, converted, f"{folder}: tensor {name}", allow_nonfinite=allow_nonfinite)
            tensors[name] = converted.to(device)
    if config.tie_embeddings:
        _check_tied(tensors, folder)
        tensors[READOUT] = tensors[EMBEDDING]
    model.load_state_dict(tensors, assign=True)
    model.tie_weights()
    return model.requires_grad_(requires_grad=False).eval()


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsCheck:
    """What reading every weight once has shown."""

    num_nonfinite: int
    """Numbers that are NaN or infinite."""
    constant: tuple[str, ...]
    """Matrices all of whose numbers are the same: never trained, or lost."""


def check_weights(folder: Path, *, allow_nonfinite: bool = False) -> WeightsCheck:
    """Read every weight once and keep none.

    Raises:
        CheckpointError: as `count_parameters`, or, unless it is allowed, a number is NaN or infinite.
    """
    count_parameters(folder)
    num_nonfinite, constant = 0, []
    for name, tensor in iterate_tensors(weight_files(folder)):
        _check_finite(tensor, tensor, f"{folder}: tensor {name}", allow_nonfinite=allow_nonfinite)
        num_nonfinite += _num_nonfinite(tensor) if allow_nonfinite else 0
        if _is_constant(tensor):
            constant.append(name)
    return WeightsCheck(num_nonfinite=num_nonfinite, constant=tuple(constant))


def _is_constant(tensor: Tensor) -> bool:
    """Whether a matrix says one number again and again; its first row tells almost always."""
    if tensor.dim() < 2 or tensor.numel() < 2:
        return False
    first = tensor[0, 0]
    return bool((tensor[0] == first).all() and (tensor == first).all())


def _num_nonfinite(tensor: Tensor) -> int:
    pieces = torch.split(tensor.reshape(-1), _LOOKED_AT)
    return tensor.numel() - sum(int(torch.isfinite(piece).sum()) for piece in pieces)


def _check_finite(tensor: Tensor, converted: Tensor, where: str, *, allow_nonfinite: bool) -> None:
    """Raise CheckpointError for numbers that are not finite, or no longer so in the type that is computed in."""
    num_after = _num_nonfinite(converted)
    num_before = _num_nonfinite(tensor) if num_after else 0
    if num_after > num_before:
        raise CheckpointError(
            f"{where} has {num_after - num_before} numbers too large for {_dtype_name(converted.dtype)}; "
            "use bfloat16 or float32"
        )
    if num_before and not allow_nonfinite:
        raise CheckpointError(
            f"{where} has {num_before} numbers that are NaN or infinite (of {tensor.numel()}); "
            "its training diverged or the file is damaged; --allow-nonfinite evaluates it all the same"
        )


def _expected_tensors(config: ModelConfig) -> dict[str, Tensor]:
    with torch.device("meta"):
        return dict(Transformer(config).state_dict())


def _check_tensors(
    folder: Path, config: ModelConfig, found: Mapping[str, TensorInfo], expected: Mapping[str, Tensor]
) -> None:
    """Names and shapes of what is in the files against what the config asks for."""
    for name, tensor in expected.items():
        if name in found and found[name].shape != tuple(tensor.shape):
            raise CheckpointError(
                f"{found[name].file}: tensor {name} has shape {list(found[name].shape)}, expected "
                f"{list(tensor.shape)} from {CONFIG_FILE} ({_fields_of(name)})"
            )
    optional = {READOUT} if config.tie_embeddings else set()
    missing = [name for name in expected if name not in found and name not in optional]
    if missing:
        bare = missing[0].removeprefix("model.") in found
        hint = "they were saved without the `model.` that the hub's causal models carry" if bare else _hint(missing)
        raise CheckpointError(f"{folder}: {_several(missing)} missing from the weights; {hint}")
    extra = [name for name in found if name not in expected and not name.endswith(_DERIVED)]
    if extra:
        raise CheckpointError(f"{folder}: {_several(extra)} in the weights but not in the model; {_hint(extra)}")


def _several(names: list[str]) -> str:
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return f"{len(names)} tensor{'s are' if len(names) > 1 else ' is'} ({shown})"


_FIELDS_BY_PART = {
    "embed_tokens": "vocab_size × hidden_size",
    "lm_head": "vocab_size × hidden_size",
    "q_proj": "num_attention_heads · head_dim × hidden_size",
    "k_proj": "num_key_value_heads · head_dim × hidden_size",
    "v_proj": "num_key_value_heads · head_dim × hidden_size",
    "o_proj": "hidden_size × num_attention_heads · head_dim",
    "q_norm": "head_dim",
    "k_norm": "head_dim",
    "gate_proj": "intermediate_size × hidden_size",
    "up_proj": "intermediate_size × hidden_size",
    "down_proj": "hidden_size × intermediate_size",
    "readout": "latent_num_bits × hidden_size",
    "post_sampler": "2^latent_num_bits × hidden_size",
}


def _fields_of(name: str) -> str:
    """The config fields that give a tensor its shape."""
    for part, fields in _FIELDS_BY_PART.items():
        if f"{part}." in name:
            return fields
    return "hidden_size"


def _hint(names: list[str]) -> str:
    """What in config.json to look at when these tensors are missing or too many."""
    if names == [READOUT]:
        return f"see tie_word_embeddings in {CONFIG_FILE}"
    if all(name.startswith("latent.") for name in names):
        return f"see model_type and latent_num_bits in {CONFIG_FILE}"
    if all(name.startswith("model.layers.") for name in names):
        return f"see num_hidden_layers and the bias fields in {CONFIG_FILE}"
    return f"{CONFIG_FILE} and the weights must be of one model"


def _dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _check_tied(tensors: Mapping[str, Tensor], folder: Path) -> None:
    if READOUT in tensors and not torch.equal(tensors[READOUT], tensors[EMBEDDING]):
        raise CheckpointError(
            f"{folder}: tie_word_embeddings is true but {READOUT} differs from {EMBEDDING}; "
            f"set tie_word_embeddings to false in {CONFIG_FILE}, or remove {READOUT}"
        )


def save_model(model: Transformer, folder: Path, *, tokenizer_json: bytes | None = None) -> None:
    """Write config.json, model.safetensors and, where given, tokenizer.json, each at once or not at all.

    config.json comes last, and one that is there goes first: a folder without it is no checkpoint, so whatever stops
    the writing leaves no mixture. The folder is made where there is none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    (folder / CONFIG_FILE).unlink(missing_ok=True)
    if model.config.tie_embeddings:
        del tensors[READOUT]
    temporary = folder / f".{WEIGHTS_FILE}.tmp"
    save_file(tensors, temporary, metadata={"format": "pt"})
    _put(temporary, folder / WEIGHTS_FILE)
    if tokenizer_json is not None:
        _write(folder / TOKENIZER_FILE, tokenizer_json)
    raw = to_hub(model.config) | {"dtype": _dtype_name(model.dtype)}
    _write(folder / CONFIG_FILE, (json.dumps(raw, indent=2) + "\n").encode())
    shutil.copymode(folder / CONFIG_FILE, folder / WEIGHTS_FILE)  # safetensors lets its owner alone read it


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(data)
    _put(temporary, path)


def _put(temporary: Path, path: Path) -> None:
    """Rename a finished file into its place, once it is on the disk."""
    _sync(temporary)
    temporary.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
