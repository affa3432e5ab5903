"""Carry out a plan: skip what is done, answer what is not, record everything the moment it exists.

`execute_plan` is in `ft_eval.run.execute`, which loads torch and lm-eval; what tells of a run loads neither.
"""

from ft_eval.run.progress import Listeners, Progress, SilentProgress

__all__ = ["Listeners", "Progress", "SilentProgress"]
