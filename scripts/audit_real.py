"""Write docs/results/audit-real.md: audits of networks trained on two public sets, and what they found.

    .venv/bin/python scripts/audit_real.py --runs runs/real --work runs/audit-real

--runs: a folder made by the commands of docs/results/brain-tumour.md and docs/results/stroke-ct.md: published.parquet
and published-run, grouped.parquet and grouped-run, stroke.parquet and by-patient. --work: where audits, reports and
leaks are kept; what is there already is not made anew. About half an hour of one idle core; --folds 0 1 audits two of
the five folds in full.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import audit_real_page
from audit_real_brain import brain
from audit_real_stroke import stroke

PAGE = Path(__file__).resolve().parents[1] / "docs" / "results" / "audit-real.md"


def kept(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Figures as they were written down, or made and written down."""
    if not path.is_file():
        path.write_text(json.dumps(make(), indent=1), encoding="utf-8")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def main() -> None:
    """Audit what is not audited yet, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--folds", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="Audited in full.")
    parser.add_argument("--every", type=int, default=3, help="So-manieth pictures of which the skull is taken away.")
    parser.add_argument("--out", type=Path, default=PAGE)
    o = parser.parse_args()
    o.work.mkdir(parents=True, exist_ok=True)
    told = {
        "brain": kept(o.work / "brain.json", lambda: brain(o.runs, o.work)),
        "stroke": kept(o.work / "stroke.json", lambda: stroke(o.runs, o.work, o.folds, o.every)),
    }
    o.out.write_text(audit_real_page.page(told), encoding="utf-8")


if __name__ == "__main__":
    main()
