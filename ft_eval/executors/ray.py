"""Workers that are Ray actors, on any node of a cluster, each with a state of its own. The one module that knows Ray.

Imported in a bridge's child alone (`executors/bridge.py`). A Ray cluster is trusted: whoever reaches its ports can run
code on it, and what goes between its processes is pickled.
"""

import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # read when Ray is imported
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
from ray.exceptions import RayError

from ft_eval.errors import ExecutorError
from ft_eval.executors.crew import Emitted, Event, Failed, Finished, Joined, Lost, Task
from ft_eval.executors.opening import ExecutorOptions
from ft_eval.executors.processes import batches, sendable

_SECONDS_BETWEEN_CHECKS = 5.0
_HEAD_SECONDS = 15.0
"""A head that can't be reached for so long is taken for lost; Ray itself ends this process after 60."""


class RayCrew:
    """A `Crew` of Ray actors. One that is lost, with its node or alone, is replaced where and when there is room.

    Raises:
        ExecutorError: no cluster at the address, or no room for one worker.
    """

    def __init__(self, make_state: Callable[[], Any], options: ExecutorOptions) -> None:
        self._connect(options.ray_address or "auto")
        num_cpus = 1.0 if options.num_cpus_per_worker is None else options.num_cpus_per_worker
        self._make_state = make_state
        resources = ray.cluster_resources()
        num_gpus = options.num_gpus_per_worker
        if num_gpus is None:
            num_gpus = float(resources.get("GPU", 0) > 0)
        self._actor = ray.remote(num_cpus=num_cpus, num_gpus=num_gpus, max_restarts=0, max_task_retries=0)(_Actor)
        room = _room(resources, num_gpus, num_cpus)
        self.num_workers = options.num_workers or room
        if not room:
            ray.shutdown()
            have = f"{resources.get('CPU', 0):g} CPUs and {resources.get('GPU', 0):g} GPUs"
            raise ExecutorError(
                f"the Ray cluster has {have}, no room for a worker with {num_cpus:g} CPUs and "
                f"{num_gpus:g} GPUs; add nodes, or give less with --num-gpus-per-worker"
            )
        self._actors: dict[int, Any] = {}
        self._waiting: dict[Any, int] = {}
        """What is waited for, a worker's start or its stream, and whose it is."""
        self._works: dict[int, Any] = {}
        self._num_started = 0
        self._checked = self._seen = time.monotonic()
        for _ in range(self.num_workers):
            self._start()

    def give(self, worker: int, task: Task) -> None:
        """See `Crew.give`."""
        if task.call not in self._works:
            self._works[task.call] = ray.put(task.work)
        run = self._actors[worker].run.options(num_returns="streaming")
        self._waiting[run.remote(worker, task.call, [self._works[task.call]], task.item)] = worker

    def poll(self, seconds: float) -> Sequence[Event]:
        """See `Crew.poll`."""
        self._check_head()
        waiting = list(self._waiting)
        ready, _ = ray.wait(waiting, num_returns=len(waiting), timeout=seconds, fetch_local=False)
        return [event for one in ready for event in self._hear(one)]

    def forget(self, call: int) -> None:
        """See `Crew.forget`."""
        self._works.pop(call, None)

    def close(self) -> None:
        """See `Crew.close`."""
        for actor in self._actors.values():
            with suppress(Exception):
                ray.kill(actor)
        ray.shutdown()

    def _connect(self, address: str) -> None:
        try:
            ray.init(
                address=address,
                log_to_driver=False,
                logging_level="ERROR",
                configure_logging=False,
                include_dashboard=False if address == "local" else None,
            )
            self._head = ray.get_runtime_context().gcs_address
        except (ConnectionError, RayError, ValueError, RuntimeError) as error:
            said = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ExecutorError(
                f"--ray-address {address}: no Ray cluster there ({said}); start one with `ray start --head`, or say "
                "--ray-address local"
            ) from None

    def _start(self) -> None:
        number = self._num_started
        self._num_started += 1
        actor = self._actor.remote(self._make_state, list(sys.path))
        self._actors[number] = actor
        self._waiting[actor.ready.remote()] = number

    def _hear(self, one: Any) -> Iterator[Event]:
        """What a worker's start or stream has to say, now that it has something."""
        worker = self._waiting[one]
        try:
            if isinstance(one, ray.ObjectRef):
                ray.get(one)
                del self._waiting[one]
                yield Joined(worker=worker)
            else:
                event = ray.get(next(one))
                if not isinstance(event, Emitted):
                    del self._waiting[one]
                yield event
        except StopIteration:
            yield from self._lose(one, "its stream ended early")
        except RayError as error:
            yield from self._lose(one, str(error).splitlines()[0] if str(error) else type(error).__name__)

    def _lose(self, one: Any, reason: str) -> Iterator[Event]:
        worker = self._waiting.pop(one)
        actor = self._actors.pop(worker)
        with suppress(Exception):
            ray.kill(actor)  # one that can't be reached may live on
        self._start()
        yield Lost(worker=worker, reason=reason)

    def _check_head(self) -> None:
        now = time.monotonic()
        if now - self._checked < _SECONDS_BETWEEN_CHECKS:
            return
        self._checked = now
        host, _, port = self._head.rpartition(":")
        with (
            suppress(OSError),
            socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS_BETWEEN_CHECKS),
        ):
            self._seen = time.monotonic()
        if time.monotonic() - self._seen > _HEAD_SECONDS:
            raise ExecutorError(
                f"the Ray cluster's head at {self._head} is lost; nothing answered is lost: start the cluster again, "
                "and run the same command to continue"
            )


class _Actor:
    """A worker, on its node."""

    def __init__(self, make_state: Callable[[], Any], path: list[str]) -> None:
        sys.path.extend(folder for folder in path if folder not in sys.path)
        self._make_state = make_state
        self._state: Any = None
        self._works: dict[int, Any] = {}

    def ready(self) -> None:
        """Return when the actor is there."""

    def run(self, worker: int, call: int, work: list[Any], item: Any) -> Iterator[Event]:
        """Do an item; the work is fetched once for all items of its call that come here one after another."""
        try:
            if call not in self._works:
                self._works = {call: ray.get(work[0])}
            self._state = self._make_state() if self._state is None else self._state
            for outcomes in batches(self._works[call], self._state, item):
                yield Emitted(worker=worker, outcomes=outcomes)
        except RayError:
            raise
        except Exception as error:  # noqa: BLE001 — whoever asked raises it
            yield Failed(worker=worker, error=sendable(error))
        else:
            yield Finished(worker=worker)


def _room(resources: dict[str, float], num_gpus: float, num_cpus: float) -> int:
    """How many workers fit, nodes' borders apart."""
    rooms = [resources.get("GPU", 0) / num_gpus] if num_gpus else []
    rooms += [resources.get("CPU", 0) / num_cpus] if num_cpus else []
    return int(min(rooms, default=1))
