from __future__ import annotations

from pathlib import Path

import pytest

from insula.core.errors import EvaluationError
from insula.evaluate import sheet


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_rows_carry_their_line_numbers_and_trimmed_texts(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"\ufeffcase{mark}label\n a {mark} 1\n\nb{mark}0 \n", encoding="utf-8")
    columns, rows = sheet.read(path)
    assert columns == ["case", "label"]
    assert rows == [(2, {"case": "a", "label": "1"}), (4, {"case": "b", "label": "0"})]


def test_labels_may_hold_the_other_marks(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('case,label\na,any;subdural\nb,"x, y"\n')
    assert [row["label"] for _, row in sheet.read(path)[1]] == ["any;subdural", "x, y"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no rows"),
        (b"case,label\n", "holds no rows"),
        (b"case,case\na,b\n", "the column 'case' twice"),
        (b"case,label\na\n", "row 2 has 1 cells and the header has 2"),
        (b"case,label\n\xff\xfe,1\n", "not UTF-8"),
        (b'case,label\n"a,1\n', "row 2 has 1 cells"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(EvaluationError, match=said):
        sheet.read(path)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"no table 'none\.csv'"):
        sheet.read(tmp_path / "none.csv")


@pytest.mark.parametrize("name", ["subject", "Subject_ID", "participant_id", "participant"])
def test_the_names_of_bids_are_taken_for_a_patient(name: str) -> None:
    assert sheet.meant("patient", ["case", name, "label"]) == name
    assert sheet.meant("case", [name, "label"]) == ""
