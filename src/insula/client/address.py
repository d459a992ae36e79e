"""Where the service is, and with which key: checked before anything is sent."""

from __future__ import annotations

import os
from typing import Final
from urllib.parse import urlsplit

from insula.core.errors import UsageError
from insula.core.loopback import is_loopback, is_web_address

ADDRESS: Final = "INSULA_REMOTE"
KEY: Final = "INSULA_REMOTE_KEY"


def address_of(given: str, insecure: bool) -> str:
    """The service's address, that of INSULA_REMOTE where none is given, without a slash at its end.

    insecure: plain http to another machine is allowed. Raises UsageError for what is no address of a service, one that
    holds a password, and for plain http to another machine.
    """
    text = (given or os.environ.get(ADDRESS, "")).strip().rstrip("/")
    if not text:
        raise UsageError(f"No service is named; set {ADDRESS}, or give its address, as https://insula.example.org.")
    if not is_web_address(text) and "://" in text:
        raise UsageError("The service's address cannot be read; write it as https://insula.example.org.")
    parts = urlsplit(text if is_web_address(text) else "")
    host = parts.hostname or ""
    if parts.username or parts.password:
        raise UsageError(f"The service's address holds a user or a password; give the key by {KEY} instead.")
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise UsageError(f"'{text[:200]}' is no address of a service; write it as https://insula.example.org.")
    if parts.scheme == "http" and not insecure and not is_loopback(host):
        raise UsageError(
            f"The address '{text[:200]}' is plain http to another machine, where key and scans could be read on the "
            "way; give an https address, or ask for it by `insecure`."
        )
    return text


def key_of(given: str | None) -> str:
    """The key, that of INSULA_REMOTE_KEY where none is given, "" for none. Raises UsageError for one that is none."""
    text = os.environ.get(KEY, "") if given is None else given
    if text and not (text.isascii() and text.isprintable() and " " not in text):
        raise UsageError(f"The key is no row of plain characters without spaces; set {KEY} to it as it was shown.")
    return text
