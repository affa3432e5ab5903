"""The model a second time, slowly: one token, one head, one pair at a time, in float64, from the weights by name.

It shares no code with the package. What it says is what the equations say.
"""

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from ft_eval.model.config import ModelConfig
from ft_eval.model.transformer import Transformer

Weights = Mapping[str, Tensor]


def reference_forward(model: Transformer, token_ids: Tensor, codes: Tensor | None) -> Tensor:
    """Logits (T, V) in float64 of one sequence (T,), with codes (T,) for a latent model."""
    config = model.config
    weights: Weights = {name: tensor.double() for name, tensor in model.state_dict().items()}
    x = torch.stack([weights["model.embed_tokens.weight"][t] for t in token_ids])
    for i in range(config.num_layers):
        kv = x
        if codes is not None and i == config.num_layers // 2:
            kv = torch.stack([row + _code_row(weights, code) for row, code in zip(x, codes.tolist(), strict=True)])
        x = _block(weights, f"model.layers.{i}.", config, x, kv)
    x = _norm(x, weights["model.norm.weight"], config.norm_eps)
    return x @ weights["lm_head.weight"].T


def reference_encode(model: Transformer, token_ids: Tensor) -> Tensor:
    """Bit logits (T, H) in float64 of one sequence (T,)."""
    config = model.config
    weights: Weights = {name: tensor.double() for name, tensor in model.state_dict().items()}
    x = torch.stack([weights["model.embed_tokens.weight"][t] for t in token_ids])
    for i in range(config.num_layers // 2):
        x = _block(weights, f"model.layers.{i}.", config, x, x)
    zeta = torch.stack([weights["latent.zeta"]] * len(x))
    hidden = _block(weights, "latent.encoder.block.", config, zeta, x, causal=False)
    return (
        _norm(hidden, weights["latent.encoder.norm.weight"], config.norm_eps)
        @ weights["latent.encoder.readout.weight"].T
    )


def _code_row(weights: Weights, code: int) -> Tensor:
    table = weights["latent.post_sampler.weight"]
    return table[code] if code >= 0 else torch.zeros_like(table[0])


def _norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + eps) * weight


def _linear(weights: Weights, name: str, x: Tensor) -> Tensor:
    out = weights[f"{name}.weight"] @ x
    return out + weights[f"{name}.bias"] if f"{name}.bias" in weights else out


def _block(w: Weights, prefix: str, config: ModelConfig, x: Tensor, kv: Tensor, *, causal: bool = True) -> Tensor:
    norm = w[f"{prefix}input_layernorm.weight"]
    queries, sources = _norm(x, norm, config.norm_eps), _norm(kv, norm, config.norm_eps)
    rows = []
    for t in range(len(x)):
        seen = range(t + 1) if causal else range(len(x))
        y = x[t] + _attention(w, f"{prefix}self_attn.", config, queries[t], t, {s: sources[s] for s in seen})
        h = _norm(y, w[f"{prefix}post_attention_layernorm.weight"], config.norm_eps)
        gate, up = _linear(w, f"{prefix}mlp.gate_proj", h), _linear(w, f"{prefix}mlp.up_proj", h)
        rows.append(y + _linear(w, f"{prefix}mlp.down_proj", gate / (1 + torch.exp(-gate)) * up))
    return torch.stack(rows)


def _attention(
    w: Weights, prefix: str, config: ModelConfig, query: Tensor, position: int, sources: Mapping[int, Tensor]
) -> Tensor:
    d, group = config.head_dim, config.num_heads // config.num_kv_heads
    q = _linear(w, f"{prefix}q_proj", query)
    outs = []
    for head in range(config.num_heads):
        g = head // group
        q_head = _turned(w, f"{prefix}q_norm", config, q[head * d : head * d + d], position)
        scores, values = [], []
        for s, source in sources.items():
            k = _linear(w, f"{prefix}k_proj", source)[g * d : g * d + d]
            scores.append(q_head @ _turned(w, f"{prefix}k_norm", config, k, s) / math.sqrt(d))
            values.append(_linear(w, f"{prefix}v_proj", source)[g * d : g * d + d])
        shares = torch.softmax(torch.stack(scores), 0)
        outs.append(sum((share * value for share, value in zip(shares, values, strict=True)), torch.zeros(d)))
    return _linear(w, f"{prefix}o_proj", torch.cat(outs))


def _turned(w: Weights, norm: str, config: ModelConfig, head: Tensor, position: int) -> Tensor:
    """One head's query or key, normed where the model norms it, each pair (i, i + d/2) turned by its angle."""
    if f"{norm}.weight" in w:
        head = _norm(head, w[f"{norm}.weight"], config.norm_eps)
    half = config.head_dim // 2
    turned = head.clone()
    for i, frequency in enumerate(_frequencies(config)):
        angle = position * frequency
        turned[i] = head[i] * math.cos(angle) - head[i + half] * math.sin(angle)
        turned[i + half] = head[i + half] * math.cos(angle) + head[i] * math.sin(angle)
    return turned


def _frequencies(config: ModelConfig) -> Iterable[float]:
    for i in range(config.head_dim // 2):
        frequency = config.rope_theta ** (-2 * i / config.head_dim)
        scaling = config.rope_scaling
        if scaling is None:
            yield frequency
        elif scaling.kind == "linear":
            yield frequency / scaling.factor
        else:
            turns = scaling.original_max_position_embeddings * frequency / (2 * math.pi)
            low, high = scaling.low_freq_factor, scaling.high_freq_factor
            kept = min(max((turns - low) / (high - low), 0.0), 1.0)
            yield kept * frequency + (1 - kept) * frequency / scaling.factor
