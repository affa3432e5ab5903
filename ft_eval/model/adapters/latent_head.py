"""A hub folder (Llama, Mistral, Qwen2, Qwen3) with a latent head among its tensors, read as one of our models.

The decoder's tensors are the hub's. The latent head is ζ, the encoder and the post-sampler under our names, with or
without `model.` before them. H is read from the encoder's readout, and the post-sampler may have one of three shapes:

    (2^H, D)   our table, a row per code
    (D, 2^H)   the weight of a linear layer on the one-hot: turned
    (D, H)     the factored W of R = W (2B - 1): expanded, which is exact
"""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ft_eval.errors import CheckpointError
from ft_eval.model.adapters.bryanvine import expand_factored
from ft_eval.model.adapters.torch_files import TensorDict
from ft_eval.model.checkpoint import CONFIG_FILE, EMBEDDING, READOUT
from ft_eval.model.config import LatentConfig, ModelConfig
from ft_eval.model.families import parse_config
from ft_eval.model.hub_json import Fields, read_json_object
from ft_eval.model.transformer import Transformer
from ft_eval.model.weights import inspect_weights, iterate_tensors, weight_files

_PREFIX = "latent."
_READOUT = "latent.encoder.readout.weight"
_READOUT_BIAS = "latent.encoder.readout.bias"
_TABLE = "latent.post_sampler.weight"
_DERIVED = "rotary_emb.inv_freq"


def has_latent_head(folder: Path) -> bool:
    """Whether a hub folder's weights hold a latent head.

    Raises:
        CheckpointError: the weights can't be read.
    """
    return any(_our_name(name).startswith(_PREFIX) for name in inspect_weights(folder))


def load_latent_head(folder: Path, *, dtype: torch.dtype, device: torch.device | str) -> Transformer:
    """The folder's model with its latent head, in eval mode.

    Raises:
        CheckpointError: the folder can't be read, or its tensors don't fit its config or each other.
    """
    path = folder / CONFIG_FILE
    raw = read_json_object(path)
    plain = parse_config({name: value for name, value in raw.items() if not name.startswith("latent_")}, str(path))
    inspect_weights(folder)
    found = {
        _our_name(name): tensor for name, tensor in iterate_tensors(weight_files(folder)) if not name.endswith(_DERIVED)
    }
    config = replace(plain, latent=_latent_config(Fields(raw, str(path)), found))
    tensors = _tensors(config, found, str(folder))
    with torch.device("meta"):
        model = Transformer(config)
    converted = {name: tensor.to(dtype=dtype, device=device) for name, tensor in tensors.items()}
    model.load_state_dict(converted, assign=True)
    model.tie_weights()
    return model.requires_grad_(requires_grad=False).eval()


def _our_name(name: str) -> str:
    bare = name.removeprefix("model.")
    return bare if bare.startswith(_PREFIX) else name


def _latent_config(fields: Fields, found: dict[str, Tensor]) -> LatentConfig:
    if _READOUT not in found or found[_READOUT].dim() != 2:
        raise CheckpointError(f"{fields.where}: the latent head has no matrix {_READOUT}, which tells H")
    num_bits = found[_READOUT].shape[0]
    if fields.has("latent_num_bits") and fields.integer("latent_num_bits") != num_bits:
        raise fields.fail("latent_num_bits", f"{num_bits}, the rows of {_READOUT}")
    kappa_bits = fields.number("latent_kappa_bits", low=-1) if fields.has("latent_kappa_bits") else None
    return LatentConfig(num_bits=num_bits, kappa_bits=kappa_bits, readout_bias=_READOUT_BIAS in found)


def _tensors(config: ModelConfig, found: dict[str, Tensor], where: str) -> dict[str, Tensor]:
    """The tensors of our model, each of the right shape; what has no place is an error."""
    with torch.device("meta"):
        expected = Transformer(config).state_dict()
    table = found.get(_TABLE)
    if table is not None:
        found = found | {_TABLE: _table(table, config, where)}
    source = TensorDict(found, where)
    ours = {
        name: source.take(name, *tensor.shape)
        for name, tensor in expected.items()
        if not (name == READOUT and config.tie_embeddings and READOUT not in source)
    }
    source.finish()
    ours.setdefault(READOUT, ours[EMBEDDING])
    if config.tie_embeddings and not torch.equal(ours[READOUT], ours[EMBEDDING]):
        raise CheckpointError(f"{where}: tie_word_embeddings is true but {READOUT} differs from {EMBEDDING}")
    return ours


def _table(weight: Tensor, config: ModelConfig, where: str) -> Tensor:
    """The post-sampler as a table (2^H, D), from any of the three shapes."""
    assert config.latent is not None, "only a latent model has a post-sampler"
    D, num_bits, num_codes = config.hidden_size, config.latent.num_bits, config.latent.num_codes
    shape = tuple(weight.shape)
    fits = [given for given in ((num_codes, D), (D, num_codes), (D, num_bits)) if given == shape]
    if not fits:
        raise CheckpointError(
            f"{where}: tensor {_TABLE} has shape {list(shape)}, expected {[num_codes, D]}, {[D, num_codes]} or "
            f"{[D, num_bits]} for H = {num_bits} and D = {D}"
        )
    if len(fits) > 1:
        raise CheckpointError(
            f"{where}: tensor {_TABLE} of shape {list(shape)} could be a row or a column per code; "
            "set model_type to free_transformer where it is our own table"
        )
    if shape == (num_codes, D):
        return weight
    return weight.T.contiguous() if shape == (D, num_codes) else expand_factored(weight)
