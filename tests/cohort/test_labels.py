from __future__ import annotations

from pathlib import Path

import pytest

from insula.cohort import labels
from insula.core import recipe as recipes
from insula.core.errors import CohortError

STROKE = recipes.load("stroke-ct").target
BLEED = recipes.load("haemorrhage-ct").target


def _table(folder: Path, text: str, name: str = "truth.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("column", "field"),
    [
        ("patient_id", "patient"),
        ("PatientID", "patient"),
        ("participant_id", "patient"),
        ("StudyInstanceUID", "study"),
        ("study_uid", "study"),
        ("SeriesInstanceUID", "series"),
        ("series_instance_uid", "series"),
    ],
)
def test_the_names_of_ids(tmp_path: Path, column: str, field: str) -> None:
    (row,) = labels.read(_table(tmp_path, f" {column} ,label,ward\nX7,stroke,3\n"), STROKE, tmp_path)
    assert getattr(row, field) == "X7"
    assert (row.labels, dict(row.attributes)) == (("stroke",), {"ward": "3"})
    assert labels.columns(tmp_path / "truth.csv")[1:] == ["label", "ward"]


def test_tabs_another_column_and_cells_that_say_nothing(tmp_path: Path) -> None:
    text = "participant_id\tdx\tsex\nA\tStroke\tF\nB\tn/a\tM\nC\t\tM\n"
    rows = labels.read(_table(tmp_path, text, "p.tsv"), STROKE, tmp_path, "dx")
    assert [row.labels for row in rows] == [("stroke",), None, None]
    assert dict(rows[0].attributes) == {"sex": "F"}


def test_several_labels_in_one_cell_imply_any(tmp_path: Path) -> None:
    text = "patient_id,label\nA,subdural; epidural\nB,none\nC,any\n"
    rows = labels.read(_table(tmp_path, text), BLEED, tmp_path)
    assert [row.labels for row in rows] == [("any", "epidural", "subdural"), (), ("any",)]


def test_two_studies_of_a_patient_may_differ_and_two_rows_without_one_may_not(tmp_path: Path) -> None:
    rows = "P,1.1,any;subdural\nP,1.2,none\n"
    made = labels.read(_table(tmp_path, f"patient_id,study_uid,label\n{rows}"), BLEED, tmp_path)
    assert [row.study for row in made] == ["1.1", "1.2"]
    with pytest.raises(CohortError, match=r"truth\.csv, rows 2 and 3: one patient has two sets of labels"):
        labels.read(_table(tmp_path, "patient_id,label\nP,any\nP,none\n"), BLEED, tmp_path)


def test_a_table_without_labels_only_where_that_will_do(tmp_path: Path) -> None:
    path = _table(tmp_path, "patient_id,age\nA,60\n")
    (row,) = labels.read(path, STROKE, tmp_path, unlabelled=True)
    assert (row.labels, dict(row.attributes)) == (None, {"age": "60"})
    with pytest.raises(CohortError, match="--label-column"):
        labels.read(path, STROKE, tmp_path)


def test_what_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe\x00patient_id")
    with pytest.raises(CohortError, match=r"x\.csv is no UTF-8 table"):
        labels.read(tmp_path / "x.csv", STROKE, tmp_path)
    assert labels.columns(tmp_path / "x.csv") == []
    assert labels.columns(tmp_path / "none.csv") == []
    with pytest.raises(CohortError, match="repeats a column name"):
        labels.read(_table(tmp_path, "patient_id,PatientID,label\nA,B,stroke\n"), STROKE, tmp_path)
