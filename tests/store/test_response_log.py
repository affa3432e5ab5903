"""What was acknowledged is there again, what is damaged is never an answer, and a full disk leaves the log whole."""

import os
import resource
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace

import pytest

from ft_eval.errors import StoreError
from ft_eval.records import Answer
from ft_eval.store.codec import FORMAT_VERSION
from ft_eval.store.files import read_lines
from ft_eval.store.response_log import ResponseLog


def write_log(path, answers) -> None:
    with ResponseLog.open(path) as log:
        for answer in answers:
            log.append(answer)


def stored(path, answers) -> tuple[list[Answer], int]:
    """The answers that a reopened log has, and the number of lines it dropped."""
    with ResponseLog.open(path) as log:
        found = [log.get(answer.key) for answer in answers]
        present = [answer for answer in found if answer is not None]
        assert len(log) == len(present)
        return present, log.num_dropped


@pytest.fixture
def no_power_cut(monkeypatch):
    """Don't wait for the disk: for tests that open a log a thousand times."""
    for name in ("os.fsync", "ft_eval.store.response_log._sync_data"):
        monkeypatch.setattr(name, lambda _fd: None)


@contextmanager
def file_size_limit(num_bytes):
    """No file of this process may grow past this: writes become short, then fail."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_was_appended_is_there_at_once_and_after_reopening(tmp_path, make_answer):
    answers = [make_answer(index) for index in range(200)]
    path = tmp_path / "responses.jsonl"
    with ResponseLog.open(path) as log:
        for answer in answers:
            log.append(answer)
            assert log.get(answer.key) is answer
        assert answers[0].key in log
        assert "other" not in log
        assert log.get("other") is None
    assert stored(path, answers) == (answers, 0)


def test_a_log_is_ascii_with_a_line_per_answer(tmp_path, make_answer):
    path = tmp_path / "responses.jsonl"
    write_log(path, [make_answer(index) for index in range(5)])
    data = path.read_bytes()
    assert data.isascii()
    assert data.count(b"\n") == 5
    assert data.endswith(b"\n")


def test_an_answer_is_in_the_file_before_append_returns(tmp_path, make_answer):
    path = tmp_path / "responses.jsonl"
    with ResponseLog.open(path) as log:
        for index in range(3):
            log.append(make_answer(index))
            assert path.read_bytes().count(b"\n") == index + 1


def test_a_log_cut_at_every_byte_reopens_with_the_lines_that_are_whole(tmp_path, make_answer, no_power_cut):
    answers = [make_answer(index) for index in range(3)]
    whole, path = tmp_path / "whole.jsonl", tmp_path / "responses.jsonl"
    write_log(whole, answers)
    data = whole.read_bytes()
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        num_whole = data[:cut].count(b"\n")
        is_torn = cut > 0 and data[cut - 1 : cut] != b"\n"
        assert stored(path, answers) == (answers[:num_whole], int(is_torn))
        assert path.read_bytes() == data[: data[:cut].rfind(b"\n") + 1]
        path.unlink()


def test_after_a_cut_the_missing_answers_make_the_log_whole_again(tmp_path, make_answer):
    answers = [make_answer(index) for index in range(4)]
    path = tmp_path / "responses.jsonl"
    write_log(path, answers)
    data = path.read_bytes()
    path.write_bytes(data[:-7])
    write_log(path, answers)
    assert path.read_bytes() == data


def test_a_flipped_bit_anywhere_is_never_an_answer_and_costs_its_neighbour_at_most(tmp_path, make_answer, no_power_cut):
    answers = [make_answer(index) for index in range(3)]
    path, bad = tmp_path / "responses.jsonl", tmp_path / "responses.bad.jsonl"
    write_log(path, answers)
    data = path.read_bytes()
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= (0x01, 0x20, 0x80)[place % 3]
        path.write_bytes(damaged)
        present, num_dropped = stored(path, answers)
        assert all(answer in answers for answer in present)
        assert len(present) >= (1 if data[place] == ord("\n") else 2)
        assert num_dropped >= 1
        assert stored(path, answers) == (present, 0)  # what was put right stays right
        bad.unlink(missing_ok=True)


def test_a_bad_line_inside_is_kept_aside_and_its_request_can_be_answered_again(tmp_path, make_answer):
    answers = [make_answer(index) for index in range(3)]
    path = tmp_path / "responses.jsonl"
    write_log(path, answers)
    lines = path.read_bytes().splitlines(keepends=True)
    damaged = lines[1].replace(b'"seconds":0.5', b'"seconds":9.5')
    path.write_bytes(lines[0] + damaged + lines[2])
    with ResponseLog.open(path) as log:
        assert log.num_dropped == 1
        assert answers[1].key not in log
        assert log.bad_path.read_bytes() == damaged
        log.append(answers[1])
    assert stored(path, answers) == (answers, 0)


def test_a_zero_filled_tail_is_cut_off(tmp_path, make_answer):
    answers = [make_answer(index) for index in range(3)]
    path = tmp_path / "responses.jsonl"
    write_log(path, answers)
    with path.open("ab") as file:
        file.write(b"\0" * 5000)
    assert stored(path, answers) == (answers, 1)


def test_the_same_answer_twice_counts_once_whatever_time_it_took(tmp_path, make_answer):
    answer = replace(make_answer(1), logprob_nats=float("nan"))
    path, other = tmp_path / "responses.jsonl", tmp_path / "other.jsonl"
    write_log(path, [answer, replace(answer, seconds=7.0), replace(answer, logprob_nats=float("nan"))])
    write_log(other, [replace(answer, seconds=7.0)])
    path.write_bytes(path.read_bytes() + other.read_bytes())
    with ResponseLog.open(path) as log:
        assert len(log) == 1
        assert repr(log.get(answer.key)) == repr(answer)
    assert len(path.read_bytes().splitlines()) == 2


def test_two_answers_to_one_request_are_refused_by_the_requests_key(tmp_path, make_answer):
    answer, path, other = make_answer(1), tmp_path / "responses.jsonl", tmp_path / "other.jsonl"
    write_log(path, [answer])
    with ResponseLog.open(path) as log, pytest.raises(StoreError, match=answer.key):
        log.append(replace(answer, text="five"))
    assert stored(path, [answer]) == ([answer], 0)
    write_log(other, [replace(answer, text="five")])
    path.write_bytes(path.read_bytes() + other.read_bytes())
    with pytest.raises(StoreError, match=answer.key):
        ResponseLog.open(path)


def test_a_line_of_another_format_version_is_refused_not_dropped(tmp_path, make_answer, monkeypatch):
    path = tmp_path / "responses.jsonl"
    monkeypatch.setattr("ft_eval.store.codec.FORMAT_VERSION", FORMAT_VERSION + 1)
    write_log(path, [make_answer(0)])
    monkeypatch.undo()
    before = path.read_bytes()
    with pytest.raises(StoreError, match=rf"responses.jsonl:1: format_version is {FORMAT_VERSION + 1}.*upgrade"):
        ResponseLog.open(path)
    assert path.read_bytes() == before


def test_a_file_of_one_endless_line_is_not_read_into_memory(tmp_path, monkeypatch):
    path = tmp_path / "responses.jsonl"
    path.write_bytes(b"x" * 2000)
    monkeypatch.setattr("ft_eval.store.response_log.read_lines", lambda path: read_lines(path, max_bytes=1000))
    with pytest.raises(StoreError, match="not a file of ft-eval"):
        ResponseLog.open(path)


def test_a_short_write_is_cut_off_again_and_the_log_goes_on(tmp_path, make_answer):
    path = tmp_path / "responses.jsonl"
    long = replace(make_answer(1), text="x" * 1000)
    with ResponseLog.open(path) as log:
        log.append(make_answer(0))
        before = path.read_bytes()
        for limit in (len(before) + 300, len(before)):  # a write that fits in part, and one that does not at all
            with file_size_limit(limit), pytest.raises(StoreError, match=r"bytes.* are free.*same command") as caught:
                log.append(long)
            assert "\n" not in str(caught.value)
            assert path.read_bytes() == before
            assert long.key not in log
        log.append(long)
    assert stored(path, [make_answer(0), long]) == ([make_answer(0), long], 0)


def append_all(log, answers, acknowledged) -> None:
    for answer in answers:
        log.append(answer)
        acknowledged.append(answer)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 KiB."""
    mount, folder = shutil.which("mount"), tmp_path / "small"
    folder.mkdir()
    if (
        mount is None
        or subprocess.run([mount, "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=False).returncode
    ):
        pytest.skip("a file system can't be mounted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_leaves_every_acknowledged_answer(small_disk, make_answer):
    path = small_disk / "responses.jsonl"
    acknowledged: list[Answer] = []
    with ResponseLog.open(path) as log:
        answers = [replace(make_answer(index), text="x" * 999) for index in range(1000)]
        with pytest.raises(StoreError, match=r"bytes.* are free"):
            append_all(log, answers, acknowledged)
        assert 10 < len(acknowledged) < 65
    assert stored(path, acknowledged) == (acknowledged, 0)


WRITER = """
import sys
from pathlib import Path
from ft_eval.records import Answer
from ft_eval.store.files import read_lines
from ft_eval.store.response_log import ResponseLog

with ResponseLog.open(Path(sys.argv[1])) as log:
    for index in range(len(log), 10**9):
        log.append(Answer(key=str(index), text="x" * 20_000))
        print(index, flush=True)
"""


def test_a_killed_writer_loses_no_acknowledged_answer(tmp_path):
    path, acknowledged = tmp_path / "responses.jsonl", -1
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for _ in range(20):
                acknowledged = int(writer.stdout.readline())
            os.kill(writer.pid, signal.SIGKILL)
            rest = writer.stdout.read().split("\n")[:-1]  # acknowledged before the kill, and a torn line after
            acknowledged = int(rest[-1]) if rest else acknowledged
        with ResponseLog.open(path) as log:
            assert all(str(index) in log for index in range(acknowledged + 1))
            assert len(log) <= acknowledged + 2  # at most one that was written and not yet acknowledged


def test_the_disk_is_told_every_64_answers_and_when_the_log_is_closed(tmp_path, make_answer, monkeypatch):
    syncs: list[int] = []
    monkeypatch.setattr("ft_eval.store.response_log._sync_data", syncs.append)
    monkeypatch.setattr("time.monotonic", lambda: 0.0)
    with ResponseLog.open(tmp_path / "responses.jsonl") as log:
        for index in range(130):
            log.append(make_answer(index))
        assert len(syncs) == 2
    assert len(syncs) == 3


def test_the_disk_is_told_when_a_second_has_passed(tmp_path, make_answer, monkeypatch):
    syncs: list[int] = []
    clock = [0.0]
    monkeypatch.setattr("ft_eval.store.response_log._sync_data", syncs.append)
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    with ResponseLog.open(tmp_path / "responses.jsonl") as log:
        log.append(make_answer(0))
        assert not syncs
        clock[0] = 1.0
        log.append(make_answer(1))
        assert len(syncs) == 1


def test_closing_twice_is_fine_and_a_folder_in_place_of_the_log_is_one_clear_line(tmp_path):
    log = ResponseLog.open(tmp_path / "responses.jsonl")
    log.close()
    log.close()
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(StoreError, match=r"folder\.jsonl"):
        ResponseLog.open(tmp_path / "folder.jsonl")
