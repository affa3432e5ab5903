"""How jobs are spread over processes and devices. Knows no model and no task: it is given a function and the jobs."""

from ft_eval.executors.base import Executor
from ft_eval.executors.local import LocalExecutor

__all__ = ["Executor", "LocalExecutor"]
