"""The parts of scale.py that need a fresh process; each prints one line of JSON. Not to be called by hand."""

# ruff: noqa: S311 — seeded noise for benchmarks, no secrets
import json
import random
import statistics
import sys
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import save_file

from ft_eval.engine import Engine, GenerationRequest, Loglikelihood, SamplingParams, ScoringRequest, padding
from ft_eval.engine import score as scoring
from ft_eval.engine.loading import ModelArguments, load_engine
from ft_eval.engine.prefixes import NO_PREFIX, PrefixGroup, group_by_prefix
from ft_eval.engine.prefixes import Path as PrefixPath
from ft_eval.engine.slots import SharingSlots
from ft_eval.model.checkpoint import load_model, save_model
from ft_eval.model.config import ModelConfig
from ft_eval.model.describe import to_hub
from ft_eval.model.noise import NoiseKey
from ft_eval.model.tokenizer import BYTE_BOS, BYTE_EOS, byte_tokenizer_json
from ft_eval.model.training import new_model
from ft_eval.model.transformer import Transformer

SIZES = {"30M": (512, 8, 8, 4, 1408, 32000), "tiny": (16, 2, 2, 1, 24, 260), "8B": (4096, 32, 32, 8, 14336, 128256)}
"""Hidden size, layers, heads, key-value heads, intermediate size, vocabulary."""
NUM_CHOICES = 4
_TASK = """\
task: scale_task
dataset_path: json
dataset_kwargs: {data_files: {test: DATA}}
output_type: multiple_choice
test_split: test
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_choice: "{{choices}}"
doc_to_target: "{{answer}}"
num_fewshot: 0
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
metadata: {version: 1.0}
"""


def config(size: str, num_layers: int | None = None) -> ModelConfig:
    """A Llama's of that size."""
    hidden, layers, heads, kv_heads, width, vocabulary = SIZES[size]
    return ModelConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_layers=num_layers or layers,
        num_heads=heads,
        num_kv_heads=kv_heads,
        head_dim=hidden // heads,
        intermediate_size=width,
        max_position_embeddings=2048,
        tie_embeddings=size != "8B",
        bos_token_id=BYTE_BOS,
        eos_token_ids=(BYTE_EOS,),
        latent=None,
    )


def checkpoint(folder: Path, size: str) -> dict[str, Any]:
    """A random one whose likeliest tokens are bytes, never the end."""
    path = folder / size
    if not path.exists():
        model = new_model(config(size), seed=1, std=0.06)
        with torch.no_grad():
            model.model.embed_tokens.weight[BYTE_EOS:] = 0.0
        save_model(model, path, tokenizer_json=byte_tokenizer_json())
    return {"path": str(path)}


def memory(folder: Path, num_requests: str) -> dict[str, Any]:
    """A run of that many requests; memory before it, with the model and all modules loaded, and at most."""
    from ft_eval.harness.tasks import TaskOptions
    from ft_eval.plan import RunOptions, plan_run
    from ft_eval.run import SilentProgress
    from ft_eval.run.execute import execute_plan
    from ft_eval.store import RunStore

    path, rng, tasks = checkpoint(folder, "tiny")["path"], random.Random(1), folder / "tasks"
    tasks.mkdir()
    with (tasks / "docs.jsonl").open("w", encoding="utf-8") as file:
        for number in range(int(num_requests) // NUM_CHOICES):
            words = " ".join(f"{rng.getrandbits(32):08x}" for _ in range(12))
            row = {"question": f"{number} {words}", "choices": ["red", "green", "blue", "none of them"], "answer": 1}
            file.write(json.dumps(row) + "\n")
    (tasks / "scale_task.yaml").write_text(_TASK.replace("DATA", str(tasks / "docs.jsonl")), encoding="utf-8")
    engine = load_engine(ModelArguments(path=Path(path), device="cpu"))
    engine.loglikelihood(ScoringRequest(context=(1, 2), continuation=(3,), noise=NoiseKey(seed=1, item="t/0")))
    before, started = _status("VmRSS"), time.perf_counter()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # begin the peak anew
    options = TaskOptions(include_paths=(tasks,))
    planned = plan_run(
        RunOptions(checkpoints=(path,), tasks=("scale_task",), task_options=options, seed=1, command="scale")
    )
    with RunStore.open_or_create(folder / "memory-run", planned.plan) as store:
        execute_plan(planned, store, SilentProgress())
        done = sum(result.num_samples for job in planned.plan.jobs if (result := store.result(job.id)))
    return {
        "before": before,
        "peak": _status("VmHWM"),
        "seconds": time.perf_counter() - started,
        "num_requests": done * NUM_CHOICES,
    }


def _status(field: str) -> int:
    """A field of the process's memory, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def shards(folder: Path, num_layers: str) -> dict[str, Any]:
    """A checkpoint of 8B's matrices in bfloat16, a shard per layer and one for the rest."""
    path, shape = folder / "sharded", config("8B", int(num_layers))
    path.mkdir()
    with torch.device("meta"):
        wanted = {name: tensor.shape for name, tensor in Transformer(shape).state_dict().items()}
    by_file: dict[str, dict[str, torch.Size]] = {}
    for name, size in wanted.items():
        layer = int(name.split(".")[2]) + 1 if name.startswith("model.layers.") else 0
        by_file.setdefault(f"model-{layer:05}-of-{int(num_layers) + 1:05}.safetensors", {})[name] = size
    tile, num_bytes = (0.02 * torch.randn(2**16, generator=torch.Generator().manual_seed(1))).bfloat16(), 0
    for file, tensors in by_file.items():
        filled = {}
        for name, size in tensors.items():
            numel = size.numel()
            filled[name] = tile.repeat(-(-numel // len(tile)))[:numel].reshape(size).clone()
            num_bytes += 2 * numel
        save_file(filled, path / file, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {name: file for file, tensors in by_file.items() for name in tensors}}
    (path / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    (path / "config.json").write_text(json.dumps(to_hub(shape) | {"dtype": "bfloat16"}), encoding="utf-8")
    (path / "tokenizer.json").write_bytes(byte_tokenizer_json())
    return {"num_bytes": num_bytes, "num_shards": len(by_file)}


def loading(folder: Path, kind: str) -> dict[str, Any]:
    """Load it, as it is mapped or into an engine: the most private memory above what was there, and the most in all."""
    before, most, is_over = _status("RssAnon"), [0], threading.Event()

    def watch() -> None:
        while not is_over.wait(0.01):
            most[0] = max(most[0], _status("RssAnon"))

    watcher, started = threading.Thread(target=watch), time.perf_counter()
    watcher.start()
    if kind == "mapped":
        held: object = load_model(folder / "sharded", dtype=torch.bfloat16)
    else:
        held = load_engine(ModelArguments(path=folder / "sharded", device="cpu"))
    seconds = time.perf_counter() - started
    is_over.set()
    watcher.join()
    private = max(most[0], _status("RssAnon")) - before
    del held
    return {"private": private, "peak": _status("VmHWM"), "seconds": seconds}


def prefill(folder: Path, repeats: str) -> dict[str, Any]:
    """Twelve prompts of 900 to 1,900 tokens, four at a time, by passes and whole in turn."""
    engine = load_engine(ModelArguments(path=folder / "30M", device="cpu", batch_size=4))
    rng = random.Random(3)
    requests = [
        GenerationRequest(
            prompt=tuple(rng.randrange(97, 123) for _ in range(1900 - 80 * number)),
            params=SamplingParams(max_tokens=(12, 30, 48, 66)[number % 4]),
            noise=NoiseKey(seed=1, item=f"t/{number}"),
        )
        for number in range(12)
    ]
    steps, step = list[float](), SharingSlots.step

    def noted(self: SharingSlots, *inputs: torch.Tensor) -> torch.Tensor:
        steps.append(time.perf_counter())
        return step(self, *inputs)

    patched: Any = SharingSlots
    patched.step = noted  # to see when tokens come

    def waits(tokens_per_pass: int) -> tuple[float, float, list[Any]]:
        padding.PASS_TOKENS = tokens_per_pass
        steps.clear()
        found: dict[int, Any] = {}
        started = time.perf_counter()
        engine.generate(requests, lambda index, completion: found.update({index: completion.token_ids}))
        seconds = time.perf_counter() - started
        return max(b - a for a, b in pairwise(steps)), seconds, [found[i] for i in sorted(found)]

    sides: dict[str, list[tuple[float, float, list[Any]]]] = {"passes": [], "whole": []}
    for _ in range(int(repeats)):
        sides["passes"].append(waits(512))
        sides["whole"].append(waits(2**20))
    assert all(one[2] == sides["whole"][0][2] for side in sides.values() for one in side), "the texts differ"
    medians = {f"wait_{name}": statistics.median(one[0] for one in side) for name, side in sides.items()}
    return medians | {f"seconds_{name}": statistics.median(one[1] for one in side) for name, side in sides.items()}


def nested(folder: Path, repeats: str) -> dict[str, Any]:
    """A header of 768 tokens, 6 passages of 320 behind it, 4 questions of 40 tokens about each, 4 letters."""
    rng, scorer, grouped = random.Random(5), cast("Any", scoring), group_by_prefix
    header, *passages = (tuple(rng.randrange(97, 123) for _ in range(n)) for n in (768, *[320] * 6))
    requests = [
        ScoringRequest(
            context=(*header, *passage, *(rng.randrange(97, 123) for _ in range(40))),
            continuation=(65 + letter,),
            noise=NoiseKey(seed=1, item=f"t/{place}/{question}"),
        )
        for place, passage in enumerate(passages)
        for question in range(4)
        for letter in range(4)
    ]

    def single(sequences: Any, *, min_saved_tokens: int) -> list[PrefixGroup]:
        """One prefix each, the one that all share."""
        tree = grouped(sequences, min_saved_tokens=min_saved_tokens)
        first = {g.prefix.tokens[: (*g.prefix.cuts, len(g.prefix))[0]] for g in tree}
        assert len(first) == 1, "one header"
        members = tuple(sorted(index for group in tree for index in group.members))
        return [PrefixGroup(prefix=PrefixPath(first.pop()) or NO_PREFIX, members=members)]

    def asked(group: Callable[..., list[PrefixGroup]]) -> tuple[float, list[Loglikelihood]]:
        scorer.group_by_prefix = group
        engine: Engine = load_engine(ModelArguments(path=folder / "30M", device="cpu"))  # nothing kept from before
        found, started = dict[int, Loglikelihood](), time.perf_counter()
        engine.score(requests, found.__setitem__)
        return time.perf_counter() - started, [found[index] for index in sorted(found)]

    sides: dict[str, list[tuple[float, list[Loglikelihood]]]] = {"nested": [], "single": []}
    for _ in range(int(repeats)):
        sides["nested"].append(asked(grouped))
        sides["single"].append(asked(single))
    ours, theirs = sides["nested"][0][1], sides["single"][0][1]
    seconds = {f"seconds_{name}": statistics.median(one[0] for one in side) for name, side in sides.items()}
    return seconds | {
        "gap_nats": max(abs(a.total_nats - b.total_nats) for a, b in zip(ours, theirs, strict=True)),
        "num_changed": sum(a.is_greedy != b.is_greedy for a, b in zip(ours, theirs, strict=True)),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    PARTS = {part.__name__: part for part in (checkpoint, memory, shards, loading, prefill, nested)}
    print(json.dumps(PARTS[sys.argv[2]](Path(sys.argv[1]), *sys.argv[3:])))
