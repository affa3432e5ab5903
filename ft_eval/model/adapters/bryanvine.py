"""Checkpoints in the layout of bryanvine/free-transformer: {"model", "model_cfg", "iter", "val_loss"} of torch.save.

The same decoder as ours under other names, with multi-head attention. Where it differs:

    R = W (2B - 1)           W is D × H: the table's row of code d is W (2 U(d) - 1), which is exact
    encoder                  two norms, one for ζ and one for X: folded into the projections, which is exact
    encoder readout          has a bias (latent_readout_bias)
    injection                at any block, not only at L // 2

`load_bryanvine` runs all of it; `bryanvine_obstacle` says what keeps a checkpoint from being a folder of ours.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ft_eval.errors import CheckpointError
from ft_eval.model.adapters.base import InjectedConfig
from ft_eval.model.adapters.torch_files import TensorDict, read_torch_file
from ft_eval.model.config import LatentConfig, ModelConfig
from ft_eval.model.hub_json import Fields
from ft_eval.model.latent import NO_CODE, bits_from_codes
from ft_eval.model.transformer import Transformer

_END_OF_TEXT = 50256
"""<|endoftext|> of the GPT-2 tokenizer, which this layout is trained with."""
_MAX_WIDTH = 2**20


def is_bryanvine(loaded: Mapping[str, object]) -> bool:
    """Whether a file's dictionary has this layout."""
    return isinstance(loaded.get("model"), dict) and isinstance(loaded.get("model_cfg"), dict)


def parse_bryanvine_config(raw: Mapping[str, object], where: str) -> InjectedConfig:
    """The model that a `model_cfg` describes.

    Raises:
        CheckpointError: a field is missing or out of range.
    """
    fields = Fields(raw, f"{where}: model_cfg")
    D = fields.integer("d_model", high=_MAX_WIDTH)
    num_heads = fields.integer("n_head", high=_MAX_WIDTH)
    num_layers = fields.integer("n_layer", high=1000)
    if D % num_heads:
        raise fields.fail("d_model", f"a multiple of n_head ({num_heads})")
    vocab_size = fields.integer("vocab_size", high=2**26)
    end = (_END_OF_TEXT,) if vocab_size > _END_OF_TEXT else ()
    width = int(fields.number_or("mlp_hidden_mult", 8 / 3) * D)
    return InjectedConfig(
        vocab_size=vocab_size,
        hidden_size=D,
        num_layers=num_layers,
        num_heads=num_heads,
        num_kv_heads=num_heads,
        head_dim=D // num_heads,
        intermediate_size=64 * ((width + 63) // 64),
        norm_eps=fields.number_or("norm_eps", 1e-5),
        rope_theta=fields.number_or("rope_theta", 10000.0),
        max_position_embeddings=fields.integer("block_size"),
        tie_embeddings=fields.flag_or("tie_embeddings", default=True),
        bos_token_id=end[0] if end else None,
        eos_token_ids=end,
        latent=_latent_config(fields),
        inject_layer=_inject_layer(fields, num_layers),
    )


def _latent_config(fields: Fields) -> LatentConfig | None:
    kind = fields.text_or("model_type", "baseline")
    if kind not in ("baseline", "free"):
        raise fields.fail("model_type", "baseline or free")
    if kind == "baseline":
        return None
    num_bits = fields.integer("latent_bits", high=30)
    kappa_bits = fields.number_or("kappa_bits", 0.5, low=-1)
    return LatentConfig(num_bits=num_bits, kappa_bits=min(kappa_bits, num_bits), readout_bias=True)  # KL_t ≤ H bits


def _inject_layer(fields: Fields, num_layers: int) -> int:
    layer = fields.integer("inject_layer", low=-1, high=num_layers - 1) if fields.has("inject_layer") else -1
    return num_layers // 2 if layer < 0 else layer


class FactoredPostSampler(nn.Module):
    """R = W (2B - 1) from the code's bits, without the table."""

    def __init__(self, num_bits: int, hidden_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(hidden_size, num_bits))  # (D, H)

    def forward(self, codes: Tensor) -> Tensor:
        """R (B, T, D) for codes (B, T) in [0, 2^H), and zero where a code is NO_CODE."""
        signs = 2 * bits_from_codes(codes.clamp_min(0), self.weight.shape[1]).to(self.weight.dtype) - 1
        return (signs @ self.weight.T).masked_fill((codes == NO_CODE)[..., None], 0.0)


class BryanvineModel(Transformer):
    """Our decoder with this layout's factored post-sampler."""

    def __init__(self, config: InjectedConfig) -> None:
        super().__init__(config)
        if self.latent is not None and config.latent is not None:
            num_bits = config.latent.num_bits
            self.latent.post_sampler = FactoredPostSampler(num_bits, config.hidden_size)  # type: ignore[assignment] # same call


def read_bryanvine(path: Path) -> tuple[InjectedConfig, dict[str, Tensor]]:
    """The config, and the tensors under the names of `BryanvineModel`.

    Raises:
        CheckpointError: the file can't be read, is of another layout, or its tensors don't fit its config.
    """
    loaded = read_torch_file(path)
    raw, tensors = loaded.get("model_cfg"), loaded.get("model")
    if not isinstance(raw, dict) or not isinstance(tensors, dict):
        raise CheckpointError(f"{path} has no model and model_cfg, expected a checkpoint of bryanvine/free-transformer")
    config = parse_bryanvine_config(raw, str(path))
    source = TensorDict(tensors, str(path))
    ours = _decoder(source, config)
    if config.latent is not None:
        ours |= _latent_tensors(source, config, config.latent.num_bits)
    source.finish()
    return config, ours


def load_bryanvine(path: Path, *, dtype: torch.dtype, device: torch.device | str) -> BryanvineModel:
    """A model of this layout, in eval mode.

    Raises:
        CheckpointError: as `read_bryanvine`.
    """
    config, tensors = read_bryanvine(path)
    with torch.device("meta"):
        model = BryanvineModel(config)
    converted = {name: tensor.to(dtype=dtype, device=device) for name, tensor in tensors.items()}
    model.load_state_dict(converted, assign=True)
    model.tie_weights()
    return model.requires_grad_(requires_grad=False).eval()


def bryanvine_obstacle(config: InjectedConfig) -> str | None:
    """Why no folder of ours computes the same, or None when one does."""
    if config.latent is not None and config.inject_layer != config.num_layers // 2:
        return f"R enters at block {config.inject_layer}, and in our folders at block L // 2 = {config.num_layers // 2}"
    return None


def bryanvine_as_ours(config: InjectedConfig, tensors: Mapping[str, Tensor]) -> tuple[ModelConfig, dict[str, Tensor]]:
    """The same model in our own names and with a table, where `bryanvine_obstacle` sees none."""
    names = [name for name in ModelConfig.__dataclass_fields__ if name != "inject_layer"]
    plain = ModelConfig(**{name: getattr(config, name) for name in names})
    ours = dict(tensors)
    if plain.latent is not None:
        name = "latent.post_sampler.weight"
        ours[name] = expand_factored(ours[name])
    return plain, ours


def expand_factored(weight: Tensor) -> Tensor:
    """The table (2^H, D) whose row d is W (2 U(d) - 1), of a matrix W (D, H)."""
    num_bits = weight.shape[1]
    signs = 2 * bits_from_codes(torch.arange(1 << num_bits), num_bits).to(weight.dtype) - 1
    return signs @ weight.T


def _decoder(source: TensorDict, config: InjectedConfig) -> dict[str, Tensor]:
    V, D = config.vocab_size, config.hidden_size
    ours = {"model.embed_tokens.weight": source.take("tok_emb.weight", V, D)}
    for i in range(config.num_layers):
        theirs, block = f"blocks.{i}.", f"model.layers.{i}."
        ours[f"{block}input_layernorm.weight"] = source.take(f"{theirs}norm1.weight", D)
        ours[f"{block}post_attention_layernorm.weight"] = source.take(f"{theirs}norm2.weight", D)
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            ours[f"{block}self_attn.{name}.weight"] = source.take(f"{theirs}attn.{name}.weight", D, D)
        ours |= _mlp(source, f"{theirs}mlp.", f"{block}mlp.", config)
    ours["model.norm.weight"] = source.take("norm_f.weight", D)
    readout = source.take("lm_head.weight", V, D)
    if config.tie_embeddings and not torch.equal(readout, ours["model.embed_tokens.weight"]):
        raise CheckpointError(f"{source.where}: tie_embeddings is true, but lm_head.weight differs from tok_emb.weight")
    return ours | {"lm_head.weight": readout}


def _mlp(source: TensorDict, theirs: str, block: str, config: ModelConfig) -> dict[str, Tensor]:
    D, width = config.hidden_size, config.intermediate_size
    return {
        f"{block}gate_proj.weight": source.take(f"{theirs}w_gate.weight", width, D),
        f"{block}up_proj.weight": source.take(f"{theirs}w_up.weight", width, D),
        f"{block}down_proj.weight": source.take(f"{theirs}w_down.weight", D, width),
    }


def _latent_tensors(source: TensorDict, config: InjectedConfig, num_bits: int) -> dict[str, Tensor]:
    """ζ, encoder and post-sampler. The norms' weights go into the projections: W (w · n) = (W diag(w)) n."""
    D, block = config.hidden_size, "latent.encoder.block."
    norms = {name: source.take(f"encoder.{name}.weight", D).double() for name in ("norm_q", "norm_kv")}
    ours = {
        "latent.zeta": source.take("encoder.zeta", D),
        f"{block}input_layernorm.weight": torch.ones(D),
        f"{block}post_attention_layernorm.weight": source.take("encoder.norm2.weight", D),
        f"{block}self_attn.o_proj.weight": source.take("encoder.o_proj.weight", D, D),
        "latent.encoder.norm.weight": source.take("encoder.norm_out.weight", D),
        "latent.encoder.readout.weight": source.take("encoder.readout.weight", num_bits, D),
        "latent.post_sampler.weight": source.take("post_sampler.weight", D, num_bits),
        "latent.encoder.readout.bias": source.take("encoder.readout.bias", num_bits),
    }
    for name, norm in (("q_proj", "norm_q"), ("k_proj", "norm_kv"), ("v_proj", "norm_kv")):
        weight = source.take(f"encoder.{name}.weight", D, D)
        ours[f"{block}self_attn.{name}.weight"] = (weight.double() * norms[norm]).to(weight.dtype)
    return ours | _mlp(source, "encoder.mlp.", f"{block}mlp.", config)
