"""What a run tells is right at every moment, and telling never stops it."""

from dataclasses import replace

import pytest

from ft_eval.errors import UnscoredError
from ft_eval.records import Answer
from ft_eval.run import Listeners
from ft_eval.run.journal import Journal, RunLog, StatusFile
from ft_eval.run.labels import duration
from ft_eval.run.unscored import check_unscored, unscored_lines
from ft_eval.store import RunStore
from ft_eval.store.status import LiveStatus, read_status, write_live
from ft_eval.store.whole import read_whole
from tests.store import made


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def plan():
    return made.plan(num_docs=4)


def answer(index: int) -> Answer:
    return Answer(key=f"k/{index}", text="x", num_prompt_tokens=7, num_generated_tokens=3)


def test_the_log_has_plain_lines_of_what_happened(tmp_path, plan):
    log, clock, (first, second) = RunLog(tmp_path), Clock(), plan.jobs
    journal = Journal(log, clock=clock)
    journal.job_skipped(first)
    journal.resumed(second, 5)
    journal.job_started(second, 10)
    for index in range(4):
        clock.now += 30.0
        journal.answered(second, answer(index))
    journal.noticed("a \x1b[31mred\x07 line\nand another")
    journal.job_finished(second)
    log.close()
    lines = [line.split(" ", 1)[1] for line in (tmp_path / "run.log").read_text().splitlines()]
    assert lines == [
        "info: base · gsm8k: done before",
        "info: ft (prior) · gsm8k: begins, 5 answers found",
        "info: ft (prior) · gsm8k: 10 requests",
        "info: ft (prior) · gsm8k: 2 of 10 requests, 0 tokens/s, about 4 min left",
        "info: ft (prior) · gsm8k: 4 of 10 requests, 0 tokens/s, about 3 min left",
        "warning: a  [31mred  line",
        "warning: and another",
        "info: ft (prior) · gsm8k: done, 4 answers in 120.0 s",
    ]


def test_a_disk_that_takes_no_log_stops_no_run(tmp_path, plan):
    log = RunLog(tmp_path / "absent")
    Journal(log).job_skipped(plan.jobs[0])
    log.close()
    write_live(tmp_path / "absent", LiveStatus(owner="o", updated_at="now"))


def test_a_link_in_place_of_the_log_or_the_status_is_not_written_through(tmp_path, plan):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    run = tmp_path / "run"
    with RunStore.create(run, plan) as store:
        for name in ("run.log", "status.json", ".status.json.tmp"):
            (run / name).symlink_to(victim)
        RunLog(run).write("info", "x")
        write_live(run, LiveStatus(owner=str(store.owner), updated_at="now"))
        read_status(run)
    assert victim.read_text() == "mine"


def test_the_status_of_a_run_under_way_counts_answers_rate_and_time_left(tmp_path, plan):
    clock, (first, second) = Clock(), plan.jobs
    with RunStore.create(tmp_path / "run", plan) as store:
        status = StatusFile(store.path, store.owner, clock)
        status.resumed(first, 0)
        status.job_started(first, 8)
        for index in range(4):
            clock.now += 2.0
            status.answered(first, answer(index))
        found = read_status(store.path)
        assert (found.state, found.owner, found.num_done) == ("running", store.owner, 0)
        live = found.jobs[0].live
        assert live is not None
        assert (live.num_answers, live.num_requests, live.num_tokens, live.requests_per_second) == (4, 8, 40, 0.5)
        assert found.seconds_left == 8.0 + 4 * 16.0  # four requests, and four draws of what takes 16 s
        clock.now += 8.0
        store.finish(made.result(first.id), [made.sample(first.id, index) for index in range(2)])
        status.job_finished(first)
        found = read_status(store.path)
        assert (found.num_done, found.seconds_left) == (1, 64.0)
        with store.responses(second.id) as responses:
            responses.append(answer(1))
    found = read_status(tmp_path / "run")
    assert (found.state, found.owner, found.seconds_left) == ("stopped", None, None)
    assert [job.num_answers for job in found.jobs] == [0, 1]


def test_a_status_file_of_an_earlier_process_or_a_damaged_one_is_not_believed(tmp_path, plan):
    with RunStore.create(tmp_path / "run", plan) as store:
        write_live(store.path, LiveStatus(owner="process 1 on gone since then", updated_at="then"))
        assert read_status(store.path).seconds_left is None
        StatusFile(store.path, store.owner).resumed(plan.jobs[0], 1)
        path = store.path / "status.json"
        assert read_whole(path, LiveStatus).jobs[0].num_found == 1
        path.write_bytes(path.read_bytes()[:-3])
        assert read_status(store.path).jobs[0].live is None


def test_problems_in_the_log_are_counted_and_the_last_ones_shown(tmp_path, plan):
    with RunStore.create(tmp_path / "run", plan) as store:
        log = RunLog(store.path)
        for number in range(5):
            log.write("warning", f"odd {number}")
            log.write("info", "error: not one")
        log.write("error", "broken")
        log.close()
    found = read_status(tmp_path / "run")
    assert found.num_log_problems == 6
    assert [line.split(" ", 1)[1] for line in found.last_problems] == [
        "warning: odd 3",
        "warning: odd 4",
        "error: broken",
    ]


def test_unscored_samples_are_told_and_too_many_fail_the_run(tmp_path, plan):
    first, second = plan.jobs
    samples = [replace(made.sample(first.id, index), error="no number" if index < 2 else None) for index in range(20)]
    with RunStore.create(tmp_path / "run", plan) as store:
        store.finish(replace(made.result(first.id), num_samples=20, num_unscored=2), samples)
        store.finish(made.result(second.id), [])
        assert unscored_lines(store) == ["base · gsm8k: 2 of 20 samples could not be scored: no number"]
        check_unscored(store, 0.1)
        with pytest.raises(UnscoredError, match=r"base · gsm8k: 2 of 20 .*10\.0%; --max-unscored allows 9\.9%\)"):
            check_unscored(store, 0.099)
        assert read_status(store.path).num_unscored == 2


def test_all_listeners_are_told(tmp_path, plan):
    logs = [RunLog(tmp_path), RunLog(tmp_path)]
    both, job = Listeners(*(Journal(log, logs_answers=True) for log in logs)), plan.jobs[0]
    both.job_skipped(job)
    both.resumed(job, 0)
    both.job_started(job, 1)
    both.answered(job, answer(0))
    both.job_finished(job)
    both.noticed("x")
    lines = (tmp_path / "run.log").read_text().splitlines()
    assert len(lines) == 12
    assert sorted(lines[::2]) == sorted(lines[1::2])


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0 s"), (99.4, "99 s"), (600, "10 min"), (9000, "2.5 h")])
def test_a_span_of_time_is_said_in_its_unit(seconds, words):
    assert duration(seconds) == words
