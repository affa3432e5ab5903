"""Checkpoints in other projects' layouts, random and tiny, and one of those models a second time, slowly."""

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

Weights = dict[str, Tensor]


def bryanvine_config(**changes: Any) -> dict[str, Any]:
    """A `model_cfg` of two heads and four blocks."""
    config = {
        "vocab_size": 37,
        "block_size": 48,
        "n_layer": 4,
        "n_head": 2,
        "d_model": 16,
        "mlp_hidden_mult": 8 / 3,
        "dropout": 0.1,
        "norm_eps": 1e-5,
        "tie_embeddings": True,
        "rope_theta": 10000.0,
        "model_type": "free",
        "latent_bits": 5,
        "inject_layer": -1,
        "kappa_bits": 0.5,
        "zero_init_post_sampler": True,
    }
    return config | changes


def bryanvine_weights(config: dict[str, Any], *, seed: int = 0, bias: bool = False) -> Weights:
    """A state dictionary, wide enough to be far from linear; norms are random too."""
    generator = torch.Generator().manual_seed(seed)
    D, H, V = config["d_model"], config["latent_bits"], config["vocab_size"]
    width = 64 * math.ceil(int(config["mlp_hidden_mult"] * D) / 64)

    def draw(*shape: int) -> Tensor:
        return 0.3 * torch.randn(shape, generator=generator) + (1.0 if len(shape) == 1 else 0.0)

    def attention(prefix: str) -> Weights:
        return {f"{prefix}{name}_proj.weight": draw(D, D) for name in "qkvo"}

    def mlp(prefix: str) -> Weights:
        shapes = {"w_gate": (width, D), "w_up": (width, D), "w_down": (D, width)}
        return {f"{prefix}mlp.{name}.weight": draw(*shape) for name, shape in shapes.items()}

    weights: Weights = {"tok_emb.weight": draw(V, D), "norm_f.weight": draw(D)}
    weights["lm_head.weight"] = weights["tok_emb.weight"] if config["tie_embeddings"] else draw(V, D)
    for i in range(config["n_layer"]):
        weights |= {f"blocks.{i}.norm1.weight": draw(D), f"blocks.{i}.norm2.weight": draw(D)}
        weights |= attention(f"blocks.{i}.attn.") | mlp(f"blocks.{i}.")
    if config["model_type"] == "free":
        weights |= {f"encoder.{name}": draw(D) for name in ("zeta", "norm_q.weight", "norm_kv.weight")}
        weights |= {f"encoder.{name}.weight": draw(D) for name in ("norm2", "norm_out")}
        weights |= attention("encoder.") | mlp("encoder.")
        weights["encoder.readout.weight"] = draw(H, D)
        weights["encoder.readout.bias"] = draw(H) if bias else torch.zeros(H)
        weights["post_sampler.weight"] = draw(D, H)
    return weights


def write_bryanvine(path: Path, config: dict[str, Any], weights: Weights) -> Path:
    """What that project's training leaves behind."""
    torch.save({"model": weights, "model_cfg": config, "iter": 7, "val_loss": 3.5}, path)
    return path


class BryanvineReference:
    """That model token by token and head by head in float64, from its equations. Shares no code with the package."""

    def __init__(self, config: dict[str, Any], weights: Weights) -> None:
        self.config = config
        self.w = {name: tensor.double() for name, tensor in weights.items()}
        self.middle = config["inject_layer"] if config["inject_layer"] >= 0 else config["n_layer"] // 2

    def logits(self, token_ids: list[int], codes: list[int] | None) -> Tensor:
        """(T, V)."""
        x = self.w["tok_emb.weight"][token_ids]
        for i in range(self.config["n_layer"]):
            kv = x
            if codes is not None and i == self.middle:
                kv = x + torch.stack([self.residual(code) for code in codes])
            x = self._block(f"blocks.{i}.", x, kv)
        return self._norm(x, "norm_f") @ self.w["lm_head.weight"].T

    def residual(self, code: int) -> Tensor:
        """R (D,) of one code: W on its bits as minus one and one, the lowest bit first."""
        signs = [1.0 if code >> h & 1 else -1.0 for h in range(self.config["latent_bits"])]
        return self.w["post_sampler.weight"] @ torch.tensor(signs, dtype=torch.float64)

    def bit_logits(self, token_ids: list[int]) -> Tensor:
        """(T, H)."""
        x = self.w["tok_emb.weight"][token_ids]
        for i in range(self.middle):
            x = self._block(f"blocks.{i}.", x, x)
        zeta = self.w["encoder.zeta"].expand_as(x)
        queries, sources = self._norm(zeta, "encoder.norm_q"), self._norm(x, "encoder.norm_kv")
        hidden = zeta + self._attend("encoder.", queries, sources, causal=False)
        hidden = hidden + self._mlp("encoder.mlp.", self._norm(hidden, "encoder.norm2"))
        readout = self._norm(hidden, "encoder.norm_out") @ self.w["encoder.readout.weight"].T
        return readout + self.w["encoder.readout.bias"]

    def _block(self, prefix: str, x: Tensor, kv: Tensor) -> Tensor:
        name = f"{prefix}norm1"
        x = x + self._attend(f"{prefix}attn.", self._norm(x, name), self._norm(kv, name), causal=True)
        return x + self._mlp(f"{prefix}mlp.", self._norm(x, f"{prefix}norm2"))

    def _norm(self, x: Tensor, name: str) -> Tensor:
        scale = ((x * x).mean(-1, keepdim=True) + self.config["norm_eps"]).sqrt()
        normed: Tensor = x / scale * self.w[f"{name}.weight"]
        return normed

    def _mlp(self, prefix: str, x: Tensor) -> Tensor:
        gate, up = x @ self.w[f"{prefix}w_gate.weight"].T, x @ self.w[f"{prefix}w_up.weight"].T
        hidden: Tensor = gate / (1 + torch.exp(-gate)) * up
        return hidden @ self.w[f"{prefix}w_down.weight"].T

    def _attend(self, prefix: str, queries: Tensor, sources: Tensor, *, causal: bool) -> Tensor:
        d = self.config["d_model"] // self.config["n_head"]
        q, k, v = (
            rows @ self.w[f"{prefix}{name}_proj.weight"].T
            for rows, name in ((queries, "q"), (sources, "k"), (sources, "v"))
        )
        out = torch.zeros_like(q)
        for t in range(len(q)):
            for head in range(self.config["n_head"]):
                part = slice(head * d, head * d + d)
                seen = range(t + 1 if causal else len(q))
                turned = self._turned(q[t, part], t)
                scores = torch.stack([turned @ self._turned(k[s, part], s) / math.sqrt(d) for s in seen])
                shares = torch.softmax(scores, 0)
                out[t, part] = torch.stack([share * v[s, part] for share, s in zip(shares, seen, strict=True)]).sum(0)
        return out @ self.w[f"{prefix}o_proj.weight"].T

    def _turned(self, head: Tensor, position: int) -> Tensor:
        half = len(head) // 2
        turned = head.clone()
        for i in range(half):
            angle = position * self.config["rope_theta"] ** (-2 * i / len(head))
            turned[i] = head[i] * math.cos(angle) - head[i + half] * math.sin(angle)
            turned[i + half] = head[i + half] * math.cos(angle) + head[i] * math.sin(angle)
        return turned
