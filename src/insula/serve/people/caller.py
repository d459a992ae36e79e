"""Who asks: the person behind a request, and how that was shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from insula.serve.people.roles import Permission, Role, allowed

How = Literal["session", "key", "token", "local"]


@dataclass(frozen=True)
class Caller:
    """One authenticated person. projects: ids of those whose patients are visible. scopes: of an API key, else None.

    opened: ids of single studies of other projects that are visible too, by break-glass.
    how: by log-in cookie, API key, bearer token of an issuer, or from the command line of this machine.
    """

    user_id: str
    name: str
    role: Role
    projects: frozenset[str]
    how: How
    scopes: frozenset[str] | None = None
    session_id: str = ""
    opened: frozenset[str] = frozenset()

    def may(self, permission: Permission) -> bool:
        """Whether the role, and the key's scopes, have a permission."""
        return allowed(self.role, self.scopes, permission)

    @property
    def reader_id(self) -> str | None:
        """The id of somebody whose role reads studies, whatever a key narrows; None for others.

        Such a one is told what others said of a study only after an own answer (`store.reviews`).
        """
        return self.user_id if allowed(self.role, None, "review.write") else None
