"""The kernels' linear layer is a linear layer, and a row's bits hang on that row alone."""

import pytest
import torch
from torch.nn import functional as F

from ft_eval.model.native.linear import NativeLinear
from ft_eval.model.steadiness import one_thread
from tests.model.linears import random_linear, random_rows
from tests.model.native.kernels import DTYPES, LIBRARY, needs_kernels

pytestmark = needs_kernels
ROW_COUNTS = (1, 2, 3, 5, 12, 13, 25, 64, 191, 193, 481)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(64, 96), (61, 33), (1, 1), (300, 4100), (70, 4160)])
def test_it_is_the_product_to_the_types_last_bits(shape, bias, dtype):
    linear = random_linear(*shape, dtype=dtype, bias=bias)
    for count in ROW_COUNTS:
        x = random_rows(count, shape[1], dtype=dtype)
        exact = F.linear(x.double(), linear.weight.double(), None if linear.bias is None else linear.bias.double())
        error = (NativeLinear(linear, LIBRARY)(x).double() - exact).abs().max() / exact.abs().max()
        assert error < (1e-5 if dtype == torch.float32 else 8e-3)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("num_inputs", [96, 4100, 4160])
def test_a_row_has_the_same_bits_at_any_number_of_rows_and_threads(num_inputs, dtype):
    layer, x = (
        NativeLinear(random_linear(200, num_inputs, dtype=dtype), LIBRARY),
        random_rows(500, num_inputs, dtype=dtype),
    )
    with one_thread():
        whole = layer(x)
        assert all(torch.equal(layer(x[:count].clone()), whole[:count]) for count in ROW_COUNTS)
        assert torch.equal(layer(x.flip(0)), whole.flip(0))
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert torch.equal(layer(x), whole)
        assert torch.equal(layer(x[:2].clone()), whole[:2])
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", DTYPES)
def test_other_kernels_of_the_same_thread_are_left_as_they_were(dtype):
    """Tiles, where there are any, are a state of the thread that oneDNN sets as well."""
    linear = random_linear(64, 96, dtype=dtype)
    layer, x = NativeLinear(linear, LIBRARY), random_rows(40, 96, dtype=dtype)
    ours, theirs = layer(x), linear(x)
    for _ in range(3):
        assert torch.equal(layer(x), ours)
        assert torch.equal(linear(x), theirs)


def test_leading_dimensions_and_strides_are_free():
    layer, x = NativeLinear(random_linear(40, 24), LIBRARY), random_rows(24, 3, 5).permute(1, 2, 0)
    assert torch.equal(layer(x), layer(x.reshape(15, 24)).view(3, 5, 40))
    assert layer(x[:0]).shape == (0, 5, 40)


def test_rows_of_another_type_or_width_are_refused_and_no_memory_is_read():
    layer = NativeLinear(random_linear(40, 24), LIBRARY)
    for x in (random_rows(2, 24, dtype=torch.bfloat16), random_rows(2, 23)):
        with pytest.raises(RuntimeError, match="for 24 inputs"):
            layer(x)


def test_a_type_without_kernels_is_refused():
    with pytest.raises(ValueError, match="float16"):
        NativeLinear(random_linear(8, 8, dtype=torch.float16), LIBRARY)


def test_it_has_no_gradient_and_says_so():
    with pytest.raises(RuntimeError, match="no gradient"):
        NativeLinear(random_linear(8, 8), LIBRARY)(random_rows(2, 8).requires_grad_())
