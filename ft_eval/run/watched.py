"""Listeners, and an eye on what keeps the run elsewhere: what is odd there is told here, what is lost there ends it."""

from collections.abc import Callable

from ft_eval.records import Answer, Job
from ft_eval.run.progress import Listeners, Progress


class Watched(Listeners):
    """Tells several, and looks after something at each answer and each job's end.

    Args:
        look: what is odd and new, a line each; it raises where the run can't go on.
        listeners: are told, in order.
    """

    def __init__(self, look: Callable[[], list[str]], *listeners: Progress) -> None:
        super().__init__(*listeners)
        self._look = look

    def answered(self, job: Job, answer: Answer) -> None:
        """Tell all, and look."""
        super().answered(job, answer)
        self._tell_odd()

    def job_finished(self, job: Job) -> None:
        """Tell all, and look."""
        super().job_finished(job)
        self._tell_odd()

    def _tell_odd(self) -> None:
        for text in self._look():
            self.noticed(text)
