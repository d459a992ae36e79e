"""Python's modules that Linux and macOS have and Windows lacks; where one is missing, what to say and do."""

from __future__ import annotations

from typing import Final

from insula.core.errors import MissingPartError

MODULES: Final = frozenset({"fcntl", "grp", "pty", "pwd", "resource", "termios", "tty"})


def refusal(error: ModuleNotFoundError) -> MissingPartError | None:
    """What to say where a program met Windows; None where another module is missing."""
    if error.name not in MODULES:
        return None
    return MissingPartError(
        f"This needs Linux or macOS: it decodes scans in limited processes and locks files by '{error.name}', which "
        "this system lacks. On Windows run it in WSL 2 or a container; insula remote and insula.client work here."
    )
