"""The encoder is shown a job's prompts as its answers saw them, and nothing else."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from ft_eval.engine import Engine
from ft_eval.harness.encoding import Encoder
from ft_eval.probe.usage import measure_prompts
from ft_eval.records import Job, LatentPolicy, LatentSource, PromptUsage, SampleResult
from ft_eval.run.prompts import PromptMeter
from tests.fakes import tiny_engine
from tests.report.fakes import baseline, job, latent, sample, task

TARGET = "FORBIDDEN"


@pytest.fixture(scope="module")
def engine(tmp_path_factory) -> Engine:
    return tiny_engine(tmp_path_factory.mktemp("model"), num_bits=4)


@pytest.fixture
def shown(monkeypatch) -> list[Sequence[tuple[int, ...]]]:
    """What the encoder is shown, call by call."""
    calls = []

    def record(model: object, prompts: Sequence[tuple[int, ...]]) -> PromptUsage | None:
        calls.append(prompts)
        return measure_prompts(model, prompts)  # type: ignore[arg-type] # the tiny model, passed through

    monkeypatch.setattr("ft_eval.run.prompts.measure_prompts", record)
    return calls


def owner_of(output_type: str, source: LatentSource = LatentSource.PRIOR) -> Job:
    return job(latent(), task(output_type=output_type), latents=LatentPolicy(source=source))


def samples_of(owner: Job, *prompts: str) -> list[SampleResult]:
    return [
        sample(owner, i, 1.0, prompt=prompt, target=TARGET, responses=(TARGET,)) for i, prompt in enumerate(prompts)
    ]


@pytest.mark.parametrize("output_type", ["generate_until", "multiple_choice", "loglikelihood"])
def test_the_encoder_is_shown_prompts_and_no_target(engine, shown, output_type):
    owner = owner_of(output_type)
    assert PromptMeter(engine).measure(owner, samples_of(owner, "Q: one? A:", "Q: two? A:", "Q: two? A:")) is not None
    (prompts,) = shown
    assert [engine.tokenizer.decode(list(ids)) for ids in prompts] == ["Q: one? A:", "Q: two? A:"]


def test_the_trailing_space_of_a_context_belongs_to_what_is_scored(engine, shown):
    """As lm-eval has it for log-likelihoods; a completion goes on behind the space."""
    for output_type in ("multiple_choice", "generate_until"):
        owner = owner_of(output_type)
        PromptMeter(engine).measure(owner, samples_of(owner, "Q: one? A: ", "Q: two? A: "))
    choices, completions = ([engine.tokenizer.decode(list(ids))[-1] for ids in prompts] for prompts in shown)
    assert (choices, completions) == ([":", ":"], [" ", " "])


def test_a_prompt_that_does_not_fit_keeps_its_end_and_an_empty_one_its_prefix_token(engine, shown):
    owner = owner_of("generate_until")
    PromptMeter(engine).measure(owner, samples_of(owner, "x" * 500 + "end", ""))
    ((long, empty),) = shown
    assert len(long) == engine.max_length
    assert engine.tokenizer.decode(list(long)).endswith("xend")
    assert set(empty) <= {Encoder(engine.tokenizer, engine.max_length).prefix_token}
    assert empty


def test_policies_of_one_task_share_a_measurement(engine, shown):
    meter = PromptMeter(engine)
    found = {
        meter.measure(owner, samples_of(owner, "Q: one? A:", "Q: two? A:"))
        for owner in (owner_of("generate_until", source) for source in LatentSource)
    }
    assert len(found) == len(shown) == 1
    other = owner_of("generate_until")
    assert meter.measure(other, samples_of(other, "Q: three? A:", "Q: four? A:")) not in found


@pytest.mark.parametrize(
    "owner", [owner_of("loglikelihood_rolling"), job(baseline(), task())], ids=["a whole text", "a baseline"]
)
def test_a_rolling_text_has_no_prompt_and_a_baseline_no_encoder(engine, shown, owner):
    assert PromptMeter(engine).measure(owner, samples_of(owner, "a long text", "another one")) is None
    assert shown == []


def test_a_baselines_model_is_not_asked(tmp_path: Path):
    owner = owner_of("generate_until")
    assert PromptMeter(tiny_engine(tmp_path)).measure(owner, samples_of(owner, "one", "two")) is None
