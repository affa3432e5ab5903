"""What spreading a run costs the process that spreads it: real pool, client and logs; workers that answer at once.

    python benchmarks/cluster.py --answers 1000000 --workers 512

The simulated workers answer a scoring request in no time, so all that is measured is overhead. Scoring by lm-eval and
the samples' files are not in it.
"""

import argparse
import resource
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ft_eval.engine import Loglikelihood, ScoringRequest
from ft_eval.engine.client import EngineClient, Facts
from ft_eval.engine.loading import ModelArguments
from ft_eval.executors.crew import Emitted, Event, Finished, Joined, Task
from ft_eval.executors.pool import PoolExecutor
from ft_eval.model.noise import NoiseKey
from ft_eval.records import Answer
from ft_eval.store import ResponseLog

_ANSWERS_PER_JOB = 10_000
_SCORE = Loglikelihood(total_nats=-1.5, num_tokens=2, is_greedy=False, seconds=0.0)


class SimulatedCrew:
    """Workers that answer a shard the moment they are given it."""

    def __init__(self, num_workers: int) -> None:
        self.num_workers = num_workers
        self._events: deque[Event] = deque(Joined(worker=worker) for worker in range(num_workers))

    def give(self, worker: int, task: Task) -> None:
        """Answer the shard."""
        self._events.append(Emitted(worker=worker, outcomes=tuple((index, _SCORE) for index in task.item)))
        self._events.append(Finished(worker=worker))

    def poll(self, seconds: float) -> Sequence[Event]:
        """What was answered."""
        if not self._events:
            time.sleep(0.001)
        events, self._events = tuple(self._events), deque()
        return events

    def forget(self, call: int) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nobody is there."""


def measure(num_answers: int, num_workers: int, folder: Path) -> tuple[float, float]:
    """Wall and CPU seconds to spread and log that many answers, job after job."""
    facts: Any = Facts(tokenizer=None, max_length=2048)  # type: ignore[arg-type] # no text is made here
    wall, cpu = time.perf_counter(), time.process_time()
    with PoolExecutor(SimulatedCrew(num_workers)) as executor:
        client = EngineClient(executor, ModelArguments(path=folder), facts=facts, latents=None)
        for job in range(num_answers // _ANSWERS_PER_JOB):
            requests = [
                ScoringRequest(context=(1, 2), continuation=(3,), noise=NoiseKey(seed=1, item=f"{job}/{number // 4}"))
                for number in range(_ANSWERS_PER_JOB)
            ]
            with ResponseLog.open(folder / f"{job}.jsonl") as log:
                client.score(requests, lambda index, score, log=log: log.append(_answer(index, score)))  # type: ignore[misc] # bound at once
    return time.perf_counter() - wall, time.process_time() - cpu


def _answer(index: int, score: Loglikelihood) -> Answer:
    return Answer(
        key=f"{index:024x}/0", logprob_nats=score.total_nats, is_greedy=score.is_greedy, num_prompt_tokens=600
    )


def main() -> None:
    """Print one row per number of workers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answers", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 8, 64, 512])
    arguments = parser.parse_args()
    print("workers    answers   wall s    CPU s   us/answer   peak MiB", flush=True)
    for num_workers in arguments.workers:
        with tempfile.TemporaryDirectory() as folder:
            wall, cpu = measure(arguments.answers, num_workers, Path(folder))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        each = 1e6 * wall / arguments.answers
        print(f"{num_workers:7d} {arguments.answers:10d} {wall:8.1f} {cpu:8.1f} {each:11.1f} {peak:10.0f}", flush=True)


if __name__ == "__main__":
    main()
