"""Questions about the toy world: one right option, every fact stated in training, one in eight never asked there."""

import re
from collections import Counter
from collections.abc import Iterator

from ft_eval.toy.corpora.choices import DESCRIPTION, draw_question, training_parts
from ft_eval.toy.corpora.draw import Part, is_held_out
from ft_eval.toy.corpora.world import CATEGORIES, CATEGORY, CREATURE_ATTRIBUTES, all_facts, creature_names

_NUM_DOCUMENTS = 400
_VALUES = {fact.question: fact.value for fact in all_facts()}


def _documents() -> Iterator[tuple[Part, ...]]:
    return (training_parts(1, index, 320) for index in range(_NUM_DOCUMENTS))


def _text(parts: tuple[Part, ...]) -> str:
    return "".join(part.text for part in parts)


def test_exactly_one_option_is_right_and_it_is_the_answer() -> None:
    for index in range(300):
        question = draw_question(1, index, held_out=index % 2 == 0)
        assert len(set(question.choices)) == 4
        assert question.right_choice == _VALUES[question.question]


def test_all_options_are_values_of_what_is_asked_for() -> None:
    values = {attribute.values for attribute in (CATEGORY, *CREATURE_ATTRIBUTES)}
    for index in range(100):
        choices = set(draw_question(1, index, held_out=True).choices)
        assert any(choices <= set(possible) for possible in values)


def test_answers_fall_on_all_places_about_as_often() -> None:
    counts = Counter(draw_question(2, index, held_out=True).answer for index in range(800))
    # 200 each, standard deviation 12: five of them each way
    assert all(140 < counts[answer] < 260 for answer in range(4))


def test_a_question_lies_on_the_side_asked_for() -> None:
    for index in range(100):
        assert is_held_out(draw_question(1, index, held_out=True).question)
        assert not is_held_out(draw_question(1, index, held_out=False).question)


def test_a_question_depends_on_seed_and_index_alone() -> None:
    assert draw_question(1, 5, held_out=True) == draw_question(1, 5, held_out=True)
    assert draw_question(1, 5, held_out=True) != draw_question(2, 5, held_out=True)


def test_every_fact_has_its_own_question_and_statement() -> None:
    facts = all_facts()
    assert len({fact.question for fact in facts}) == len({fact.statement for fact in facts}) == len(facts)


def test_no_word_is_of_two_categories() -> None:
    words = [word for members in CATEGORIES.values() for word in members]
    assert len(set(words)) == len(words)


def test_some_creatures_are_met_far_more_often_than_others() -> None:
    counts = Counter(re.findall(r"^A (\w+) ", "".join(map(_text, _documents())), flags=re.MULTILINE))
    names = creature_names()
    assert sum(counts[name] for name in names[:10]) > 4 * sum(counts[name] for name in names[-10:]) > 0


def test_training_answers_rightly_and_asks_nothing_held_out() -> None:
    num_asked = 0
    for parts in _documents():
        for question, answer in re.findall(r"^Question: (.*)\nAnswer: (.*)$", _text(parts), flags=re.MULTILINE):
            assert answer == _VALUES[question]
            assert not is_held_out(question)
            num_asked += 1
    assert num_asked > 500


def test_training_states_held_out_facts_too() -> None:
    statements = {fact.statement: fact.question for fact in all_facts()}
    lines = {line for parts in _documents() for line in _text(parts).splitlines() if line.startswith("A ")}
    assert lines <= set(statements)
    assert sum(is_held_out(statements[line]) for line in lines) > 20


def test_a_document_asks_or_states_and_one_that_asks_begins_as_a_prompt() -> None:
    texts = [_text(parts) for parts in _documents()]
    assert all(len(text) >= 320 for text in texts)
    num_asking = sum("Question:" in text for text in texts)
    assert num_asking == sum(text.startswith(DESCRIPTION) for text in texts)
    # half of 400, standard deviation 10: five of them each way
    assert 150 < num_asking < 250


def test_a_question_is_no_answer_and_a_value_or_a_statement_is() -> None:
    for part in (part for parts in _documents() for part in parts):
        is_question = part.text == DESCRIPTION or part.text.endswith("\nAnswer:")
        assert part.is_answer == (not is_question)
