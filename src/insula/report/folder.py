"""One evaluation as a folder: the page, the figures as JSON, the predictions, the pictures."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from insula.bundle.types import Bundle
from insula.core import provenance
from insula.core.types import Cohort
from insula.evaluate.gallery import GalleryItem, gallery
from insula.evaluate.outcome import EvaluationReport, save
from insula.evaluate.run import Predicts
from insula.report import page

_PICTURES = "[TF][PN]-[0-9][0-9]*.png"


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
    return write_figures(report, folder, gallery(report, bundle, cohort, each, predictor) if each else ())


def write_figures(report: EvaluationReport, folder: Path, pictures: Sequence[GalleryItem] = ()) -> Path:
    """`write` with pictures that are there already.

    The files of an earlier report in the folder are replaced, any others stay. All are made aside first: where one
    cannot be made, the folder is left as it was.
    """
    fresh = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with TemporaryDirectory(prefix=".report-", dir=folder) as name:
            draft = Path(name)
            for i, item in enumerate(pictures):
                provenance.write_bytes(draft / "heatmaps" / f"{item.outcome}-{i + 1:02d}.png", item.png)
            save(report, draft)
            written = page.write(report, draft, pictures)
            _publish(draft, folder)
    except BaseException:
        if fresh:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder / written.name


def _publish(draft: Path, folder: Path) -> None:
    """Move the files of a draft into the folder, the page last, and take away pictures that it does not have."""
    files = sorted((p for p in draft.rglob("*") if p.is_file()), key=lambda p: p.suffix == ".html")
    for path in files:
        target = folder / path.relative_to(draft)
        target.parent.mkdir(exist_ok=True)
        path.replace(target)
    kept = {path.name for path in files}
    for old in (folder / "heatmaps").glob(_PICTURES):
        if old.name not in kept:
            old.unlink()
