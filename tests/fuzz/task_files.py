"""Targets among a task's files: the file itself, a template of it over a document, completions made elsewhere."""

import json
from contextlib import suppress
from typing import Any

import lm_eval.utils
import yaml
from lm_eval.tasks._yaml_loader import load_yaml

from ft_eval.harness.code_samples import read_solutions
from ft_eval.harness.task_limits import check_task_limits
from ft_eval.harness.templates import bound_templates, template_faults
from ft_eval.resources import tasks_dir
from tests.fuzz import mutate, records
from tests.fuzz.target import Target, folder, put


class _Session:
    """Knows the names of two problems."""

    def task_ids(self, task: str) -> tuple[str, ...]:
        return ("HumanEval/0", "HumanEval/1")


def _samples(data: bytes) -> None:
    session: Any = _Session()
    read_solutions(put("samples.jsonl", data), session, "humaneval_plus")


def _samples_seeds() -> list[bytes]:
    rows = [
        {"task_id": "HumanEval/0", "solution": "def f():\n    return 1\n"},
        {"task_id": "HumanEval/1", "completion": "    return '\u00e9'\n", "_identifier": "x"},
    ]
    plain = "\n".join(json.dumps(row) for row in rows).encode()
    return [plain, plain.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + plain, records.gzipped(plain)]


def _template(data: bytes) -> None:
    """A task's template over a document."""
    bound_templates()
    with template_faults("fuzzed"):
        lm_eval.utils.apply_template(data.decode("utf-8", "replace"), _DOCUMENT)


_DOCUMENT = {"q": "What?", "c": {"text": ["3", "4"], "label": ["A", "B"]}, "n": 7, "t": "a\tb <i>"}


def _template_seeds() -> list[bytes]:
    return [
        b"{{q.strip()}} {% for x in c.text %}{{loop.index}}{{x ~ n}}{{', ' if not loop.last}}{% endfor %}",
        b"{{c.label.index('B') + n * 2 ** 3}}{{q|replace('W', t)|upper|center(40)}}{{'%5d' % n}}{{'{:>9}'.format(n)}}",
        b"{% set s = namespace(t='a') %}{% for i in range(9) %}{% set s.t = s.t ~ s.t + 'b' * i %}{% endfor %}{{s.t}}",
        b"{% set b %}{{t.expandtabs(4)|regex_replace('a+', q)|tojson}}{% endset %}{{b|join(t)}}{{cycler('a').next()}}",
    ]


def _yaml(data: bytes) -> None:
    """A task file, by our bounds and then by lm-eval's own reader."""
    place = folder() / "tasks"
    place.mkdir(exist_ok=True)
    (place / "x.yaml").write_bytes(data)
    check_task_limits(place)
    with suppress(yaml.YAMLError, ValueError, TypeError, OSError):  # as `task_files` reads them
        load_yaml(place / "x.yaml", resolve_func=False)


def _yaml_seeds() -> list[bytes]:
    ours = sorted(tasks_dir().rglob("*.yaml"), key=lambda path: path.stat().st_size)
    odd = (
        b"task: &a a\ndataset_name: no\nmetadata: {v: 1e5, w: [*a, 010]}\ngeneration_kwargs: {until: [x], top_p: .5}\n"
    )
    return [*(path.read_bytes() for path in (ours[len(ours) // 2], ours[-1])), odd]


TARGETS = (
    Target(name="yaml", read=_yaml, seeds=_yaml_seeds, mutate=mutate.in_yaml),
    Target(name="template", read=_template, seeds=_template_seeds),
    Target(name="samples", read=_samples, seeds=_samples_seeds, mutate=mutate.unpacked(mutate.in_lines)),
)
