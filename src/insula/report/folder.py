"""One evaluation as a folder: the page, the record, the predictions, the card, the checklists, the pictures."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from insula.bundle.types import Bundle
from insula.core import provenance, scratch
from insula.core.errors import EvaluationError
from insula.core.types import Cohort
from insula.evaluate.gallery import GalleryItem, gallery
from insula.evaluate.outcome import EvaluationReport
from insula.evaluate.run import Predicts
from insula.report import card, card_evidence, comparison, page, record
from insula.report.checklist import answered
from insula.report.record import Record

_PICTURES = "[TF][PN]-[0-9][0-9]*.png"
PAGE = "report.html"


def write(
    report: EvaluationReport,
    bundle: Bundle,
    cohort: Cohort,
    folder: Path,
    each: int = 3,
    predictor: Predicts | None = None,
) -> Path:
    """Write the report with pictures of the bundle's heat maps; return the path of the page.

    Files: `report.html`, `report.json` (every figure), `cases.parquet` (every prediction), `model-card.md`,
    `checklists.json`, `heatmaps/`. each: how many cases of each outcome the page shows; 0 leaves the pictures out.
    """
    pictures = gallery(report, bundle, cohort, each, predictor) if each else ()
    return write_figures(report, folder, pictures, bundle)


def write_figures(
    report: EvaluationReport, folder: Path, pictures: Sequence[GalleryItem] = (), bundle: Bundle | None = None
) -> Path:
    """`write` with pictures that are there already, and without a bundle where the predictions came from elsewhere.

    The files of an earlier report in the folder are replaced, any others stay. All are made aside first: where one
    cannot be made, the folder is left as it was.
    """
    held = record.of_report(report, bundle, pictures)
    images = {record.name_of(item, i): item.png for i, item in enumerate(pictures) if item.png}
    return _put(held, record.parquet(record.cases(report, bundle)), images, folder)


def rewrite(folder: Path, audit: Path | None = None) -> Path:
    """Write page, card and checklists anew from `report.json`, `cases.parquet` and `heatmaps/`; no model is needed.

    audit: the folder of an audit of the same bundle, whose verdict and findings the record keeps from then on, for the
    card. The record of a comparison gives its page. Raises EvaluationError where a file is missing, figures and
    predictions do not belong together, or the audit is of another bundle.
    """
    if comparison.is_one(record.content(folder)):
        if audit:
            raise EvaluationError(f"'{folder}' holds a comparison, which has no model card; leave --audit out.")
        return comparison.rewrite(folder)
    held = record.load(folder)
    if audit:
        from insula.report import audit_page  # with all parts of an audit behind it

        digest = provenance.sha256_file(audit / audit_page.FIGURES) if audit_page.is_one(audit) else ""
        held = {**held, "audit": card_evidence.excerpt(audit_page.load(audit), digest, held)}
    names = [item["file"] for item in held["gallery"] if item["file"]]
    images = {n: path.read_bytes() for n in names if (path := folder / "heatmaps" / n).is_file()}
    return _put(held, (folder / record.CASES).read_bytes(), images, folder)


def _put(held: Record, cases: bytes, images: Mapping[str, bytes], folder: Path) -> Path:
    fresh = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with scratch.beside(folder / PAGE) as draft:
            for file, data in images.items():
                provenance.write_bytes(draft / "heatmaps" / file, data)
            provenance.write_bytes(draft / record.CASES, cases)
            provenance.write_json(draft / record.FIGURES, dict(held))
            provenance.write_json(draft / "checklists.json", answered.to_dict(held))
            provenance.write_text(draft / "model-card.md", card.of_record(held))
            provenance.write_text(draft / PAGE, page.render(held, images))
            _publish(draft, folder)
    except BaseException:
        if fresh:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder / PAGE


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
