"""A wheel built from the tree works where the checkout is not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder with the wheel unpacked in it, and nothing of the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    (wheel,) = folder.glob("*.whl")
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(folder / "site"),
        str(wheel),
    ]
    subprocess.run(install, check=True)
    return folder / "site"


def call(installed: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The installed package's command line, with our dependencies and without our checkout."""
    others = [path for path in sys.path if path.endswith("site-packages")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), *others]), "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-S", "-m", "ft_eval", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, check=False)


def test_the_wheel_holds_its_data(installed):
    inside = {str(path.relative_to(installed)) for path in (installed / "ft_eval").rglob("*") if path.is_file()}
    for name in (
        "ft_eval/_data/tasks/humaneval_plus/humaneval_plus.yaml",
        "ft_eval/_data/tasks/toy_gsm8k/test.jsonl",
        "ft_eval/_data/templates/report.html.j2",
        "ft_eval/toy/pair/latent/model.safetensors",
        "ft_eval/py.typed",
    ):
        assert name in inside


def test_it_runs_from_another_folder(installed, tmp_path):
    """The package's own code, tasks, templates and toy pair: none of the checkout's."""
    path = call(installed, tmp_path, "toy", "path")
    assert path.stdout.strip().startswith(str(installed)), path.stderr
    arguments = ["run", "--ckpt", path.stdout.strip(), "--tasks", "toy_mmlu", "--limit", "2", "--offline"]
    ran = call(installed, tmp_path, *arguments)
    assert ran.returncode == 0, ran.stderr
    reported = call(installed, tmp_path, "report")
    assert reported.returncode == 0, reported.stderr
    assert str(ROOT) not in (Path(reported.stdout.split()[0])).read_text(encoding="utf-8").replace(str(installed), "")


def test_the_entry_point_for_lm_eval_is_declared(installed):
    (metadata,) = installed.glob("ft_eval-*.dist-info/entry_points.txt")
    text = metadata.read_text()
    assert "[lm_eval.models]" in text
    assert "free_transformer = ft_eval.harness.lm:FreeTransformerLM" in text
