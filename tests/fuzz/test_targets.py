"""A stranger's file is read or refused with one line: what fuzzing has found before, and a little more in every run."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.target import Target, cleaned, run
from tests.fuzz.targets import TARGETS, corpus

_BITS = (
    b"",
    b'"',
    b"{",
    b"[",
    b"}",
    b"]",
    b"\\ud800",
    b"\0",
    b"1e999",
    b"-1",
    b"null",
    b"9" * 30,
    b"\xff",
    b"\n",
    b":",
)


@pytest.fixture(scope="module", autouse=True)
def _tidy():
    with cleaned():
        yield


@st.composite
def spoiled(draw: st.DrawFn, target: Target) -> bytes:
    """A good file with a few places overwritten, cut out or put in."""
    data = draw(st.sampled_from(target.seeds()))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        stop = min(len(data), start + draw(st.integers(0, 12)))
        data = data[:start] + draw(st.sampled_from(_BITS) | st.binary(max_size=8)) + data[stop:]
    return data


@pytest.mark.parametrize("name", TARGETS)
def test_good_files_are_taken_and_bad_ones_refused(name):
    taken = [run(TARGETS[name], data) for data in TARGETS[name].seeds()]
    assert any(taken)
    assert not run(TARGETS[name], b"\x01\xff{[") or name in {"log", "template", "yaml"}


@pytest.mark.parametrize(
    ("name", "data"),
    [pytest.param(name, data, id=f"{name}-{n}") for name in TARGETS for n, data in enumerate(corpus(name))],
)
def test_what_was_found_stays_mended(name, data):
    run(TARGETS[name], data)


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(data=st.data())
def test_a_spoiled_file_is_read_or_refused(name, data):
    run(TARGETS[name], data.draw(spoiled(TARGETS[name])))
