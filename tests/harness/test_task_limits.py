"""A task file from elsewhere is plain data within bounds; what is not is named with its line, before lm-eval reads it.

So are its names, which may become parts of others.
"""

from pathlib import Path

import pytest
import yaml

from ft_eval.errors import TaskError
from ft_eval.harness.task_limits import MAX_BYTES, check_task_file, check_task_limits
from ft_eval.resources import tasks_dir

GOOD = "task: good\ndataset_path: json\noutput_type: generate_until\nnum_fewshot: 2\n"
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
BAD = {
    "twice": (f"{GOOD}task: other\n", "x.yaml:5: the key task stands twice; remove one of the two"),
    "twice deeper": (f"{GOOD}metadata:\n  a: 1\n  a: 2\n", "x.yaml:7: the key a stands twice"),
    "near miss": (f"{GOOD}doc_to_txt: a\n", "x.yaml:5: unknown key doc_to_txt; did you mean doc_to_text"),
    "no": (
        f"{GOOD}dataset_name: no\n",
        r"x.yaml:5: dataset_name is no \(no is read as False\), expected a text; put it",
    ),
    "exponent": (f"{GOOD}repeats: 1e5\n", "x.yaml:5: repeats is 1e5, expected a whole number, 1 to 100,000"),
    "octal": (f"{GOOD}dataset_name: 010\n", r"dataset_name is 010 \(010 is read as 8\), expected a text"),
    "sixties": (f"{GOOD}dataset_name: 12:30:45\n", r"12:30:45 is read as 45045\), expected a text"),
    "date": (f"{GOOD}metadata: {{version: 2001-01-01}}\n", "x.yaml:5: 2001-01-01 is read as a date; put it in quotes"),
    "shots": ("task: a\nnum_fewshot: -1\n", "x.yaml:2: num_fewshot is -1, expected a whole number, 0 or more"),
    "a truth": ("task: a\nnum_fewshot: yes\n", r"num_fewshot is yes \(yes is read as True\), expected a whole number"),
    "huge": (f"task: a\nnum_fewshot: {'9' * 400}\n", "x.yaml:2: num_fewshot is 999"),
    "repeats": ("task: a\nrepeats: 0\n", "x.yaml:2: repeats is 0, expected a whole number, 1 to 100,000"),
    "many repeats": ("task: a\nrepeats: 10000000\n", "x.yaml:2: repeats is 10000000, expected a whole number, 1 to"),
    "kwargs": (
        f"{GOOD}generation_kwargs: {{top_p: 2}}\n",
        "x.yaml:5: generation_kwargs: top_p is 2, expected a number",
    ),
    "cold": (f"{GOOD}generation_kwargs: {{temperature: -1}}\n", "temperature is -1, expected 0 .greedy. or a positive"),
    "nan": (f"{GOOD}generation_kwargs: {{temperature: .nan}}\n", "temperature is nan, expected 0"),
    "greedy sampling": (
        f"{GOOD}generation_kwargs: {{temperature: 0, do_sample: true}}\n",
        "sampling needs one above 0",
    ),
    "sampling at no temperature": (
        f"{GOOD}generation_kwargs: {{do_sample: true}}\n",
        "there is no temperature; sampling needs one above 0",
    ),
    "python": (
        f"{GOOD}metadata: !!python/object/apply:os.system ['id']\n",
        "x.yaml:5: the tag !!python/object/apply:os",
    ),
    "unknown tag": (f"{GOOD}metadata: !env HOME\n", "x.yaml:5: the tag !env is refused"),
    "merge": (f"{GOOD}metadata:\n  <<: {{a: 1}}\n", "merge keys"),
    "bomb": (BOMB, "its aliases make more than 20000 values"),
    "itself": ("task: a\nmetadata: &m\n  m: *m\n", "or one that holds itself"),
    "deep": (f"task: a\nmetadata: {'[' * 50}{']' * 50}\n", "x.yaml:2: nested more than 40 deep"),
    "many": (f"task: a\nmetadata: [{'1,' * 30_000}]\n", "more than 20000 values"),
    "large": (f"task: a\ndescription: {'x' * MAX_BYTES}\n", "x.yaml:1: has .* bytes, a task file at most"),
    "climbing": ("task: ../../x\n", "x.yaml:1: the name '../../x' is refused"),
    "absolute": ("task: /etc/passwd\n", "the name '/etc/passwd' is refused"),
    "control": ('task: "a\\u001b[31m"\n', "is refused: a name is 1 to 128 visible"),
    "long": (f"task: {'x' * 129}\n", "is refused: a name is 1 to 128 visible"),
    "group": ("group: a/b\ntask: [good]\n", "the name 'a/b' is refused"),
    "a member's key": ("group: g\ntask:\n- {task: a, num_fewshots: 1}\n", "x.yaml:3: unknown key num_fewshots; did"),
    "a member's value": ("group: g\ntask:\n- {task: a, num_fewshot: yes}\n", "x.yaml:3: num_fewshot is yes"),
    "a member's member": ("group: g\ntask:\n- {group: h, task: [{task: a, repeats: 0}]}\n", "x.yaml:3: repeats is 0"),
    "two members": ("group: g\ntask:\n- a\n- {task: a, num_fewshot: 1}\n", "x.yaml:4: the member a stands twice"),
    "two members, a bare name last": (
        "group: g\ntask:\n- {task: a, num_fewshot: 1}\n- a\n",
        "x.yaml:4: the member a stands twice",
    ),
    "a list for a key": ("group: g\ntask:\n- {[a]: b}\n", "x.yaml:3: a key is a list or a mapping, expected a text"),
    "a mapping for a key": ("group: g\ntask:\n- {{a: 1}: b}\n", "x.yaml:3: a key is a list or a mapping"),
    "a template without quotes": ("task: a\nmetadata: {{a: 1}: b}\n", "x.yaml:2: a key is a list or a mapping"),
    "include": ("include: ../../../../etc/passwd\ntask: a\n", "x.yaml:1: includes .*, which is outside"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_what_is_off_is_named_with_its_line(tmp_path, text, message):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(TaskError, match=message) as caught:
        check_task_limits(tmp_path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_bare_name_may_stand_twice(tmp_path):
    (tmp_path / "x.yaml").write_text("group: g\ntask: [a, a]\n")
    check_task_limits(tmp_path)


def test_good_files_pass_and_so_do_our_own(tmp_path):
    (tmp_path / "x.yaml").write_text(f"{GOOD}class: !function mine.Task\nown_key: 3\n")
    (tmp_path / "not.yaml").write_text("a: [\n")
    check_task_limits(tmp_path)
    check_task_limits(tasks_dir())


def test_an_included_file_is_looked_at_whatever_its_name(tmp_path):
    (tmp_path / "x.yaml").write_text("include: part_yaml\ntask: a\n")
    (tmp_path / "part_yaml").write_text(f"{GOOD}{GOOD}")
    with pytest.raises(TaskError, match="part_yaml:5: the key task stands twice"):
        check_task_limits(tmp_path)


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "outside.yaml").write_text(GOOD)
    (tmp_path / "in" / "x.yaml").symlink_to(tmp_path / "outside.yaml")
    with pytest.raises(TaskError, match=r"x.yaml:1: leads out of"):
        check_task_limits(tmp_path / "in")


def test_lm_evals_own_files_pass():
    """Of lm-eval's 14,000 files: the bounds are wide enough for real ones, and the keys are all known."""
    import lm_eval

    root = Path(lm_eval.__file__).parent / "tasks"
    refused = []
    for path in sorted(root.rglob("*.yaml"))[::40]:
        try:
            check_task_file(path)
        except TaskError as error:
            refused.append(str(error))
    assert refused == []
    assert yaml.__with_libyaml__ is True
