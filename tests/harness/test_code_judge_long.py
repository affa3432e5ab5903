"""Long answers and forged ones: the judge is not fooled, and what it spends on them is bounded."""

import time

import pytest

from ft_eval.harness.code_judge import NeedsWholeAnswerError, TestSetJudge
from ft_eval.sandbox.normal import normal_digest
from ft_eval.sandbox.records import Answer
from ft_eval.sandbox.wire import encode, to_tree

WHOLE = 16 << 20


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b'["l"',
        b"[" * 60_000,
        b'["l",' * 9_000 + b"]" * 9_000,
        b'["x","a",' * 900 + b"1" + b"]" * 900,
        b'["s",' + b",".join(b"%d" % (n * ((1 << 61) - 1)) for n in range(3_000)) + b"]",
        b'["d",' + b",".join(b"%d,1" % (n * ((1 << 61) - 1)) for n in range(3_000)) + b"]",
        b'["q","0x' + b"f" * 60_000 + b'","0x3"]',
        b'["i","0x' + b"f" * 60_000 + b'"]',
        b'["i","-"]',
        b'["c",["c",1,1],1]',
        b"9" * 4_000,
        b"9" * 60_000,
        b"1e999",
        b'["l",' + b",".join([b'["l",1.0]'] * 6_000) + b"]",
        b'["e"]',
        b'["x"]',
        b"[[]]",
        b'["u","ff"]',
        b'["b","f"]',
        b'["s",' * 95 + b'"a"' + b"]" * 95,
        b'["d",' * 45 + b'"a"' + b",1]" * 45,
        b'["s",' * 20 + b'"' + b"\\\\" * 29_000 + b'"' + b"]" * 20,
        b'["l",null,{"a":[]}]',
        b"\xff\xfe",
    ],
)
@pytest.mark.parametrize("oracle", ["equal", "same_set", "not_none", "root", "zero_too", "surface_area"])
def test_no_forged_text_passes_breaks_or_wears_out_the_judge(text: bytes, oracle: str) -> None:
    expected = Answer(index=0, text=encode([1.0, 2.0] if oracle != "not_none" else None))
    judge = TestSetJudge(oracle=oracle, atol=1e-6, inputs=[encode([1, 2])], expected=[expected])
    start = time.process_time()
    assert judge(Answer(index=0, text=text)) is False
    assert time.process_time() - start < 2


@pytest.mark.parametrize("oracle", ["equal", "exact", "same_set", "zero_too"])
@pytest.mark.parametrize("head", [b'["d",', b'["s",', b'["x","numpy.float32",', b'["l",'])
def test_text_as_deep_as_can_be_parsed_is_an_answer_like_any_other(head: bytes, oracle: str) -> None:
    for depth in range(900, 1000):
        text = head + b"[" * depth + b"1" + b"]" * depth + (b",1]" if head == b'["d",' else b"]")
        for wanted in ([0.5] * 2_000, {1: [2] * 2_000}):
            judge = TestSetJudge(
                oracle=oracle, atol=1e-6, inputs=[b"[]"], expected=[Answer(index=0, text=encode(wanted))]
            )
            assert judge(Answer(index=0, text=text)) is False


def test_a_long_answer_is_equal_by_its_digest_whatever_its_number_types() -> None:
    ours = Answer(index=0, digest=normal_digest(to_tree([float(n) for n in range(9)])))
    judge = TestSetJudge(oracle="equal", atol=0.0, inputs=[b"[]"], expected=[ours])
    assert judge(Answer(index=0, digest=ours.digest))
    assert judge(Answer(index=0, text=encode(list(range(9)))))
    assert not judge(Answer(index=0, text=encode(list(range(8)))))
    assert not judge(Answer(index=0, digest="equals nothing"))


def test_a_digest_that_differs_asks_for_the_whole_answer_only_where_that_can_matter() -> None:
    digest = normal_digest(to_tree([0.5]))
    for expected, asks in (
        (Answer(index=0, digest=digest, is_floats=True), True),
        (Answer(index=0, digest=digest), False),
        (Answer(index=0, text=encode([0.5])), True),
        (Answer(index=0, text=encode(["a"])), False),
    ):
        judge = TestSetJudge(oracle="equal", atol=0.0, inputs=[b"[]"], expected=[expected])
        if asks:
            with pytest.raises(NeedsWholeAnswerError):
                judge(Answer(index=0, digest="0" * 64))
        else:
            assert not judge(Answer(index=0, digest="0" * 64))


@pytest.mark.parametrize("oracle", ["equal", "exact"])
def test_nothing_equals_nothing_even_as_digests(oracle: str) -> None:
    nothing = Answer(index=0, digest="equals nothing")
    judge = TestSetJudge(oracle=oracle, atol=0.0, inputs=[b"[]"], expected=[nothing])
    assert not judge(nothing)


def test_a_set_is_not_taken_for_another_because_neither_has_a_digest() -> None:
    nothing = Answer(index=0, digest="equals nothing")
    judge = TestSetJudge(oracle="same_set", atol=0.0, inputs=[b"[]"], expected=[nothing])
    with pytest.raises(NeedsWholeAnswerError):
        judge(nothing)


def test_a_long_exact_answer_is_judged_by_its_digest_alone() -> None:
    thirds = [n / 3 for n in range(9)]
    ours = Answer(index=0, digest=normal_digest(to_tree(thirds)), is_floats=True)
    near = Answer(index=0, digest=normal_digest(to_tree([third + 1e-9 for third in thirds])), is_floats=True)
    judge = TestSetJudge(oracle="exact", atol=0.0, inputs=[b"[]"], expected=[ours])
    assert [judge(ours), judge(near)] == [True, False]


def test_what_is_longer_than_anything_close_is_wrong_without_a_second_run() -> None:
    long = Answer(index=0, digest=normal_digest(to_tree([0.25])), is_floats=True)
    short, list_of_many = Answer(index=0, text=encode([0.5])), Answer(index=0, text=encode([0.5] * 300))
    for expected, asks in ((short, False), (list_of_many, True)):
        judge = TestSetJudge(oracle="equal", atol=0.0, inputs=[b"[]"], expected=[expected], digest_bytes=65_536)
        if asks:
            with pytest.raises(NeedsWholeAnswerError):
                judge(long)
        else:
            assert not judge(long)


@pytest.mark.parametrize(
    "text",
    [
        b'["l"' + b",0" * (WHOLE // 2) + b"]",
        b'["s"' + b",0" * (WHOLE // 2) + b"]",
        b'["l"' + b',["l"]' * (WHOLE // 6) + b"]",
        b'["l"' + b",0" * 2_000_000 + b"]",
        b'["l",' + b",".join([b'["l"' + b",0" * 6 + b"]"] * 300_000) + b"]",
        b'["l",' + b",".join([b"[" * 900 + b"]" * 900] * (WHOLE // 1_801)) + b"]",
        b'["l",' + b",".join([b'["l",' * 90 + b"1" + b"]" * 90] * (2_400_000 // 90)) + b"]",
        b'["l",' + b",".join([b'["s",' * 90 + b"1" + b"]" * 90] * 10_000) + b"]",
    ],
)
def test_a_long_wrong_answer_costs_no_more_than_the_reading_of_it(text: bytes) -> None:
    expected = Answer(index=0, text=encode([0.5] * 300_000))
    judge = TestSetJudge(oracle="equal", atol=1e-6, inputs=[b"[]"], expected=[expected])
    start = time.process_time()
    assert judge(Answer(index=0, text=text)) is False
    assert time.process_time() - start < 4


def test_long_lists_of_numpys_numbers_are_compared_in_time_linear_in_what_is_expected() -> None:
    expected = Answer(index=0, text=encode([0.5] * 100_000))
    judge = TestSetJudge(oracle="equal", atol=1e-6, inputs=[b"[]"], expected=[expected])
    text = b'["l"' + b',["x","numpy.float32",0.5]' * 99_999 + b',["x","numpy.float32",0.7]]'
    start = time.process_time()
    assert judge(Answer(index=0, text=text)) is False
    assert time.process_time() - start < 4
