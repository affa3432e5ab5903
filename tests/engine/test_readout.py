"""PyTorch's operators read logits row by row."""

import torch

from ft_eval.engine.readout import TorchReadout


def test_log_p_and_the_likeliest_are_those_of_the_pairs_asked_for():
    logits = torch.tensor([[0.0, 2.0, 2.0], [5.0, 1.0, -1.0]])
    rows, tokens = torch.tensor([1, 0, 0]), torch.tensor([0, 1, 2])
    logprobs, is_likeliest = TorchReadout().log_softmax_at(logits, rows, tokens)
    expected = [float(row[token] - row.exp().sum().log()) for row, token in zip(logits[rows], tokens, strict=True)]
    torch.testing.assert_close(logprobs, torch.tensor(expected))
    assert is_likeliest.tolist() == [True, True, False], "the first of equals"
    assert TorchReadout().likeliest(logits).tolist() == [1, 0]


def test_sums_are_of_float32_whatever_the_logits_are():
    logits = torch.randn(3, 500).bfloat16()
    rows, tokens = torch.arange(3), torch.tensor([1, 2, 3])
    found, _ = TorchReadout().log_softmax_at(logits, rows, tokens)
    assert torch.equal(found, torch.log_softmax(logits.float(), -1)[rows, tokens])
