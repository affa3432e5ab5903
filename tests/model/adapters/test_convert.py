"""Converting on disk: where it writes, which tokenizer goes along, and what the command prints."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ft_eval.cli.convert import convert as command
from ft_eval.errors import CheckpointError, FtEvalError, UsageError
from ft_eval.model.adapters.convert import convert
from ft_eval.model.checkpoint import load_model
from ft_eval.model.tokenizer import Tokenizer, byte_tokenizer_json
from tests.fakes import write_checkpoint
from tests.model.adapters.layouts import bryanvine_config, bryanvine_weights, write_bryanvine

OWN = "tests.model.adapters.own_model"


def write(folder: Path, *, vocab_size: int = 260, bias: bool = False) -> Path:
    """A run of bryanvine's, its vocabulary large enough for the byte tokenizer."""
    folder.mkdir()
    config = bryanvine_config(vocab_size=vocab_size)
    write_bryanvine(folder / "best.pt", config, bryanvine_weights(config, bias=bias))
    return folder


def run(arguments: Sequence[str | Path]) -> Result:
    """The command's output; its errors are raised."""
    return CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)


def test_a_destination_must_be_new_or_empty(tmp_path: Path) -> None:
    source, full, file = write(tmp_path / "src"), tmp_path / "full", tmp_path / "file"
    full.mkdir()
    (full / "notes.txt").write_text("mine")
    file.write_text("mine")
    with pytest.raises(UsageError, match="is not empty"):
        convert(source, full)
    with pytest.raises(UsageError, match="is a file"):
        convert(source, file)
    assert [path.name for path in full.iterdir()] == ["notes.txt"]
    empty = tmp_path / "empty"
    empty.mkdir()
    convert(source, empty)
    load_model(empty)


def test_the_sources_own_tokenizer_goes_along(tmp_path: Path) -> None:
    source = write(tmp_path / "src")
    (source / "tokenizer.json").write_bytes(byte_tokenizer_json())
    (source / "tokenizer_config.json").write_text('{"eos_token": "<|eos|>"}')
    assert convert(source, tmp_path / "out").has_tokenizer
    tokenizer = Tokenizer.load(tmp_path / "out", load_model(tmp_path / "out").config)
    assert tokenizer.eos_text == "<|eos|>"


@pytest.mark.parametrize("as_file", [True, False])
def test_a_tokenizer_can_be_given(tmp_path: Path, *, as_file: bool) -> None:
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    (folder / "tokenizer.json").write_bytes(byte_tokenizer_json())
    given = folder / "tokenizer.json" if as_file else folder
    assert convert(write(tmp_path / "src"), tmp_path / "out", tokenizer=given).has_tokenizer
    assert (tmp_path / "out" / "tokenizer.json").read_bytes() == byte_tokenizer_json()


def test_a_tokenizer_of_another_model_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    source = write(tmp_path / "src", vocab_size=37)
    (source / "tokenizer.json").write_bytes(byte_tokenizer_json())
    with pytest.raises(CheckpointError, match="the tokenizer is of another model"):
        convert(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match=r"expected a tokenizer\.json"):
        convert(source, tmp_path / "out", tokenizer=tmp_path)


def test_a_folder_of_ours_is_not_converted_again(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to convert"):
        convert(write_checkpoint(tmp_path / "ours"), tmp_path / "out")


def test_the_command_says_what_it_wrote(tmp_path: Path) -> None:
    output = run([write(tmp_path / "src"), tmp_path / "out"]).output
    assert "bryanvine/free-transformer: " in output
    assert f"parameters written to {tmp_path / 'out'}" in output
    assert "largest difference of its logits from the source's: " in output
    assert "it has no tokenizer.json yet" in output


def test_the_command_prints_the_checks_of_a_source(tmp_path: Path) -> None:
    output = run([write(tmp_path / "src", bias=True), "--check"]).output
    for name in ("encoder positions", "keys and values only", "cached = uncached", "one forward path", "unit of κ"):
        assert name in output
    assert "NO" not in output


def test_a_failed_check_is_an_error_that_names_it(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "ours", num_bits=3)
    with pytest.raises(CheckpointError, match=r"1 of 6 checks failed: encoder positions"):
        run([folder, "--check", "--adapter", f"{OWN}:WithoutPositions"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["src"], "DST is missing"),
        (["src", "dst", "--check"], "leave out DST"),
        (["src", "dst", "--adapter", "a:B"], "--adapter goes with --check"),
        (["no-such-folder", "dst"], "no such file or folder"),
    ],
)
def test_a_misused_command_is_one_clear_line(arguments: list[str], message: str) -> None:
    with pytest.raises(FtEvalError, match=message) as error:
        run(arguments)
    assert "\n" not in str(error.value)
