"""Whose programs are judged as whose: a task file of the user's own that includes one of ours and keeps its scoring.

Everything that knows a code task knows it by name, and such a task has a name of its own. A name is noted when its task
is built, once for the process: built again from another file it is noted again. Knows no sandbox.
"""

from pathlib import Path
from typing import Any

from ft_eval.resources import tasks_dir

_like: dict[str, str] = {}


def judged_as(task: str) -> str:
    """The name of the task of ours whose scoring a task has; its own name where that is nobody else's."""
    return _like.get(task, task)


def note_judge(task: Any) -> None:
    """Note by which of our folders a task is scored, if by one.

    Args:
        task: lm-eval's, built; its type is not imported, for programs are scored where no lm-eval is needed.
    """
    _like.pop(task.task_name, None)
    judge = getattr(task.get_config("process_results"), "__code__", None)
    file = None if judge is None else Path(judge.co_filename).resolve()
    if file is not None and file.parent.parent == tasks_dir().resolve() and file.parent.name != task.task_name:
        _like[task.task_name] = file.parent.name
