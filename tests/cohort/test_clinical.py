from __future__ import annotations

from pathlib import Path

import pytest

from insula.cohort.clinical import attach, read
from insula.core.errors import CohortError
from insula.core.types import Case, Cohort, Scan

SCAN = {"ct": Scan(("a.nii",), "nifti")}
COHORT = Cohort(
    tuple(Case(f"{p}-key", p, SCAN, {}, {"age": "063Y"} if p == "007" else {}) for p in ("007", "b", "c")), "/data"
)


def table(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_cells_become_attributes_as_written_and_empty_ones_none(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", "patient,age,stage,nihss\n007,63,II, 012.50 \nb,,n/a,3\nz,1,I,4\n")
    made = attach(COHORT, read(path))
    assert [dict(c.attributes) for c in made.cohort.cases] == [
        {"age": "63", "stage": "II", "nihss": "012.50"},
        {"nihss": "3"},
        {},
    ]
    assert (made.columns, made.cases_without_row, made.rows_without_case) == (("age", "stage", "nihss"), 1, 1)


def test_a_column_of_cases_is_joined_by_key_where_it_holds_keys(tmp_path: Path) -> None:
    by_key = attach(COHORT, read(table(tmp_path / "k.csv", "x,case\n1,b-key\n")))
    by_patient = attach(COHORT, read(table(tmp_path / "p.csv", "x,case\n1,b\n")))
    assert by_key.cohort == by_patient.cohort
    assert by_key.cohort.cases[1].attributes == {"x": "1"}


def test_the_column_of_ids_can_be_named_and_a_tsv_has_tabs(tmp_path: Path) -> None:
    path = table(tmp_path / "t.tsv", "patient\tMRN\nb\tc\n")
    assert attach(COHORT, read(path, "MRN")).cohort.cases[2].attributes == {"patient": "b"}
    assert read(path).key == "patient"


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("patient,a\nb,1\nb,2\n", None, "row 3: a second, different row"),
        ("patient,a\n,1\n", None, "row 2: patient is empty"),
        ("name,a\nb,1\n", None, r"no column of ids .* --id"),
        ("patient,a\nb,1\n", "MRN", "no column 'MRN'"),
        ("patient,a,a\nb,1,2\n", None, "repeats a column"),
        ("patient,a\nb,1,2\n", None, "row 2: more cells"),
    ],
)
def test_a_table_at_fault_is_refused_with_its_row(tmp_path: Path, text: str, key: str | None, message: str) -> None:
    with pytest.raises(CohortError, match=message):
        read(table(tmp_path / "t.csv", text), key)


def test_a_repeated_equal_row_is_one_and_a_missing_file_is_said(tmp_path: Path) -> None:
    assert len(read(table(tmp_path / "t.csv", "patient,a\nb,1\nb,1\n")).rows) == 1
    with pytest.raises(CohortError, match="no table 'none"):
        read(tmp_path / "none.csv")


def test_a_table_of_other_patients_or_of_contradicting_cells_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="None of the 1 ids in the column patient"):
        attach(COHORT, read(table(tmp_path / "o.csv", "patient,a\n7,1\n")))
    with pytest.raises(CohortError, match=r"'007' has '64' as age in c.csv and '063Y'"):
        attach(COHORT, read(table(tmp_path / "c.csv", "patient,age\n007,64\n")))
