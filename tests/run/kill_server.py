"""A warm process that forks a real `ft-eval` per line of stdin, so that fifty starts don't cost fifty imports.

In: one JSON object per line, {"cwd": ..., "argv": [...], "computed": FILE, "environment": {...}}. Out: the child's pid
on one line and, when it has ended, its exit status on the next (minus the signal where it was killed). Every answer
that the engine finishes is a byte in FILE before it is logged.
"""

import json
import os
import sys
from typing import Any

from ft_eval.cli.main import main
from ft_eval.cli.quiet import quiet_libraries


def child(order: dict[str, Any]) -> None:
    os.setpgid(0, 0)  # what it starts is killed with it, as a cluster's scheduler does
    os.chdir(order["cwd"])
    os.environ.update(order["environment"])
    log = os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    counter = os.open(order["computed"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    append = ResponseLog.append

    def counted(self: ResponseLog, answer: Answer) -> None:
        os.write(counter, b".")
        append(self, answer)

    ResponseLog.append = counted  # type: ignore[method-assign]
    sys.argv = ["ft-eval", *order["argv"]]
    main(order["argv"])


quiet_libraries(offline=True)
import ft_eval.cli.running  # noqa: E402 — after the libraries were told to be quiet: it loads them all
import ft_eval.harness.code_tasks  # noqa: E402, F401
from ft_eval.records import Answer  # noqa: E402
from ft_eval.store import ResponseLog  # noqa: E402

if __name__ == "__main__":  # workers that a child starts import this module too
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            sys.stdin = open(os.devnull)  # noqa: PTH123, SIM115 — the orders are the parent's
            child(json.loads(line))
            os._exit(0)
        print(pid, flush=True)  # noqa: T201 — its protocol
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201
