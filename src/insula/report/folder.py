"""One evaluation as a folder: the page, the figures as JSON, the predictions, the pictures."""

from __future__ import annotations

from pathlib import Path

from insula.bundle.types import Bundle
from insula.core import provenance
from insula.core.types import Cohort
from insula.evaluate.gallery import gallery
from insula.evaluate.outcome import EvaluationReport, save
from insula.evaluate.run import Predicts
from insula.report import page


def write(
    report: EvaluationReport,
    bundle: Bundle,
    cohort: Cohort,
    folder: Path,
    each: int = 3,
    predictor: Predicts | None = None,
) -> Path:
    """Write `report.html`, `report.json`, `predictions.parquet` and `heatmaps/`; return the path of the page.

    each: how many cases of each outcome the page shows with their heat maps; 0 leaves the pictures out.
    """
    pictures = gallery(report, bundle, cohort, each, predictor) if each else ()
    save(report, folder)
    for i, item in enumerate(pictures):
        provenance.write_bytes(folder / "heatmaps" / f"{item.outcome}-{i + 1:02d}.png", item.png)
    return page.write(report, folder, pictures)
