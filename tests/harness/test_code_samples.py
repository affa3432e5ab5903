"""Samples made elsewhere get the score that counting by hand gives, and a file that is off is one clear line."""

import gzip
import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

import pytest

from ft_eval.errors import DataError, SandboxError, TaskError
from ft_eval.harness import code_tasks
from ft_eval.harness.code_samples import read_solutions, score_solutions
from ft_eval.harness.code_scorer import ReferenceFailedError
from ft_eval.sandbox.records import Limits

TASK = "humaneval_plus"
RIGHT = "    return abs(x)\n"
BASE_ONLY = "    return x\n"
WRONG = "    return x + 1\n"


def problem(number: int, **changed: object) -> dict[str, object]:
    return {
        "task_id": f"Tiny/{number}",
        "prompt": f"def solve{number}(x):\n",
        "entry_point": f"solve{number}",
        "canonical_solution": RIGHT,
        "base_input": [[1], [2]],
        "plus_input": [[-1]],
        "atol": 0,
        **changed,
    }


def completion(number: int, text: str) -> dict[str, object]:
    return {"task_id": f"Tiny/{number}", "completion": text}


def write(path: Path, rows: Sequence[object]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[code_tasks.CodeSession]:
    """Three tiny problems, two workers."""
    file = write(tmp_path_factory.mktemp("problems") / "tiny.jsonl", [problem(number) for number in range(3)])
    limits = Limits(call_seconds=1.0, load_seconds=1.0)
    settings = code_tasks.CodeTaskSettings(problems_file=file, offline=True, num_workers=2, limits=limits)
    with code_tasks.session(settings) as opened:
        try:
            code_tasks.scoring_provenance(TASK)
        except SandboxError as error:
            pytest.skip(f"no sandbox here: {error}")
        yield opened


def test_solutions_and_completions_are_judged_alike_and_in_the_files_order(session, tmp_path):
    rows = [
        {"task_id": "Tiny/2", "solution": f"def solve2(x):\n{BASE_ONLY}"},
        completion(0, RIGHT),
        {"task_id": "Tiny/1", "solution": f"def solve1(x):\n{RIGHT}", "completion": WRONG},
    ]
    file = read_solutions(write(tmp_path / "s.jsonl", rows), session, TASK)
    scored = score_solutions(session, TASK, file)
    assert [(score.base, score.plus) for score in scored.scores] == [(True, False), (True, True), (True, True)]
    assert scored.rates[1].base == 1.0
    assert scored.rates[1].plus == pytest.approx(2 / 3)
    assert list(scored.rates) == [1]


def test_a_gzipped_file_is_read_whatever_it_is_called(session, tmp_path):
    rows = [completion(number, RIGHT) for number in range(3)]
    plain = read_solutions(write(tmp_path / "s.jsonl", rows), session, TASK)
    zipped = write(tmp_path / "s.jsonl.gz", rows)
    assert read_solutions(zipped, session, TASK) == plain
    assert read_solutions(zipped.rename(tmp_path / "renamed.jsonl"), session, TASK) == plain


def test_pass_at_k_is_the_share_of_k_subsets_that_hold_a_right_one(session, tmp_path):
    """Counted subset by subset; k = 10 only because every problem has ten."""
    texts = {0: [WRONG] * 10 + [RIGHT] * 2, 1: [BASE_ONLY] * 10, 2: [RIGHT] + [WRONG] * 10}
    rows = [completion(number, text) for number, some in texts.items() for text in some]
    scored = score_solutions(session, TASK, read_solutions(write(tmp_path / "s.jsonl", rows), session, TASK))
    for k in (1, 10):
        for name, passing in (("base", {RIGHT, BASE_ONLY}), ("plus", {RIGHT})):
            shares = [
                sum(bool(passing & set(subset)) for subset in found) / len(found)
                for found in (list(combinations(some, k)) for some in texts.values())
            ]
            assert getattr(scored.rates[k], name) == pytest.approx(sum(shares) / len(shares))
    assert list(scored.rates) == [1, 10]
    assert scored.file.num_repeated == 9 + 1 + 9 + 9


def test_a_missing_problem_is_refused_unless_it_is_said_so_and_then_left_out_of_the_mean(session, tmp_path):
    path = write(tmp_path / "s.jsonl", [completion(0, RIGHT), completion(0, WRONG)])
    with pytest.raises(DataError, match=r"no sample for 2 of 3 problems \(Tiny/1, Tiny/2\).*--partial"):
        read_solutions(path, session, TASK)
    scored = score_solutions(session, TASK, read_solutions(path, session, TASK, is_partial=True))
    assert (scored.rates[1].plus, scored.num_problems, scored.file.missing) == (0.5, 1, ("Tiny/1", "Tiny/2"))


MISTAKES = {
    "no JSON": ('{"task_id": "Tiny/0"', r"s\.jsonl:2 is no JSON"),
    "too deep": ("[" * 100_000, r"s\.jsonl:2 is no JSON"),
    "no object": ("[1]", r"s\.jsonl:2 is no JSON object"),
    "no task_id": ('{"solution": ""}', r"s\.jsonl:2 has no task_id"),
    "no text": ('{"task_id": "Tiny/0"}', r"s\.jsonl:2 has no solution or completion"),
    "several texts": ('{"task_id": "Tiny/0", "solution": ["a", "b"]}', r"solution must be a text, not list"),
    "number": ('{"task_id": 0, "solution": ""}', r"task_id must be a text, not int"),
    "unknown": ('{"task_id": "Tyni/0", "solution": ""}', r"s\.jsonl:2: no problem 'Tyni/0'.*did you mean Tiny/0"),
    "far off": ('{"task_id": "q", "solution": ""}', r"no problem 'q' among the 3.*named like Tiny/0"),
}


@pytest.mark.parametrize("case", MISTAKES.values(), ids=MISTAKES)
def test_a_bad_line_is_named_with_its_number(session, tmp_path, case):
    line, message = case
    path = tmp_path / "s.jsonl"
    path.write_text(f"{json.dumps(completion(0, RIGHT))}\n{line}\n")
    with pytest.raises(DataError, match=message) as caught:
        read_solutions(path, session, TASK)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_a_line_that_is_no_utf8_is_named_with_its_number(session, tmp_path, start):
    path = tmp_path / "s.jsonl"
    path.write_bytes(start + json.dumps(completion(0, RIGHT)).encode() + b'\n{"task_id": "\xe9"}\n')
    with pytest.raises(DataError, match=r"s\.jsonl:2 can't be read \('utf-8' codec can't decode byte 0xe9"):
        read_solutions(path, session, TASK)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("piece", [1, 2**16])
def test_samples_are_read_from_a_pipe(session, tmp_path, packed, piece):
    """Once, also where its first byte comes alone."""
    content = "".join(json.dumps(completion(number, RIGHT)) + "\n" for number in range(3)).encode()
    content = gzip.compress(content) if packed else content
    os.mkfifo(tmp_path / "pipe")

    def write_slowly() -> None:
        with (tmp_path / "pipe").open("wb", buffering=0) as pipe:
            pipe.write(content[:piece])
            time.sleep(0.05)
            pipe.write(content[piece:])

    writer = threading.Thread(target=write_slowly, daemon=True)
    writer.start()
    assert len(read_solutions(tmp_path / "pipe", session, TASK).solutions) == 3
    writer.join(10)


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xff\xfe", b"\x1f\x8bbroken", None], ids=repr)
def test_a_file_without_samples_is_refused(session, tmp_path, content):
    path = tmp_path / "s.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"s\.jsonl(:1)? (has no samples|can't be read)"):
        read_solutions(path, session, TASK)
    with pytest.raises(DataError, match="is a folder"):
        read_solutions(tmp_path, session, TASK)
    with pytest.raises(TaskError, match="did you mean humaneval_plus"):
        read_solutions(path, session, "humaneval_puls")


def test_a_task_that_score_does_not_know_is_told_with_those_that_it_does(session, tmp_path):
    samples = write(tmp_path / "samples.jsonl", [completion(0, RIGHT)])
    with pytest.raises(TaskError, match=r"'gsm8k', expected humaneval_plus or mbpp_plus$"):
        read_solutions(samples, session, "gsm8k")


def test_odd_programs_are_wrong_and_not_errors(session, tmp_path):
    odd = ["\ud800", "\0", "    import os; os._exit(0)", "    while True: pass", "(" * 100_000]
    rows = [completion(0, text) for text in odd]
    file = read_solutions(write(tmp_path / "s.jsonl", rows), session, TASK, is_partial=True)
    scored = score_solutions(session, TASK, file)
    assert [score.base for score in scored.scores] == [False] * len(odd)
    assert [str(score.outcome) for score in scored.scores][2:4] == ["crashed", "timed_out"]


def test_a_reference_that_fails_ends_the_batch_by_name(tmp_path):
    rows = [problem(0), problem(1, canonical_solution="    raise ValueError\n"), problem(2)]
    settings = code_tasks.CodeTaskSettings(problems_file=write(tmp_path / "p.jsonl", rows), offline=True, num_workers=2)
    samples = write(tmp_path / "s.jsonl", [completion(number, RIGHT) for number in range(3)])
    with code_tasks.session(settings) as opened:
        file = read_solutions(samples, opened, TASK)
        with pytest.raises(ReferenceFailedError, match="reference solution of Tiny/1"):
            score_solutions(opened, TASK, file)


def test_an_interrupt_ends_what_runs(tmp_path):
    """The other worker is in an endless loop with an hour to go."""
    limits = Limits(call_seconds=3600.0, total_seconds=3600.0)
    settings = code_tasks.CodeTaskSettings(
        problems_file=write(tmp_path / "p.jsonl", [problem(0), problem(1)]), offline=True, num_workers=2, limits=limits
    )
    samples = write(tmp_path / "s.jsonl", [completion(0, "    while True: pass\n"), completion(1, RIGHT)])

    def interrupt(_num_done: int) -> None:
        raise KeyboardInterrupt

    with code_tasks.session(settings) as opened:
        file = read_solutions(samples, opened, TASK)
        with pytest.raises(KeyboardInterrupt):
            score_solutions(opened, TASK, file, interrupt)
        with pytest.raises(SandboxError, match="stopped"):
            opened.score(opened.problem(TASK, "Tiny/0"), WRONG)


def test_the_released_references_score_everything(data_dir, tmp_path):
    """HumanEval/32, which evalplus 0.3.1 can't pass, among a few."""
    settings = code_tasks.CodeTaskSettings(data_dir=data_dir, offline=True, num_workers=2)
    with code_tasks.session(settings) as opened:
        chosen = ("HumanEval/0", "HumanEval/32", "HumanEval/53")
        rows: list[object] = [
            {"task_id": task_id, "solution": opened.problem(TASK, task_id).reference + "\n"} for task_id in chosen
        ]
        file = read_solutions(write(tmp_path / "s.jsonl", rows), opened, TASK, is_partial=True)
        scored = score_solutions(opened, TASK, file)
    assert all(score.plus for score in scored.scores)
    assert len(file.missing) == 161
