"""The far side of a container: the fork server's owner there, told by standard input what to run.

It follows programs under their deadlines as the near side does elsewhere, with the container's own clocks and process
ids, and passes answers on; it holds no expected value and judges none. It ends with its input: whoever started the
container and dies takes it along. Before it serves it looks whether the container is what was asked for.
"""

import contextlib
import os
import socket
import sys
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import BinaryIO

from ft_eval.sandbox import messages
from ft_eval.sandbox.box import kernel
from ft_eval.sandbox.execution import execute
from ft_eval.sandbox.records import Answer
from ft_eval.sandbox.server import BoxServer, ServerError

_TIER = "docker"


def main() -> None:
    """Serve one program after another until the input ends, or the fork server fails."""
    kernel.control_process(kernel.PR_SET_DUMPABLE, 0)  # programs run under the same uid, and /proc is there
    asked: SimpleQueue[messages.Message] = SimpleQueue()
    said = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing but messages on the pipe
    try:
        check_container()
        server = BoxServer(_TIER)
    except ServerError as error:
        messages.write(said, {"error": str(error)})
        return
    with contextlib.suppress(OSError):
        Path(__file__).parents[2].unlink()  # the archive this was imported from: a folder stays
    messages.write(said, {"walls": server.walls, "versions": server.versions})
    threading.Thread(target=_listen, args=(sys.stdin.buffer, asked), daemon=True).start()
    while _serve_one(server, asked, said):
        pass
    server.close()


def check_container() -> None:
    """See that nothing was left out of the container's walls. Raises ServerError that names what is missing."""
    status = dict(line.partition(":")[::2] for line in Path("/proc/self/status").read_text("ascii").splitlines())
    others = [name for _, name in socket.if_nameindex() if name != "lo"]
    found = {
        f"has a network ({', '.join(others)})": bool(others),
        "runs as root": os.geteuid() == 0,
        "has capabilities": int(status["CapEff"], 16) != 0 or int(status["CapBnd"], 16) != 0,
        "may gain privileges": status["NoNewPrivs"].strip() != "1",
        "can write to its root": not os.statvfs("/").f_flag & os.ST_RDONLY,
    }
    if missing := [name for name, is_so in found.items() if is_so]:
        raise ServerError(f"the container {', '.join(missing)}")


def _listen(pipe: BinaryIO, asked: "SimpleQueue[messages.Message]") -> None:
    """Pass on what comes in; at its end, end everything, whatever runs."""
    try:
        while (message := messages.read(pipe)) is not None:
            asked.put(message)
    except (messages.MessageError, OSError):
        pass
    os._exit(0)


def _serve_one(server: BoxServer, asked: "SimpleQueue[messages.Message]", said: BinaryIO) -> bool:
    """Run one program; False when the fork server is of no further use."""
    calls = messages.to_calls(asked.get()["run"])

    def judge(answer: Answer) -> bool:
        messages.write(said, {"answer": messages.from_answer(answer)})
        return asked.get()["go"] is True

    try:
        result, is_fit = execute(server, calls, judge)
    except ServerError as error:
        messages.write(said, {"error": str(error)})
        return False
    messages.write(said, {"result": messages.from_result(result), "is_fit": is_fit})
    return is_fit
