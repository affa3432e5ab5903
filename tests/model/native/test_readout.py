"""The kernels read rows of logits as PyTorch does."""

import pytest
import torch

from ft_eval.engine.readout import TorchReadout
from ft_eval.model.native.readout import NativeReadout
from tests.model.native.kernels import DTYPES, LIBRARY, needs_kernels

pytestmark = needs_kernels
SIZES = [1, 15, 16, 33, 260, 4097, 32_000]


def pairs_of(num_rows, vocab_size, number=50):
    return torch.randint(num_rows, (number,)), torch.randint(vocab_size, (number,))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("vocab_size", SIZES)
@pytest.mark.parametrize("spread", [0.1, 30.0])
def test_log_p_is_that_of_double_precision(dtype, vocab_size, spread):
    logits = (torch.randn(7, vocab_size) * spread + 3).to(dtype)
    rows, tokens = pairs_of(7, vocab_size)
    logprobs, is_likeliest = NativeReadout(LIBRARY).log_softmax_at(logits, rows, tokens)
    exact = torch.log_softmax(logits.double(), -1)[rows, tokens]
    assert logprobs.dtype == torch.float32
    torch.testing.assert_close(logprobs.double(), exact, rtol=1e-6, atol=2e-6)
    assert torch.equal(is_likeliest, logits.float().max(-1).indices[rows] == tokens)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("vocab_size", SIZES)
def test_of_equals_the_first_is_the_likeliest(dtype, vocab_size):
    logits = torch.randint(0, 3, (40, vocab_size)).to(dtype)  # many ties
    expected = [row.tolist().index(row.max()) for row in logits]
    assert NativeReadout(LIBRARY).likeliest(logits).tolist() == expected


def test_infinite_and_missing_numbers_end_where_pytorchs_do():
    logits = torch.randn(4, 40)
    logits[0, 3] = -torch.inf
    logits[1, 5] = torch.nan
    logits[2] = -torch.inf
    logits[2, 7] = 1.0
    rows, tokens = torch.tensor([0, 0, 1, 2, 2]), torch.tensor([3, 4, 0, 7, 8])
    ours, _ = NativeReadout(LIBRARY).log_softmax_at(logits, rows, tokens)
    theirs, _ = TorchReadout().log_softmax_at(logits, rows, tokens)
    torch.testing.assert_close(ours, theirs, equal_nan=True)


def test_a_rows_bits_hang_on_no_other_row_and_no_thread():
    logits = torch.randn(9, 1000)
    rows, tokens = pairs_of(9, 1000)
    whole, _ = NativeReadout(LIBRARY).log_softmax_at(logits, rows, tokens)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        again, _ = NativeReadout(LIBRARY).log_softmax_at(logits, rows, tokens)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(again, whole)
    for row, token, value in zip(rows, tokens, whole, strict=True):
        alone, _ = NativeReadout(LIBRARY).log_softmax_at(logits[row : row + 1], torch.tensor([0]), token[None])
        assert torch.equal(alone[0], value)


def test_another_type_is_refused():
    with pytest.raises(ValueError, match=r"no kernels for torch\.float64"):
        NativeReadout(LIBRARY).likeliest(torch.zeros(1, 4, dtype=torch.float64))
