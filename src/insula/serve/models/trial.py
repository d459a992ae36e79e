"""A bundle that is added while others predict is run in a process of its own first.

A graph of a hundred bytes can ask for a hundred gigabytes when it is loaded, and one that ONNX Runtime chokes on ends
its process. In a process of its own that costs nobody a prediction.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from insula.bundle.load import load
from insula.core.errors import BundleError, InsulaError, LimitError
from insula.scans import sandbox
from insula.scans.sandbox import Sandbox
from insula.serve.models.offered import graph_bytes

SECONDS: Final = 300.0
_COPIES: Final = 4  # of a graph that a runtime may hold while it prepares it


def tried(path: Path, memory: int = sandbox.MEMORY, seconds: float = SECONDS) -> None:
    """Verify a bundle and run it once. memory: bytes that loading and one run may take beside the graphs themselves.

    Raises BundleError for a bundle that is refused, or that takes its process with it.
    """
    load(path)  # what is changed or damaged needs no process to be refused
    most = memory + _COPIES * (graph_bytes(path) or 0)
    with Sandbox(memory=most, seconds=seconds) as own:
        try:
            own.run("insula.infer.trial:task", path.name, {"path": str(path.absolute())})
        except BundleError:
            raise
        except LimitError as error:
            raise BundleError(
                f"The bundle was tried in a process of its own and needs more than {most >> 20} MB or {seconds:g} s to "
                "be loaded and run once; export it again."
            ) from error
        except InsulaError as error:  # a graph that cannot run, and the sandbox's word for a process that ended
            raise BundleError(
                "The bundle was tried in a process of its own, and could not be run once on an empty scan; export it "
                "again."
            ) from error
