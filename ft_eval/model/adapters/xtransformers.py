"""`x_transformers.free_transformer.FreeTransformer`, driven by its own sub-modules.

Its generate() takes one latent for all positions and its forward() draws the encoder's, so neither can score a
sequence under a Z per token. What is driven instead:

    tokens ─▶ token_emb ─▶ decoder_head ─▶ X ─▶ decoder_tail(X, self_attn_kv_residuals = R) ─▶ token_unembed
    codes ─▶ rows of from_latent_to_condition ─▶ R        X ─▶ encoder ─▶ to_latent_bit_logits

R joins the keys' and values' input of the first tail block after that block's norm (the paper: before it), so no
folder of ours computes the same. A state dictionary does not say what it is of: the constructor's arguments come in a
JSON file beside it.
"""

import importlib
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ft_eval.errors import CheckpointError, UsageError
from ft_eval.model.adapters.base import AdaptedModel, InjectedConfig
from ft_eval.model.adapters.decoder_cache import DecoderCache, run_decoder
from ft_eval.model.adapters.torch_files import TORCH_SUFFIXES, read_torch_file
from ft_eval.model.config import LatentConfig
from ft_eval.model.hub_json import Fields, read_json_object, refuse_lfs_pointer
from ft_eval.model.latent import NO_CODE

ARGUMENTS_FILE = "config.json"
OBSTACLE = "x-transformers adds R after the first tail block's norm, and our folders before it"

_MARK = "query_token_for_latents"
_TOKEN_FIELDS = ("bos_token_id", "eos_token_id")
_MAX_WIDTH = 2**20
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def is_state_dict(loaded: Mapping[str, object]) -> bool:
    """Whether a dictionary is a FreeTransformer's state dictionary."""
    return _MARK in loaded


def is_arguments(raw: Mapping[str, object]) -> bool:
    """Whether a JSON object holds a FreeTransformer's arguments."""
    return "dec_head_depth" in raw and "dec_tail_depth" in raw


class XTransformersModel(AdaptedModel):
    """A FreeTransformer of x-transformers behind the surface that evaluation uses."""

    def __init__(self, inner: Any, config: InjectedConfig) -> None:
        """Wrap a FreeTransformer.

        Args:
            inner: the FreeTransformer, in eval mode.
            config: its facts, as `parse_arguments` gives them.
        """
        super().__init__(config)
        self.inner = inner

    def new_cache(self, num_rows: int, max_length: int) -> DecoderCache:
        """A cache of x-transformers' own intermediates, a list per row."""
        return DecoderCache(num_rows, max_length)

    def whole_lower(self, token_ids: Tensor) -> Tensor:
        """X (B, T, D)."""
        return self.lower(token_ids)

    def whole_upper(self, x: Tensor, residual: Tensor | None) -> Tensor:
        """Hidden states (B, T, D)."""
        return self.upper(x, residual=residual)

    def lower(self, token_ids: Tensor, *, positions: Tensor | None = None, cache: DecoderCache | None = None) -> Tensor:
        """X (B, T, D): embeddings through the head, which may have no blocks."""
        x: Tensor = self.inner.token_emb(token_ids)
        if self.inner.decoder_head is None:
            return x
        return run_decoder(self.inner.decoder_head, "head", x, positions=positions, cache=cache)

    def upper(
        self,
        x: Tensor,
        *,
        residual: Tensor | None = None,
        positions: Tensor | None = None,
        cache: DecoderCache | None = None,
    ) -> Tensor:
        """Hidden states (B, T, D): X through the tail, R in the keys and values of its first block."""
        return run_decoder(self.inner.decoder_tail, "tail", x, residual=residual, positions=positions, cache=cache)

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores (..., V)."""
        scores: Tensor = self.inner.token_unembed(hidden)
        return scores

    def encode(self, x: Tensor, *, lengths: Tensor | None = None) -> Tensor:
        """Bit logits (B, T, H), queries and keys at their positions."""
        length = x.shape[1]
        span = torch.arange(length, device=x.device)
        mask = None if lengths is None else span[None] < lengths[:, None]
        queries = self.inner.query_token_for_latents.expand_as(x)
        pooled = self.inner.encoder(queries, context=x, context_mask=mask, pos=span, context_pos=span)
        bit_logits: Tensor = self.inner.to_latent_bit_logits(pooled)
        return bit_logits

    def post_sample(self, codes: Tensor) -> Tensor:
        """R (B, T, D): columns of the D × 2^H matrix."""
        R: Tensor = self.inner.from_latent_to_condition.weight.T[codes.clamp_min(0)]
        return R.masked_fill((codes == NO_CODE)[..., None], 0.0)

    def source_penalty(self, bit_logits: Tensor) -> Tensor:
        """The penalty of the source's own Binary Mapper, in nats."""
        penalty: Tensor = self.inner.binary_mapper(bit_logits, calc_aux_loss=True)[1]
        return penalty


def parse_arguments(raw: Mapping[str, object], where: str) -> InjectedConfig:
    """The facts of a FreeTransformer, from its constructor's arguments.

    Raises:
        CheckpointError: an argument is missing or out of range, or there is one latent for a whole sequence.
    """
    fields = Fields(raw, where)
    if not fields.flag_or("per_token_latents", default=True):
        raise CheckpointError(f"{where}: per_token_latents is false; a latent per token is needed")
    num_heads = fields.integer_or("heads", 8, high=_MAX_WIDTH)
    num_bits = fields.integer_or("latent_bits", 16)
    kappa_bits = fields.number_or("kl_loss_threshold", math.log(2), low=-1) / math.log(2)
    head_depth = fields.integer("dec_head_depth", low=0, high=1000)
    bos = fields.token_ids("bos_token_id")
    D = fields.integer("dim", high=_MAX_WIDTH)
    return InjectedConfig(
        vocab_size=fields.integer("num_tokens", high=2**26),
        hidden_size=D,
        num_layers=max(2, head_depth + fields.integer("dec_tail_depth", high=1000)),
        num_heads=num_heads,
        num_kv_heads=num_heads,
        head_dim=fields.integer_or("attn_dim_head", 64, high=_MAX_WIDTH),
        intermediate_size=4 * D,
        max_position_embeddings=fields.integer("max_seq_len"),
        bos_token_id=bos[0] if bos else None,
        eos_token_ids=fields.token_ids("eos_token_id"),
        latent=LatentConfig(num_bits=num_bits, kappa_bits=min(kappa_bits, num_bits)),  # KL_t never exceeds H bits
        inject_layer=head_depth,
    )


def load_xtransformers(path: Path, *, dtype: torch.dtype, device: torch.device | str) -> XTransformersModel:
    """A FreeTransformer from a folder or a weights file with config.json beside it, in eval mode.

    Raises:
        CheckpointError: the arguments or the weights are missing, or don't fit each other.
        UsageError: x-transformers is not installed.
    """
    folder = path if path.is_dir() else path.parent
    arguments_path = folder / ARGUMENTS_FILE
    if not arguments_path.exists():
        raise CheckpointError(
            f"{folder} has no {ARGUMENTS_FILE}; a state dictionary doesn't tell its model: write FreeTransformer's "
            'arguments there as JSON, such as {"num_tokens": 256, "dim": 512, "dec_head_depth": 4, ...}'
        )
    raw = read_json_object(arguments_path)
    config = parse_arguments(raw, str(arguments_path))
    weights = path if path.is_file() else _weights_file(folder)
    state = _read_state(weights)
    with torch.device("meta"):  # arguments that don't fit the weights take no memory
        _check_state(_construct(raw, arguments_path).state_dict(), state, weights)
    inner = _construct(raw, arguments_path)
    inner.load_state_dict(state)
    model = XTransformersModel(inner, config).to(dtype=dtype, device=device)
    return model.requires_grad_(requires_grad=False).eval()


def _construct(raw: Mapping[str, object], where: Path) -> Any:
    try:
        library: Any = importlib.import_module("x_transformers.free_transformer")
    except ImportError as error:
        raise UsageError(
            f"{where.parent} is an x-transformers model, and x-transformers can't be imported ({error}); "
            "install it: pip install x-transformers"
        ) from error
    arguments = {name: value for name, value in raw.items() if name not in _TOKEN_FIELDS}
    odd = [name for name in arguments if not _NAME.fullmatch(name)]
    if odd:
        raise CheckpointError(f"{where}: {odd[0]!r} is no name of an argument")
    try:
        return library.FreeTransformer(**arguments)
    except (TypeError, AssertionError, ValueError) as error:
        raise CheckpointError(f"{where}: x-transformers refuses these arguments: {error}") from error


def _weights_file(folder: Path) -> Path:
    found = sorted(path for path in folder.iterdir() if path.suffix in (".safetensors", *TORCH_SUFFIXES))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise CheckpointError(f"{folder} has {len(found)} weights files ({names}), expected one; give its path")
    return found[0]


def _read_state(path: Path) -> Mapping[str, object]:
    if path.suffix != ".safetensors":
        loaded = read_torch_file(path)
        inner = loaded.get("model", loaded.get("model_state_dict", loaded))
        return inner if isinstance(inner, dict) else loaded
    refuse_lfs_pointer(path)
    try:
        return dict(load_file(path))
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is truncated or not a safetensors file: {error}; copy it again") from error


def _check_state(expected: Mapping[str, Tensor], state: Mapping[str, object], where: Path) -> None:
    """Raise CheckpointError unless every tensor is there by name and shape, finite, and none is left over."""
    for name, tensor in expected.items():
        found = state.get(name)
        if not isinstance(found, Tensor):
            raise CheckpointError(f"{where}: tensor {name} is missing, expected shape {list(tensor.shape)}")
        if found.shape != tensor.shape:
            raise CheckpointError(
                f"{where}: tensor {name} has shape {list(found.shape)}, expected {list(tensor.shape)} from "
                f"{ARGUMENTS_FILE}"
            )
        if not torch.isfinite(found).all():
            raise CheckpointError(f"{where}: tensor {name} has numbers that are NaN or infinite")
    extra = sorted(set(state) - set(expected))
    if extra:
        raise CheckpointError(f"{where}: tensor {extra[0]} is not in the model that {ARGUMENTS_FILE} describes")
