"""One writer per run in a store: an object that only one process can make, and its heartbeat.

A holder puts the object again every half minute, on the condition that it is still its own. It is taken over when its
process is gone (same host), its host has booted since, or, for another host's, after ten minutes without a heartbeat by
the store's own clock. A store without conditional writes gives who comes second a second to be seen. Knows no run.
"""

import time
from typing import Self

from ft_eval.errors import StoreError
from ft_eval.store.lease import HEARTBEAT_SECONDS, STALE_SECONDS
from ft_eval.store.owner import MAX_OWNER_BYTES, Owner
from ft_eval.store.remote.objects import Objects, wait_for_others

LEASE_NAME = "run.lease"


class RemoteLease:
    """The right to write a run, until `release` or ten minutes of silence."""

    def __init__(self, objects: Objects, owner: Owner) -> None:
        self.owner = owner
        self._objects = objects
        self._beaten = time.monotonic()

    @classmethod
    def acquire(cls, objects: Objects) -> Self:
        """Take the lease, from nobody or from a holder that is no more.

        Raises:
            StoreError: another process holds it (it is named), or the store can't be written.
        """
        owner = Owner.this_process()
        line = owner.line()
        if not (objects.put_new(LEASE_NAME, line) or _take_over(objects, line)):
            raise _refusal(objects)
        if not objects.refuses_second_writes(LEASE_NAME, line):
            wait_for_others()
        if objects.get(LEASE_NAME, MAX_OWNER_BYTES) != line:
            raise _refusal(objects)
        return cls(objects, owner)

    def beat(self) -> None:
        """Give a sign of life where one is due.

        Raises:
            LostLeaseError: another process has taken the run over.
            RemoteError: the store can't be reached.
        """
        if time.monotonic() - self._beaten < HEARTBEAT_SECONDS:
            return
        stored, line = self._objects.find(LEASE_NAME), self._objects.get(LEASE_NAME, MAX_OWNER_BYTES)
        if stored is None or line != self.owner.line():
            raise LostLeaseError(self._objects, line or b"")
        if not self._objects.replace(LEASE_NAME, self.owner.line(), stored.version):
            raise LostLeaseError(self._objects, self._objects.get(LEASE_NAME, MAX_OWNER_BYTES) or b"")
        self._beaten = time.monotonic()

    def release(self) -> None:
        """Let go of what is still ours."""
        if self._objects.get(LEASE_NAME, MAX_OWNER_BYTES) == self.owner.line():
            self._objects.delete([LEASE_NAME])


class LostLeaseError(StoreError):
    """Another process has taken the run over."""

    def __init__(self, objects: Objects, line: bytes) -> None:
        who = Owner.parse(line) or "another process, or its lease was deleted,"
        super().__init__(
            f"{objects.url} was taken over by {who} while this one gave no sign of life; what it had answered is kept"
        )


def living_owner(objects: Objects) -> Owner | None:
    """Who holds a run's lease now; None where nobody does, or nobody that lives."""
    owner = Owner.parse(objects.get(LEASE_NAME, MAX_OWNER_BYTES) or b"")
    return None if owner is None or _is_stale(objects, owner) else owner


def _take_over(objects: Objects, line: bytes) -> bool:
    """Put the lease in place of a stale one; False where its holder may live, or another was faster."""
    seen = objects.find(LEASE_NAME)
    if seen is None:
        return objects.put_new(LEASE_NAME, line)
    holder = Owner.parse(objects.get(LEASE_NAME, MAX_OWNER_BYTES) or b"")
    return _is_stale(objects, holder) and objects.replace(LEASE_NAME, line, seen.version)


def _is_stale(objects: Objects, holder: Owner | None) -> bool:
    if holder is not None and holder.is_here():
        return holder.is_gone()
    return objects.age_seconds(LEASE_NAME) > STALE_SECONDS


def _refusal(objects: Objects) -> StoreError:
    who = Owner.parse(objects.get(LEASE_NAME, MAX_OWNER_BYTES) or b"") or "another process"
    return StoreError(
        f"{objects.url} is in use by {who}; wait for it to end, or choose another --output-path "
        f"(a process that died on another machine is given up {STALE_SECONDS / 60:.0f} minutes after its last sign of "
        f"life; to continue at once, delete {LEASE_NAME} there)"
    )
