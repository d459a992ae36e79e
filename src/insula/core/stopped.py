"""A long job that was ended from outside on its way, by a person or by the system, and that can go on."""

from __future__ import annotations

import signal


class StoppedError(KeyboardInterrupt):
    """A job that a signal ended: no fault of it, so that nothing which catches faults takes it for one.

    sign: the signal, SIGINT for Ctrl-C. The exit code is the shell's, 128 and the signal's number.
    """

    def __init__(self, sign: signal.Signals, said: str) -> None:
        super().__init__(said)
        self.sign = sign

    @property
    def exit_code(self) -> int:
        """130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + int(self.sign)
