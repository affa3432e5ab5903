"""The kernels compute what plain PyTorch computes, checked by running their own source on the host."""

import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ft_eval.model.kernels import driver, ops, plain
from ft_eval.model.noise import NoiseKey, prior_codes

from .emulation import HostModule

EPS = 1e-5
TOLERANCES = {torch.float32: 2e-6, torch.bfloat16: 1.6e-2}
"""Of numbers about 1 in size; in 16 bits two last bits."""


@pytest.fixture(scope="module", params=[torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[torch.dtype, HostModule]:
    if shutil.which("g++") is None:
        pytest.skip("no g++: the kernels' source can't be run on the host")
    folder: Path = tmp_path_factory.mktemp("kernels")
    return request.param, HostModule(request.param, folder)


@pytest.fixture
def kernels(host: tuple[torch.dtype, HostModule], monkeypatch: pytest.MonkeyPatch) -> torch.dtype:
    """The operators' CUDA side launches on the host; the type of numbers it is compiled for."""
    dtype, module = host
    module.launches.clear()
    monkeypatch.setattr(driver, "load", lambda *_: module)
    return dtype


def numbers(*shape: int, dtype: torch.dtype, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def assert_near(found: Tensor, expected: Tensor, *, factor: float = 1.0) -> None:
    assert found.dtype == expected.dtype
    tolerance = factor * TOLERANCES[found.dtype]
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("width", [8, 256, 1000])
def test_residual_add_and_norm(kernels, width):
    x, y = (numbers(3, 1, width, dtype=kernels, seed=seed) for seed in (0, 1))
    weight = numbers(width, dtype=kernels, seed=2)
    total, normed = ops._add_rms_norm(x, y, weight, EPS)
    expected_total, expected_normed = plain.add_rms_norm(x, y, weight, EPS)
    assert torch.equal(total, expected_total)
    assert_near(normed, expected_normed)


def test_a_rows_norm_hangs_on_no_other_row(kernels):
    x, y = (numbers(5, 1, 300, dtype=kernels, seed=seed) for seed in (0, 1))
    weight = numbers(300, dtype=kernels, seed=2)
    alone = [ops._add_rms_norm(x[i : i + 1], y[i : i + 1], weight, EPS)[1] for i in range(5)]
    assert torch.equal(ops._add_rms_norm(x, y, weight, EPS)[1], torch.cat(alone))


def test_dual_norm_gathers_its_row_and_a_code_of_minus_one_adds_nothing(kernels):
    x, table = numbers(4, 1, 40, dtype=kernels), numbers(32, 40, dtype=kernels, seed=1)
    weight, codes = numbers(40, dtype=kernels, seed=2), torch.tensor([[3], [-1], [0], [31]])
    normed, kv_normed = ops._free_dual_norm(x, codes, table, weight, EPS)
    for found, expected in zip((normed, kv_normed), plain.free_dual_norm(x, codes, table, weight, EPS), strict=True):
        assert_near(found, expected)
    assert torch.equal(normed[1], kv_normed[1])
    assert not torch.equal(normed[2], kv_normed[2])


@pytest.mark.parametrize(
    ("num_heads", "num_kv_heads", "num_tokens", "rotation_rows"), [(4, 2, 1, 3), (3, 3, 2, 1), (8, 1, 2, 3)]
)
def test_rope_turns_queries_and_writes_keys_and_values(kernels, num_heads, num_kv_heads, num_tokens, rotation_rows):
    B, T, d, S = 3, num_tokens, 8, 16
    q = numbers(B, T, num_heads, d, dtype=kernels)
    k, v = (numbers(B, T, num_kv_heads, d, dtype=kernels, seed=seed) for seed in (1, 2))
    angles = 3 * numbers(rotation_rows, 1, T, d, dtype=torch.float32, seed=3)
    cos, sin = angles.cos().to(kernels), angles.sin().to(kernels)
    indices = torch.stack([torch.randperm(S)[:T] for _ in range(B)])
    caches = [numbers(2, B + 1, num_kv_heads, S, d, dtype=kernels, seed=4) for _ in range(2)]
    turned = []
    for (keys, values), function in zip(caches, (ops._rope_kv_write, plain.rope_kv_write), strict=True):
        turned.append(function(q, k, v, cos, sin, indices, keys[:B], values[:B]))
    assert torch.equal(*turned)
    assert torch.equal(*caches)  # to the bit: what is written, and that nothing else is
    assert not torch.equal(caches[0], numbers(2, B + 1, num_kv_heads, S, d, dtype=kernels, seed=4))


def test_a_cache_with_gaps_is_left_to_plain_operators(kernels, host):
    keys, values = (torch.zeros(1, 1, 4, 16, dtype=kernels)[..., ::2] for _ in range(2))
    q = k = v = numbers(1, 1, 1, 8, dtype=kernels)
    cos = sin = numbers(1, 1, 1, 8, dtype=kernels, seed=1)
    ops._rope_kv_write(q, k, v, cos, sin, torch.tensor([[2]]), keys, values)
    assert host[1].launches == []
    assert torch.equal(values[0, 0, 2], v[0, 0, 0])


def test_swiglu(kernels):
    gate, up = (3 * numbers(5, 1, 77, dtype=kernels, seed=seed) for seed in (0, 1))
    assert_near(ops._silu_mul(gate, up), F.silu(gate) * up, factor=8)


def test_parts_merge_by_their_weights_and_an_empty_part_has_none(kernels):
    far, near = (numbers(6, 2, 4, dtype=kernels, seed=seed) for seed in (0, 1))
    far_lse, near_lse = (3 * numbers(6, 2, dtype=torch.float32, seed=seed) for seed in (2, 3))
    far_lse[0], near_lse[1] = float("-inf"), float("-inf")
    far_lse[2], near_lse[2] = float("-inf"), float("-inf")
    far[0], near[1], far[2], near[2] = (float("nan") for _ in range(4))  # over no keys, anything may come out
    for merged in (ops._merge_lse(far, far_lse, near, near_lse), plain.merge_lse(far, far_lse, near, near_lse)):
        assert torch.equal(merged[0], near[0])
        assert torch.equal(merged[1], far[1])
        assert torch.equal(merged[2], torch.zeros_like(merged[2]))
        assert merged.isfinite().all()
    assert_near(ops._merge_lse(far, far_lse, near, near_lse), plain.merge_lse(far, far_lse, near, near_lse), factor=4)


def test_merging_is_attention_over_both_parts():
    scores, values = torch.randn(7, 10), torch.randn(10, 4)
    parts = [
        (torch.softmax(s, -1) @ v, torch.logsumexp(s, -1))
        for s, v in zip(scores.split([6, 4], 1), values.split([6, 4]), strict=True)
    ]
    merged = plain.merge_lse(*parts[0], *parts[1])
    torch.testing.assert_close(merged, torch.softmax(scores, -1) @ values)


@pytest.mark.parametrize("num_bits", [1, 5, 16])
def test_codes_are_those_of_the_noise_module(kernels, num_bits):
    items = [
        NoiseKey(seed=7, item="gsm8k/3"),
        NoiseKey(seed=2**40, item="a", draw=5),
        NoiseKey(seed=0, item="", draw=2**32 - 1),
    ]
    keys = torch.tensor([key.words for key in items])
    draws = torch.tensor([key.draw for key in items])
    expected = torch.stack([prior_codes(key, 300, 1 << num_bits)[10:] for key in items])
    assert torch.equal(ops._philox_codes(keys, draws, 10, 290, num_bits), expected)
    assert torch.equal(plain.philox_codes(keys, draws, 10, 290, num_bits), expected)
