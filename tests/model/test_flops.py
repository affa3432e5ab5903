"""FLOPs per token are those of the matrices that the model really has."""

import torch

from ft_eval.model.config import encoder_flops_per_token, flops_per_token
from tests.model.tiny import BASELINE, LATENT, tiny_model


def matrix_flops(model: torch.nn.Module, *, of_encoder: bool) -> int:
    """Twice the numbers in every matrix that multiplies a token: no table that is looked up, no norm."""
    named = [(name, matrix) for name, matrix in model.named_parameters() if matrix.ndim == 2]
    found = [
        matrix.numel()
        for name, matrix in named
        if ("encoder" in name) == of_encoder and "embed" not in name and "post_sampler" not in name
    ]
    return 2 * sum(found)


def test_the_number_is_twice_the_matrices_of_a_random_model():
    assert flops_per_token(BASELINE) == matrix_flops(tiny_model(BASELINE), of_encoder=False)
    latent = tiny_model(LATENT)
    assert encoder_flops_per_token(LATENT) == matrix_flops(latent, of_encoder=True)


def test_a_latent_generates_at_its_baselines_flops_and_a_baseline_has_no_encoder():
    assert flops_per_token(LATENT) == flops_per_token(BASELINE)
    assert encoder_flops_per_token(BASELINE) == 0
