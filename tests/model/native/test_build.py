"""The kernels are compiled once, kept, made again when damaged, and missed without harm."""

import os
from pathlib import Path

import pytest

from ft_eval.model.native import build
from ft_eval.model.native.build import Library, Unavailable, load_library

pytestmark = pytest.mark.skipif(
    not isinstance(load_library(), Library), reason=f"no kernels on this machine: {load_library()}"
)
load_anew = load_library.__wrapped__


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """A folder of compiled kernels of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "ft-eval" / "kernels"


def fake_compiler(folder: Path, script: str) -> Path:
    path = folder / "fake-c++"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
    path.chmod(0o755)
    return path


def test_what_is_compiled_is_kept_read_again_and_mended(cached, monkeypatch):
    assert isinstance(load_anew(), Library)
    (kept,) = cached.iterdir()
    assert kept.suffix == ".so"
    assert cached.stat().st_mode & 0o077 == 0, "nobody else may put machine code here"

    def refuse(*_):
        raise AssertionError("compiled again")

    with monkeypatch.context() as patched:
        patched.setattr(build, "_compile", refuse)
        assert isinstance(load_anew(), Library)
    damaged = cached / "cut short"
    damaged.write_bytes(kept.read_bytes()[:1000])
    damaged.replace(kept)  # another file in its place: the loaded one stays whole
    assert isinstance(load_anew(), Library)
    assert kept.stat().st_size > 1000, "made again"


def test_another_source_is_another_library(cached, monkeypatch):
    monkeypatch.setattr(build, "_sources", lambda: {"decode.cpp": 'extern "C" long ft_has_bf16() { return 0; }'})
    found = load_anew()
    assert isinstance(found, Library)
    assert not found.has_bf16
    assert len(list(cached.iterdir())) == 1


def test_every_file_of_the_kernels_is_part_of_the_librarys_name(cached, monkeypatch):
    found = build._sources()
    folder = Path(build.__file__).parent
    assert set(found) == {path.name for path in folder.iterdir() if path.suffix in (".h", ".cpp")}
    before = build._key("c++")
    monkeypatch.setattr(build, "_sources", lambda: found | {"amx.h": found["amx.h"] + "\n"})
    assert build._key("c++") != before


@pytest.mark.parametrize(
    ("told", "has_amx", "expected"), [(0, False, False), (1, False, True), (1, True, False), (2, True, True)]
)
def test_bfloat16_is_left_to_onednn_where_it_alone_uses_amx(cached, monkeypatch, told, has_amx, expected):
    source = f'extern "C" long ft_has_bf16() {{ return {told}; }}'
    monkeypatch.setattr(build, "_sources", lambda: {"decode.cpp": source})
    monkeypatch.setattr(build, "_processor", lambda: "flags: amx_bf16" if has_amx else "flags: fma")
    found = load_anew()
    assert isinstance(found, Library)
    assert found.has_bf16 is expected


def test_without_a_compiler_or_avx512_the_reason_is_told(tmp_path, monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert load_anew() == Unavailable("no C++ compiler is on the PATH")
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "AVX2")
    assert load_anew() == Unavailable("the kernels need AVX-512, and this CPU offers AVX2")


def test_a_compiler_that_fails_is_quoted(tmp_path, cached, monkeypatch):
    script = 'case "$1" in --version) echo 1;; *) echo "no room on the disk" >&2; exit 1;; esac'
    monkeypatch.setenv("CXX", str(fake_compiler(tmp_path, script)))
    found = load_anew()
    assert isinstance(found, Unavailable)
    assert "fake-c++ could not build the kernels: no room on the disk" in found.reason
    assert not list(cached.iterdir())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_cache_that_can_not_be_written_is_done_without(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "closed"))
    (tmp_path / "closed").mkdir(mode=0o500)
    assert isinstance(load_anew(), Library)
