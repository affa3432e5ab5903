"""One child of the fork server, from the fork to the first foreign byte: what it keeps, its walls, its job.

What fails here is the infrastructure's failure, told on stderr, and never an outcome. A fork shares its server's pages
until one of the two writes to them, and in Python to look at an object is to write to it: a page that is touched here
is copied for every program. So this module does little, and leaves to the server what can be done once.
"""

import os
from typing import NoReturn

from ft_eval.sandbox.box import confine, driver
from ft_eval.sandbox.box.config import ChildLimits

JOB_FD, ANSWER_FD = 3, 4
FIRST_FREE_FD = 5
_MAX_DESCRIPTORS = 1 << 20


def live(walls: confine.Walls, limits: ChildLimits, descriptors: list[int]) -> NoReturn:
    """The whole life of the calling process. `descriptors` are the job's (to read) and the answers' (to write).

    It keeps descriptors 0 to 2, the answers', and those in `walls.kept`.
    """
    try:
        _put_in_place(descriptors)
        job = driver.Job.load(_read_job(), limits.digest_bytes)
        confine.enter(walls, limits)
        _open_null()
        _close_all_but(walls.kept)
        driver.run(job, ANSWER_FD)
    except BaseException as error:  # noqa: BLE001 (the last word of a process that is about to end)
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(70)


def _put_in_place(descriptors: list[int]) -> None:
    """The job at JOB_FD, the answers at ANSWER_FD; the server holds both numbers free."""
    job, answers = descriptors
    os.dup2(job, JOB_FD)
    os.dup2(answers, ANSWER_FD, inheritable=False)


def _read_job() -> bytes:
    size, parts, found = os.fstat(JOB_FD).st_size, [], 0
    while found < size:
        parts.append(os.pread(JOB_FD, size - found, found))
        found += len(parts[-1])
    return b"".join(parts)


def _open_null() -> None:
    """The null device, opened anew, as 0 to 2: flags and locks of the server's own would stay for the next program."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)


def _close_all_but(kept: tuple[int, ...]) -> None:
    """Every descriptor but 0 to 2, the answers' and the ones in `kept`, whatever was open."""
    os.close(JOB_FD)
    first = FIRST_FREE_FD
    for descriptor in kept:
        os.closerange(first, descriptor)
        first = descriptor + 1
    os.closerange(first, _MAX_DESCRIPTORS)
