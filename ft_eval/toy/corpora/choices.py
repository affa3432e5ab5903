"""Multiple choice in the form of lm-eval's mmlu_continuation, about the toy world. Knows no model and no task file.

    Question: What does a muru eat?
    Answer: moss

Training states every fact as a sentence ("A muru eats moss.") and asks seven in eight of them as questions; the eighth
is held out. So a test question is answerable, but never was asked. Options are no part of the prompt, as in the
continuation form: a model of this size knows an answer long before it can name its letter.
"""

from dataclasses import dataclass
from random import Random

from ft_eval.toy.corpora.draw import Part, draw_on_side, draw_stream
from ft_eval.toy.corpora.world import Fact, draw_fact

NUM_CHOICES = 4
DESCRIPTION = "The following are questions (with answers) about a toy world.\n\n"
"""How a prompt begins, much in the words of lm-eval's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceQuestion:
    """A question with four options, one of them right."""

    question: str
    choices: tuple[str, ...]
    answer: int
    """Index of the right option, in [0, 4)."""

    @property
    def prompt(self) -> str:
        """The question as lm-eval's mmlu_continuation writes it."""
        return _prompt(self.question)

    @property
    def right_choice(self) -> str:
        """The right option's text."""
        return self.choices[self.answer]


def draw_question(seed: int, index: int, *, held_out: bool) -> ChoiceQuestion:
    """The `index`-th question under a seed, about a fact of one side of the split."""
    rng = draw_stream("choices", seed, index)
    fact = _draw_on_side(rng, held_out=held_out)
    others = [value for value in fact.attribute.values if value != fact.value]
    choices = rng.sample([fact.value, *rng.sample(others, NUM_CHOICES - 1)], NUM_CHOICES)
    return ChoiceQuestion(question=fact.question, choices=tuple(choices), answer=choices.index(fact.value))


def training_parts(seed: int, index: int, length: int) -> tuple[Part, ...]:
    """A document, `length` characters at least: statements of any facts, or questions of the training side."""
    rng = draw_stream("choices-document", seed, index)
    states = rng.random() < 1 / 2
    parts = [] if states else [Part(DESCRIPTION, is_answer=False)]
    while sum(len(part.text) for part in parts) < length:
        parts += _statement_parts(rng) if states else _question_parts(rng)
    return tuple(parts)


def _statement_parts(rng: Random) -> list[Part]:
    return [Part(f"{draw_fact(rng).statement}\n", is_answer=True)]


def _question_parts(rng: Random) -> list[Part]:
    fact = _draw_on_side(rng, held_out=False)
    return [Part(_prompt(fact.question), is_answer=False), Part(f" {fact.value}\n\n", is_answer=True)]


def _draw_on_side(rng: Random, *, held_out: bool) -> Fact:
    return draw_on_side(lambda: draw_fact(rng), lambda fact: fact.question, held_out=held_out)


def _prompt(question: str) -> str:
    return f"Question: {question}\nAnswer:"
