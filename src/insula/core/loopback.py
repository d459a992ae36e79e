"""Which addresses reach no further than this machine, and which can be read in one way alone."""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Whether an address reaches no further than this machine."""
    name = host.strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_web_address(text: str) -> bool:
    """Whether an address can be read in one way alone: `SCHEME://HOST`, with a port, path, user or question or without.

    It holds no blank, control character, backslash or letter beyond ASCII, its port is one, and its host is a name or
    an address as everybody writes it: `2130706433` and `127.1` are none, and a resolver may take them for one.
    """
    if not text.isascii() or _UNSAFE.search(text):
        return False
    try:
        parts = urlsplit(text)
        known = parts.port is None or parts.port > 0
    except ValueError:
        return False
    place = parts.netloc.rpartition("@")[2]
    return bool(known and text.startswith(f"{text[: len(parts.scheme)]}://") and _is_host(place))


def _is_host(place: str) -> bool:
    found = _HOST.fullmatch(place)
    if found is None:
        return False
    name, address = found["name"], found["six"]
    try:
        ipaddress.ip_address(address or name)
    except ValueError:
        return address is None and not _NUMBER.fullmatch(name.rstrip(".").rpartition(".")[2])
    return True


_UNSAFE: Final = re.compile(r'[\x00-\x20\x7f\\"<>^`{|}]')
_HOST: Final = re.compile(
    r"(?:(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9.])?)|\[(?P<six>[0-9A-Fa-f:.]+)\])(?::\d+)?"
)
_NUMBER: Final = re.compile(r"\d+|0[xX][0-9A-Fa-f]*")
