"""The rewritten step computes what the model computes, with the fused operators in it."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ft_eval.engine.graphs.backend import FtGraph, ft_graph
from ft_eval.engine.graphs.rewrite import Fusions, count_operators, rewrite
from ft_eval.engine.graphs.step import DecodeStep, StepShape
from ft_eval.model.cache import KVCache, Prefix
from ft_eval.model.transformer import Transformer
from tests.model.tiny import BASELINE, LATENT, random_codes, random_tokens, tiny_model

LENGTHS = Fusions(lengths=True)
PER_BLOCK = {"rope_kv_write": 3, "silu_mul": 3}
BIASES = {"qkv_bias": True, "output_bias": True, "mlp_bias": True}


@pytest.fixture(autouse=True)
def _fresh_dynamo():
    torch._dynamo.reset()


class Decoding:
    """Rows of different lengths in two equal caches: one for the step, one for the model."""

    def __init__(self, model: Transformer, *, prefix_tokens: int = 0, num_rows: int = 3) -> None:
        self.model, self.start = model, prefix_tokens
        self.tokens = random_tokens(num_rows, 128)
        self.codes = random_codes(num_rows, 128) if model.config.latent else None
        self.prefix = self._prefix() if prefix_tokens else None
        self.caches = [self._filled(num_rows) for _ in range(2)]
        self.lengths = torch.tensor([[prefix_tokens + 9 - 3 * (row % 3)] for row in range(num_rows)])

    def _prefix(self) -> Prefix:
        cache = self.model.new_cache(1, self.start)
        self.model(self.tokens[:1, : self.start], codes=self._codes(slice(0, 1), slice(0, self.start)), cache=cache)
        return cache.prefix(range(self.model.config.num_layers), self.start)

    def _codes(self, rows: slice, span: slice) -> Tensor | None:
        return None if self.codes is None else self.codes[rows, span]

    def _filled(self, num_rows: int) -> KVCache:
        cache = self.model.new_cache(num_rows, self.start + 64, starts=(self.start, self.start))
        span = slice(self.start, self.start + 9)
        codes = self._codes(slice(num_rows), span)
        self.model(self.tokens[:, span], codes=codes, cache=cache, prefixes=(self.prefix, self.prefix))
        return cache

    def inputs(self, step: int) -> tuple[Tensor, Tensor, Tensor | None]:
        positions = self.lengths + step
        codes = None if self.codes is None else self.codes.gather(1, positions)
        return self.tokens.gather(1, positions), positions, codes

    def expected(self, step: int) -> Tensor:
        tokens, positions, codes = self.inputs(step)
        prefixes = (self.prefix, self.prefix)
        return self.model(tokens, codes=codes, positions=positions, cache=self.caches[1], prefixes=prefixes)

    def step(self) -> DecodeStep:
        shape = StepShape(num_rows=len(self.tokens), num_keys=(64, 64))
        return DecodeStep(self.model, self.caches[0], (self.prefix, self.prefix), shape)


def check(model: Transformer, fusions: Fusions, *, prefix_tokens: int = 0) -> dict[str, int]:
    """Three steps equal the model's; how often each fused operator is in the graph."""
    backend = FtGraph(fusions)
    with torch.inference_mode():
        decoding = Decoding(model, prefix_tokens=prefix_tokens)
        compiled = torch.compile(decoding.step(), backend=backend, fullgraph=True, dynamic=False)
        for number in range(3):
            found = compiled(*decoding.inputs(number))
            torch.testing.assert_close(found, decoding.expected(number), atol=1e-5, rtol=1e-5)
        for index in range(model.config.num_layers):
            for one, other in zip(*(cache.layer(index) for cache in decoding.caches), strict=True):
                torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
    assert len(backend.modules) == 1
    return dict(count_operators(backend.modules[0]))


@pytest.mark.parametrize("fusions", [Fusions(), LENGTHS], ids=["mask", "lengths"])
def test_a_baseline_has_every_operator_once_per_block(fusions):
    counts = check(tiny_model(BASELINE, num_layers=3), fusions)
    attention = {"decode_attention": 3, "key_lengths": 1} if fusions.lengths else {}
    assert counts == {**PER_BLOCK, "add_rms_norm": 6, **attention}


def test_a_latent_models_middle_block_has_its_dual_norm():
    counts = check(tiny_model(LATENT, num_layers=3), LENGTHS)
    attention = {"decode_attention": 3, "key_lengths": 1}
    # the add before the middle block goes into the product, since its norm is the dual one
    assert counts == {**PER_BLOCK, **attention, "add_rms_norm": 5, "free_dual_norm": 1, "addmm_": 1}


def test_residual_adds_can_all_go_into_the_products():
    counts = check(tiny_model(LATENT, num_layers=3), Fusions(lengths=True, residual_in_gemm=True))
    assert counts["addmm_"] == 6
    assert "add_rms_norm" not in counts


@pytest.mark.parametrize("fusions", [Fusions(), LENGTHS], ids=["mask", "lengths"])
def test_behind_a_prefix_the_two_parts_are_merged(fusions):
    counts = check(tiny_model(LATENT, num_layers=3), fusions, prefix_tokens=32)
    assert counts["merge_lse"] == 3
    assert counts.get("decode_attention", 0) == (3 if fusions.lengths else 0)


@pytest.mark.parametrize(
    ("changes", "gone"),
    [
        ({"num_kv_heads": 4, "qk_norm": True}, set()),
        ({"num_kv_heads": 1, **BIASES}, {"addmm_"}),  # addmm_ has no room for a bias
        ({"tie_embeddings": True, "norm_eps": 1e-5}, set()),
    ],
    ids=["mha-qk-norm", "mqa-biases", "tied"],
)
def test_other_shapes_of_model(changes, gone):
    counts = check(tiny_model(LATENT, num_layers=2, **changes), LENGTHS)
    wanted = {"rope_kv_write", "silu_mul", "add_rms_norm", "free_dual_norm", "decode_attention", "addmm_"}
    assert wanted - set(counts) == gone


def compiled_equals_eager(function, *inputs: Tensor) -> dict[str, int]:
    backend = FtGraph(LENGTHS)
    expected = function(*(tensor.clone() for tensor in inputs))
    found = torch.compile(function, backend=backend, fullgraph=True, dynamic=False)(*inputs)
    torch.testing.assert_close(found, expected)
    return dict(count_operators(backend.modules[0]))


def test_what_is_read_later_is_not_written_over():
    x, a, w = torch.randn(2, 1, 8), torch.randn(2, 1, 6), torch.randn(8, 6)

    def read_again(x, a, w):
        y = x + x
        return y + torch.nn.functional.linear(a, w), y

    def given(x, a, w):
        return x + torch.nn.functional.linear(a, w)

    def viewed(x, a, w):
        y = x + x
        kept = y.view(-1)
        return (y + torch.nn.functional.linear(a, w)).view(-1) * kept

    for function in (read_again, given, viewed):
        before = x.clone()
        assert "addmm_" not in compiled_equals_eager(function, x, a, w)
        assert torch.equal(x, before)


def test_almost_the_pattern_is_left_as_it_is():
    x, w, codes = torch.randn(2, 1, 8), torch.randn(8), torch.tensor([[1], [-1]])
    norm, embedding = torch.nn.functional.rms_norm, torch.nn.functional.embedding

    def other_fill(x, w, codes):
        R = embedding(codes.clamp_min(0), w[:, None].expand(8, 8)).masked_fill((codes == -2)[..., None], 0.0)
        return norm(x, (8,), w, 1e-5), norm(x + R, (8,), w, 1e-5)

    def broadcast_add(x, w, codes):
        return norm(x + w, (8,), w, 1e-5)

    def gelu(x, w, codes):
        return torch.nn.functional.gelu(x) * x

    def narrow_silu(x, w, codes):
        return torch.nn.functional.silu(x[..., :1]) * x

    assert "free_dual_norm" not in compiled_equals_eager(other_fill, x, w, codes)
    for function in (broadcast_add, gelu, narrow_silu):
        assert compiled_equals_eager(function, x, w, codes) == {}


def test_the_step_is_one_graph_without_a_break():
    with torch.inference_mode():
        decoding = Decoding(tiny_model(num_layers=2))
        torch._dynamo.utils.counters.clear()
        compiled = torch.compile(decoding.step(), backend=ft_graph, fullgraph=True, dynamic=False)
        for number in range(3):
            compiled(*decoding.inputs(number))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    assert not torch._dynamo.utils.counters["graph_break"]


@pytest.mark.parametrize("prefix_tokens", [0, 64])
def test_off_the_cpu_the_step_is_known_operators_alone(prefix_tokens):
    """On tensors without memory, which take the branches that CUDA's take."""
    modules = []

    def backend(gm, _):
        modules.append(rewrite(gm, LENGTHS))
        return lambda *inputs: (inputs[0],)

    with torch.inference_mode():
        with torch.device("meta"):
            model = Transformer(replace(LATENT, num_layers=2)).bfloat16().requires_grad_(requires_grad=False)
        prefix = model.new_cache(1, 64).prefix(range(2), 64) if prefix_tokens else None
        cache = model.new_cache(4, prefix_tokens + 64, starts=(prefix_tokens, prefix_tokens))
        step = DecodeStep(model, cache, (prefix, prefix), StepShape(num_rows=4, num_keys=(64, 64)))
        ids = torch.zeros(4, 1, dtype=torch.int64, device="meta")
        torch.compile(step, backend=backend, fullgraph=True, dynamic=False)(ids, ids, ids)
    counts = dict(count_operators(modules[0]))
    blocks = {"rope_kv_write": 2, "decode_attention": 2, "silu_mul": 2}
    once = {"key_lengths": 1, "free_dual_norm": 1, "addmm_": 1}
    assert counts == {**blocks, **once, "add_rms_norm": 3} | ({"merge_lse": 2} if prefix_tokens else {})
    names = {str(node.target) for node in modules[0].graph.nodes if node.op == "call_function"}
    known = ("ft.", "aten._scaled_dot_product_flash_attention", "<built-in", "<function embedding")
    assert all(name.startswith(known) for name in names)
    assert not any("scaled_dot_product_attention" in name or "pad" in name for name in names)  # no mask is left
