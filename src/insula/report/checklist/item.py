"""A checklist: its items, and how each is answered from a record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from insula.report.checklist.answer import Answer
from insula.report.record import Record


@dataclass(frozen=True)
class Item:
    """One item: its number, section and title, and what answers it; None as an answer leaves it to the author."""

    number: str
    section: str
    title: str
    answer: Callable[[Record], Answer | None]


@dataclass(frozen=True)
class Checklist:
    """A reporting checklist with its source."""

    name: str
    source: str
    items: tuple[Item, ...]


def author(record: Record) -> Answer | None:
    """No record of a program can answer this."""
    del record
    return None
