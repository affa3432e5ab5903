"""Small Python functions in HumanEval's form: `def` and docstring are the prompt, the body is the answer.

Knows no model, no task file and no sandbox, and never runs what it writes: a function's tests are inputs, and what it
should return for them is found by whoever runs the reference.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from ft_eval.toy.corpora.draw import Part, draw_on_side, draw_stream

Value = int | str | list[int]

NAMES = ("solve", "apply", "work", "task", "make", "find", "change", "answer")
SEPARATOR = "\n\n\n"
"""Between two functions of a document, as in a module."""
NUM_INPUTS = 12
_ALPHABET = "abcdeXYZ"
_LONG_INPUTS: Mapping[str, Value] = {"x": 60, "xs": list(range(-20, 61)), "s": "abcdefghijklMNOPQRSTUVWX"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function to complete, its reference and the inputs it is tested on."""

    name: str
    argument: str
    """"x" for an integer, "xs" for a list of integers, "s" for a string."""
    sentence: str
    """The docstring: what to return."""
    body: str
    """The reference's indented lines."""

    @property
    def prompt(self) -> str:
        """`def` line and docstring."""
        return f'def {self.name}({self.argument}):\n    """{self.sentence}"""\n'

    @property
    def text(self) -> str:
        """The whole function."""
        return self.prompt + self.body


@dataclass(frozen=True, slots=True, kw_only=True)
class _Meaning:
    """What a function does, before it has a name."""

    argument: str
    sentence: str
    lines: tuple[str, ...]


def draw_function(seed: int, index: int, *, held_out: bool) -> Function:
    """The `index`-th function under a seed, on one side of the split (by its docstring: what it does, not its name)."""
    return _draw_on_side(draw_stream("functions", seed, index), held_out=held_out)


def draw_inputs(function: Function, seed: int, index: int) -> tuple[Value, ...]:
    """Twelve distinct inputs for a function: integers in [-20, 60], lists of them, or strings of at most 24 letters.

    The first one is long: with it, a wrong number in a condition or a slice gives another answer.
    """
    rng = draw_stream("function-inputs", seed, index)
    inputs: list[Value] = [_LONG_INPUTS[function.argument]]
    while len(inputs) < NUM_INPUTS:
        value = _draw_value(function.argument, rng)
        if value not in inputs:
            inputs.append(value)
    return tuple(inputs)


def training_parts(seed: int, index: int, length: int) -> tuple[Part, ...]:
    """A document of functions from the training side, `length` characters long at least."""
    rng = draw_stream("functions-document", seed, index)
    parts: list[Part] = []
    while sum(len(part.text) for part in parts) < length:
        function = _draw_on_side(rng, held_out=False)
        parts += [Part(function.prompt, is_answer=False), Part(function.body + SEPARATOR, is_answer=True)]
    return tuple(parts)


def _draw_on_side(rng: Random, *, held_out: bool) -> Function:
    return draw_on_side(lambda: _draw(rng), lambda function: function.sentence, held_out=held_out)


def _draw(rng: Random) -> Function:
    meaning = rng.choice(_FAMILIES)(rng)
    body = "\n".join(f"    {line}" for line in meaning.lines)
    return Function(name=rng.choice(NAMES), argument=meaning.argument, sentence=meaning.sentence, body=body)


def _draw_value(argument: str, rng: Random) -> Value:
    if argument == "x":
        return rng.randint(-20, 60)
    if argument == "xs":
        return [rng.randint(-20, 60) for _ in range(rng.randint(1, 6))]
    return "".join(rng.choice(_ALPHABET) for _ in range(rng.randint(0, 8)))


def _draw_number(rng: Random, largest: int) -> tuple[str, int]:
    """A number from 2 on, in words and as it is: about half of them as a sum, ("7 + 5", 12), which the body adds up."""
    number = rng.randint(2, largest)
    if rng.random() < 1 / 2:
        return str(number), number
    first = rng.randint(1, number - 1)
    return f"{first} + {number - first}", number


def _draw_arithmetic(rng: Random) -> tuple[str, str]:
    """Words and source of a step on a number, such as ("plus 3", "+ 3")."""
    words, sign, largest = rng.choice((("plus", "+", 60), ("minus", "-", 60), ("times", "*", 30), ("modulo", "%", 30)))
    number_words, number = _draw_number(rng, largest)
    return f"{words} {number_words}", f"{sign} {number}"


def _draw_condition(rng: Random) -> tuple[str, str]:
    """Words and source of a condition on an item, such as ("above 3", "> 3")."""
    words, sign = rng.choice((("above", ">"), ("below", "<")))
    number_words, number = _draw_number(rng, 50)
    return f"{words} {number_words}", f"{sign} {number}"


def _draw_fold(rng: Random) -> tuple[str, str]:
    return rng.choice((("sum", "sum"), ("number", "len")))


def _one_step(rng: Random) -> _Meaning:
    words, source = _draw_arithmetic(rng)
    return _Meaning(argument="x", sentence=f"Return x {words}.", lines=(f"return x {source}",))


def _two_steps(rng: Random) -> _Meaning:
    (words, source), (more_words, more_source) = _draw_arithmetic(rng), _draw_arithmetic(rng)
    lines = (f"y = x {source}", f"return y {more_source}")
    return _Meaning(argument="x", sentence=f"Return x {words}, then {more_words}.", lines=lines)


def _three_steps(rng: Random) -> _Meaning:
    steps = [_draw_arithmetic(rng) for _ in range(3)]
    (first, second, third), (source, more, last) = zip(*steps, strict=True)
    lines = (f"y = x {source}", f"z = y {more}", f"return z {last}")
    return _Meaning(argument="x", sentence=f"Return x {first}, then {second}, then {third}.", lines=lines)


def _mapped(rng: Random) -> _Meaning:
    words, source = _draw_arithmetic(rng)
    return _Meaning(
        argument="xs", sentence=f"Return each item of xs {words}.", lines=(f"return [x {source} for x in xs]",)
    )


def _filtered(rng: Random) -> _Meaning:
    words, source = _draw_condition(rng)
    return _Meaning(
        argument="xs", sentence=f"Return the items of xs {words}.", lines=(f"return [x for x in xs if x {source}]",)
    )


def _filtered_and_mapped(rng: Random) -> _Meaning:
    (kept, condition), (words, source) = _draw_condition(rng), _draw_arithmetic(rng)
    lines = (f"ys = [x for x in xs if x {condition}]", f"return [y {source} for y in ys]")
    return _Meaning(argument="xs", sentence=f"Return each item of xs {kept}, {words}.", lines=lines)


def _folded(rng: Random) -> _Meaning:
    (fold_words, fold), (words, source) = _draw_fold(rng), _draw_condition(rng)
    lines = (f"ys = [x for x in xs if x {source}]", f"return {fold}(ys)")
    return _Meaning(argument="xs", sentence=f"Return the {fold_words} of the items of xs {words}.", lines=lines)


def _mapped_and_folded(rng: Random) -> _Meaning:
    words, source = _draw_arithmetic(rng)
    lines = (f"ys = [x {source} for x in xs]", "return sum(ys)")
    return _Meaning(argument="xs", sentence=f"Return the sum of each item of xs {words}.", lines=lines)


def _sliced(rng: Random) -> _Meaning:
    words, number = _draw_number(rng, 20)
    sentence, source = rng.choice(
        (
            (f"Return the first {words} letters of s.", f"s[:{number}]"),
            (f"Return s without its first {words} letters.", f"s[{number}:]"),
            (f"Return s repeated {words} times.", f"s * {number}"),
        )
    )
    return _Meaning(argument="s", sentence=sentence, lines=(f"return {source}",))


def _sliced_and_changed(rng: Random) -> _Meaning:
    number_words, number = _draw_number(rng, 20)
    changes = (("in upper case", "t.upper()"), ("in lower case", "t.lower()"), ("reversed", "t[::-1]"))
    words, source = rng.choice(changes)
    lines = (f"t = s[:{number}]", f"return {source}")
    return _Meaning(argument="s", sentence=f"Return the first {number_words} letters of s {words}.", lines=lines)


_FAMILIES: tuple[Callable[[Random], _Meaning], ...] = (
    _one_step,
    _two_steps,
    _three_steps,
    _mapped,
    _filtered,
    _filtered_and_mapped,
    _folded,
    _mapped_and_folded,
    _sliced,
    _sliced_and_changed,
)
