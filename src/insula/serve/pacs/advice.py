"""What a look at the node's settings and rules tells, where they can be read and may still not be what was meant."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection, Iterable, Iterator
from difflib import get_close_matches
from typing import Final

from sqlalchemy import Connection

from insula.serve.models import choose
from insula.serve.pacs.rules import Rules
from insula.serve.pacs.settings import PacsSettings
from insula.serve.people import projects

_PREFIX: Final = "INSULA_PACS_"
_LOGIN: Final = "LOGIN_"
_MEGABYTE: Final = 1 << 20


def of_settings(settings: PacsSettings, names: Iterable[str], free: int) -> tuple[str, ...]:
    """What may be wrong in the settings. names: of the environment's variables; free: bytes of the files' disk."""
    return (*_unknown(settings, names), *_of_callers(settings), *_of_room(settings, free))


def of_rules(rules: Rules, settings: PacsSettings) -> tuple[str, ...]:
    """What may be wrong in rules that were read and checked."""
    found = []
    if not rules.rules:
        found.append(
            f"There is no rule: whatever comes is kept for {settings.keep_unrouted_days} days and then deleted."
        )
    if rules.pseudonymise and settings.identity_key is None:
        found.append("Rules ask for pseudonyms, and INSULA_PACS_IDENTITY_KEY is not set: so the node does not start.")
    return tuple(found)


def notes(rules: Rules) -> tuple[str, ...]:
    """What follows from rules and is easily overlooked."""
    if not rules.pseudonymise:
        return ()
    return (
        "Secondary captures and encapsulated documents are not stored under pseudonyms: the node takes them only where "
        "a rule without pseudonyms does.",
    )


def of_records(rules: Rules, connection: Connection) -> tuple[str, ...]:
    """Projects and models that rules name and the records do not have; they may come later."""
    found = []
    there = {one.name for one in projects.every(connection)}
    known = {one.name: "" for one in choose.models(connection)}
    active = {one.name for one in choose.in_state(connection, "active")}
    for rule in rules.rules:
        if projects.title_of(rule.project) not in there:
            found.append(f"The rule '{rule.name}' names the project '{rule.project}', which is not made yet"
                         f"{_instead(rule.project, there)}.")  # fmt: skip
        if rule.model and rule.model not in known:
            found.append(f"The rule '{rule.name}' names the model '{rule.model}', of which none is registered"
                         f"{_instead(rule.model, known)}.")  # fmt: skip
        elif rule.model and rule.model not in active:
            found.append(f"The rule '{rule.name}' names the model '{rule.model}', of which none is active.")
    return tuple(found)


def _unknown(settings: PacsSettings, names: Iterable[str]) -> Iterator[str]:
    fields = {name.upper() for name in type(settings).model_fields}
    logins = {_LOGIN + name.upper().replace("-", "_") for name in settings.peer}
    for name in sorted(names):
        left = name.upper().removeprefix(_PREFIX)
        if left == name.upper() or left in fields | logins:
            continue
        if left.startswith(_LOGIN):
            yield f"{name} is of a peer that INSULA_PACS_PEERS does not have{_instead(left, logins, _PREFIX)}."
        else:
            yield f"{name} is no setting, and nothing reads it{_instead(left, fields, _PREFIX)}."


def _of_callers(settings: PacsSettings) -> Iterator[str]:
    if not settings.callers:
        yield "INSULA_PACS_ALLOW is empty: nobody may open an association."
    for title, hosts in settings.callers.items():
        for host in sorted(hosts):
            if not _is_address(host):
                yield (
                    f"INSULA_PACS_ALLOW has '{title}' call from '{host}', which is neither an address nor a name "
                    "that is known here: it may not."
                )


def _of_room(settings: PacsSettings, free: int) -> Iterator[str]:
    if free < settings.least_free_mb * _MEGABYTE:
        yield (
            f"INSULA_PACS_LEAST_FREE_MB asks for {settings.least_free_mb} MB, and {free // _MEGABYTE} MB of the disk "
            "are free: every association is rejected."
        )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        try:
            return bool(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError):
            return False
    return True


def _instead(name: str, known: Collection[str], prefix: str = "") -> str:
    near = get_close_matches(name, known, 1)
    return f" ('{prefix}{near[0]}' may be meant)" if near else ""
