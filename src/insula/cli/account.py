"""Who sits at this machine, for the trail."""

from __future__ import annotations

import os
import pwd


def account() -> str:
    """The account of this process, which, unlike LOGNAME, nobody sets."""
    try:
        return f"local:{pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:
        return f"local:{os.getuid()}"
