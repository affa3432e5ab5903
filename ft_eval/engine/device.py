"""A device that fails while it computes: told apart from our own bugs, and put into one line. Knows no model."""

from collections.abc import Iterator
from contextlib import contextmanager

from ft_eval.errors import EngineError

_LOST = (
    "busy or unavailable",
    "ecc error",
    "gpu is lost",
    "hardware stack error",
    "no cuda-capable device",
    "nvlink error",
    "unknown error",
    "unspecified launch failure",
)
"""What CUDA says, in lower case, when a GPU has failed, fell off its bus or was taken away. An illegal address or a
failed assertion is not among them: those are faults of a kernel."""


@contextmanager
def told_when_lost(device: str) -> Iterator[None]:
    """Within this context a device that is lost is one clear line.

    Raises:
        EngineError: the device is lost; what else is raised comes as it is.
    """
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        reason = text.splitlines()[0] if text else ""
        if "CUDA" not in text or not any(words in text.lower() for words in _LOST):
            raise
        raise EngineError(
            f"the device {device} is lost ({reason[:200]}); every answer so far is kept: run the same command again "
            "when it is back, or with another --device"
        ) from error
