"""Peers that did not answer: nobody waits for them a second time at once, and one finds out when they are back."""

from __future__ import annotations

import pytest

from insula.serve.pacs.peer_errors import PeerRefusedError, PeerUnreachableError
from insula.serve.pacs.rest import SECONDS, Rest


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def fails(rest: Rest, peer: str = "archive") -> bool:
    """Ask a peer that is down; whether it was asked at all."""
    asked = []

    def ask() -> None:
        with rest.asking(peer):
            asked.append(peer)
            raise PeerUnreachableError("down")

    with pytest.raises(PeerUnreachableError):
        ask()
    return bool(asked)


def test_a_peer_that_is_down_is_asked_once_in_a_while() -> None:
    clock = Clock()
    rest = Rest(clock)
    assert [fails(rest) for _ in range(3)] == [True, False, False]
    clock.now += SECONDS
    assert [fails(rest) for _ in range(3)] == [True, False, False]


def test_others_are_asked_all_the_while() -> None:
    rest = Rest(Clock())
    fails(rest)
    with rest.asking("viewer"):
        pass
    assert fails(rest, "viewer")


def test_one_alone_tries_and_the_others_follow_when_it_is_back() -> None:
    clock = Clock()
    rest = Rest(clock)
    fails(rest)
    clock.now += SECONDS
    with rest.asking("archive"):
        assert not fails(rest)
    with rest.asking("archive"), rest.asking("archive"):
        pass


def test_a_peer_that_says_no_is_there() -> None:
    rest = Rest(Clock())
    for _ in range(2):
        with pytest.raises(PeerRefusedError), rest.asking("archive"):
            raise PeerRefusedError("no")
