"""A checkpoint in another layout is planned and run like one of ours."""

from pathlib import Path

import pytest

from ft_eval.engine import GenerationRequest, SamplingParams
from ft_eval.engine.loading import ModelArguments, load_engine
from ft_eval.errors import UsageError
from ft_eval.model.noise import NoiseKey
from ft_eval.plan.facts import checkpoint_facts, read_shape
from ft_eval.plan.resolve import resolve_checkpoints
from tests.fakes import write_checkpoint

OWN = "tests.model.adapters.own_model:OwnModel"


@pytest.fixture
def latent(tmp_path) -> Path:
    return write_checkpoint(tmp_path / "latent", num_bits=3)


def test_an_adapter_gives_the_shape_of_the_model_behind_it(latent):
    ours, adapted = checkpoint_facts(latent), checkpoint_facts(latent, OWN)
    assert (adapted.config, adapted.num_parameters) == (ours.config, ours.num_parameters)
    assert read_shape(latent, OWN) == ours.config


def test_the_adapter_is_part_of_the_identity(latent):
    assert checkpoint_facts(latent).digest != checkpoint_facts(latent, OWN).digest


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_whatever_changes_answers_changes_the_digest(latent, name):
    before = checkpoint_facts(latent).digest
    if name == "model.safetensors":
        write_checkpoint(latent, num_bits=3, seed=9)
    else:
        (latent / name).write_text((latent / name).read_text() + "\n")
    assert checkpoint_facts(latent).digest != before


def test_a_checkpoint_behind_an_adapter_answers_as_the_model_itself(latent):
    request = GenerationRequest(
        prompt=tuple(b"Hello"), params=SamplingParams(max_tokens=12), noise=NoiseKey(seed=1, item="t/0")
    )
    ours = load_engine(ModelArguments(path=latent)).complete(request)
    adapted = load_engine(ModelArguments(path=latent, adapter=OWN)).complete(request)
    assert adapted.token_ids == ours.token_ids


def test_the_command_lines_adapter_goes_with_the_checkpoints_named_by_path(latent):
    (checkpoint,) = resolve_checkpoints((str(latent),), None, "auto", OWN)
    assert checkpoint.adapter == OWN


def test_the_files_adapter_is_the_entrys_own(latent, tmp_path):
    file = tmp_path / "list.toml"
    file.write_text(f'[checkpoints.l]\npath = "latent"\nadapter = "{OWN}"\n')
    (checkpoint,) = resolve_checkpoints((), file, "auto")
    assert checkpoint.adapter == OWN


def test_an_adapter_that_is_not_there_is_named(latent):
    with pytest.raises(UsageError, match="no_such_module can't be imported"):
        resolve_checkpoints((str(latent),), None, "auto", "no_such_module:Model")
