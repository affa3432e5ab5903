"""How work is spread over processes and devices. Knows no model and no task: it is given work, cut into items.

Ray is not imported here: `executors/ray.py` is, and alone, when it is asked for.
"""

from ft_eval.executors.base import Executor, Work
from ft_eval.executors.local import LocalExecutor

__all__ = ["Executor", "LocalExecutor", "Work"]
