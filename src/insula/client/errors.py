"""What can go wrong between the client and the service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from insula.core.errors import InsulaError

if TYPE_CHECKING:
    from insula.client.answers import Job


class RemoteError(InsulaError):
    """The service refused a request, or answered what cannot be read.

    status: of the answer, 0 where there was none. code: the rule as one word, to branch on, as `unreadable_scan`.
    detail: the service's own sentence.
    """

    exit_code = 26
    code = "remote"

    def __init__(self, status: int, code: str, detail: str, message: str = "") -> None:
        super().__init__(message or f"The service answers {status} ({code}): {detail}")
        self.status = status
        self.code = code  # type: ignore[misc]  # the service's own word in place of the class's
        self.detail = detail


class UnreachableError(RemoteError):
    """No answer: no connection, a connection that was lost, or none in time."""

    exit_code = 27
    code = "unreachable"

    def __init__(self, detail: str) -> None:
        super().__init__(0, "unreachable", detail, detail)


class JobFailedError(RemoteError):
    """A job ended without its result. job: as it ended."""

    exit_code = 28

    def __init__(self, job: Job) -> None:
        told = job.error or {}
        code = str(told.get("code") or job.state)
        detail = str(told.get("message") or f"It ended as '{job.state}'.")
        super().__init__(200, code, detail, f"The job {job.id} {_ended(job.state)} ({code}): {detail}")
        self.job = job


class UnfinishedError(RemoteError):
    """A job has not ended in the time that it was waited for; it goes on. job: as it was last seen."""

    exit_code = 29
    code = "unfinished"

    def __init__(self, job: Job, seconds: float) -> None:
        detail = (
            f"The job {job.id} is {job.state} after {seconds:g} s and goes on at the service; "
            "follow it by its id, or wait longer."
        )
        super().__init__(200, "unfinished", detail, detail)
        self.job = job


def _ended(state: str) -> str:
    return "was cancelled" if state == "cancelled" else "failed"
