"""From a row of logits and one uniform number to the next token. Row by row: no row's token depends on its batch."""

import torch
from torch import Tensor

from ft_eval.engine.requests import SamplingParams


def likeliest(logits: Tensor) -> Tensor:
    """Each row's likeliest token, the first of equals: (..., V) to (...)."""
    return logits.max(dim=-1).indices  # on a CPU, argmax takes three times as long


def sample_token(logits: Tensor, params: SamplingParams, uniform: float) -> int:
    """The next token: the likeliest at temperature 0, else the inverse of the cumulative distribution at `uniform`.

    The distribution is softmax(logits / temperature), restricted to the top k, then to the smallest set that reaches
    top_p (Holtzman et al. 2020), as Hugging Face's warpers order them.

    Args:
        logits: (V,) of any float type.
        params: temperature, top_k, top_p.
        uniform: in [0, 1).
    """
    if params.temperature == 0.0:
        return int(likeliest(logits))
    probabilities, tokens = torch.softmax(logits.double() / params.temperature, dim=-1).sort(
        descending=True, stable=True
    )
    kept = _num_kept(probabilities, params)
    cumulative = probabilities[:kept].cumsum(0)
    index = int(torch.searchsorted(cumulative, uniform * float(cumulative[-1]), right=True))
    return int(tokens[min(index, kept - 1)])


def _num_kept(sorted_probabilities: Tensor, params: SamplingParams) -> int:
    kept = sorted_probabilities.numel()
    if params.top_k:
        kept = min(kept, params.top_k)
    if params.top_p < 1.0:
        head = sorted_probabilities[:kept]
        reached = (head.cumsum(0) / head.sum()) >= params.top_p
        kept = int(reached.nonzero()[0]) + 1 if bool(reached.any()) else kept
    return kept
