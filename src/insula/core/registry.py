"""A small table of named plain functions, loaded only when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from insula.core.errors import UsageError


@cache
def _added(kind: str) -> dict[str, str]:
    """What installed packages add; asked once, since looking through all of them takes 10 ms."""
    return {e.name: e.value for e in entry_points(group=f"insula.{kind}")}


class Registry:
    """Names → "module:function". Others add entries by the entry-point group `insula.<kind>`.

    Nothing is imported before `get`: listing what exists costs no heavy import.
    """

    def __init__(self, kind: str, entries: dict[str, str]) -> None:
        self.kind = kind
        self._entries = dict(entries)

    def _all(self) -> dict[str, str]:
        return _added(self.kind) | self._entries  # an add-on may not replace an entry of ours unseen

    def names(self) -> tuple[str, ...]:
        """Every known name, sorted."""
        return tuple(sorted(self._all()))

    def __contains__(self, name: object) -> bool:
        return name in self._all()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def get(self, name: str) -> Callable[..., Any]:
        """The function behind a name; UsageError lists the known names when there is none."""
        target = self._all().get(name)
        if target is None:
            raise UsageError(f"There is no {self.kind} called '{name}'; known are: {', '.join(self.names())}.")
        module, _, attribute = target.partition(":")
        function: Callable[..., Any] = getattr(import_module(module), attribute)
        return function
