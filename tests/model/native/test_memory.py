"""Pieces of an arena are memory like any other, and none overlaps another."""

import torch

from ft_eval.model.native.memory import Arena


def test_pieces_are_apart_aligned_and_keep_what_is_written():
    arena, pieces = Arena(), []
    for number, (shape, dtype) in enumerate(
        [((3, 5), torch.float32), ((7,), torch.bfloat16), ((2**23 + 1,), torch.float32)] * 3
    ):
        pieces.append(arena.take(shape, dtype).fill_(number))
    for number, piece in enumerate(pieces):
        assert piece.data_ptr() % 64 == 0
        assert bool((piece == number).all())


def test_a_piece_outlives_its_arena():
    piece = Arena().take((1000,), torch.float32).fill_(3.0)
    others = [torch.zeros(2**20) for _ in range(3)]
    assert bool((piece == 3.0).all())
    assert len(others) == 3
