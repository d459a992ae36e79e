"""Asking a peer time and again: as often as agreed while it answers, ever more seldom while it does not."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import structlog

from insula.serve.pacs.asking import LONGEST, keep_asking
from insula.serve.pacs.peer_errors import PeerAnswerError, PeerRefusedError, PeerUnreachableError

pytestmark = pytest.mark.serve


class Stop(threading.Event):
    """Is set after so many waits, none of which takes any time."""

    def __init__(self, many: int) -> None:
        super().__init__()
        self.many, self.waits = many, list[float]()

    def wait(self, timeout: float | None = None) -> bool:
        """Note for how long it would have been."""
        self.waits.append(timeout or 0.0)
        if len(self.waits) == self.many:
            self.set()
        return self.is_set()


def asked(answers: Iterator[Exception | None], many: int) -> tuple[list[float], list[str]]:
    """The waits, and what the log was told."""
    stop = Stop(many)

    def ask() -> None:
        error = next(answers)
        if error is not None:
            raise error

    with structlog.testing.capture_logs() as told:
        keep_asking(ask, stop, 3.0, "archive", "it is silent")
    assert all((one["event"], one["peer"]) == ("it is silent", "archive") for one in told)
    return stop.waits, [str(one["code"]) for one in told]


def test_a_peer_that_does_not_answer_is_asked_ever_more_seldom_and_told_of_once() -> None:
    away = PeerUnreachableError("away")
    odd, no = PeerAnswerError("odd"), PeerRefusedError("no")
    waits, told = asked(iter([None, None, away, odd, no, away, away, None, away]), 9)
    assert waits == [3.0, 3.0, 6.0, 12.0, 24.0, 48.0, LONGEST, 3.0, 6.0]
    assert told == [away.code, away.code], "once for each silence"


def test_what_is_no_fault_of_the_peer_is_not_passed_over() -> None:
    with pytest.raises(ZeroDivisionError):
        asked(iter([ZeroDivisionError()]), 5)


def test_nothing_is_asked_once_it_is_told_to_stop() -> None:
    stop = threading.Event()
    stop.set()
    keep_asking(lambda: pytest.fail("it asked"), stop, 3.0, "archive", "")
