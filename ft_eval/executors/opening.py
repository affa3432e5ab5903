"""From what the user said to an executor. Imports Ray in the bridge's child alone."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

from ft_eval.errors import UsageError
from ft_eval.executors.base import Executor
from ft_eval.executors.bridge import BridgedCrew
from ft_eval.executors.crew import Crew
from ft_eval.executors.local import LocalExecutor
from ft_eval.executors.pool import PoolExecutor
from ft_eval.executors.processes import ProcessCrew

NAMES = ("local", "ray")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorOptions:
    """Where a run's engines are, and how many. Changes speed, no answer.

    Raises:
        UsageError: an option of Ray without Ray, or Ray is not installed.
    """

    name: str = "local"
    """One of `NAMES`."""
    num_workers: int | None = None
    """None: one in this process, or, on Ray, as many as the cluster has room for when the run starts."""
    ray_address: str | None = None
    """auto (the cluster of this machine), local (one started here for this run), or HOST:PORT."""
    num_gpus_per_worker: float | None = None
    """None: 1 where the cluster has GPUs, else 0."""
    num_cpus_per_worker: float | None = None
    """None: 1."""

    def __post_init__(self) -> None:
        """Refuse what would be passed over in silence."""
        of_ray = {
            "--ray-address": self.ray_address,
            "--num-gpus-per-worker": self.num_gpus_per_worker,
            "--num-cpus-per-worker": self.num_cpus_per_worker,
        }
        given = next((flag for flag, value in of_ray.items() if value is not None), None)
        if self.name != "ray" and given is not None:
            raise UsageError(f"{given} is for Ray; add --executor ray, or leave it out")
        if self.name == "ray" and find_spec("ray") is None:
            raise UsageError("--executor ray needs Ray, which is not installed; pip install 'ft-eval[ray]'")


def open_executor(make_state: Callable[[], Any], options: ExecutorOptions) -> Executor:
    """The executor that was asked for; close it.

    Args:
        make_state: makes a worker's state, in the worker; it is sent there.
        options: where and how many.

    Raises:
        ExecutorError: no cluster, or no room on it.
    """
    if options.name == "ray":
        return PoolExecutor(BridgedCrew(partial(_ray_crew, make_state, options), "the Ray cluster"))
    if options.num_workers is None or options.num_workers == 1:
        return LocalExecutor(make_state)
    num_threads = max(1, len(os.sched_getaffinity(0)) // options.num_workers)
    return PoolExecutor(ProcessCrew(make_state, options.num_workers, num_threads=num_threads))


def _ray_crew(make_state: Callable[[], Any], options: ExecutorOptions) -> Crew:
    from ft_eval.executors.ray import RayCrew  # noqa: PLC0415 — in the bridge's child, and nowhere else

    return RayCrew(make_state, options)
