"""What is recorded of where a run ran is true, and harmless to publish."""

import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from ft_eval import __version__, environment
from ft_eval.environment import collect_environment, peak_memory_bytes


def test_the_environment_names_interpreter_processor_and_versions():
    found = collect_environment()
    assert found.python == ".".join(map(str, sys.version_info[:3]))
    assert found.processor
    assert found.num_threads >= 1
    assert found.versions["ft-eval"] == __version__
    assert found.versions["numpy"] == version("numpy")


def test_the_environment_holds_no_home_folder():
    assert str(Path.home()) not in repr(collect_environment())


def test_collecting_imports_no_heavy_library():
    code = (
        "import sys; from ft_eval.environment import collect_environment; collect_environment();"
        "print([name for name in ('torch', 'numpy', 'lm_eval', 'datasets', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_package_that_is_not_installed_is_left_out(monkeypatch):
    monkeypatch.setattr(environment, "_PACKAGES", ("no-such-package-at-all",))
    assert collect_environment().versions == {"ft-eval": __version__}


def test_the_processor_is_linux_model_name_or_what_the_platform_says(tmp_path):
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Fast One @ 3GHz\n\nmodel name\t: Other\n")
    assert environment._processor(tmp_path / "cpuinfo") == "Fast One @ 3GHz"
    assert environment._processor(tmp_path / "absent")


@pytest.mark.parametrize(("value", "expected"), [("3", 3), ("0", None), ("", None), ("2,1", None), ("٣", None)])
def test_threads_follow_omp_num_threads_where_it_is_a_number(monkeypatch, value, expected):
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert environment._num_threads() == (expected or len(os.sched_getaffinity(0)))


def test_the_commit_of_a_checkout_is_named_and_marked_when_files_differ(tmp_path, monkeypatch):
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))  # another repository's, as inside a git hook
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}

    def git(*arguments) -> str:
        settings = ("-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false")
        command = ["git", "-C", tmp_path, *settings, *arguments]
        return subprocess.run(command, env=clean, capture_output=True, text=True, check=True).stdout.strip()

    assert environment._git_commit(tmp_path) is None
    git("init", "-q")
    assert environment._git_commit(tmp_path) is None  # no commit yet
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-q", "-m", "one")
    git("tag", "-a", "v1", "-m", "one")
    commit = git("rev-parse", "HEAD")
    assert environment._git_commit(tmp_path) == commit
    (tmp_path / "file").write_text("2")
    assert environment._git_commit(tmp_path) == f"{commit}-dirty"


def test_a_git_that_is_absent_or_fails_is_no_failure(tmp_path, monkeypatch):
    (tmp_path / ".git").write_text("gitdir: /nowhere")
    assert environment._git_commit(tmp_path) is None
    monkeypatch.setenv("PATH", "")
    assert environment._git_commit(tmp_path) is None


def test_peak_memory_is_in_bytes_and_grows_by_what_is_taken():
    before = peak_memory_bytes()
    taken = bytearray(os.urandom(1)) * (before + 64 * 2**20)
    after = peak_memory_bytes()
    assert 2**20 < before < 2**40
    assert after >= len(taken)
