"""What the curves of a run say of each epoch."""

from __future__ import annotations

import csv
from pathlib import Path


def read(folder: Path) -> list[dict[str, float]]:
    """One line an epoch of all parts of a run together; an epoch that was run twice must have gone alike."""
    found: dict[float, dict[str, float]] = {}
    for path in folder.glob("curves*/metrics.csv"):
        for line in csv.DictReader(path.read_text(encoding="utf-8").splitlines()):
            known = {k: float(v) for k, v in line.items() if v and k != "step"}
            epoch = found.setdefault(known["epoch"], {})
            differing = {k: (epoch[k], v) for k, v in known.items() if epoch.get(k, v) != v}
            assert not differing, f"epoch {known['epoch']} of {folder.name} was not repeated alike: {differing}"
            epoch.update(known)
    return [found[epoch] for epoch in sorted(found)]
