"""`python -m insula`: the same as the command `insula`."""

from __future__ import annotations

from insula.cli.main import run

if __name__ == "__main__":
    run()
