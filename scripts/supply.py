"""What Insula is delivered with: bill of materials, licences, known advisories, and a wheel that builds the same twice.

Usage: python scripts/supply.py runs/supply [--write docs/results/supply.md] [--offline]

Exit codes: 0 nothing is wrong; 1 an advisory, a wheel that differs or holds what does not belong, a bill that is not
valid; 3 the index of packages was not reached, so that advisories are not known.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts import supply_bill, supply_page, supply_wheel  # noqa: E402

WRONG, UNREACHED = 1, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Make all parts, write them under a folder, and say what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for the wheel, bill.cdx.json, licences.json and advisories.json")
    parser.add_argument("--write", type=Path, help="a page for people")
    parser.add_argument("--offline", action="store_true", help="ask no index for advisories")
    told = parser.parse_args(arguments)
    told.out.mkdir(parents=True, exist_ok=True)

    wheels = supply_wheel.built_twice(ROOT, told.out)
    strangers = supply_wheel.strangers(wheels.path)
    parts = supply_bill.closure(ROOT / "pyproject.toml")
    bill = supply_bill.bill(ROOT / "pyproject.toml", parts)
    (told.out / "bill.cdx.json").write_text(bill, encoding="utf-8")
    invalid = supply_bill.invalid(bill)
    licences = supply_bill.licences(parts)
    (told.out / "licences.json").write_text(json.dumps(licences, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    found = supply_bill.Advisories((), "not asked for") if told.offline else supply_bill.advisories(parts, told.out)

    page = supply_page.page(wheels, strangers, parts, invalid, licences, found)
    print(f"{page}\n{wheels.path.name}: SHA-256 {wheels.digests[0]}")
    if told.write:
        told.write.write_text(page, encoding="utf-8")
    if not wheels.same or strangers or invalid or found.known:
        return WRONG
    return UNREACHED if found.unreached else 0


if __name__ == "__main__":
    sys.exit(main())
