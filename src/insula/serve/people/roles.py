"""Who may do what: each role's permissions, and nothing that is not named here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args

Role = Literal["reader", "reviewer", "admin", "auditor"]
Permission = Literal[
    "study.read",  # studies, predictions, pictures and reports of one's projects
    "study.write",  # upload, join, note
    "study.predict",
    "study.erase",
    "patient.export",
    "review.read",
    "review.write",
    "cohort.export",
    "summary.ask",
    "glass.break",  # open one study of a project that is not one's own, with a reason
    "model.read",
    "model.manage",
    "job.read",
    "job.cancel",
    "key.own",  # one's own API keys
    "user.manage",  # users, their keys and their projects
    "project.manage",
    "trail.read",
    "monitor.read",
    "pacs.read",  # what came in over the network, and what a PACS has
    "pacs.move",  # fetch a study from a PACS, send a result to one, try again what failed
]

ROLES: Final[tuple[Role, ...]] = get_args(Role)
PERMISSIONS: Final[tuple[Permission, ...]] = get_args(Permission)

_READER: Final[frozenset[Permission]] = frozenset(
    {
        "study.read",
        "study.write",
        "study.predict",
        "review.read",
        "summary.ask",
        "glass.break",
        "model.read",
        "job.read",
        "job.cancel",
        "key.own",
    }
)
GRANTED: Final[Mapping[Role, frozenset[Permission]]] = {
    "reader": _READER,
    "reviewer": _READER | {"review.write", "cohort.export", "pacs.read", "pacs.move"},
    "admin": frozenset(PERMISSIONS),
    "auditor": frozenset({"trail.read", "monitor.read", "model.read", "key.own"}),
}


def allowed(role: Role, scopes: frozenset[str] | None, permission: Permission) -> bool:
    """Whether a role has a permission; scopes narrow what an API key may use of it, None for a log-in."""
    return permission in GRANTED[role] and (scopes is None or permission in scopes)
