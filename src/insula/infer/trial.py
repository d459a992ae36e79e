"""One run of a bundle's graphs, as a task of the sandbox: what they do to a process is found out in one of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from insula.bundle.load import load
from insula.infer import providers
from insula.infer.engine import Engine


def task(request: dict[str, Any]) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """Task of the sandbox: verify the bundle at request `path`, load it and run it on zeros, on the CPU; its id."""
    os.environ[providers.VARIABLE] = "cpu"  # of this process alone, which then ends
    bundle = load(Path(request["path"]))
    Engine(bundle, 1).warm()
    return {"bundle": bundle.id}, ()
