"""What was done to a folder: counts and keywords as JSON, CSV and a page, with what was not looked at."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from insula import __version__
from insula.cohort.deidentify.journal import Row
from insula.cohort.deidentify.labels import Table
from insula.cohort.deidentify.profile import BASIC, CLEAN_PIXELS, OPTIONS
from insula.cohort.deidentify.tally import KINDS
from insula.core import cells
from insula.core.provenance import write_json, write_text

_DATES = ("full-dates", "shifted-dates")
_PICTURES = frozenset({"dicom", "nifti", "npy", "png", "jpeg", "tiff"})


@dataclass(frozen=True)
class Report:
    """The rows of all files and the terms of the run.

    looked: whether writing was looked for by Tesseract. lasting: whether the key came from outside. names, columns:
    folder names and columns of the labels that were to stay.
    """

    rows: tuple[Row, ...]
    options: tuple[str, ...]
    burned_in: str
    looked: bool
    lasting: bool
    table: Table | None
    names: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """How many files were written, quarantined and left out, and how many of them were blanked."""
        found = Counter(row.status for row in self.rows)
        found["blanked"] = sum(row.pixels == "blanked" for row in self.rows)
        return {name: found[name] for name in ("written", "quarantined", "left out", "blanked")}

    @property
    def quarantined(self) -> tuple[Row, ...]:
        """Files that have no copy since they could not be cleaned."""
        return tuple(row for row in self.rows if row.status == "quarantined")

    @property
    def attributes(self) -> dict[str, dict[str, int]]:
        """Keyword → what was done to it → in all files how often."""
        found: dict[str, dict[str, int]] = {}
        for row in self.rows:
            for kind, counts in row.attributes.items():
                for keyword, count in counts.items():
                    if count:
                        line = found.setdefault(keyword, dict.fromkeys(KINDS, 0))
                        line[kind] += count
        return dict(sorted(found.items(), key=lambda item: item[0].lower()))

    @property
    def kept(self) -> dict[str, int]:
        """Keyword → how often an option of the profile kept its value, the most frequent first."""
        found = {keyword: counts["kept"] for keyword, counts in self.attributes.items() if counts["kept"]}
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    @property
    def stays(self) -> tuple[str, ...]:
        """What was kept by the terms of the run, one sentence each."""
        chosen = ", ".join(name for name in self.options if name not in _DATES)
        said = []
        if self.kept:
            each = ", ".join(f"{keyword} ({count:,})" for keyword, count in self.kept.items())
            said.append(f"Values of {_number(len(self.kept), 'attribute')} stay by options: {each}.")
        elif chosen:
            said.append(f"The options {chosen} met no attribute to keep.")
        if "full-dates" in self.options:
            said.append("Dates and times stay in full.")
        if "shifted-dates" in self.options:
            said.append("Dates stay, moved by the same number of days for each patient; times of day stay.")
        if self.names:
            said.append(f"Folder names that stay: {', '.join(self.names)}.")
        if self.columns:
            said.append(f"Columns of the labels that stay: {', '.join(self.columns)}.")
        return tuple(said)

    @property
    def on_head(self) -> str:
        """A warning where blanking covered parts of heads, else ""."""
        rows = [row for row in self.rows if row.on_head]
        if not rows:
            return ""
        total = sum(row.on_head for row in rows)
        return (
            f"Blanking covered {_number(total, 'pixel')} of the head in {_number(len(rows), 'file')}: look at them "
            "before they are used (column on_head of report.csv)."
        )

    @property
    def not_checked(self) -> tuple[str, ...]:
        """What this run did not look at, one sentence each."""
        kinds = Counter(row.kind for row in self.rows if row.file and row.pixels == "not checked")
        said = [
            f"Writing in the pictures of {_number(count, f'{kind} file')} was not looked for."
            for kind, count in sorted(kinds.items())
        ]
        if any(row.pixels in ("checked", "blanked") for row in self.rows):
            said.append(
                "Writing was looked for by OCR in Latin letters and digits; handwriting, other scripts, and small, "
                "faint or turned writing may have been missed."
            )
        if any(row.kind in _PICTURES and row.file for row in self.rows):
            said.append(
                "The surface of a head (face, ears, teeth) can be rebuilt from a scan and can identify a person; "
                "nothing was done about it."
            )
        if any(row.kind == "dicom" and row.file for row in self.rows):
            said.append(
                "Attributes that the table does not name stay when they hold numbers, codes or short texts; in short "
                "texts the names and numbers of the same file were looked for, and nothing else."
            )
        said.append("A rare disease, a rare date or a rare combination of what was kept can identify a person.")
        return tuple(said)

    @property
    def profile(self) -> tuple[str, ...]:
        """The profile and options that were applied, with their codes (CID 7050)."""
        used = [BASIC, *(OPTIONS[name] for name in self.options)]
        if self.looked:
            used.append(CLEAN_PIXELS)
        return tuple(f"{option.meaning} ({option.code})" for option in sorted(used, key=lambda option: option.code))

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return {
            "insula": __version__,
            "profile": list(self.profile),
            "table": "DICOM PS3.15 E.1-1, edition 2026c",
            "burned_in": self.burned_in,
            "linkable_to_later_runs": self.lasting,
            "counts": self.counts,
            "attributes": self.attributes,
            "kept": self.kept,
            "stays": list(self.stays),
            "on_head": sum(row.on_head for row in self.rows),
            "not_checked": list(self.not_checked),
            "labels": None
            if self.table is None
            else {
                "rows": self.table.rows,
                "dropped_columns": len(self.table.dropped),
                "without_scan": self.table.without_scan,
            },
            "files": [row.to_dict() for row in self.rows],
        }

    def write(self, folder: Path) -> None:
        """Write report.json, report.csv and report.html into a folder."""
        write_json(folder / "report.json", self.to_dict())
        write_text(folder / "report.csv", self._csv())
        write_text(folder / "report.html", self._page())

    def _csv(self) -> str:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("number", "file", "kind", "status", "reason", "pixels", "boxes", "on_head", *KINDS, "notes"))
        for row in self.rows:
            boxes = ";".join("x".join(map(str, box)) for box in row.boxes)
            done = [_counted(dict(row.attributes.get(kind, {}))) for kind in KINDS]
            place = (row.number, row.file, row.kind, row.status, row.reason, row.pixels, boxes, row.on_head)
            writer.writerow(cells.row((*place, *done, ";".join(row.notes))))
        return out.getvalue()

    def _page(self) -> str:
        from insula.core import templates

        reasons = Counter((row.status, row.kind, row.reason) for row in self.rows if row.reason)
        kinds = Counter(row.kind for row in self.rows if row.file)
        return (
            templates.environment("insula.cohort.deidentify", ".")
            .get_template("report.html")
            .render(
                report=self, version=__version__, reasons=reasons.most_common(), kinds=sorted(kinds.items()), done=KINDS
            )
        )


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _counted(counts: dict[str, int]) -> str:
    return ";".join(f"{keyword}={count}" for keyword, count in sorted(counts.items()) if count)
