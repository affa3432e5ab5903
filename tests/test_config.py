"""checkpoints.toml says what it says, and anything off in it is one line with its key."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ft_eval.config import CheckpointEntry, load_checkpoints
from ft_eval.errors import ConfigError
from ft_eval.records import Arm

PAIR = """
primary = ["gsm8k", "mmlu"]

[checkpoints.base-1b]
path = "ckpts/base-1b"
arm = "baseline"
training_tokens = 47_000_000_000

[checkpoints.ft-1b]
path = "/data/ft-1b"
arm = "latent"
baseline = "base-1b"
kappa_bits = 1
step = 100000
dtype = "bfloat16"
"""


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "checkpoints.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def refusal(path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_checkpoints(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message.removeprefix(str(path))


def test_a_pair_is_read_as_it_is_written(write):
    path = write(PAIR)
    file = load_checkpoints(path)
    assert file.path == path
    assert file.primary == ("gsm8k", "mmlu")
    assert file.checkpoints == {
        "base-1b": CheckpointEntry(
            name="base-1b", arm=Arm.BASELINE, path=path.parent / "ckpts/base-1b", training_tokens=47_000_000_000
        ),
        "ft-1b": CheckpointEntry(
            name="ft-1b",
            arm=Arm.LATENT,
            path=Path("/data/ft-1b"),
            baseline="base-1b",
            dtype="bfloat16",
            step=100_000,
            kappa_bits=1.0,
        ),
    }
    assert type(file.checkpoints["ft-1b"].kappa_bits) is float
    assert list(file.checkpoints) == ["base-1b", "ft-1b"]


def test_the_example_is_two_pairs(request):
    file = load_checkpoints(request.config.rootpath / "checkpoints.example.toml")
    pairs = {entry.name: entry.baseline for entry in file.checkpoints.values() if entry.arm is Arm.LATENT}
    assert pairs == {"ft-1b": "base-1b", "ft-8b": "base-8b"}
    assert file.primary


def test_the_least_file_has_one_path(write):
    file = load_checkpoints(write('[checkpoints.a]\npath = "."\n'))
    assert file.checkpoints["a"].arm is None
    assert file.checkpoints["a"].dtype is None
    assert file.primary == ()


def test_a_path_may_start_at_home(write, monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    assert load_checkpoints(write('[checkpoints.a]\npath = "~/a"')).checkpoints["a"].path == Path("/home/someone/a")


def test_two_entries_may_share_a_folder(write):
    file = load_checkpoints(write('[checkpoints.a]\npath = "x"\n[checkpoints.b]\npath = "x"\n'))
    assert file.checkpoints["a"].path == file.checkpoints["b"].path


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("kappa_bits", "kapa_bits", "unknown key checkpoints.ft-1b.kapa_bits; did you mean kappa_bits?"),
        ("primary", "primry", "unknown key primry; did you mean primary?"),
        ("[checkpoints.ft-1b]", "[checkpoint.ft-1b]", "unknown key checkpoint; did you mean checkpoints?"),
        ("[checkpoints.ft-1b]", "[checkpoints.ft.1b]", 'a name with a dot needs quotes: [checkpoints."ft.1b"]'),
        ("[checkpoints.ft-1b]", '[checkpoints."-x"]', "checkpoints.'-x': a name is 1 to 100 letters"),
        ("[checkpoints.ft-1b]", '[checkpoints."../x"]', "checkpoints.'../x': a name is 1 to 100 letters"),
        ("[checkpoints.ft-1b]", f"[checkpoints.{'x' * 101}]", "a name is 1 to 100 letters"),
        ("[checkpoints.ft-1b]", '[checkpoints."a\\nb"]', "checkpoints.'a\\nb': a name is 1 to 100 letters"),
        ('path = "/data/ft-1b"', "", "checkpoints.ft-1b.path is missing"),
        ('path = "/data/ft-1b"', 'path = ""', "checkpoints.ft-1b.path: got '', expected the path"),
        ('path = "/data/ft-1b"', 'path = "a\\u0000"', "expected the path"),
        ('"latent"', '"latnet"', 'checkpoints.ft-1b.arm: got \'latnet\', expected "baseline" or "latent"; did you'),
        ('"latent"', '"baseline"', "checkpoints.ft-1b.kappa_bits: a baseline is trained without free bits"),
        ('"bfloat16"', '"bf16"', "checkpoints.ft-1b.dtype: got 'bf16', expected one of float32, bfloat16, float16"),
        ('baseline = "base-1b"', 'baseline = "base-1B"', "no entry 'base-1B' in this file; did you mean base-1b?"),
        ('baseline = "base-1b"', 'baseline = "ft-1b"', "checkpoints.ft-1b.baseline: names its own entry"),
        ('baseline = "base-1b"', "baseline = 1", "checkpoints.ft-1b.baseline: got 1, expected the name"),
        ('arm = "baseline"', 'arm = "latent"', "checkpoints.ft-1b.baseline: base-1b is a latent checkpoint"),
        ('arm = "baseline"', 'arm = "baseline"\nbaseline = "ft-1b"', "base-1b.baseline: a baseline has no baseline"),
        ("kappa_bits = 1", "kappa_bits = 0", "kappa_bits: got 0, expected a number of bits above 0"),
        ("kappa_bits = 1", "kappa_bits = nan", "kappa_bits: got nan"),
        ("kappa_bits = 1", "kappa_bits = inf", "kappa_bits: got inf"),
        ("kappa_bits = 1", "kappa_bits = true", "kappa_bits: got True"),
        ("kappa_bits = 1", f"kappa_bits = 1{'0' * 400}", "kappa_bits: got 1000"),
        ("step = 100000", "step = -1", "checkpoints.ft-1b.step: got -1, expected a whole number, 0 or more"),
        ("step = 100000", "step = 1.5", "checkpoints.ft-1b.step: got 1.5"),
        ("step = 100000", "step = false", "checkpoints.ft-1b.step: got False"),
        (
            "47_000_000_000",
            '"47B"',
            "checkpoints.base-1b.training_tokens: got '47B', expected a whole number of tokens",
        ),
        ("47_000_000_000", "0", "checkpoints.base-1b.training_tokens: got 0"),
        ('["gsm8k", "mmlu"]', '"gsm8k"', "primary: got 'gsm8k', expected a list of task names"),
        ('["gsm8k", "mmlu"]', '["gsm8k", 1]', "primary: got ['gsm8k', 1], expected a list"),
        ('["gsm8k", "mmlu"]', '["a", "b", "a"]', "primary: 'a' stands there twice"),
        (
            "[checkpoints.base-1b]",
            "[checkpoints]\nx = 1\n[checkpoints.base-1b]",
            "checkpoints.x: got 1, expected a table",
        ),
    ],
)
def test_what_is_off_is_named_by_its_key(write, old, new, message):
    assert old in PAIR
    assert message in refusal(write(PAIR.replace(old, new, 1)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": no checkpoints; add a table"),
        ("checkpoints = 3", ": checkpoints: got 3, expected tables"),
        ("[checkpoints.a]\n[checkpoints.a]", ":2: [checkpoints.a] is declared twice"),
        ('[checkpoints.a]\npath="x"\npath="y"', ":end: this key is set twice"),
        ("[checkpoints.a\n", ":1: not TOML: "),
        ('[checkpoints.a]\npath="x"\npath="y"\n', ":3: this key is set twice"),
        ('a = "', ":end: not TOML: Unterminated string"),
        ("a = " + "[" * 50_000, ": nested too deep"),
        ("a = " + "9" * 5000, ": not TOML: "),
        ("#" * 2**21, ": larger than 1048576 bytes"),
    ],
    ids=lambda text: text[:20],
)
def test_what_is_no_toml_is_named_by_its_line(write, text, message):
    assert refusal(write(text)).startswith(message)


def test_all_problems_are_counted_on_one_line(write):
    message = refusal(write('primry = 1\n[checkpoints.a]\narm = "x"\n[checkpoints.b]\n'))
    assert message == ": unknown key primry; did you mean primary? (and 3 more in this file)"


def test_an_absent_file_a_folder_and_another_encoding_are_one_clear_line(tmp_path):
    assert "can't read: No such file" in refusal(tmp_path / "none.toml")
    assert "can't read: Is a directory" in refusal(tmp_path)
    (tmp_path / "latin.toml").write_bytes("# é".encode("latin-1"))
    assert "not UTF-8" in refusal(tmp_path / "latin.toml")


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=60), place=st.integers(0, len(PAIR)))
def test_no_text_makes_the_reader_fail_otherwise_than_by_a_config_error(tmp_path_factory, text, place):
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes((PAIR[:place] + text + PAIR[place:]).encode("utf-8", "surrogatepass"))
    try:
        load_checkpoints(path)
    except ConfigError as error:
        assert "\n" not in str(error)  # noqa: PT017 - most texts are errors, some are comments
