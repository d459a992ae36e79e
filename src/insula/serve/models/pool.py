"""The models that are loaded: several bundles and versions side by side, each once, by bundle id."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from insula.bundle.load import load
from insula.bundle.types import Bundle
from insula.core.log import get
from insula.serve.faults import RequestError
from insula.serve.models.loaded import Loaded
from insula.serve.models.offered import graph_bytes


@dataclass(frozen=True)
class Memory:
    """What a loaded model takes.

    graph_bytes: its two graphs on disk. grown_bytes: by how much the process grew while it was loaded and warmed, 0
    where the system does not say it.
    """

    graph_bytes: int
    grown_bytes: int


class Pool:
    """Usable from several threads; requests that are at work with a model keep it until they are done.

    threads, budget: of each model, as in `Loaded`. open_bundle: how a bundle becomes a loaded model.
    """

    def __init__(
        self, threads: int = 0, budget: float = 0.0, open_bundle: Callable[[Bundle], Loaded] | None = None
    ) -> None:
        self._open = open_bundle or partial(Loaded, threads=threads, budget=budget)
        self._loading = threading.Lock()  # one at a time: two that warm up together would measure each other
        self._models: dict[str, Loaded] = {}  # replaced as a whole, so that readers need no lock
        self._memory: dict[str, Memory] = {}

    def add(self, path: Path) -> Loaded:
        """Verify, load and warm a bundle, once. A model whose provider does not start runs on the CPU instead.

        Raises BundleError for a bundle that is refused.
        """
        with self._loading:
            bundle = load(path)
            if (known := self._models.get(bundle.id)) is not None:
                return known
            before = resident()
            model = self._open(bundle)
            grown = max(0, resident() - before)
            self._memory |= {bundle.id: Memory(graph_bytes(bundle.path) or 0, grown)}
            self._models = {**self._models, bundle.id: model}
        get("serve").info("model loaded", bundle=bundle.id, slices_a_call=model.gain.most, why=model.gain.why)
        return model

    def remove(self, bundle_id: str) -> bool:
        """Let go of a model; False where it is not loaded. Its memory is free when the last request is done with it."""
        with self._loading:
            found = bundle_id in self._models
            self._models = {name: model for name, model in self._models.items() if name != bundle_id}
            self._memory.pop(bundle_id, None)
        return found

    def get(self, bundle_id: str) -> Loaded:
        """A model by its bundle's id. Raises RequestError 503 where it is not loaded here."""
        model = self._models.get(bundle_id)
        if model is None:
            raise RequestError(
                503, "not_loaded", f"The model '{bundle_id[:64]}' is not loaded here; load it, or ask for another."
            )
        return model

    def first(self) -> Loaded | None:
        """The model that was loaded first, or None."""
        return next(iter(self._models.values()), None)

    def all(self) -> tuple[Loaded, ...]:
        """The models in the order in which they were loaded."""
        return tuple(self._models.values())

    def memory(self) -> dict[str, Memory]:
        """What each model takes, by bundle id."""
        return dict(self._memory)


def resident() -> int:
    """Bytes of memory that this process holds; 0 where the system does not say it."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS")), 0)
