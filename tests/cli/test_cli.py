"""The command line: every mistake is one line, exit code 2, and nothing is written."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ft_eval.cli.options import one_line, parse_batch_size, parse_limit, parse_names
from ft_eval.errors import UsageError
from tests.fakes import caller, write_checkpoint


@pytest.fixture
def call(capsys, tmp_path, monkeypatch):
    """Run the command line in an empty folder; gives its exit code, stdout and stderr."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setattr(os, "environ", dict(os.environ))

    return caller(capsys)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("m") / "base", max_length=128)


def test_help_names_every_command_and_imports_nothing_heavy():
    """In a process of its own: torch, lm_eval, pandas and the rest wait until a command needs them."""
    program = (
        "import sys\nfrom ft_eval.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = ('torch', 'lm_eval', 'pandas', 'jinja2', 'datasets', 'scipy', 'numpy', 'rich')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")
    for command in ("run", "report", "probe", "tasks", "toy", "convert", "lm-eval"):
        assert re.search(rf"^  {command} ", done.stdout, flags=re.MULTILINE)


MISTAKES = {
    "no checkpoint": (["run", "--tasks", "toy_mmlu"], "no checkpoint was named"),
    "no such checkpoint": (["run", "--ckpt", "absent", "--tasks", "toy_mmlu"], "absent: no such checkpoint"),
    "no task": (["run", "--ckpt", "{model}"], "no task was named"),
    "limit 0": (["run", "--ckpt", "{model}", "--tasks", "toy_mmlu", "--limit", "0"], "no documents would be left"),
    "limit negative": (["run", "--ckpt", "{model}", "--tasks", "toy_mmlu", "--limit", "-3"], "no documents would"),
    "limit words": (
        ["run", "--ckpt", "{model}", "--tasks", "toy_mmlu", "--limit", "many"],
        "expected a number of documents",
    ),
    "batch size": (
        ["run", "--ckpt", "{model}", "--tasks", "toy_mmlu", "--batch-size", "0"],
        "expected auto or a number",
    ),
    "device": (["run", "--ckpt", "{model}", "--tasks", "toy_mmlu", "--device", "abacus"], "unknown device"),
    "dtype": (["run", "--ckpt", "{model}", "--tasks", "toy_mmlu", "--dtype", "float31"], "did you mean float32"),
    "policy": (["run", "--ckpt", "{model}", "--tasks", "toy_mmlu", "--latents", "posteriro"], "did you mean posterior"),
    "policy for a baseline": (
        ["run", "--ckpt", "{model}", "--tasks", "toy_mmlu", "--latents", "zero"],
        "has no latent",
    ),
    "draws": (["run", "--ckpt", "{model}", "--tasks", "toy_mmlu", "--z-draws", "0"], "expected auto or a number"),
    "data folder": (["run", "--ckpt", "{model}", "--tasks", "toy_mmlu", "--data-dir", "nowhere"], "no such folder"),
    "unknown task": (["run", "--ckpt", "{model}", "--tasks", "toy_mmlv"], "did you mean toy_mmlu"),
    "data not at hand": (["run", "--ckpt", "{model}", "--tasks", "openbookqa", "--offline"], "is not at hand"),
    "seed": (["run", "--ckpt", "{model}", "--tasks", "toy_mmlu", "--seed", "-1"], "--seed -1"),
    "toml": (["run", "--checkpoints", "absent.toml", "--tasks", "toy_mmlu"], "absent.toml: can't read"),
    "no run": (["report"], "no run in or under this folder"),
    "not a run": (["report", "."], "no run here"),
    "corpus": (["toy", "train", "new", "--corpora", "traget"], "did you mean target"),
    "unknown flag": (["run", "--ckptt", "x"], "No such option"),
    "unknown command": (["evaluate"], "No such command"),
}


@pytest.mark.parametrize("case", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_and_nothing_is_written(call, model, case):
    arguments, words = case
    code, out, err = call(*(str(argument).format(model=model) for argument in arguments))
    assert code == 2
    assert words in err
    assert "Traceback" not in err
    assert len([line for line in err.splitlines() if line.lower().startswith("error")]) == 1
    assert out == ""
    assert list(Path.cwd().iterdir()) == []


def test_a_folder_that_is_not_a_run_is_left_alone(call, model):
    Path("mine").mkdir()
    Path("mine/thesis.tex").write_text("years of work")
    code, _, err = call("run", "--ckpt", model, "--tasks", "toy_mmlu", "--limit", "1", "--output-path", "mine")
    assert (code, "is no run and not empty" in err) == (2, True)
    assert [path.name for path in Path("mine").iterdir()] == ["thesis.tex"]


def test_flags_may_be_spelled_as_lm_eval_spells_them(call, model):
    arguments = ("--num_fewshot", "0", "--batch_size", "2", "--output_path", "out", "--dry_run")
    code, out, _ = call("run", "--ckpt", model, "--tasks", "toy_mmlu", "--limit", "2", *arguments)
    assert (code, "toy_mmlu" in out, Path("out").exists()) == (0, True, False)


def test_a_run_and_its_report(call, model):
    """The two commands of the README, on a random model: the table, the page and the files beside it."""
    code, out, err = call("run", "--ckpt", model, "--tasks", "toy_mmlu", "--limit", "2", "--offline")
    assert code == 0, err
    assert "next: ft-eval report" in out
    code, out, err = call("report")
    assert code == 0, err
    written = [Path(line) for line in out.split()]
    names = {path.name for path in written}
    assert names > {"report.html", "scores.csv", "scores.md", "scores.tex", "scores.json", "scores.parquet"}
    assert "samples.parquet" in names
    assert all(path.stat().st_size > 0 for path in written)
    code, _, err = call("run", "--ckpt", model, "--tasks", "toy_mmlu", "--limit", "2", "--offline")
    assert (code, "done before" in err) == (0, True)


def test_toy_path_is_a_folder_that_run_takes(call):
    code, out, _ = call("toy", "path")
    assert (code, (Path(out.strip()) / "checkpoints.toml").is_file()) == (0, True)


def test_tasks_lists_ours(call):
    code, out, _ = call("tasks")
    assert code == 0
    assert {"humaneval_plus", "mbpp_plus", "toy_gsm8k", "toy_humaneval", "toy_mmlu", "toy_target"} <= set(out.split())


def test_tasks_says_metric_shots_items_and_missing_data(call, monkeypatch, tmp_path):
    monkeypatch.setitem(os.environ, "HF_HOME", str(tmp_path / "hf"))
    code, out, _ = call("tasks")
    lines = {line.split()[0]: line.split() for line in out.splitlines()}
    assert code == 0
    assert lines["toy_mmlu"] == ["toy_mmlu", "acc", "2", "200", "bundled"]
    assert lines["ft_race_high_text"][1:] == ["acc_char", "0", "3,498", "not", "at", "hand:", "ehovy/race"]
    assert "ft_mmlu_letter" in lines
    assert "ft_mmlu_letter_anatomy" not in lines


def test_tasks_refuses_a_data_folder_that_is_not_there(call):
    code, _, err = call("tasks", "--data-dir", "nowhere")
    assert (code, "no such folder" in err) == (2, True)


def test_lm_evals_own_command_line_knows_our_backend(model, tmp_path):
    """With 0.4.13, which finds no plugins; in a process of its own, as its command line would be."""
    from ft_eval.resources import tasks_dir

    command = [sys.executable, "-m", "ft_eval", "lm-eval", "run", "--model", "free_transformer", "--model_args"]
    rest = [f"pretrained={model}", "--tasks", "toy_mmlu", "--include_path", str(tasks_dir()), "--limit", "2"]
    environment = {**os.environ, "HF_DATASETS_OFFLINE": "1", "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run([*command, *rest], capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    assert "|toy_mmlu|" in done.stdout, done.stderr[-2000:]


@pytest.mark.parametrize(
    ("text", "value"), [("20", 20.0), ("0.1", 0.1), (None, None), ("1", 1.0)], ids=["count", "share", "none", "one"]
)
def test_a_limit_is_a_count_or_a_share(text, value):
    assert parse_limit(text) == value


@pytest.mark.parametrize("text", ["1.5", "1e3", "٣", "1_0", "nan", "inf", "", " 3"])
def test_a_limit_that_is_neither_is_refused(text):
    with pytest.raises(UsageError, match="--limit"):
        parse_limit(text)


def test_batch_sizes_and_names_are_parsed():
    assert (parse_batch_size("auto"), parse_batch_size("8")) == (None, 8)
    assert parse_names(["a,b", "b", " c ,"]) == ("a", "b", "c")


def test_an_error_stays_on_its_line_whatever_is_in_it():
    assert one_line("a\nb\x1b]0;title\x07c\u202e") == "a b ]0;title c"
