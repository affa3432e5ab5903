"""Small functions: they parse, do what their docstrings say, and their tests tell right from nearly right."""

import re
from collections.abc import Callable
from typing import Any

from ft_eval.toy.corpora.draw import is_held_out
from ft_eval.toy.corpora.functions import Function, draw_function, draw_inputs, training_parts


def _training_text(index: int) -> str:
    return "".join(part.text for part in training_parts(1, index, 320))


def _run(function: Function, value: Any, body: str | None = None) -> Any:
    """Our own source, run here and now: nothing a model wrote."""
    namespace: dict[str, Any] = {}
    exec(function.prompt + (body or function.body), namespace)  # noqa: S102
    return namespace[function.name](value)


_NUMBER = r"\d+(?: \+ \d+)?"


def _number(words: str) -> int:
    """A number, or the sum that stands for it."""
    return sum(map(int, words.split(" + ")))


def _arithmetic(words: str, value: int) -> int:
    operation, number = words.split(maxsplit=1)
    amount = _number(number)
    return {
        "plus": value + amount,
        "minus": value - amount,
        "times": value * amount,
        "modulo": value % amount,
    }[operation]


def _kept(words: str, value: int) -> bool:
    side, number = words.split(maxsplit=1)
    return value > _number(number) if side == "above" else value < _number(number)


def _changed(words: str | None, text: str) -> str:
    if words is None:
        return text
    return {"in upper case": text.upper(), "in lower case": text.lower(), "reversed": text[::-1]}[words]


_MEANINGS: tuple[tuple[str, Callable[[Any, re.Match[str]], Any]], ...] = (
    (r"x (\w+ NUMBER)", lambda x, m: _arithmetic(m[1], x)),
    (r"x (\w+ NUMBER), then (\w+ NUMBER)", lambda x, m: _arithmetic(m[2], _arithmetic(m[1], x))),
    (
        r"x (\w+ NUMBER), then (\w+ NUMBER), then (\w+ NUMBER)",
        lambda x, m: _arithmetic(m[3], _arithmetic(m[2], _arithmetic(m[1], x))),
    ),
    (
        r"each item of xs ((?:above|below) NUMBER), (\w+ NUMBER)",
        lambda xs, m: [_arithmetic(m[2], x) for x in xs if _kept(m[1], x)],
    ),
    (r"each item of xs (\w+ NUMBER)", lambda xs, m: [_arithmetic(m[1], x) for x in xs]),
    (r"the sum of each item of xs (\w+ NUMBER)", lambda xs, m: sum(_arithmetic(m[1], x) for x in xs)),
    (r"the items of xs (\w+ NUMBER)", lambda xs, m: [x for x in xs if _kept(m[1], x)]),
    (r"the sum of the items of xs (\w+ NUMBER)", lambda xs, m: sum(x for x in xs if _kept(m[1], x))),
    (r"the number of the items of xs (\w+ NUMBER)", lambda xs, m: sum(_kept(m[1], x) for x in xs)),
    (r"the first (NUMBER) letters of s(?: (.*))?", lambda s, m: _changed(m[2], s[: _number(m[1])])),
    (r"s without its first (NUMBER) letters", lambda s, m: s[_number(m[1]) :]),
    (r"s repeated (NUMBER) times", lambda s, m: s * _number(m[1])),
)


def _expected(sentence: str, value: Any) -> Any:
    """What a docstring asks for, read anew from its words."""
    words = sentence.removeprefix("Return ").removesuffix(".")
    [answer] = [
        meaning(value, match)
        for pattern, meaning in _MEANINGS
        if (match := re.fullmatch(pattern.replace("NUMBER", _NUMBER), words))
    ]
    return answer


def test_every_reference_does_what_its_docstring_says() -> None:
    for index in range(300):
        function = draw_function(1, index, held_out=index % 2 == 0)
        for value in draw_inputs(function, 1, index):
            assert _run(function, value) == _expected(function.sentence, value), function.text


def test_a_wrong_number_gives_another_answer_on_some_input() -> None:
    for index in range(200):
        function = draw_function(2, index, held_out=True)
        if function.body.count("%") > 1:
            continue  # modulo 3, then modulo 7 is modulo 3, then modulo 8
        number = re.findall(r"\d+", function.body)[-1]
        wrong_body = f"{int(number) + 1}".join(function.body.rsplit(number, 1))
        values = draw_inputs(function, 2, index)
        assert any(_run(function, value) != _run(function, value, wrong_body) for value in values), function.text


def test_inputs_are_twelve_different_ones() -> None:
    for index in range(50):
        function = draw_function(1, index, held_out=True)
        values = draw_inputs(function, 1, index)
        assert len(values) == len({repr(value) for value in values}) == 12


def test_a_function_lies_on_the_side_asked_for_by_what_it_does() -> None:
    for index in range(100):
        assert is_held_out(draw_function(1, index, held_out=True).sentence)
        assert not is_held_out(draw_function(1, index, held_out=False).sentence)


def test_a_function_depends_on_seed_and_index_alone() -> None:
    assert draw_function(1, 5, held_out=True) == draw_function(1, 5, held_out=True)
    assert draw_function(1, 5, held_out=True) != draw_function(2, 5, held_out=True)


def test_the_body_alone_is_the_answer() -> None:
    for part in training_parts(1, 0, 320):
        assert part.text.startswith("    return" if part.is_answer else "def ") or part.text.startswith("    ")
        assert part.text.endswith("\n\n\n" if part.is_answer else '"""\n')


def test_training_text_is_a_module_of_the_training_side_alone() -> None:
    for index in range(50):
        text = _training_text(index)
        assert len(text) >= 320
        compile(text, "text", "exec")
        sentences = re.findall(r'^    """(.*)"""$', text, flags=re.MULTILINE)
        assert len(sentences) == text.count("def ")
        assert not any(map(is_held_out, sentences))
