"""Carry out a plan: skip what is done, answer what is not, record everything the moment it exists."""

from ft_eval.run.execute import RunSummary, execute_plan
from ft_eval.run.progress import Progress, SilentProgress

__all__ = ["Progress", "RunSummary", "SilentProgress", "execute_plan"]
