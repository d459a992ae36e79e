"""A batch's table as CSV holds what its table as Parquet holds."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.tiny_cohort import make

from insula.bundle.types import Bundle
from insula.core import parts
from insula.core.cells import unguarded
from insula.core.errors import MissingPartError, UsageError
from insula.core.types import Cohort
from insula.infer.batch import batch
from insula.infer.batch_items import of_folder
from insula.infer.batch_record import place
from insula.infer.predict import Predictor

Made = Callable[..., Bundle]


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    made = make(tmp_path / "scans", patients=3)
    (tmp_path / "scans" / "=1+2.txt").write_text("no scan, and a formula to a spreadsheet")
    return made


def run(predictor: Predictor, cohort: Cohort, out: Path) -> None:
    root = Path(cohort.root)
    batch(predictor, of_folder(root, predictor.bundle.recipe), root, out, ask=["dropout"], passes=4)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def told(cell: str, kind: str) -> Any:
    if cell == "":
        return None
    read_as: dict[str, Callable[[str], Any]] = {"number": float, "count": int, "flag": lambda text: text == "true"}
    return read_as.get(kind, unguarded)(cell)


def test_csv_holds_what_parquet_holds(tiny_bundle: Made, cohort: Cohort, tmp_path: Path) -> None:
    predictor = Predictor(tiny_bundle())
    run(predictor, cohort, tmp_path / "t.parquet")
    run(predictor, cohort, tmp_path / "t.csv")
    about = json.loads((tmp_path / "t.csv.schema.json").read_text())
    kinds = about["columns"]
    wanted = pq.read_table(tmp_path / "t.parquet").to_pylist()
    found = [{name: told(cell, kinds[name]) for name, cell in row.items()} for row in read(tmp_path / "t.csv")]
    assert found == [{name: None if value == "" else value for name, value in row.items()} for row in wanted]
    assert len(found) == 4
    assert any(row["dropout_spread_stroke"] for row in found)
    assert about["bundle"] == predictor.bundle.id
    assert about["use"] == "research only"
    assert not place(tmp_path / "t.csv").exists()


def test_a_name_that_begins_like_a_formula_is_harmless(tiny_bundle: Made, cohort: Cohort, tmp_path: Path) -> None:
    run(Predictor(tiny_bundle()), cohort, tmp_path / "t.csv")
    (row,) = [row for row in read(tmp_path / "t.csv") if "1+2" in row["case"]]
    assert row["case"] == "'=1+2.txt"
    assert row["error"] == "unreadable_scan"
    assert row["p_stroke"] == ""


def test_an_install_without_pyarrow_writes_csv_and_says_so(
    tiny_bundle: Made, cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "_there", lambda name: name != "pyarrow")
    predictor = Predictor(tiny_bundle())
    with pytest.raises(MissingPartError, match=r"insula\[evaluate\].*'t.csv'"):
        run(predictor, cohort, tmp_path / "t.parquet")
    assert not place(tmp_path / "t.parquet").exists()
    with pytest.raises(UsageError, match=r"NAME.parquet or --out NAME.csv"):
        run(predictor, cohort, tmp_path / "t.xlsx")
    run(predictor, cohort, tmp_path / "t.csv")
    assert len(read(tmp_path / "t.csv")) == 4
