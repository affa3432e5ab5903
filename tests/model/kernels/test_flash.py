"""Attention by lengths is attention by a mask."""

import torch

from ft_eval.model.attention import attend
from ft_eval.model.kernels import flash
from ft_eval.model.kernels.plain import decode_mask


def test_lengths_say_what_the_mask_says():
    q, keys, values = torch.randn(3, 2, 4, 8), torch.randn(3, 2, 64, 8), torch.randn(3, 2, 64, 8)
    positions = torch.tensor([[70], [64], [100]])
    lengths = flash.key_lengths(positions, 64, 2)
    assert lengths.tolist() == [7, 7, 1, 1, 37, 37]
    assert lengths.dtype == torch.int32
    found, lse = flash.decode_attention(q, keys, values, lengths, 48)
    mask = decode_mask(positions, 64, 48, torch.float32)
    expected = attend(q.view(3, 8, 1, 8), keys[:, :, :48], values[:, :, :48], mask=mask, is_causal=False)
    torch.testing.assert_close(found, expected.view(3, 2, 4, 8))
    scores = q @ keys.transpose(2, 3) / 8**0.5
    torch.testing.assert_close(lse[0], torch.logsumexp(scores[0, :, :, :7], -1))


def test_the_flash_kernels_layout_reads_each_rows_own_keys(monkeypatch):
    """The CUDA operator's reading of its arguments, told in plain PyTorch."""

    class Aten:
        class _flash_attention_forward:  # noqa: N801 — the operator's name
            default = torch.ops.aten._flash_attention_forward.default

            def __new__(cls, q, k, v, cum_q, cum_k, *rest, seqused_k, num_splits):
                assert num_splits == 1
                assert rest == (1, 64, 0.0, False, False)
                outs, lses = [], []
                for number, used in enumerate(seqused_k.tolist()):
                    queries = q[cum_q[number] : cum_q[number + 1]][0]  # (M, d)
                    start = int(cum_k[number])
                    scores = queries @ k[start : start + used, 0].T / q.shape[-1] ** 0.5
                    outs.append(torch.softmax(scores, -1) @ v[start : start + used, 0])
                    lses.append(torch.logsumexp(scores, -1))
                return torch.stack(outs), torch.stack(lses, 1), None, None, None

    q, keys, values = torch.randn(3, 2, 4, 8), torch.randn(3, 2, 64, 8), torch.randn(3, 2, 64, 8)
    lengths = flash.key_lengths(torch.tensor([[6], [0], [63]]), 0, 2)
    expected = flash.masked_attention(q, keys, values, lengths, 64)
    with monkeypatch.context() as patch:
        patch.setattr(torch.ops, "aten", Aten, raising=False)
        found = flash._flash(q, keys, values, lengths, 1)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_flash_is_not_used_without_a_gpu():
    assert not flash.flash_works(torch.bfloat16, torch.device("cpu"))
    assert flash.flash_has("seqused_k")  # the oldest PyTorch that the project takes has it
