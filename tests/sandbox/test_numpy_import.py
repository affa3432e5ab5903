"""A program finds the same NumPy whether it names it or not, and whoever ran before it: in every tier."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ft_eval.errors import SandboxError
from ft_eval.sandbox import server
from ft_eval.sandbox.records import Calls, Outcome, SandboxSettings
from ft_eval.sandbox.sandbox import Sandbox
from ft_eval.sandbox.wire import encode
from tests.sandbox import fake_numpy

NAMED = "import numpy\n"
UNNAMED = "numpy = __import__('num' + 'py')\n"
NUMBERS = "def solve(_):\n    return [float(numpy.random.rand()), numpy.linalg.inv([[2.0]]).tolist()]"
NOT_LOADED = "import sys\ndef solve(_):\n    return 'num' + 'py' in sys.modules"


def _answer(sandbox: Sandbox, program: str) -> bytes | None:
    result = sandbox.run_calls(Calls(program=program, entry_point="solve", inputs=(encode([0]),)))
    assert result.outcome is Outcome.PASSED, result
    return result.answers[0].text


@pytest.fixture
def fresh(sandbox: Sandbox) -> Iterator[Sandbox]:
    """A sandbox of the same tier that has run nothing yet."""
    with Sandbox(SandboxSettings(tier=str(sandbox.tier))) as opened:
        if "no numpy" in opened.description:
            pytest.skip("the Python in this box has no NumPy")
        yield opened


def test_numpy_is_the_same_by_name_and_without_and_after_others(fresh: Sandbox) -> None:
    unnamed = _answer(fresh, UNNAMED + NUMBERS)
    named = _answer(fresh, NAMED + NUMBERS)
    assert unnamed == named
    assert _answer(fresh, UNNAMED + NUMBERS) == named
    assert _answer(fresh, NAMED + NUMBERS) == named


def test_the_server_imports_numpy_for_the_first_program_that_names_it(fresh: Sandbox) -> None:
    before = _answer(fresh, NOT_LOADED)
    assert _answer(fresh, NAMED + NUMBERS) is not None
    assert _answer(fresh, NOT_LOADED) == b"true"
    assert before in {b"false", b"true"}  # a server that gives up root imports it while it still can


def test_loading_numpy_leaves_no_trace_in_the_environment(fresh: Sandbox) -> None:
    environment = "import os\ndef solve(_):\n    return sorted(os.environ)"
    expected = _answer(fresh, environment)
    assert _answer(fresh, NAMED + environment) == expected
    assert _answer(fresh, UNNAMED + environment) == expected


def _with_numpy_of(tier: str, parent: str, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    monkeypatch.setattr(server, "_numpy_parent", lambda: parent)
    return Sandbox(SandboxSettings(tier=tier))


@pytest.fixture(params=["ns", "ll"])
def tier(request: pytest.FixtureRequest) -> str:
    """A tier whose server sees more of this machine than its programs do."""
    try:
        with Sandbox(SandboxSettings(tier=request.param)):
            return str(request.param)
    except SandboxError as error:
        pytest.skip(f"no {request.param} tier here: {error}")


def test_a_numpy_that_needs_what_lies_behind_the_walls_is_imported_in_front_of_them(
    tier: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "library").write_text("needed")
    parent = fake_numpy.make(tmp_path / "packages", f"open({str(tmp_path / 'library')!r}).close()")
    with _with_numpy_of(tier, parent, monkeypatch) as opened:
        assert "numpy 9.9" in opened.description
        program = "import numpy\ndef solve(_):\n    return numpy.__version__"
        assert _answer(opened, program) == b'"9.9"'
        assert _answer(opened, program.replace("import numpy", UNNAMED)) == b'"9.9"'


def test_beside_a_numpy_in_front_of_the_walls_no_other_package_is_seen(
    tier: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "library").write_text("needed")
    tree = Path(tempfile.mkdtemp(dir="/var/tmp"))
    try:
        tree.chmod(0o755)
        place = tree / "site-packages"
        parent = fake_numpy.make(place, f"open({str(tmp_path / 'library')!r}).close()")
        (place / "other.py").write_text("VALUE = 1\n")
        monkeypatch.setenv("LD_LIBRARY_PATH", str(tree))  # what it names may be read
        with _with_numpy_of(tier, parent, monkeypatch) as opened:
            program = "def solve(_):\n    found = []\n    for name in ('other.py', 'numpy/version.py'):\n        try:\n"
            program += f"            found.append(len(open({str(place)!r} + '/' + name).read()))\n"
            program += "        except OSError:\n            found.append(None)\n    return found"
            assert _answer(opened, program) == b'["l",null,16]'
    finally:
        shutil.rmtree(tree)


def test_a_numpy_that_cannot_be_imported_is_told_before_anything_runs(
    tier: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = fake_numpy.make(tmp_path, "raise KeyError('broken')")
    with (
        pytest.raises(SandboxError, match="NumPy can't be imported for programs: KeyError: 'broken'"),
        _with_numpy_of(tier, parent, monkeypatch),
    ):
        pass


def test_a_numpy_that_lies_under_the_temporary_folder_is_whole(
    tier: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o755)
    with _with_numpy_of(tier, fake_numpy.make(tmp_path), monkeypatch) as opened:
        late = "def solve(_):\n    import {name}.extra\n    return {name}.extra.VALUE"
        unnamed = "import importlib\ndef solve(_):\n    return importlib.import_module('num' + 'py.extra').VALUE"
        assert _answer(opened, unnamed) == b"7"
        assert _answer(opened, late.format(name="numpy")) == b"7"


@pytest.mark.parametrize(
    ("text", "info", "said"),
    [
        ('version = "2.4.6"\n__version__ = version\n', "numpy-2.4.6.dist-info", "numpy 2.4.6"),
        ('version = vinfo["version"]\n', "numpy-1.24.2.egg-info", "numpy 1.24.2"),
        ('version = vinfo["version"]\n', "numpy-1.26.4-py3.11.egg-info", "numpy 1.26.4"),
        ('version = vinfo["version"]\n', "numpy_other-1.0.dist-info", "numpy of an unknown version"),
    ],
)
def test_the_version_of_numpy_is_read_and_not_asked_for(tmp_path: Path, text: str, info: str, said: str) -> None:
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy" / "version.py").write_text(text)
    (tmp_path / info).mkdir()
    assert server._numpy_version(str(tmp_path)) == said
