"""Word problems: worked right, small, and split by their questions."""

import re

from ft_eval.toy.corpora.draw import is_held_out
from ft_eval.toy.corpora.problems import draw_problem, training_parts

_NOTE = re.compile(r"(\d+) ([+*-]) (\d+) = <<(\d+)([+*-])(\d+)=(\d+)>>(\d+)")
_OPERATIONS = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__}


def test_every_step_is_right_and_the_last_one_gives_the_answer() -> None:
    for index in range(400):
        *steps, last = draw_problem(1, index, held_out=index % 2 == 0).answer.split("\n")
        result = ""
        for step in steps:
            note = _NOTE.fullmatch(step)
            assert note is not None, step
            left, sign, right, *again, result, shown = note.groups()
            assert again == [left, sign, right]
            assert result == shown == str(_OPERATIONS[sign](int(left), int(right)))
        assert last == f"#### {result}"
        assert int(result) >= 0


def test_numbers_of_the_first_step_stand_in_the_question() -> None:
    for index in range(200):
        problem = draw_problem(1, index, held_out=True)
        note = _NOTE.match(problem.answer)
        assert note is not None
        numbers = re.findall(r"\d+", problem.question)
        assert {note[1], note[3]} <= set(numbers)


def test_a_problem_lies_on_the_side_asked_for() -> None:
    for index in range(100):
        assert is_held_out(draw_problem(1, index, held_out=True).question)
        assert not is_held_out(draw_problem(1, index, held_out=False).question)


def test_a_problem_depends_on_seed_and_index_alone() -> None:
    assert draw_problem(1, 5, held_out=True) == draw_problem(1, 5, held_out=True)
    assert draw_problem(1, 5, held_out=True) != draw_problem(2, 5, held_out=True)


def test_what_follows_answer_is_the_answer() -> None:
    *questions, question, answer = training_parts(1, 0, 300)
    assert question.text.endswith("\nAnswer:")
    assert re.fullmatch(r" (.+\n)+#### \d+\n\n", answer.text)
    assert [part.is_answer for part in (*questions, question, answer)] == [False, True] * (len(questions) // 2 + 1)


def test_training_text_is_problems_of_the_training_side_alone() -> None:
    for index in range(50):
        text = "".join(part.text for part in training_parts(1, index, 300))
        assert len(text) >= 300
        assert text.endswith("\n\n")
        questions = re.findall(r"^Question: (.*)$", text, flags=re.MULTILINE)
        assert len(questions) == text.count("#### ")
        assert not any(map(is_held_out, questions))
