"""What is closed when its `with` ends. Knows nothing of what is closed."""

from types import TracebackType
from typing import Self


class Closing:
    """A base for what has a `close` and is used as a context manager."""

    def close(self) -> None:
        """Let go of what is held; the heir's matter."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
