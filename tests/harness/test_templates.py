"""Task templates print what they print in lm-eval's own environment; those that reach out or never end are refused."""

import time

import lm_eval.utils
import pytest
from jinja2.exceptions import SecurityError, TemplateError, TemplateSyntaxError, UndefinedError

from ft_eval.harness import templates
from ft_eval.harness.templates import BoundedEnvironment, bound_templates

PLAIN = lm_eval.utils.env
"""lm-eval's own, as it was at import."""
DOC = {
    "question": "What is 2 + 2?",
    "choices": {"text": ["3", "4", "5"], "label": ["A", "B", "C"]},
    "answer": 1234567,
    "passage": "a\tb  \n<i>",
    "endings": ["x", "y"],
}
SAME = (
    "{{question}}\nAnswer:",
    "{{question.strip()}} {% for c in choices.text %}{{loop.index0}}/{{loop.length}}{{c}}{% endfor %}\n",
    "{% for c in choices.text %}{{c}}{{', ' if not loop.last}}{% endfor %}{{', '.join(endings)}}{{'{}'.format(1)}}",
    "{% for c in endings %}{% for d in endings %}{{c ~ d ~ loop.index}}{% endfor %}{% else %}none{% endfor %}",
    "{{choices.label.index('B')}} {{answer}} {{'{:,}'.format(answer)}} {{'%5d' % answer}} {{answer|string|length}}",
    "{{passage.replace('  ', ' ').expandtabs(4)}}{{passage|replace('a', 'b')|upper|trim}}{{passage|tojson}}",
    "{% set n = namespace(t='') %}{% for c in endings %}{% set n.t = n.t ~ c %}{% endfor %}{{n.t * 3}} {{2 ** 10}}",
    "{% set block %}{{question}}!{% endset %}{{block}}{{endings|join(' or ')}}{{range(3)|list}}{{answer|round(2)}}",
    "{{passage|regex_replace('[a-z]+', '-')}}{{question[:4]}}{{endings[-1]}}{{[1, 2] + [3]}}{{'abc'|center(9)}}",
    "{% if answer > 5 and 'x' in endings %}yes{% endif %}{{choices.text|map('int')|sum}}{{dict(a=1)}}{{-answer}}\n\n",
)
BOMBS = (
    "{{ 'a' * 10**9 }}",
    "{{ 'a' * 1000000 * 1000000 }}",
    "{{ 10 ** (10 ** 10) }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '{:1000000000}'.format(1) }}",
    "{{ 'a'.ljust(10**9) }}",
    "{{ 'a'|center(1000000000) }}",
    "{{ 'a\nb'|indent(1000000000) }}",
    "{{ '%099999d'|format(1) }}",
    "{{ ('\t' * 100000).expandtabs(10000) }}",
    "{{ ('a' * 100000).replace('a', 'b' * 100000) }}",
    "{{ ('a' * 100000)|replace('a', 'b' * 100000) }}",
    "{{ range(100000)|map('string')|join('b' * 100000) }}",
    "{{ ('b' * 100000).join(range(100000)|map('string')) }}",
    "{% set n = namespace(t='aa') %}{% for i in range(60) %}{% set n.t = n.t ~ n.t %}{% endfor %}{{ n.t }}",
    "{% set n = namespace(t='aa') %}{% for i in range(60) %}{% set n.t = n.t + n.t %}{% endfor %}{{ n.t }}",
    "{% set n = namespace(t=[1]) %}{% for i in range(60) %}{% set n.t = n.t + n.t %}{% endfor %}{{ n.t }}",
    "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "{% for i in range(10**9) %}a{% endfor %}",
    "{% for i in range(99999) %}{{ question * 100 }}{% endfor %}",
    "{% set x %}{% for i in range(99999) %}{{ question * 100 }}{% endfor %}{% endset %}",
    "{{ 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab'|regex_replace('(a+)+$', '') }}",
    "{{ ('a' * 9000)|regex_replace('a*a*a*a*b', '') }}",
    "{{ 1|round(1000000000) }}",
    "{{ [1]|batch(1000000000, 0)|list }}",
)
ESCAPES = (
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ self.__init__.__globals__ }}",
    "{{ (question|attr('__class__')) }}",
    "{{ '{0.__class__}'.format(question) }}",
    "{{ '{0.__class__.__init__.__globals__}'.format(cycler) }}",
    "{{ endings.append('z') }}",
    "{{ lipsum.__globals__ }}",
    "{% set x = question.format.__self__.__class__ %}{{ x.__base__ }}",
)
SYNTAX = (
    "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}",
    "{% include '/etc/passwd' %}",
    "{% import 'x' as y %}",
    "{% extends 'x' %}",
    "{% for x in endings recursive %}{{ loop(endings) }}{% endfor %}",
)


@pytest.fixture(scope="module", autouse=True)
def _bounded():
    bound_templates()
    assert isinstance(lm_eval.utils.env, BoundedEnvironment)


@pytest.mark.parametrize("template", SAME)
def test_an_honest_template_prints_the_same(template):
    plain = PLAIN if not isinstance(PLAIN, BoundedEnvironment) else _lm_evals_own()
    expected = plain.from_string(template).render(**DOC)
    assert lm_eval.utils.apply_template(template, DOC) == expected
    assert lm_eval.utils.apply_template(template, DOC) == expected


def _lm_evals_own():
    """lm-eval's environment made anew, where an earlier test has replaced it."""
    from jinja2 import BaseLoader, Environment, StrictUndefined

    plain = Environment(loader=BaseLoader(), undefined=StrictUndefined, keep_trailing_newline=True)  # noqa: S701 - lm-eval's
    plain.filters["regex_replace"] = lm_eval.utils.regex_replace
    return plain


@pytest.mark.parametrize("template", BOMBS)
def test_a_bomb_is_refused_before_it_goes_off(template):
    started = time.process_time()
    with pytest.raises(SecurityError):
        lm_eval.utils.apply_template(template, DOC)
    assert time.process_time() - started < 2 * templates.MAX_SECONDS


@pytest.mark.parametrize("template", ESCAPES)
def test_nothing_private_is_reached(template):
    try:
        printed = lm_eval.utils.apply_template(template, DOC)
    except TemplateError:
        return
    assert printed == ""


@pytest.mark.parametrize("template", SYNTAX)
def test_no_macros_and_no_inclusion(template):
    with pytest.raises(TemplateSyntaxError):
        lm_eval.utils.apply_template(template, DOC)


def test_a_field_that_is_misspelt_is_an_error():
    with pytest.raises(UndefinedError, match="'questoin' is undefined"):
        lm_eval.utils.apply_template("{{questoin}}", DOC)


def test_a_rendering_that_takes_too_long_is_stopped(monkeypatch):
    monkeypatch.setattr(templates, "MAX_SECONDS", 0.05)
    with pytest.raises(SecurityError, match=r"render for 0.05 seconds at most"):
        lm_eval.utils.apply_template(
            "{% for i in range(90000) %}{% set x = question.replace('a', 'b') %}{% endfor %}", DOC
        )
    assert lm_eval.utils.apply_template("{{question}}", DOC) == DOC["question"], "the next one has its own time"


def test_what_a_template_can_not_do_is_a_templates_error():
    with pytest.raises(TemplateError, match="ZeroDivisionError: division by zero"):
        lm_eval.utils.apply_template("{{answer / (endings|length - 2)}}", DOC)
