"""The engine's completions are the same by captured graphs."""

from pathlib import Path

import pytest
import torch

from ft_eval.engine import Engine, GenerationRequest, SamplingParams
from ft_eval.engine.graphs.runner import GraphCompiler, GraphOptions
from ft_eval.model.noise import NoiseKey
from ft_eval.model.tokenizer import Tokenizer
from ft_eval.records import EngineOptions, LatentPolicy
from tests.fakes import tiny_model, write_checkpoint

HEAD = tuple(range(60, 130))
REQUESTS = [
    GenerationRequest(
        prompt=(*HEAD, *range(97, 98 + number)),
        params=SamplingParams(max_tokens=4 + 3 * number),
        noise=NoiseKey(seed=0, item=str(number)),
    )
    for number in range(6)
]


def completions(folder: Path, policy: LatentPolicy | None, graphs: GraphCompiler | None) -> dict[int, tuple[int, ...]]:
    bits = None if policy is None else 5
    model = tiny_model(num_bits=bits, max_length=200)
    tokenizer = Tokenizer.load(folder, model.config)
    engine = Engine(model, tokenizer, latents=policy, options=EngineOptions(batch_size=4), steps=graphs)
    found: dict[int, tuple[int, ...]] = {}
    engine.generate(REQUESTS, lambda index, completion: found.update({index: completion.token_ids}))
    return found


@pytest.mark.parametrize(
    "policy", [None, LatentPolicy(), LatentPolicy(shares_prefix=True)], ids=["baseline", "item", "shared"]
)
@pytest.mark.parametrize("lengths", [False, True], ids=["mask", "lengths"])
def test_completions_by_graphs_are_those_without(tmp_path, policy, lengths):
    torch.compiler.reset()
    bits = None if policy is None else 5
    write_checkpoint(tmp_path, num_bits=bits, max_length=200)
    options = GraphOptions(lengths=lengths)
    compiler = GraphCompiler.for_model(tiny_model(num_bits=bits, max_length=200), options)
    assert completions(tmp_path, policy, compiler) == completions(tmp_path, policy, None)
    assert compiler.backend.modules
