"""A sampled token follows the softmax, restricted as asked, and depends on its own uniform alone."""

import pytest
import torch
from scipy import stats

from ft_eval.engine.requests import SamplingParams
from ft_eval.engine.sampling import sample_token

LOGITS = torch.tensor([1.0, 3.0, 0.5, 2.0, -1.0])


def draw(params: SamplingParams, num: int = 4000) -> torch.Tensor:
    uniforms = (torch.arange(num) + 0.5) / num
    return torch.bincount(torch.tensor([sample_token(LOGITS, params, float(u)) for u in uniforms]), minlength=5)


def params(**given) -> SamplingParams:
    return SamplingParams(max_tokens=1, **{"temperature": 1.0, **given})


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_frequencies_follow_the_softmax_at_that_temperature(temperature):
    expected = torch.softmax(LOGITS.double() / temperature, -1) * 4000
    assert stats.chisquare(draw(params(temperature=temperature)).numpy(), expected.numpy()).pvalue > 0.9


def test_temperature_zero_takes_the_likeliest():
    assert sample_token(LOGITS, params(temperature=0.0), 0.99) == 1


def test_top_k_keeps_the_k_likeliest():
    assert draw(params(top_k=2)).nonzero().flatten().tolist() == [1, 3]


def test_top_p_keeps_the_smallest_set_that_reaches_it():
    probabilities = torch.softmax(LOGITS, -1).sort(descending=True).values
    just_two = float(probabilities[0] + probabilities[1] / 2)
    assert draw(params(top_p=just_two)).nonzero().flatten().tolist() == [1, 3]
    assert draw(params(top_p=float(probabilities[0]) / 2)).nonzero().flatten().tolist() == [1]


@pytest.mark.parametrize("uniform", [0.0, 0.5, 1 - 2**-53])
def test_every_uniform_gives_a_token(uniform):
    assert 0 <= sample_token(LOGITS, params(), uniform) < 5


def test_the_warpers_are_those_of_transformers():
    """Held to the reference library's own top-k and top-p filters."""
    transformers = pytest.importorskip("transformers", reason="the reference for the warpers")
    for top_k, top_p in ((3, 1.0), (0, 0.8), (4, 0.6)):
        scores = LOGITS[None].clone()
        if top_k:
            scores = transformers.TopKLogitsWarper(top_k)(None, scores)
        if top_p < 1.0:
            scores = transformers.TopPLogitsWarper(top_p)(None, scores)
        kept = torch.isfinite(scores[0]).nonzero().flatten().tolist()
        assert draw(params(top_k=top_k, top_p=top_p)).nonzero().flatten().tolist() == kept
