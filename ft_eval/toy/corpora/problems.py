"""Word problems in GSM8K's form: a question, a worked answer with <<calculator notes>> and a last line `#### N`.

Knows no model and no task file. Numbers are small: a byte-level model of a million weights has to be able to add them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from ft_eval.toy.corpora.draw import Part, draw_on_side, draw_stream

NAMES = ("Mia", "Tom", "Ben", "Ana", "Sam", "Eva", "Leo", "Zoe")
THINGS = ("pens", "eggs", "cups", "nuts", "hats", "toys", "keys", "figs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A word problem and its worked answer."""

    question: str
    answer: str
    """The steps, a line each, then `#### N`."""

    @property
    def prompt(self) -> str:
        """The question as lm-eval's GSM8K writes it."""
        return f"Question: {self.question}\nAnswer:"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cast:
    """Who and what a problem is about."""

    first: str
    second: str
    things: str


def draw_problem(seed: int, index: int, *, held_out: bool) -> Problem:
    """The `index`-th problem under a seed, on one side of the split. One step or two, about as often."""
    rng = draw_stream("problems", seed, index)
    return draw_on_side(lambda: _draw(rng), lambda problem: problem.question, held_out=held_out)


def training_parts(seed: int, index: int, length: int) -> tuple[Part, ...]:
    """A document of problems from the training side, `length` characters long at least."""
    rng = draw_stream("problems-document", seed, index)
    parts: list[Part] = []
    while sum(len(part.text) for part in parts) < length:
        problem = draw_on_side(lambda: _draw(rng), lambda problem: problem.question, held_out=False)
        parts += [Part(problem.prompt, is_answer=False), Part(f" {problem.answer}\n\n", is_answer=True)]
    return tuple(parts)


def _draw(rng: Random) -> Problem:
    first, second = rng.sample(NAMES, 2)
    cast = _Cast(first=first, second=second, things=rng.choice(THINGS))
    return rng.choice(_KINDS)(cast, rng)


def _problem(question: str, steps: list[str], result: int) -> Problem:
    return Problem(question=question, answer="\n".join([*steps, f"#### {result}"]))


def _step(left: int, sign: str, right: int) -> str:
    result = {"+": left + right, "-": left - right, "*": left * right}[sign]
    return f"{left} {sign} {right} = <<{left}{sign}{right}={result}>>{result}"


def _gain(cast: _Cast, rng: Random) -> Problem:
    a, b = rng.randint(1, 14), rng.randint(1, 14)
    question = f"{cast.first} has {a} {cast.things} and gets {b}. How many {cast.things} now?"
    return _problem(question, [_step(a, "+", b)], a + b)


def _loss(cast: _Cast, rng: Random) -> Problem:
    a = rng.randint(2, 18)
    b = rng.randint(1, a - 1)
    question = f"{cast.first} has {a} {cast.things} and gives {cast.second} {b}. How many {cast.things} now?"
    return _problem(question, [_step(a, "-", b)], a - b)


def _groups(cast: _Cast, rng: Random) -> Problem:
    a, b = rng.randint(2, 7), rng.randint(2, 7)
    question = f"{cast.first} has {a} boxes of {b} {cast.things}. How many {cast.things}?"
    return _problem(question, [_step(a, "*", b)], a * b)


def _gain_loss(cast: _Cast, rng: Random) -> Problem:
    a, b = rng.randint(1, 9), rng.randint(1, 9)
    c = rng.randint(1, a + b - 1)
    question = f"{cast.first} has {a} {cast.things}, gets {b} and gives {cast.second} {c}. How many {cast.things} now?"
    return _problem(question, [_step(a, "+", b), _step(a + b, "-", c)], a + b - c)


def _together(cast: _Cast, rng: Random) -> Problem:
    a, b = rng.randint(1, 7), rng.randint(1, 7)
    question = f"{cast.first} has {a} {cast.things}, {cast.second} has {b} more. How many {cast.things} together?"
    return _problem(question, [_step(a, "+", b), _step(a, "+", a + b)], a + a + b)


def _groups_gain(cast: _Cast, rng: Random) -> Problem:
    a, b, c = rng.randint(2, 5), rng.randint(2, 5), rng.randint(1, 9)
    question = f"{cast.first} has {a} boxes of {b} {cast.things} and gets {c}. How many {cast.things} now?"
    return _problem(question, [_step(a, "*", b), _step(a * b, "+", c)], a * b + c)


_KINDS: tuple[Callable[[_Cast, Random], Problem], ...] = (_gain, _loss, _groups, _gain_loss, _together, _groups_gain)
